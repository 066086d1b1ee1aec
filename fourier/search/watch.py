"""What a sweep tells whoever shows it.

The rooms never print. A `Watcher` does nothing; the command line's shows a bar, a test's keeps a
list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fourier.config import TrialConfig

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended.

    Attributes:
        number: Optuna's number.
        slot: its place among the trials that count.
        state: ``complete``, ``pruned`` or ``failed``.
        value: the best objective it reached; None if it failed.
        metrics: the metrics of its best epoch.
        config: what was trained; None if it could not even be drawn.
        seconds: how long it took.
        reason: why it failed, in one line.
    """

    number: int
    slot: int
    state: State
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    config: TrialConfig | None = None
    seconds: float = 0.0
    reason: str = ""


class Watcher:
    """Is told what happens, in the order in which it does."""

    def stage(self, name: str) -> Callable[[int, int], None]:
        """A long stage begins; what is returned is called with (done, total)."""
        del name
        return lambda _done, _total: None

    def trial_begins(self, slot: int, config: TrialConfig) -> None:
        """A trial was drawn."""

    def epoch_ends(self, slot: int, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """A trial has finished an epoch, counted from 0."""

    def trial_ends(self, outcome: Outcome) -> None:
        """A trial has ended."""
