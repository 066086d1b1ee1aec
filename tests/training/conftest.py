"""Toy problems that a network of a few weights learns in a second."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from fourier.config import TrainingConfig
from fourier.training import Classification, Regression, Result, Split, Task, fit

CLASSES = ("blues", "disco", "jazz", "metal")
BANDS, FRAMES = 8, 12


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small networks on several threads mostly wait, the more on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass
class Toy:
    """A corpus after the feature store, with everything that `fit` takes."""

    task: Task
    features: torch.Tensor
    targets: torch.Tensor
    tracks: np.ndarray
    split: Split

    def fit(
        self,
        config: TrainingConfig,
        build: Callable[[], nn.Module] | None = None,
        report=None,
    ) -> Result:
        return fit(
            build or self.mlp,
            self.features,
            self.targets,
            self.tracks,
            self.split,
            config,
            self.task,
            report,
        )

    def mlp(self) -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(BANDS * FRAMES, 16), nn.ReLU(), nn.Linear(16, self.task.outputs)
        )

    def cnn(self) -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, BANDS)),
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * BANDS * FRAMES, self.task.outputs),
        )


def _track_numbers(clips: int) -> torch.Tensor:
    """Four clips of each track, in no order."""
    order = torch.randperm(clips, generator=torch.Generator().manual_seed(3))
    return (torch.arange(clips) // 4)[order]


def _parts(track: torch.Tensor) -> Split:
    """By track: two of three train."""
    held_out = track % 3 == 0
    return Split(train=torch.nonzero(~held_out)[:, 0], valid=torch.nonzero(held_out)[:, 0])


def _names(track: torch.Tensor) -> np.ndarray:
    return np.array([f"track {number:03d}" for number in track.tolist()])


@pytest.fixture
def genres() -> Toy:
    """Genre k is loud in band k; 36 tracks of 4 clips."""
    clips = 144
    noise = torch.randn((clips, BANDS, FRAMES), generator=torch.Generator().manual_seed(1))
    track = _track_numbers(clips)
    labels = track % len(CLASSES)
    noise[torch.arange(clips), labels] += 2.0
    task = Classification(name="toy", targets=("label",), classes=CLASSES)
    return Toy(task, noise.half(), labels, _names(track), _parts(track))


@pytest.fixture
def moods() -> Toy:
    """Valence is the level of the first band, arousal that of the last; 36 tracks of 4 clips."""
    clips = 144
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn((clips, BANDS, FRAMES), generator=generator)
    targets = torch.rand((clips, 2), generator=generator) * 2 - 1
    noise[:, 0] += targets[:, :1] * 2
    noise[:, -1] += targets[:, 1:] * 2
    task = Regression(name="toy", targets=("valence", "arousal"))
    track = _track_numbers(clips)
    return Toy(task, noise.half(), targets, _names(track), _parts(track))
