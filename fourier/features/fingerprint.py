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

Floats = npt.NDArray[np.float32]

RATE = 5_512
"""Hz; twice what the bands need, and an eighth of what CDs have."""

WINDOW, HOP = 2_048, 128
BITS = 32
LOWEST_HZ, HIGHEST_HZ = 300.0, 2_000.0
FRAMES_AT_ONCE = 256
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


def fingerprint(blocks: Iterable[Floats], sample_rate: int) -> Fingerprint:
    """Fingerprint audio that comes in blocks, in memory that grows with an eighth of it.

    One thread, and no library that would start more: callers run several at once.

    Args:
        blocks: consecutive samples, full scale 1.
        sample_rate: Hz.

    Returns:
        A word every `FRAME_SECONDS`; none for audio shorter than 0.4 s.
    """
    from scipy.fft import rfft

    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    edges = _edges()
    words, counts = [np.zeros(0, np.uint32)], [np.zeros(0, np.bool_)]
    before = np.zeros((0, BITS + 1), np.float32)
    for frames in _frames(_resampled(blocks, sample_rate)):
        spectrum = rfft(frames * window)[:, edges[0] : edges[-1]]
        power = spectrum.real**2 + spectrum.imag**2
        energy = np.concatenate([before, np.add.reduceat(power, edges[:-1] - edges[0], axis=1)])
        before = energy[-1:]
        changes = np.diff(energy[:, :-1] - energy[:, 1:], axis=0)
        words.append(np.packbits(changes > 0, axis=1).view(np.uint32)[:, 0])
        counts.append(_counts(energy, changes, float(np.sum(window**2))))
    return Fingerprint(np.concatenate(words), np.concatenate(counts))


def _resampled(blocks: Iterable[Floats], sample_rate: int) -> Floats:
    import soxr

    stream = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32", quality="LQ")
    parts = [stream.resample_chunk(block) for block in blocks]
    parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(parts)


def _frames(audio: Floats) -> Iterator[Floats]:
    """Overlapping windows [frames, window], some at once; nothing where there are not two."""
    if len(audio) < WINDOW + HOP:
        return
    windows = np.lib.stride_tricks.sliding_window_view(audio, WINDOW)[::HOP]
    for start in range(0, len(windows), FRAMES_AT_ONCE):
        yield windows[start : start + FRAMES_AT_ONCE]


def _edges() -> npt.NDArray[np.intp]:
    """The first frequency of each band and the one after the last, evenly on a log scale."""
    hertz = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BITS + 2)
    return np.ceil(hertz * WINDOW / RATE).astype(np.intp)


def _counts(energy: Floats, changes: Floats, window_energy: float) -> npt.NDArray[np.bool_]:
    total = energy.sum(axis=1)
    mean_square = 2 * total[1:] / (WINDOW * window_energy)
    moved = np.abs(changes).sum(axis=1)
    counts: npt.NDArray[np.bool_] = mean_square > QUIETEST
    counts &= moved > STEADIEST * (total[1:] + total[:-1])
    return counts
