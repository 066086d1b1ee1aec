"""The power at each frequency of a real signal, for sixteen signals at once, on a processor.

A library's transform turns one signal after the other and has to shuffle its numbers; sixteen side
by side are the same steps on neighbours, and what comes out lies as the bands want it. Signals
begin as complex numbers of two samples each (half as many, and half the work), are split into four
by decimation in frequency (Cooley and Tukey 1965, https://doi.org/10.1090/S0025-5718-1965-0178586-1)
and stay in the order that this leaves them in: who reads a frequency looks up its place. Only
lengths that are powers of two. Not here: what is a signal (`fourier.features.kernels`).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit

from fourier.features.lanes import LANES, Lanes, Numbers, Value, vector_code

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

COMPLEX = 2 * LANES
"""Numbers from one complex row of the data to the next: sixteen real parts, sixteen imaginary."""


class Plan(NamedTuple):
    """How signals of one length are transformed.

    Attributes:
        passes: for each the length of its transforms, how many each is split into (2 or 4), and
            where its factors begin, [passes, 3].
        factors: what the parts of a split are multiplied by, real and imaginary in turn.
        places: the complex row in which the transform leaves each frequency, [n / 2 + 1].
        turns: what the odd samples of each frequency are multiplied by, as the factors.
    """

    passes: Integers
    factors: Floats
    places: Integers
    turns: Floats


def make_plan(length: int, number: npt.DTypeLike) -> Plan:
    """Plan the transform of real signals.

    Args:
        length: samples of a signal, a power of two, at least 4.
        number: the type to compute in.
    """
    size, doublings = length // 2, length.bit_length() - 2
    splits = [2] * (doublings % 2) + [4] * (doublings // 2)
    passes, factors, begins = [], [], 0
    for split in splits:
        part = np.outer(np.arange(size // split), np.arange(1, split))
        factors.append(_unit(part / size))
        passes.append((size, split, begins))
        begins, size = begins + factors[-1].size, size // split
    order = np.zeros(1, np.int64)
    for split in reversed(splits):
        order = np.concatenate([order * split + first for first in range(split)])
    places = np.argsort(order)
    return Plan(
        np.array(passes, np.int64),
        np.concatenate(factors).astype(number),
        np.append(places, places[0]),
        _unit(np.arange(length // 2 + 1) / length).astype(number),
    )


def _unit(turn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """exp(-2 pi i turn), real and imaginary parts in turn."""
    point = np.exp(-2j * np.pi * turn).ravel()
    return np.stack([point.real, point.imag], axis=-1).ravel()


@njit(nogil=True, error_model="numpy")
def transform(data: Floats, plan: Plan) -> None:
    """Transform sixteen signals in place.

    Args:
        data: complex rows, flat.
        plan: of their length.
    """
    for number in range(len(plan.passes)):
        length, split, begins = plan.passes[number]
        step = COMPLEX * (length // split)
        for start in range(0, len(data), COMPLEX * length):
            at = begins
            for row in range(start, start + step, COMPLEX):
                if split == 4:
                    rows = row, row + step, row + 2 * step, row + 3 * step
                    _split_in_four(data, rows[0], rows[1], rows[2], rows[3], plan.factors, at)
                else:
                    _split_in_two(data, row, row + step, plan.factors, at)
                at += 2 * (split - 1)


@njit(nogil=True, error_model="numpy")
def bin_power(data: Floats, plan: Plan, low: int, high: int, power: Floats) -> None:
    """Write four times the power at the frequencies from ``low`` to ``high - 1``, [bins * 16]."""
    half = len(plan.places) - 1
    for k in range(low, high):
        here, mirrored = COMPLEX * plan.places[k], COMPLEX * plan.places[half - k]
        _power(data, here, mirrored, plan.turns, 2 * k, power, LANES * (k - low))


@vector_code
def _split_in_four(
    builder: ir.IRBuilder,
    data: Numbers,
    first: Value,
    second: Value,
    third: Value,
    fourth: Value,
    factors: Numbers,
    at: Value,
) -> None:
    """One row of each quarter: what the four transforms of a quarter's length begin with."""
    del builder
    a, b, c, d = (_complex(data, row) for row in (first, second, third, fourth))
    sums, differences = (a[0] + c[0], a[1] + c[1]), (a[0] - c[0], a[1] - c[1])
    others, crossed = (b[0] + d[0], b[1] + d[1]), (b[1] - d[1], d[0] - b[0])  # times -i
    _store(data, first, sums[0] + others[0], sums[1] + others[1])
    parts = (
        (second, differences[0] + crossed[0], differences[1] + crossed[1]),
        (third, sums[0] - others[0], sums[1] - others[1]),
        (fourth, differences[0] - crossed[0], differences[1] - crossed[1]),
    )
    for number, (row, real, imaginary) in enumerate(parts):
        _store_turned(data, row, real, imaginary, factors, at, 2 * number)


@vector_code
def _split_in_two(
    builder: ir.IRBuilder, data: Numbers, first: Value, second: Value, factors: Numbers, at: Value
) -> None:
    """One row of each half: what the two transforms of half the length begin with."""
    del builder
    a, b = _complex(data, first), _complex(data, second)
    _store(data, first, a[0] + b[0], a[1] + b[1])
    _store_turned(data, second, a[0] - b[0], a[1] - b[1], factors, at, 0)


@vector_code
def _power(
    builder: ir.IRBuilder,
    data: Numbers,
    here: Value,
    mirrored: Value,
    turns: Numbers,
    at: Value,
    power: Numbers,
    to: Value,
) -> None:
    """The even samples' transform plus the odd ones', turned, both out of two frequencies."""
    del builder
    z, y = _complex(data, here), _complex(data, mirrored)
    cosine, sine = turns.spread(at), turns.spread(at, 1)
    odd, odd_imaginary = z[1] + y[1], y[0] - z[0]
    real = z[0] + y[0] + (cosine * odd - sine * odd_imaginary)
    imaginary = z[1] - y[1] + (cosine * odd_imaginary + sine * odd)
    power.store(real * real + imaginary * imaginary, to)


def _complex(data: Numbers, row: Value) -> tuple[Lanes, Lanes]:
    return data.load(row), data.load(row, LANES)


def _store(data: Numbers, row: Value, real: Lanes, imaginary: Lanes) -> None:
    data.store(real, row)
    data.store(imaginary, row, LANES)


def _store_turned(
    data: Numbers,
    row: Value,
    real: Lanes,
    imaginary: Lanes,
    factors: Numbers,
    at: Value,
    ahead: int,
) -> None:
    cosine, sine = factors.spread(at, ahead), factors.spread(at, ahead + 1)
    _store(data, row, real * cosine - imaginary * sine, real * sine + imaginary * cosine)
