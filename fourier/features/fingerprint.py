"""Fingerprints of recordings: what stays of them after re-encoding, another gain or a short shift.

After Haitsma & Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): every 23 ms a
word of 32 bits says, for 33 bands from 300 to 2000 Hz, whether the difference between neighbouring
bands rose or fell. Two copies of one recording differ in few of the bits (none to speak of after
a change of gain, a tenth after mp3 at 24 kbit/s), two recordings in half of them, even of one genre
and tempo. What does not change has no fingerprint: frames of silence or of a steady tone do not
count. Not here: which recordings are compared
(`fourier.features.copies`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

RATE = 5_512
"""Hz; twice what the bands need, and an eighth of what CDs have."""

WINDOW, HOP = 2_048, 128
BITS = 32
LOWEST_HZ, HIGHEST_HZ = 300.0, 2_000.0
FRAMES_AT_ONCE = 512
FRAME_SECONDS = HOP / RATE

QUIETEST = 1e-7
"""Mean square between the bands' ends, full scale 1: what lies below -70 dB is silence."""

STEADIEST = 0.01
"""Part of the energy that must move between frames; in music it is rarely below a twentieth."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is known of a stretch of audio, frame by frame.

    Attributes:
        words: 32 bits for each frame, uint32 [frames].
        counts: whether something happens there [frames].
    """

    words: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.bool_]


def fingerprint(blocks: Iterable[npt.NDArray[np.float32]], sample_rate: int) -> Fingerprint:
    """Fingerprint audio that comes in blocks, in memory that grows with an eighth of it.

    Args:
        blocks: consecutive samples, full scale 1.
        sample_rate: Hz.

    Returns:
        A word every `FRAME_SECONDS`; none for audio shorter than 0.4 s.
    """
    audio = torch.from_numpy(_resampled(blocks, sample_rate))
    words = [np.zeros(0, np.uint32)]
    counts = [np.zeros(0, np.bool_)]
    window, bands = torch.hann_window(WINDOW), _bands()
    before: Tensor | None = None
    for frames in _frames(audio):
        spectrum = torch.fft.rfft(frames * window)[:, : len(bands)]
        energy = (spectrum.real.square() + spectrum.imag.square()) @ bands
        if before is not None:
            energy = torch.cat([before, energy])
        before = energy[-1:]
        words.append(_words(energy))
        counts.append(_counts(energy, float(window.square().sum())))
    return Fingerprint(np.concatenate(words), np.concatenate(counts))


def _resampled(
    blocks: Iterable[npt.NDArray[np.float32]], sample_rate: int
) -> npt.NDArray[np.float32]:
    import soxr

    stream = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32", quality="LQ")
    parts = [stream.resample_chunk(block) for block in blocks]
    parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts)


def _frames(audio: Tensor) -> Iterator[Tensor]:
    """Overlapping windows [frames, window], some at once."""
    if len(audio) < WINDOW + HOP:
        return
    windows = audio.unfold(0, WINDOW, HOP)
    for start in range(0, len(windows), FRAMES_AT_ONCE):
        yield windows[start : start + FRAMES_AT_ONCE]


def _bands() -> Tensor:
    """Which frequency belongs to which band, [frequencies, bands], evenly on a log scale."""
    edges = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BITS + 2)
    frequencies = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    frequencies = frequencies[frequencies < HIGHEST_HZ, None]
    inside = (edges[:-1] <= frequencies) & (frequencies < edges[1:])
    return torch.from_numpy(inside.astype(np.float32))


def _changes(energy: Tensor) -> Tensor:
    """How the differences between neighbouring bands change, [frames - 1, bits]."""
    return (energy[:, :-1] - energy[:, 1:]).diff(dim=0)


def _words(energy: Tensor) -> npt.NDArray[np.uint32]:
    places = 1 << torch.arange(BITS, dtype=torch.int64)
    return ((_changes(energy) > 0) * places).sum(1).numpy().astype(np.uint32)


def _counts(energy: Tensor, window_energy: float) -> npt.NDArray[np.bool_]:
    total = energy.sum(1)
    mean_square = 2 * total[1:] / (WINDOW * window_energy)
    moved = _changes(energy).abs().sum(1)
    counts = (mean_square > QUIETEST) & (moved > STEADIEST * (total[1:] + total[:-1]))
    return counts.numpy()
