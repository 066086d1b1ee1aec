"""Stretches of a recording with numbers to clips with numbers: means over time.

Not here: where stretches come from (`fourier.corpora.folder`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CLOSE_SECONDS = 1e-6
"""Times that are closer than this are the same."""


@dataclass(frozen=True)
class Stretch:
    """What is said of a recording from one second to another.

    Attributes:
        line: of the table, for whoever finds it wrong.
        start: seconds.
        end: seconds; infinite for the whole recording.
        values: a number for each dimension.
    """

    line: int
    start: float
    end: float
    values: tuple[float, ...]


def cut_stretches(
    stretches: Sequence[Stretch], clip_seconds: float
) -> Iterator[tuple[int, float, tuple[float, ...]]]:
    """Cut clips back to back through the stretches that follow on one another.

    Args:
        stretches: of one recording, in any order; none overlaps another.
        clip_seconds: length of a clip.

    Yields:
        Line of the first stretch, start in seconds, and for each dimension the mean over the clip,
        by time. Stretches in a row that are shorter than a clip give one entry without values.
    """
    ordered = sorted(stretches, key=lambda stretch: stretch.start)
    run: list[Stretch] = []
    for stretch in ordered:
        if run and stretch.start - run[-1].end > CLOSE_SECONDS:
            yield from _cut(run, clip_seconds)
            run = []
        run.append(stretch)
    if run:
        yield from _cut(run, clip_seconds)


def _cut(
    run: Sequence[Stretch], clip_seconds: float
) -> Iterator[tuple[int, float, tuple[float, ...]]]:
    line, start, end = run[0].line, run[0].start, run[-1].end
    count = int((end - start + CLOSE_SECONDS) / clip_seconds)
    if not count:
        yield line, start, ()
    edges = np.array([start, *(stretch.end for stretch in run)])
    values = np.array([stretch.values for stretch in run])
    sums = np.cumsum(values * np.diff(edges)[:, None], axis=0)
    sums = np.concatenate([np.zeros((1, values.shape[1])), sums])
    for i in range(count):
        first = start + i * clip_seconds
        last = min(first + clip_seconds, end)
        totals = [np.interp([first, last], edges, column) for column in sums.T]
        yield line, first, tuple(float((b - a) / (last - first)) for a, b in totals)
