"""Studies to promote from: real sweeps over a small corpus, made once and copied by each test."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.watch import Watcher
from fourier.training import Experiment

EPOCHS = 12
GENRES = (("blues", 110.0), ("metal", 880.0), ("rock", 3520.0))
GOOD, BAD = 1e-2, 1e-7
"""Learning rates with which a network learns the small corpus, and does not."""


@pytest.fixture(scope="session")
def small_gtzan(tmp_path_factory) -> Path:
    """Twenty tracks of one segment in each of three genres; twelve of them are for testing."""
    root = tmp_path_factory.mktemp("gtzan")
    time = np.arange(round(3.1 * 22_050)) / 22_050
    rng = np.random.default_rng(0)
    for genre, frequency in GENRES:
        (root / "genres" / genre).mkdir(parents=True)
        for i in range(20):
            tone = 0.3 * np.sin(2 * np.pi * frequency * rng.uniform(0.9, 1.1) * time)
            noise = 0.05 * rng.standard_normal(len(time))
            soundfile.write(root / "genres" / genre / f"{genre}.{i:05d}.wav", tone + noise, 22_050)
    return root


def space_of(lr, loss="cross_entropy"):
    """Three settings that differ by their bands."""

    def suggest(trial):
        n_mels = trial.suggest_categorical("n_mels", [12, 16, 20])
        return TrialConfig(
            spectrogram=SpectrogramConfig(n_mels=n_mels, n_fft=512, hop_length=512, fmax=8000),
            model=MLPConfig(hidden=(8,)),
            training=TrainingConfig(loss=loss, lr=lr, schedule="constant", batch_size=8),
        )

    return Space(suggest, first=[{"n_mels": n} for n in (12, 16, 20, 12)], epochs=EPOCHS)


def open_experiment(root, cache, protocol="track", folds=0):
    return Experiment.open(
        load_corpus(root),
        protocol=protocol,
        objective=None,
        cache=cache,
        device=torch.device("cpu"),
        folds=folds,
        jobs=1,
    )


def run_sweep(experiment, study, *, lr=GOOD, loss="cross_entropy", trials=4, seed=0):
    """A study in the working directory, as the command line leaves it."""
    plan = Plan(study=study, pruner="none", epochs=EPOCHS, seed=seed)
    sweep = Sweep.open(experiment, space_of(lr, loss), plan, Watcher())
    sweep.run(trials)
    sweep.finish()
    return sweep


@dataclass(frozen=True)
class Swept:
    """A working directory with studies in it.

    Attributes:
        folder: the directory.
        data: the corpus.
        cache: with its audio and features.
    """

    folder: Path
    data: Path
    cache: Path

    @property
    def words(self):
        """Options of every command that reads the corpus."""
        where = ["--data", str(self.data), "--cache", str(self.cache)]
        return [*where, "--device", "cpu", "--jobs", "1"]


@pytest.fixture(scope="session")
def swept_once(tmp_path_factory, empty_tracking_database, small_gtzan) -> Swept:
    """Three studies: `gtzan` learns, `idle` and `idle-too` do not."""
    folder, cache = tmp_path_factory.mktemp("swept"), tmp_path_factory.mktemp("swept-cache")
    shutil.copy(empty_tracking_database, folder / "mlflow.db")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        experiment = open_experiment(small_gtzan, cache)
        run_sweep(experiment, "gtzan")
        run_sweep(experiment, "idle", lr=BAD, trials=1)
        run_sweep(experiment, "idle-too", lr=BAD, trials=1, seed=1)
    return Swept(folder, small_gtzan, cache)


@pytest.fixture
def swept(swept_once, tmp_path, monkeypatch) -> Swept:
    """The same studies and runs in a working directory of the test's own."""
    for part in swept_once.folder.glob("mlflow.db*"):  # its write-ahead log holds the latest
        shutil.copy(part, tmp_path)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(swept_once.folder / "mlruns" / "studies.journal", tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    return Swept(tmp_path, swept_once.data, swept_once.cache)
