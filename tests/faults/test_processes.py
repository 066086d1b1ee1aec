"""Whole sweeps with workers, as people start and stop them, and as machines do."""

import os
import signal
import subprocess
import sys
import time

import optuna
import psutil
import pytest
from consistency import check_consistent, slot
from optuna.trial import TrialState

from fourier.search.storage import open_storage
from fourier.tracking import Tracker

SPACE = """
import ctypes
import fourier.training.experiment as experiment
from fourier.cli.sweep import sweep_command
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.search.sweep import Space

build = experiment.build_model

def build_model(config, **sizes):
    if config.hidden == (13,):
        ctypes.PyDLL(None).sleep(10_000)  # in C, with Python's lock held
    if config.hidden == (1,):
        raise RuntimeError("no layer of one unit")
    return build(config, **sizes)

experiment.build_model = build_model

UNITS = {"good": 4, "hangs": 13, "fails": 1}

def suggest(trial):
    slot = trial.user_attrs.get("claim", {}).get("slot", 0)
    kind = FIRST[slot] if slot < len(FIRST) else "good"
    lr = trial.suggest_float("lr", 1e-4, 1e-2)
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=16, fmax=8000, n_fft=512),
        model=MLPConfig(hidden=(UNITS[kind],)),
        training=TrainingConfig(loss="cross_entropy", lr=lr),
    )

space = Space(suggest, first=[{"lr": 1e-3}], epochs=4)
raise SystemExit(sweep_command("gtzan", lambda: space, "Mine."))
"""


def start(folder, data, *words, first=("good",)):
    """A sweep in a process group of its own."""
    (folder / "space.py").write_text(SPACE.replace("FIRST", repr(first)))
    options = ["--data", data, "--protocol", "track", "--device", "cpu", "--jobs", "1"]
    return subprocess.Popen(
        [sys.executable, "space.py", *map(str, (*options, *words))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def study():
    storage = open_storage(None)
    if "gtzan-track" in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name="gtzan-track", storage=storage)
    return None


def counted():
    found = study()
    return sorted((t for t in found.trials if "lost" not in t.user_attrs), key=slot)


def wait_until(happened, seconds=100):
    deadline = time.monotonic() + seconds
    while not (found := happened()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found
    return found


def running_since(before):
    """Whether a trial runs that was not there before."""

    def look():
        found = study()
        trials = found.get_trials(deepcopy=False) if found else []
        return any(t.number >= before and t.state == TrialState.RUNNING for t in trials)

    return look


def trials_so_far():
    found = study()
    return len(found.trials) if found else 0


def stopped(process, *, way):
    """Start, stop one way, and see that it is said in one line and nothing is left running."""
    wait_until(running_since(trials_so_far()))
    way(process)
    code, _, err = end(process)
    assert code == 130, err
    assert err.count("stopped.") == 1
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert "error" not in err
    check_consistent(study(), Tracker.connect())


@pytest.mark.slow
def test_workers_stop_with_their_leader_however_it_is_stopped_and_the_next_start_goes_on(
    workplace, tiny_gtzan
):
    many = ["--workers", 2, "--trials", 500]
    ctrl_c = start(workplace, tiny_gtzan, *many)
    stopped(ctrl_c, way=lambda process: os.killpg(process.pid, signal.SIGINT))
    service = start(workplace, tiny_gtzan, *many)
    stopped(service, way=lambda process: os.killpg(process.pid, signal.SIGTERM))

    power = start(workplace, tiny_gtzan, *many)
    wait_until(running_since(trials_so_far()))
    os.killpg(power.pid, signal.SIGKILL)
    assert end(power)[0] == -signal.SIGKILL

    leader = start(workplace, tiny_gtzan, *many)
    wait_until(running_since(trials_so_far()))
    workers = psutil.Process(leader.pid).children()
    workers[0].terminate()  # another takes its place
    wait_until(lambda: set(psutil.Process(leader.pid).children()) - set(workers))
    wait_until(running_since(trials_so_far()))
    workers = psutil.Process(leader.pid).children()
    leader.kill()
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # nobody works on unseen
    end(leader)

    total = len(counted()) + 1
    code, _, err = end(start(workplace, tiny_gtzan, "--trials", total))
    assert code == 0, err
    check_consistent(study(), Tracker.connect(), total=total)


@pytest.mark.slow
def test_a_trial_that_hangs_holds_up_a_sweep_no_longer_than_it_may(workplace, tiny_gtzan):
    words = ["--trials", 3, "--trial-timeout", 12]
    code, out, err = end(start(workplace, tiny_gtzan, *words, first=("good", "hangs", "good")))
    assert code == 0, err
    assert "no end after 12 s" in out
    assert "Traceback" not in err
    check_consistent(study(), Tracker.connect(), total=3)
    good, hung, other = counted()
    assert [good.state.name, hung.state.name, other.state.name] == ["COMPLETE", "FAIL", "COMPLETE"]
    stood = Tracker.connect().read_artifact(hung.user_attrs["run_id"], "traceback.txt")
    assert "in build_model" in stood


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_whose_first_trials_all_fail_in_the_same_way_stops_early_and_says_why(
    workers, workplace, tiny_gtzan
):
    words = ["--trials", 60, "--workers", workers]
    code, out, err = end(start(workplace, tiny_gtzan, *words, first=["fails"] * 60))
    assert code == 3, err
    assert err.startswith(
        "error: the first 5 trials failed in the same way: RuntimeError: no layer"
    )
    assert err.count("\n") == 1
    assert out.count("failed") >= 5
    assert 5 <= len(counted()) <= 5 + 4 * (workers - 1)  # what others did in half a second
    check_consistent(study(), Tracker.connect())


@pytest.mark.slow
def test_a_sweep_with_few_trials_that_all_failed_in_the_same_way_is_no_success_now_or_later(
    workplace, tiny_gtzan
):
    for _ in range(2):
        process = start(workplace, tiny_gtzan, "--trials", 2, first=("fails", "fails"))
        code, _, err = end(process)
        assert code == 3
        assert "all 2 trials failed in the same way: RuntimeError: no layer" in err
    code, _, err = end(
        start(workplace, tiny_gtzan, "--trials", 3, first=("fails", "fails", "good"))
    )
    assert code == 0, err
