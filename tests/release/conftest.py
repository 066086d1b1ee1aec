"""Released models in miniature: trained for an epoch, exported, and registered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from fourier.config import CNNConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.release.export import (
    build_clip_model,
    describe_program,
    export_program,
    precision_of,
)
from fourier.training import Experiment

from .studies import small_gtzan, swept, swept_once

__all__ = ["small_gtzan", "swept", "swept_once"]


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small networks on several threads mostly wait, the more on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Released:
    """A trial from its corpus to its file."""

    experiment: Experiment
    config: TrialConfig
    state: Mapping[str, torch.Tensor]
    path: Path


@dataclass(frozen=True)
class Press:
    """Trains a configuration on a tiny corpus for two epochs and exports it."""

    experiments: Mapping[str, Experiment]
    folder: Path

    def __call__(self, task: str, **parts: Any) -> Released:
        experiment, config = self.experiments[task], trial(task, **parts)
        result = experiment.run(config)
        corpus = experiment.corpus
        model = build_clip_model(
            config,
            result.state,
            sample_rate=corpus.sample_rate,
            samples=corpus.samples_per_clip,
            outputs=experiment.task.outputs,
            classification=bool(corpus.classes),
            precision=precision_of(experiment, config),
        )
        path = self.folder / f"{task}-{config.digest}.pt2"
        about = describe_program(experiment, config)
        export_program(model, path, samples=corpus.samples_per_clip, metadata=about)
        return Released(experiment, config, result.state, path)


def trial(task: str, **parts: Any) -> TrialConfig:
    """A small configuration for a task."""
    loss = "cross_entropy" if task == "gtzan" else "mse"
    parts.setdefault("training", TrainingConfig(epochs=2, loss=loss, lr=1e-2, precision="fp32"))
    parts.setdefault("spectrogram", SpectrogramConfig(n_mels=32, fmax=8000))
    parts.setdefault("model", CNNConfig(width=4, depth=2))
    return TrialConfig(**parts)


@pytest.fixture(scope="session")
def press(tmp_path_factory: pytest.TempPathFactory, tiny_gtzan: Path, tiny_deam: Path) -> Press:
    folder = tmp_path_factory.mktemp("press")
    experiments = {
        task: Experiment.open(
            load_corpus(root, task),
            protocol="track",
            objective=None,
            cache=folder,
            device=torch.device("cpu"),
            jobs=1,
        )
        for task, root in (("gtzan", tiny_gtzan), ("deam", tiny_deam))
    }
    return Press(experiments, folder)


@pytest.fixture(scope="session")
def genre(press: Press) -> Released:
    """A model that hears genre."""
    return press("gtzan")


@pytest.fixture(scope="session")
def emotion(press: Press) -> Released:
    """A model that hears valence and arousal."""
    return press("deam")
