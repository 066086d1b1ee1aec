"""How long a trial may take: a question after each epoch, and a watchdog for what never answers.

A trial that is slow is asked after every epoch and fails like any other. One that hangs, maybe
in a library's C code and with Python's lock in its hands, is ended with its whole process: by a
thread of `faulthandler`, which needs nothing of Python's to do so. It first writes where everything
stood to a file beside the study's lock. Whoever finds the dead process's trial finds that file
too, and fails the trial for good instead of running it again. Not here: starting another process
(`fourier.search.workers`).
"""

import contextlib
import faulthandler
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GRACE_SECONDS = 5.0
"""How long after the limit the process is ended, if the end of an epoch has not come before."""
REPORT_CHARS = 4000


class TooLong(Exception):  # noqa: N818 - an outcome of a trial, like `TrainingDiverged`
    """A trial has taken longer than it may."""


@dataclass(frozen=True)
class Limit:
    """How long something may take.

    Attributes:
        seconds: from now on; None is for ever.
        report: file in which a watchdog says where the process stood.
    """

    seconds: float | None
    report: Path
    _began: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Raise `TooLong` if it took longer."""
        if self.seconds is not None and time.monotonic() - self._began > self.seconds:
            raise TooLong(self._reason)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, the process ends with code 1 when the limit is well past."""
        if self.seconds is None:
            yield
            return
        with self.report.open("w") as file:
            file.write(self._reason + "\n")
            file.flush()
            after = self.seconds + GRACE_SECONDS
            faulthandler.dump_traceback_later(after, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
                self.report.unlink(missing_ok=True)

    @property
    def _reason(self) -> str:
        return f"no end after {self.seconds:g} s"


def read_report(report: Path) -> tuple[str, str] | None:
    """What a watchdog left: the reason in a line, and where every thread stood.

    Returns:
        None where the process ended by anything else.
    """
    try:
        reason, _, stood = report.read_text(errors="backslashreplace").partition("\n")
    except FileNotFoundError:
        return None
    head, *threads = re.split(r"^(?=Thread |Current thread )", stood, flags=re.MULTILINE)
    parts = [head, *reversed(threads)]  # the thread that trains is the oldest and comes last
    told = "\n\n".join(part.strip() for part in parts)
    return (reason, told[:REPORT_CHARS]) if stood else None
