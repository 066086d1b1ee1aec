"""A sweep with several workers, one of which is killed again and again until all trials are done.

    FOURIER_CHAOS_REPEATS=10 pytest -q tests/faults/test_chaos.py

does it ten times with other seeds, and says what was survived. `FOURIER_CHAOS_SEED` is the first.
"""

import os
import subprocess
import sys
import time

import numpy as np
import optuna
import psutil
import pytest
from consistency import check_cache, check_consistent
from optuna.trial import TrialState

from fourier.search.storage import open_storage
from fourier.tracking import Tracker

TRIALS, WORKERS = 60, 3
REPEATS = int(os.environ.get("FOURIER_CHAOS_REPEATS", "1"))
FIRST_SEED = int(os.environ.get("FOURIER_CHAOS_SEED", "0"))
PAUSE_SECONDS = (2.0, 7.0)
"""Between two kills."""

SPACE = """
from fourier.cli.sweep import sweep_command
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.search.sweep import Space

def suggest(trial):
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    n_mels = trial.suggest_categorical("n_mels", [12, 16, 20, 24])
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=n_mels, fmax=8000, n_fft=512),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(loss="cross_entropy", lr=lr),
    )

space = Space(suggest, first=[{"lr": 1e-3, "n_mels": 16}], epochs=1)
raise SystemExit(sweep_command("gtzan", lambda: space, "Chaos."))
"""


def sweep(folder, data):
    (folder / "space.py").write_text(SPACE)
    words = ["--trials", TRIALS, "--workers", WORKERS, "--data", data, "--protocol", "track"]
    command = [sys.executable, "space.py", *map(str, words), "--device", "cpu", "--jobs", "1"]
    with (folder / "log.txt").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def kill_workers(leader, rng, seconds):
    """Kill one worker after another, most while they run a trial; returns how many.

    Only after two trials have ended since the last kill: on a busy machine a worker takes longer
    to start than the pause is, and nobody would get anywhere.
    """
    kills, seen, deadline = 0, 0, time.monotonic() + seconds
    due = time.monotonic() + rng.uniform(*PAUSE_SECONDS)
    while leader.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        if time.monotonic() < due:
            continue
        ended, owners = progress()
        workers = psutil.Process(leader.pid).children() if leader.poll() is None else []
        if kills % 4:
            workers = [worker for worker in workers if worker.pid in owners]
        if workers and ended >= seen + 2:
            workers[rng.integers(len(workers))].kill()
            kills, seen = kills + 1, ended
            due = time.monotonic() + rng.uniform(*PAUSE_SECONDS)
    return kills


def progress():
    """How many trials have ended, and the process ids of those that run one now."""
    storage = open_storage(None)
    if "gtzan-track" not in optuna.get_all_study_names(storage):
        return 0, set()
    trials = optuna.load_study(study_name="gtzan-track", storage=storage).trials
    owned = [t for t in trials if "claim" in t.user_attrs and "lost" not in t.user_attrs]
    running = [trial for trial in owned if trial.state == TrialState.RUNNING]
    owners = {trial.user_attrs["claim"]["owner"]["pid"] for trial in running}
    return len(owned) - len(running), owners


@pytest.mark.slow
@pytest.mark.timeout(600)  # on a machine with other work; alone it takes a minute or so
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + REPEATS))
def test_sixty_trials_survive_a_worker_killed_every_few_seconds(
    seed, workplace, tiny_gtzan, own_cache, capsys
):
    began = time.monotonic()
    leader = sweep(workplace, tiny_gtzan)
    try:
        kills = kill_workers(leader, np.random.default_rng(seed), 120)
        code = leader.wait(400)
    finally:
        leader.kill()
    seconds = time.monotonic() - began
    assert code == 0, (workplace / "log.txt").read_text()
    study = optuna.load_study(study_name="gtzan-track", storage=open_storage(None))
    trials, runs = check_consistent(study, Tracker.connect(), total=TRIALS)
    check_cache(own_cache)
    assert kills > 0
    counted = [trial for trial in study.trials if "lost" not in trial.user_attrs]
    assert {trial.state.name for trial in counted} == {"COMPLETE"}
    assert list((workplace / "mlruns").glob(".*.hung")) == []
    with capsys.disabled():
        sys.stdout.write(
            f"\nchaos {seed}: {kills} workers killed in {seconds:.0f} s, {len(counted)} trials "
            f"complete, {trials - len(counted)} begun anew, {runs} runs\n"
        )
