"""``fourier sync``: deliver what was kept while MLflow was away.

Light at import, so that ``--help`` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fourier.cli.guard import FAILED, Interruption

if TYPE_CHECKING:
    from rich.console import Console

    from fourier.tracking import Kept, Tracker


def sync() -> int:
    """Deliver to MLflow what sweeps kept in mlruns/spool while it was away.

    It goes to the addresses that it was meant for. The next start of the same sweep does the same.
    Exit code 1 if something is left.
    """
    from fourier.cli.show import make_console
    from fourier.errors import TrackingAwayError
    from fourier.shown import one_line
    from fourier.tracking import SPOOL, look

    console = make_console()
    kept = look(SPOOL)
    if not kept:
        console.print(f"Nothing waits in {SPOOL}.")
        return 0
    waiting = [each for each in kept if not each.busy]
    for uri in sorted({each.uri for each in waiting}):
        try:
            _deliver(console, uri)
        except TrackingAwayError as error:
            stay = _count([each for each in look(SPOOL) if each.uri == uri])
            print(f"error: {stay} stay in {SPOOL}: {one_line(error)}", file=sys.stderr)
    left = look(SPOOL)
    busy = [each for each in left if each.busy]
    if busy:
        console.print(f"{_count(busy)} wait with a sweep that runs, and delivers them by itself.")
    return FAILED if len(left) > len(busy) else 0


def print_kept(console: "Console", tracker: "Tracker") -> None:
    """Say what MLflow has not got yet, and how it will."""
    from fourier.cli.show import plain
    from fourier.tracking import SPOOL

    kept = tracker.kept()
    if kept:
        console.print(
            f"[yellow]MLflow at {plain(tracker.shown_uri)} does not answer[/yellow]: "
            f"{_count(kept)} are kept in {SPOOL}. Deliver them with `fourier sync` once it does; "
            "the same command again does so too.",
            soft_wrap=True,
        )


def _deliver(console: "Console", uri: str) -> None:
    """Deliver what was kept for one store.

    Raises:
        TrackingError: it is away, or refuses something.
    """
    from fourier.cli.show import Screen, plain
    from fourier.tracking import SPOOL, Tracker

    with Screen(console, Interruption.current()) as screen:
        tracker = Tracker.connect(_address(uri), spool=SPOOL)
        delivered = tracker.deliver(screen.stage("delivering"))
    console.print(
        f"Delivered {_words(delivered.writes, delivered.runs)} to {plain(uri)}.", soft_wrap=True
    )


def _address(uri: str) -> str:
    """The address of a store of which only what may be shown was kept.

    Raises:
        TrackingError: it hides a password that is not at hand.
    """
    from fourier.errors import TrackingError
    from fourier.shown import HIDDEN, without_password

    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    if named and without_password(named) == uri:
        return named
    if HIDDEN in uri:
        raise TrackingError(
            f"what waits is for {uri}; set MLFLOW_TRACKING_URI to that address with its password"
        )
    return uri


def _count(kept: Sequence["Kept"]) -> str:
    runs = {run for each in kept for run in each.runs}
    return _words(sum(each.writes for each in kept), len(runs))


def _words(writes: int, runs: int) -> str:
    write, run = "write" if writes == 1 else "writes", "run" if runs == 1 else "runs"
    return f"{writes} {write} of {runs} {run}"
