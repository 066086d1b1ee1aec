"""When a sweep is not worth going on with: every trial fails, and all in the same way.

Not here: a trial that fails by itself, which is one failed trial.
"""

import re
from collections.abc import Sequence

from fourier.errors import TrialsError
from fourier.search.watch import Outcome

FIRST = 5
"""So many trials tell whether it is the trials or the world."""


class Failures:
    """The first trials that this command ran, held against each other."""

    def __init__(self) -> None:
        self._first: list[Outcome] = []

    def note(self, outcome: Outcome) -> None:
        """Take note of a trial that ended.

        Raises:
            TrialsError: it was the fifth, and all five failed in the same way.
        """
        if len(self._first) < FIRST:
            self._first.append(outcome)
            if len(self._first) == FIRST:
                require_a_result(self._first, "the first ")


def require_a_result(outcomes: Sequence[Outcome], which: str = "all ") -> None:
    """Raise TrialsError if there are trials and all failed in the same way."""
    reason = same_reason(outcomes)
    if reason is not None:
        count = len(outcomes)
        trials = (
            f"{which}{count} trials failed in the same way" if count > 1 else "the trial failed"
        )
        raise TrialsError(
            f"{trials}: {reason}; tracebacks are in their runs. Mend that, then begin anew with "
            "another --study, or go on with more --trials"
        )


def same_reason(outcomes: Sequence[Outcome]) -> str | None:
    """Why trials failed, if all did and for one reason; numbers in it may differ."""
    ways = {
        re.sub(r"\d[\d.]*(e[+-]?\d+)?", "…", outcome.reason) if outcome.state == "failed" else None
        for outcome in outcomes
    }
    return outcomes[0].reason if len(ways) == 1 and None not in ways else None
