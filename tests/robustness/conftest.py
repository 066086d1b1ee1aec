"""A small study that was searched, with its runs and cache; copied for each test to do harm to."""

import os
import runpy
import shutil
import sqlite3
import sys
from contextlib import chdir, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

SPACE = """
from fourier.cli.sweep import sweep_command
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.search.sweep import Space

def suggest(trial):
    lr = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=16, fmax=8000, n_fft=512),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(loss="cross_entropy", lr=lr, patience=0),
    )

space = Space(suggest, first=[{"lr": 1e-3}, {"lr": 2e-3}], epochs=2)
raise SystemExit(sweep_command("gtzan", lambda: space, "Mine."))
"""
STUDY = "gtzan-track"


@dataclass(frozen=True)
class Place:
    """A working directory in which a sweep is run, and what it runs on."""

    folder: Path
    data: Path
    cache: Path

    @property
    def options(self):
        """Of every command that reads the corpus."""
        where = ["--data", str(self.data), "--cache", str(self.cache)]
        return [*where, "--device", "cpu", "--jobs", "1"]

    def words(self, trials, *more):
        """A sweep's options."""
        counts = ["--trials", str(trials), "--pruner", "none", "--protocol", "track"]
        return [*self.options, *counts, *map(str, more)]

    def sweep(self, trials, *more):
        """Run a sweep in this process, and return its exit code."""
        script = write_space(self.folder)
        before, sys.argv = sys.argv, [str(script), *self.words(trials, *more)]
        try:
            with chdir(self.folder), pytest.raises(SystemExit) as end:
                runpy.run_path(str(script), run_name="__main__")
        finally:
            sys.argv = before
        return end.value.code


def write_space(folder):
    """An experiment's script: four settings of one small network on one spectrogram."""
    path = folder / "mine.py"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="session")
def searched_once(tmp_path_factory, tiny_gtzan, empty_tracking_database):
    """A study of one trial."""
    root = tmp_path_factory.mktemp("searched")
    place = Place(root / "work", tiny_gtzan, root / "cache")
    place.folder.mkdir()
    shutil.copy(empty_tracking_database, place.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert place.sweep(1) == 0
    return place


@pytest.fixture
def searched(searched_once, tmp_path, monkeypatch):
    """The same study, its runs and its cache, in folders of the test's own."""
    before = searched_once.folder.parent
    for part in ("work", "cache"):
        shutil.copytree(before / part, tmp_path / part)
    with closing(sqlite3.connect(tmp_path / "work" / "mlflow.db")) as database:
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
            change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608
            database.execute(change, (str(before), str(tmp_path)))
        database.commit()
    monkeypatch.chdir(tmp_path / "work")
    return Place(tmp_path / "work", searched_once.data, tmp_path / "cache")


@pytest.fixture
def single_threaded(own_cache):
    """Variables of processes that tests start."""
    return os.environ | {"OMP_NUM_THREADS": "1"}
