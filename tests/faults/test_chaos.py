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

from fourier.search.storage import open_storage
from fourier.tracking import Tracker

TRIALS, WORKERS = 60, 3
REPEATS = int(os.environ.get("FOURIER_CHAOS_REPEATS", "1"))
FIRST_SEED = int(os.environ.get("FOURIER_CHAOS_SEED", "0"))
PAUSE_SECONDS = (3.0, 9.0)
"""Between two kills: a worker needs some seconds to load all it needs."""

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
    """Kill one worker after another, if possible one with a trial; returns how many."""
    kills, deadline = 0, time.monotonic() + seconds
    wait = rng.uniform(*PAUSE_SECONDS)
    while leader.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
        wait -= 0.05
        if wait <= 0 and leader.poll() is None:
            workers = psutil.Process(leader.pid).children()
            busy = [worker for worker in workers if worker.pid in owners()] or workers
            if busy:
                busy[rng.integers(len(busy))].kill()
                kills += 1
                wait = rng.uniform(*PAUSE_SECONDS)
    return kills


def owners():
    """Process ids of those that run a trial now."""
    storage = open_storage(None)
    if "gtzan-track" not in optuna.get_all_study_names(storage):
        return set()
    study = optuna.load_study(study_name="gtzan-track", storage=storage)
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    return {t.user_attrs["claim"]["owner"]["pid"] for t in running if "claim" in t.user_attrs}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + REPEATS))
def test_sixty_trials_survive_a_worker_killed_every_few_seconds(
    seed, workplace, tiny_gtzan, own_cache, capsys
):
    began = time.monotonic()
    leader = sweep(workplace, tiny_gtzan)
    try:
        kills = kill_workers(leader, np.random.default_rng(seed), 240)
        code = leader.wait(30)
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
