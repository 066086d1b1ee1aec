"""From what went wrong to one line and an exit code."""

import contextlib
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

from fourier.errors import FourierError, TrialsError
from fourier.shown import one_line, without_password

FAILED = 1
USAGE = 2
NO_TRIAL = 3
INTERRUPTED = 130
USUAL_FORMAT = warnings.formatwarning
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME_WISH_SECONDS = 1.0
"""Two signals this close are one wish: a service manager tells all of a group, a leader again."""


class UsageError(ValueError):
    """An option's value is out of bounds; the message begins with the option."""


class Interruption:
    """Ctrl-C, SIGTERM and a closed terminal, at once or at the next good moment.

    An exception that a signal raises is lost when it strikes while Python collects garbage
    ("Exception ignored in …"), and a network's training makes much of that. So while trials run
    the first signal is only kept, and `check` raises after the epoch; the second raises at once.
    What is lost before is at least not told of: `check` knows of it.
    """

    def __init__(self) -> None:
        self.requested = False
        self._waits = False
        self._since = 0.0

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Be a signal handler."""
        first, self.requested = not self.requested, True
        now = time.monotonic()
        if first:
            self._since = now
        if not self._waits or now - self._since > SAME_WISH_SECONDS:
            raise KeyboardInterrupt

    @classmethod
    def current(cls) -> "Interruption":
        """The one that `guarded` handles signals with, or one that never strikes."""
        handler = signal.getsignal(signal.SIGINT)
        return handler if isinstance(handler, cls) else cls()

    def check(self) -> None:
        """Raise KeyboardInterrupt if somebody asked to stop."""
        if self.requested:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, the first signal waits for `check`."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False


def guarded(command: Callable[[Interruption], int], hint: str = "") -> int:
    """Run a command; a broken world is one line on stderr, an interruption another.

    SIGTERM and SIGHUP are treated as Ctrl-C, so that a trial is ended cleanly in any case; what
    is ignored, as ``nohup`` has SIGHUP, stays ignored.

    Args:
        command: returns an exit code; is given what tells it of an interruption.
        hint: what to say after an interruption.

    Returns:
        The command's exit code; 1 after a `FourierError`, but 3 after a `TrialsError`; 2 after a
        `UsageError`; 130 after an interruption.
    """
    interruption = Interruption()
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interruption) for number in heard}
    usual, warnings.formatwarning = warnings.formatwarning, _format_warning
    hook = sys.unraisablehook
    sys.unraisablehook = _but_interruptions(hook)
    try:
        return command(interruption)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except FourierError as error:
        print(f"error: {one_line(without_password(str(error)))}", file=sys.stderr)
        return NO_TRIAL if isinstance(error, TrialsError) else FAILED
    except KeyboardInterrupt:
        print(f"\nstopped. {hint}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    finally:
        warnings.formatwarning, sys.unraisablehook = usual, hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _but_interruptions(usual: Callable[["sys.UnraisableHookArgs"], object]) -> Callable[..., None]:
    """Tell of what nobody can catch, unless a signal struck while garbage was collected."""

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is not KeyboardInterrupt:
            usual(lost)

    return hook


def _format_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """This project's own warnings are for whoever typed the command: one line without a place."""
    if category.__module__.startswith("fourier."):
        return f"warning: {one_line(without_password(str(message)))}\n"
    return USUAL_FORMAT(message, category, filename, lineno, line)


@contextlib.contextmanager
def usage_errors(option: str) -> Iterator[None]:
    """Turn a ValueError about one option into a line and exit code 2."""
    try:
        yield
    except ValueError as error:
        print(f"error: {option}: {one_line(error)}", file=sys.stderr)
        raise SystemExit(USAGE) from None
