"""From what went wrong to one line and an exit code."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from fourier.errors import FourierError

FAILED = 1
USAGE = 2
INTERRUPTED = 130


def guarded(command: Callable[[], int], hint: str = "") -> int:
    """Run a command; a broken world is one line on stderr, an interruption another.

    SIGTERM is treated as Ctrl-C, so that a trial is ended cleanly either way.

    Args:
        command: returns an exit code.
        hint: what to say after an interruption.

    Returns:
        The command's exit code; 1 after a `FourierError`; 130 after an interruption.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command()
    except FourierError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"\nstopped. {hint}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def usage_errors(option: str) -> Iterator[None]:
    """Turn a ValueError about one option into a line and exit code 2."""
    try:
        yield
    except ValueError as error:
        print(f"error: {option}: {error}", file=sys.stderr)
        raise SystemExit(USAGE) from None


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
