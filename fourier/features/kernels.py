"""16-bit clips to the power in mel bands on a processor: compiled loops, sixteen frames at once.

What `fourier.features.spectrogram` says in a dozen tensor operations: each of them goes over memory
anew, and each takes Python's lock, at which threads wait for one another. A mel filter hears few
bins; the loops multiply by no zeros. Compiled when first used (a second), never kept on the disk,
where numba would have pickles. Not here: the transform (`fourier.features.fft`), decibels and what
follows, and any device but a processor.
"""

import sys
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import torch
from llvmlite import ir
from numba import njit

from fourier.features.clips import FULL_SCALE
from fourier.features.fft import COMPLEX, Floats, Integers, Plan, bin_power, make_plan, transform
from fourier.features.lanes import INT32, LANES, Numbers, Value, halves, transpose, vector_code
from fourier.features.spectrogram import Spectrogram

Samples = npt.NDArray[np.int16]


class Bands(NamedTuple):
    """What the bands hear.

    Attributes:
        low: the first bin that any of them hears.
        high: the first after the last.
        first: the first bin of each band, counted from ``low``.
        counts: how many bins each band hears.
        weights: of all these, band after band.
    """

    low: int
    high: int
    first: Integers
    counts: Integers
    weights: Floats


class BandPower:
    """The band power of a spectrogram, for clips one by one; several threads may share it.

    Args:
        spectrogram: on the CPU, in the type to compute in; see `takes`.
    """

    def __init__(self, spectrogram: Spectrogram) -> None:
        window = spectrogram.window
        self._number = window.dtype
        # Half of it, because the transform gives twice the spectrum; exact, powers of two both.
        self._window = (window / (2 * FULL_SCALE)).numpy()
        self._hop = spectrogram.config.hop_length
        self._frames = spectrogram.frames
        self._plan = make_plan(len(window), self._window.dtype)
        rows = spectrogram.filters.numpy().T
        heard = [np.flatnonzero(row) for row in rows]
        first = np.array([bins[0] if len(bins) else 0 for bins in heard])
        counts = np.array([bins[-1] + 1 - bins[0] if len(bins) else 0 for bins in heard])
        stretches = zip(rows, first, counts, strict=True)
        weights = np.concatenate([row[at : at + count] for row, at, count in stretches])
        self._bands = Bands(*spectrogram.bins, first, counts, weights)

    @staticmethod
    def takes(spectrogram: Spectrogram) -> bool:
        """Whether its window is transformed here: a power of two, and numba may compile.

        Where integers begin with their high half, pairs of samples would change places.
        """
        compiles = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
        doubles = spectrogram.config.n_fft.bit_count() == 1
        return doubles and compiles and sys.byteorder == "little"

    def __call__(self, clip: Samples) -> npt.NDArray[np.float32]:
        """Transform one clip.

        Args:
            clip: [samples].

        Returns:
            [n_mels, frames].
        """
        frames, bins = self._frames(len(clip)), self._bands.high - self._bands.low
        wide = -(-frames // LANES) * LANES
        power = np.zeros((len(self._bands.first), wide), self._window.dtype)
        _band_power(
            np.ascontiguousarray(clip),
            self._window,
            self._hop,
            self._plan,
            self._bands,
            np.empty((LANES - 1) * self._hop + len(self._window), np.int16),
            self._scratch(LANES * len(self._window)),
            self._scratch(LANES * bins),
            power,
        )
        return power[:, :frames].astype(np.float32, copy=False)

    def _scratch(self, size: int) -> Floats:
        """Of torch, which begins where a vector may: at a multiple of 64 bytes."""
        return np.asarray(torch.empty(size, dtype=self._number).numpy())


@njit(nogil=True, error_model="numpy")
def _band_power(
    clip: Samples,
    window: Floats,
    hop: int,
    plan: Plan,
    bands: Bands,
    padded: Samples,
    data: Floats,
    spectrum: Floats,
    power: Floats,
) -> None:
    """Sixteen frames at a time, centred on multiples of the hop, to ``power`` [bands, frames].

    ``padded``, ``data`` and ``spectrum`` are room to work in.
    """
    length, wide = len(window), power.shape[1]
    flat = power.reshape(-1)
    for frame in range(0, wide, LANES):
        source, start = clip, frame * hop - length // 2
        if start < 0 or start + len(padded) > len(clip):
            padded[:] = 0
            for i in range(max(0, -start), min(len(padded), len(clip) - start)):
                padded[i] = clip[start + i]
            source, start = padded, 0
        for at in range(0, length, COMPLEX):
            _cut(source, start + at, hop, window, at, data, LANES * at)
        transform(data, plan)
        bin_power(data, plan, bands.low, bands.high, spectrum)
        at = 0
        for band in range(len(bands.first)):
            first = bands.first[band]
            for k in range(first, first + bands.counts[band]):
                _add_weighted(spectrum, LANES * k, bands.weights, at, flat, band * wide + frame)
                at += 1


@vector_code
def _cut(
    builder: ir.IRBuilder,
    samples: Numbers,
    start: Value,
    hop: Value,
    window: Numbers,
    at: Value,
    data: Numbers,
    to: Value,
) -> None:
    """Thirty-two samples of sixteen frames, each times its place in the window.

    A pair of samples, which will be one complex number, travels as one integer of 32 bits.
    """
    frames = []
    for _ in range(LANES):
        frames.append(samples.load_as(INT32, start))
        start = builder.add(start, hop)
    for number, pairs in enumerate(transpose(builder, frames)):
        for place, half in enumerate(halves(builder, pairs), 2 * number):
            data.store_integers(half, window.spread(at, place), to, LANES * place)


@vector_code
def _add_weighted(
    builder: ir.IRBuilder,
    spectrum: Numbers,
    k: Value,
    weights: Numbers,
    at: Value,
    power: Numbers,
    to: Value,
) -> None:
    del builder
    power.store(power.load(to) + weights.spread(at) * spectrum.load(k), to)
