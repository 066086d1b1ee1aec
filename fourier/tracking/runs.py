"""One run of MLflow being written: its curves in batches, which nobody waits for, and its files.

A write costs milliseconds and an epoch may take less, so points are kept in memory and written in
the background. Not here: making a run, and everything that is not one (`fourier.tracking.tracker`).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fourier.errors import FourierError
from fourier.tracking.writes import Kind, Write

if TYPE_CHECKING:
    from fourier.tracking.tracker import Tracker

FLUSH_SECONDS = 1.0
"""The time between two writes of a curve."""
FIRST_SECONDS = 0.1
"""The age at which its first points are written, so that a short run leaves few for its end."""
PARAM_CHARS = 6000
"""MLflow refuses longer parameter values."""


@dataclass
class TrackedRun:
    """A run being written: curves in batches, and nobody waits for them.

    Attributes:
        tracker: the store that it is in.
        id: MLflow's run id; the run's key if it was made in the background, or while MLflow was
            away.
    """

    tracker: "Tracker"
    id: str
    _metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    _due: float = field(default_factory=lambda: time.monotonic() + FIRST_SECONDS)

    def log_params(self, params: Mapping[str, Any], *, wait: bool = True) -> None:
        """Write parameters, None among them as an empty value.

        Args:
            params: by name.
            wait: until they are written.
        """
        texts = {
            key: "" if value is None else str(value)[:PARAM_CHARS] for key, value in params.items()
        }
        self._write("batch", {"params": texts}, wait=wait)

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Keep one point of each curve, and write what is kept if it is time."""
        self.keep(metrics, step)
        self.post()

    def keep(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Keep one point of each curve, to be written with the next ones."""
        time_of_all = now()
        self._metrics += [(key, float(value), time_of_all, step) for key, value in metrics.items()]

    def post(self) -> None:
        """Write what is kept in the background, if it is time and nothing else is under way."""
        if time.monotonic() >= self._due and not self.tracker.courier.busy:
            self.flush(wait=False)

    def flush(self, tags: Mapping[str, str] | None = None, *, wait: bool = True) -> None:
        """Write what is kept, and with it tags.

        Args:
            tags: the tags.
            wait: until that is done, and all that was written in the background before.
        """
        for write in self._kept(tags or {}):
            self.tracker.write(write, wait=False)
        self._due = time.monotonic() + FLUSH_SECONDS
        if wait:
            self.tracker.settle()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags in one write."""
        self._write("batch", {"tags": dict(tags)})

    def log_folder(self, folder: Path) -> None:
        """Write every file of a folder as an artifact."""
        self._write("files", files=folder)

    def end(
        self,
        status: str = "FINISHED",
        tags: Mapping[str, str] = MappingProxyType({}),
        *,
        wait: bool = True,
    ) -> None:
        """Write what is kept and end the run.

        Args:
            status: ``FINISHED``, ``FAILED`` or ``KILLED``.
            tags: what is said of it besides.
            wait: until that is done; else it is, with the next write to any run.
        """
        for write in self._kept(tags):
            self.tracker.hold(write)
        self.tracker.hold(Write("end", self.id, {"status": status, "end": now()}))
        if wait:
            self.tracker.settle()

    def break_off(
        self, status: str = "KILLED", tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """End a run whose work broke off, whatever becomes of what was to be written before.

        What broke it may be that very writing; that is for the caller to tell, and not told here.

        Args:
            status: ``KILLED`` or ``FAILED``.
            tags: what is said of it besides.

        Raises:
            TrackingError: even this is refused.
        """
        with contextlib.suppress(FourierError):
            self.flush()
        self._metrics.clear()
        self.end(status, tags)

    def reopen(self) -> None:
        """Mark the run as running again: a study that is continued."""
        self._write("reopen")

    def _kept(self, tags: Mapping[str, str]) -> Iterator[Write]:
        """Writes of what is kept, which it then is no more, and of tags."""
        entries = dict(tags)
        while self._metrics or entries:  # MLflow takes a thousand entries at a time
            room = 1000 - len(entries)
            data = {"metrics": self._metrics[:room], "tags": entries}
            del self._metrics[:room]
            entries = {}
            yield Write("batch", self.id, data)

    def _write(
        self,
        kind: Kind,
        data: Mapping[str, Any] = MappingProxyType({}),
        files: Path | None = None,
        *,
        wait: bool = True,
    ) -> None:
        self.tracker.write(Write(kind, self.id, dict(data), files), wait=wait)


def now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)
