"""Copies that stand on several sides of a split: what would be learned is then also asked.

Tracks are compared, not clips: a protocol that puts clips of one track on several sides leaks by
itself and says so (`Protocol.leaky`). No label is looked at. Not here: what a copy is
(`fourier.features.copies`), and whether a run stops for it (`fourier.training.experiment`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from fourier.features.copies import Copy

UNUSED = "unused"


@dataclass(frozen=True)
class Leak:
    """Two tracks with the same audio on different sides.

    Attributes:
        copy: the tracks and what speaks for it.
        first: the sides that its first track is on.
        second: those of the other.
    """

    copy: Copy
    first: tuple[str, ...]
    second: tuple[str, ...]

    def __str__(self) -> str:
        """``blues.00001 (train) and blues.00005 (test): 10 clips identical in every sample``."""
        one = f"{self.copy.first} ({'+'.join(self.first)})"
        other = f"{self.copy.second} ({'+'.join(self.second)})"
        return f"{one} and {other}: {self.copy.evidence}"

    def to_dict(self) -> dict[str, object]:
        """Plain data for a run's ``leaks.json``."""
        sides = {"first_sides": list(self.first), "second_sides": list(self.second)}
        return asdict(self.copy) | sides


def find_leaks(copies: Sequence[Copy], tracks: pd.Series, sides: pd.Series) -> tuple[Leak, ...]:
    """The copies whose two tracks are not all on one side.

    Args:
        copies: pairs of tracks.
        tracks: the track of each clip.
        sides: the part of each clip, or its fold; ``unused`` is none. Aligned with ``tracks``.
    """
    used = (sides != UNUSED).to_numpy()
    on: dict[str, set[str]] = {}
    for track, side in zip(tracks[used], sides[used], strict=True):
        on.setdefault(str(track), set()).add(str(side))
    pairs = [(copy, on.get(copy.first, set()), on.get(copy.second, set())) for copy in copies]
    return tuple(
        Leak(copy, tuple(sorted(first)), tuple(sorted(second)))
        for copy, first, second in pairs
        if first and second and len(first | second) > 1
    )
