"""What all tests share: where the real audio lies, and a cache of their own."""

import os
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
