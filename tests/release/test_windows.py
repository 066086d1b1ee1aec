"""Shared frames are the clips' own, however the recording comes in."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from fourier.config import SpectrogramConfig
from fourier.features.spectrogram import FRAMES_AT_ONCE, Spectrogram
from fourier.release.export import quantize
from fourier.release.windows import Grid, pictures_of

RATE = 8000
SAMPLES = 12_000


def mel(**settings: Any) -> SpectrogramConfig:
    return SpectrogramConfig(**{"hop_length": 400, "n_mels": 24, "fmax": 4000} | settings)


SETTINGS = {
    "peak": mel(),
    "full scale": mel(reference="full_scale"),
    "unity": mel(reference="unity", normalization="none"),
    "mfcc": mel(kind="mfcc", n_mfcc=13, normalization="none"),
    "coarse hop": mel(hop_length=512),
    "odd window": mel(n_fft=1023, hop_length=100),
    "hop of a window": mel(n_fft=256, hop_length=256, n_mels=8),
    "odd hop": mel(n_fft=512, hop_length=77),
    "long window": mel(n_fft=8192),
}


def song(samples: int) -> np.ndarray:
    """Noise that swells, so that every window has a peak of its own."""
    rng = np.random.default_rng(0)
    swell = np.geomspace(1e-3, 0.3, samples) * (1 + np.sin(np.arange(samples) / 700))
    return (swell * rng.standard_normal(samples)).clip(-1, 1).astype(np.float32)


def parts(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(audio), size):
        yield audio[start : start + size]


@pytest.mark.parametrize("size", [999, 7000, 10**9])
@pytest.mark.parametrize("every", [0.25, 1.5, 2.0])
@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS)
def test_windows_are_the_spectrograms_of_their_clips(
    config: SpectrogramConfig, every: float, size: int
) -> None:
    spectrogram, audio = Spectrogram(config, RATE), song(5 * RATE + 123)
    grid = Grid.of(spectrogram, samples=SAMPLES, every=every)
    pieces = list(pictures_of(parts(audio, size), spectrogram, grid, at_once=4))
    times = [time for piece in pieces for time in piece.times]
    assert times == [every * i for i in range(grid.count(len(audio)))]
    starts = [grid.start(i) for i in range(len(times))]
    clips = np.stack([audio[start : start + SAMPLES] for start in starts])
    alone = spectrogram(quantize(torch.from_numpy(clips)))
    together = torch.cat([piece.pictures for piece in pieces])
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-6)


@pytest.mark.parametrize(
    ("every", "hop", "starts"),
    [
        (0.25, 300, [0, 2100, 3900, 6000]),  # 7, 13 and 20 hops
        (0.25, 400, [0, 2000, 4000, 6000]),
        (1.5, 300, [0, 12_000, 24_000]),  # back to back: exactly there
        (0.3, 512, [0, 2400, 4800]),  # up to half such a hop would be more than 25 ms
    ],
)
def test_windows_begin_at_the_nearest_hop(every: float, hop: int, starts: list[int]) -> None:
    grid = Grid.of(Spectrogram(mel(hop_length=hop), RATE), samples=SAMPLES, every=every)
    assert [grid.start(i) for i in range(len(starts))] == starts


@pytest.mark.parametrize(
    ("samples", "missing", "count"),
    [
        (1, 0, 1),  # shorter than a window: filled up
        (11_999, 0, 1),
        (12_000, 0, 1),
        (15_999, 0, 1),
        (16_000, 0, 2),
        (15_990, 10, 2),
        (15_989, 10, 1),
        (400_000, 0, 98),
    ],
)
def test_windows_that_fit_are_counted(samples: int, missing: int, count: int) -> None:
    grid = Grid(RATE, SAMPLES, 0.5, missing)
    assert grid.count(samples) == count


@pytest.mark.parametrize("every", [0.25, 1.5])
@pytest.mark.parametrize("samples", [1, 300, 11_999])
def test_a_short_recording_is_one_window_filled_up(samples: int, every: float) -> None:
    spectrogram, audio = Spectrogram(SETTINGS["peak"], RATE), song(samples)
    grid = Grid.of(spectrogram, samples=SAMPLES, every=every)
    (piece,) = pictures_of(parts(audio, 100), spectrogram, grid, at_once=4)
    padded = np.zeros((1, SAMPLES), np.float32)
    padded[0, :samples] = audio
    assert piece.times == [0.0]
    assert piece.padded == [True]
    alone = spectrogram(quantize(torch.from_numpy(padded)))
    torch.testing.assert_close(piece.pictures, alone, atol=2e-5, rtol=1e-6)


def test_a_window_may_lack_what_training_let_it_lack() -> None:
    spectrogram = Spectrogram(SETTINGS["peak"], RATE)
    grid = Grid.of(spectrogram, samples=SAMPLES, every=1.5, missing=102)
    pieces = list(pictures_of([song(2 * SAMPLES - 102)], spectrogram, grid, at_once=4))
    assert [flag for piece in pieces for flag in piece.padded] == [False, True]


def test_each_frame_of_a_recording_is_transformed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    spectrogram, audio = Spectrogram(SETTINGS["peak"], RATE), song(20 * RATE)
    frames = []
    power = spectrogram.band_power
    monkeypatch.setattr(
        spectrogram, "band_power", lambda cut: frames.append(cut.shape[:-1].numel()) or power(cut)
    )
    grid = Grid.of(spectrogram, samples=SAMPLES, every=0.25)
    pieces = list(pictures_of(parts(audio, RATE), spectrogram, grid, at_once=4))
    count = sum(len(piece.times) for piece in pieces)
    outer = 6  # of each window: three at its beginning and three at its end
    assert max(frames) <= FRAMES_AT_ONCE
    assert sum(frames) <= spectrogram.frames(len(audio)) + outer * count
    assert count * spectrogram.frames(SAMPLES) > 4 * spectrogram.frames(len(audio))
