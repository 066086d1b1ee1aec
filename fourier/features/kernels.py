"""16-bit clips to the power in mel bands on a processor: compiled loops around torch's transform.

What `fourier.features.spectrogram` says in a dozen tensor operations, in two loops and an FFT,
because the operations cost a processor more than the transform: each goes over memory anew, and
each takes Python's lock, at which threads wait for one another. A mel filter hears few bins; the
loops multiply by no zeros. Compiled when first used (a second), never kept on the disk, where
numba would have pickles. Not here: decibels and what follows, and any device but a processor.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from fourier.features.clips import FULL_SCALE
from fourier.features.spectrogram import FRAMES_AT_ONCE, Spectrogram

Floats = npt.NDArray[np.floating]


class BandPower:
    """The band power of a spectrogram, for clips one by one; several threads may share it.

    Args:
        spectrogram: on the CPU, in the type to compute in.
    """

    def __init__(self, spectrogram: Spectrogram) -> None:
        self._window = (spectrogram.window / FULL_SCALE).numpy()  # exact: a power of two
        self._hop = spectrogram.config.hop_length
        self._frames = spectrogram.frames
        self._bins = spectrogram.bins
        rows = spectrogram.filters.numpy().T
        heard = [np.flatnonzero(row) for row in rows]
        self._first = np.array([bins[0] if len(bins) else 0 for bins in heard])
        self._counts = np.array([bins[-1] + 1 - bins[0] if len(bins) else 0 for bins in heard])
        stretches = zip(rows, self._first, self._counts, strict=True)
        self._weights = np.concatenate([row[at : at + count] for row, at, count in stretches])

    def __call__(self, clip: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """Transform one clip.

        Args:
            clip: [samples].

        Returns:
            [n_mels, frames].
        """
        frames, number = self._frames(len(clip)), self._window.dtype
        power = np.zeros((len(self._first), frames), number)
        parts = -(-frames // FRAMES_AT_ONCE)
        bounds = [frames * part // parts for part in range(parts + 1)]
        most = max(end - first for first, end in pairwise(bounds))
        cut = torch.empty((most, len(self._window)), dtype=torch.from_numpy(self._window).dtype)
        scratch = np.empty((self._bins[1] - self._bins[0], most), number)
        for first, end in pairwise(bounds):
            count = end - first
            _cut_frames(clip, self._window, self._hop, first, cut[:count].numpy())
            spectrum = torch.view_as_real(torch.fft.rfft(cut[:count])).flatten(-2).numpy()
            add_up = (self._first, self._counts, self._weights)
            _add_bands(spectrum, *self._bins, *add_up, scratch, power[:, first:end])
        return power.astype(np.float32, copy=False)


@njit(nogil=True, fastmath=True)
def _cut_frames(
    clip: npt.NDArray[np.int16], window: Floats, hop: int, first: int, frames: Floats
) -> None:
    """Frames from number ``first`` on, centred on multiples of the hop, times the window."""
    length = frames.shape[1]
    for row in range(frames.shape[0]):
        start = (first + row) * hop - length // 2
        low, high = max(0, -start), min(length, len(clip) - start)
        frames[row, :low] = 0
        frames[row, max(low, high) :] = 0
        samples, weights, frame = clip[start + low : start + high], window[low:], frames[row, low:]
        for i in range(high - low):
            frame[i] = samples[i] * weights[i]


@njit(nogil=True, fastmath=True)
def _add_bands(
    spectrum: Floats,
    low: int,
    high: int,
    first: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    weights: Floats,
    scratch: Floats,
    power: Floats,
) -> None:
    """Add the power in each band to ``power`` [bands, frames].

    Args:
        spectrum: real and imaginary parts in turn, [frames, 2 * bins].
        low: the first bin that any band hears.
        high: the first after the last.
        first: the first bin of each band, counted from ``low``.
        counts: how many bins each band hears.
        weights: of all these, band after band.
        scratch: [bins that are heard, frames] at least.
        power: [bands, frames].
    """
    frames = spectrum.shape[0]
    for row in range(frames):
        for k in range(high - low):
            real, imaginary = spectrum[row, 2 * (low + k)], spectrum[row, 2 * (low + k) + 1]
            scratch[k, row] = real * real + imaginary * imaginary
    at = 0
    for band in range(len(first)):
        for k in range(first[band], first[band] + counts[band]):
            weight, powers, total = weights[at], scratch[k], power[band]
            for row in range(frames):
                total[row] += weight * powers[row]
            at += 1
