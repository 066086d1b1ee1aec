"""Whether a new model becomes champion, and the reason in a sentence.

Not here: the figures that this rests on (`fourier.release.statistics`).
"""

from dataclasses import dataclass

from fourier.release.statistics import Comparison

LEAST_TRACKS = 10
"""Below this an interval over tracks says nothing."""


@dataclass(frozen=True)
class Decision:
    """Whether the alias moves, and why.

    Attributes:
        moves: whether the new version becomes champion.
        reason: a sentence without its full stop.
    """

    moves: bool
    reason: str


def decide(comparison: Comparison, champion: str) -> Decision:
    """Whether the winner becomes champion: if nobody is, or if its gain is more than noise.

    Args:
        comparison: on the test part.
        champion: who was measured beside it; empty if nobody.
    """
    gain, on = comparison.gain, f"on {comparison.tracks} test tracks"
    few = "" if comparison.tracks >= LEAST_TRACKS else " (too few to trust; --force was given)"
    if gain is None:
        own = comparison.winner[comparison.metric]
        return Decision(True, f"there is no champion yet; {comparison.metric} {own} {on}{few}")
    shown = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    if gain.low > 0:
        return Decision(
            True,
            f"the gain in {comparison.metric} over {champion}, {shown} {on}, lies above zero{few}",
        )
    return Decision(
        False,
        f"{champion} stays, because the gain in {comparison.metric}, {shown} {on}, does not "
        f"lie above zero{few}",
    )
