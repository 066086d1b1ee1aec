"""Writes to MLflow that never wait for it: made at once while it is there, kept while it is away.

Order is kept: as long as something lies in the queue, what comes next goes behind it. When MLflow
is away it is asked again every few seconds, by whatever is written then, and never for more than a
tenth of the time. Not here: what a write is (`fourier.tracking.writes`), and the queue on the disk
(`fourier.tracking.spool`).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourier.errors import TrackingAwayError, TrackingError
from fourier.shown import without_password
from fourier.tracking.outage import reason_of, require_answer
from fourier.tracking.spool import Kept, Spool, look, require_plain
from fourier.tracking.writes import Write, Writer

SPOOL = Path("mlruns") / "spool"
"""What MLflow could not be told yet, under the working directory."""
RETRY_SECONDS = 5.0
BURST_SECONDS = 2.0
"""How long a training waits for a delivery; what is left goes with the next one."""
SHARE = 10
"""Nobody waits for MLflow for more than this part of the time."""
PROBE_SECONDS = 2.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Delivered:
    """What a delivery brought.

    Attributes:
        writes: how many.
        runs: of how many runs.
    """

    writes: int
    runs: int


class Outbox:
    """The writes of one process.

    Attributes:
        writer: carries them out.
        root: where they are kept meanwhile.
    """

    def __init__(self, writer: Writer, root: Path) -> None:
        self.writer = writer
        self.root = root.absolute()
        self._spool: Spool | None = None
        self._next_try = 0.0

    def write(self, write: Write) -> None:
        """Write, now or later.

        Raises:
            TrackingError: MLflow refuses it, or what was kept before; or the disk does not keep it.
        """
        started = time.monotonic()
        if self._spool is not None and started >= self._next_try:
            self._deliver_a_little()
        if self._spool is not None:
            self._keep(self._spool, write)
            return
        try:
            self.writer.carry_out(write)
        except TrackingAwayError as away:
            self._begin(write, away)
            self._wait(started)

    def deliver(self, progress: Progress = lambda _done, _total: None) -> Delivered:
        """Deliver everything that waits: this process's own, and what dead processes left.

        Args:
            progress: called with (done, total), at the beginning too.

        Raises:
            TrackingAwayError: MLflow is away; what is delivered until then stays so.
            TrackingError: it refuses something.
        """
        left = Spool.claim(self.root, self._uri)
        mine = [self._spool] if self._spool is not None else []
        total = sum(spool.count() for spool in left + mine)
        done, runs = 0, set()
        progress(0, total)
        try:
            if total:
                self._require_answer()
            for spool in left + mine:
                for run in self._bring(spool):
                    done += 1
                    runs.add(run)
                    progress(done, total)
                spool.discard()
            self._spool = None
        finally:
            for spool in left:
                spool.close()
        return Delivered(done, len(runs - {""}))

    def kept(self) -> list[Kept]:
        """What waits for this store, of all processes."""
        return [each for each in look(self.root) if each.uri == self._uri]

    def close(self) -> None:
        """Leave what waits to whoever comes next, in this process or another."""
        if self._spool is not None:
            self._spool.close()
        self._spool = None

    @property
    def _uri(self) -> str:
        return without_password(self.writer.uri)

    def _begin(self, write: Write, away: TrackingAwayError) -> None:
        """Keep the first write; where that fails too (one full disk), say what MLflow said."""
        spool = None
        try:
            spool = Spool.create(self.root, self._uri)
            self._keep(spool, write)
        except TrackingError:
            if spool is not None:
                spool.discard()
            raise away from None
        self._spool = spool

    def _keep(self, spool: Spool, write: Write) -> None:
        """Keep a write under the name that its trial knows its run by."""
        run = self.writer.ids.get(write.run, write.run)
        spool.append({"kind": write.kind, "run": run, "data": write.data}, write.files)

    def _deliver_a_little(self) -> None:
        """Deliver what can be delivered in a moment; what cannot stays where it is."""
        spool, started = self._spool, time.monotonic()
        if spool is None:
            return
        try:
            self._require_answer()
            for _ in self._bring(spool):
                if time.monotonic() - started > BURST_SECONDS:
                    break
            else:
                spool.discard()
                self._spool = None
        except TrackingAwayError:
            pass
        finally:
            self._wait(started)

    def _bring(self, spool: Spool) -> Iterator[str]:
        """Deliver one queue, in its order; yields the run of each write."""
        for number, entry, files in spool.pending():
            write = _write_of(entry, files)
            try:
                self.writer.carry_out(write, again=True)
            except TrackingAwayError:
                raise
            except TrackingError as error:
                raise TrackingError(
                    f"MLflow at {self._uri} refuses what was kept for it in {spool.folder}: "
                    f"{reason_of(error.__cause__ or error)}; mend that and type `fourier sync`, or "
                    "delete the folder to give it up"
                ) from error
            spool.advance(number)
            yield write.run

    def _require_answer(self) -> None:
        if self.writer.uri.startswith("http"):
            require_answer(self.writer.uri, timeout_seconds=PROBE_SECONDS)

    def _wait(self, started: float) -> None:
        now = time.monotonic()
        self._next_try = now + max(RETRY_SECONDS, SHARE * (now - started))


def _write_of(entry: dict[str, Any], files: Path) -> Write:
    write = Write(entry["kind"], entry["run"], entry["data"])
    if write.kind != "files":
        return write
    require_plain(files)
    return Write(write.kind, write.run, write.data, files)
