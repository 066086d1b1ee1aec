"""What all tests share: where the real audio lies, and a cache of their own."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

BESIDE_THE_PROJECT = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real audio (`gtzan-mini`, `deam-mini`, `odd-audio`); skips where absent."""
    folder = Path(os.environ.get("FOURIER_REAL_DATA", BESIDE_THE_PROJECT))
    if not folder.is_dir():
        pytest.skip(f"no real audio at {folder}; set FOURIER_REAL_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the cache, the tracking store or the study of whoever runs it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FOURIER_CACHE", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(scope="session")
def empty_tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with nothing in it; making one takes seconds, copying it none."""
    from fourier.tracking import Tracker

    folder = tmp_path_factory.mktemp("tracking")
    with contextlib.chdir(folder):
        Tracker.connect(f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_tracking_database: Path
) -> Path:
    """A working directory of the test's own, with an empty tracking store in it."""
    shutil.copy(empty_tracking_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path
