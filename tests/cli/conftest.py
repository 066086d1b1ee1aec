"""A released model in miniature, and the experiments run as their users run them."""

import os
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from fourier.config import CNNConfig, SpectrogramConfig, TrialConfig
from fourier.features.normalization import Normalization
from fourier.features.spectrogram import Spectrogram
from fourier.models import build_model
from fourier.release.export import build_clip_model, export_program

RATE = 8000
CLASSES = ("blues", "jazz")
NOBODY = 65534


def write_model(task: str, path: Path) -> Path:
    """An untrained model for clips of a second."""
    config = TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=16, fmax=4000, hop_length=200),
        model=CNNConfig(width=4, depth=1),
    )
    torch.manual_seed(0)
    frames = Spectrogram(config.spectrogram, RATE).frames(RATE)
    network = build_model(config.model, bands=16, frames=frames, outputs=2)
    built = build_clip_model(
        config,
        nn.Sequential(Normalization(16), network).state_dict(),
        sample_rate=RATE,
        samples=RATE,
        outputs=2,
        classification=task == "gtzan",
    )
    about = {
        "task": task,
        "corpus": {"name": task, "digest": "0"},
        "protocol": "track",
        "trial": config.to_dict(),
        "targets": ["label"] if task == "gtzan" else ["valence", "arousal"],
        "classes": CLASSES if task == "gtzan" else (),
        "sample_rate": RATE,
        "clip_seconds": 1.0,
    }
    export_program(built, path, samples=RATE, metadata=about)
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model for each task."""
    folder = tmp_path_factory.mktemp("model")
    return {task: write_model(task, folder / f"{task}.pt2") for task in ("deam", "gtzan")}


@pytest.fixture(params=["deam", "gtzan"])
def model(request: pytest.FixtureRequest, models: dict[str, Path]) -> Path:
    """A model for either task."""
    return models[request.param]


@pytest.fixture
def sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str, str]]:
    """Runs an experiment in this process, which has already loaded what takes seconds to load."""

    def run(script: Path, *words: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(script), run_name="__main__")
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return run


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """Without the rights of root, who may read everything."""

    @contextmanager
    def without_rights() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        try:
            os.seteuid(NOBODY)
        except OSError as error:
            pytest.skip(f"root cannot become another user here ({error.strerror})")
        try:
            yield
        finally:
            os.seteuid(0)

    return without_rights
