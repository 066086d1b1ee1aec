"""Several workers: the same command again, as often as asked, until the study has its trials.

A worker is a process of its own that joins the study; this module only starts them, starts
another where one was killed, and looks at the study meanwhile. One worker is enough where a trial
may hang, because only another process survives that. Not here: how a worker knows what to do,
which is the command line's.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from fourier.errors import StudyError
from fourier.search.mend import give_run
from fourier.search.record import StudyRecord
from fourier.search.study import DEATHS, SharedStudy

WORKER_VARIABLE = "FOURIER_WORKER"
"""Set in a worker's environment, to its leader's process id: somebody else shows and sums up."""

POLL_SECONDS = 0.5
INTERRUPTED = 130
"""What a worker returns that somebody asked to stop, SIGTERM or its leader."""


def is_worker() -> bool:
    """Whether this process was started by `run_workers`."""
    return WORKER_VARIABLE in os.environ


def leader() -> int:
    """The process that started this worker."""
    return int(os.environ[WORKER_VARIABLE])


def run_workers(
    record: StudyRecord,
    total: int,
    count: int,
    argv: Sequence[str],
    look: Callable[[], None],
    timeout_seconds: float | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Run this many workers until the study has ``total`` trials, or nothing more to begin.

    A worker that was killed is replaced; one that ended by itself found nothing more to do.

    Args:
        record: the study's, to see which trials are left.
        total: trials that the study shall have.
        count: workers at a time.
        argv: the command of a worker, without the interpreter.
        look: called twice a second; what it raises stops the workers.
        timeout_seconds: after which no worker is started.
        variables: of a worker's environment; unlike its command they are the user's own to read.

    Raises:
        StudyError: a worker gave up by itself; it has said why on its standard error. Or they die
            one after the other, and no trial ends.
    """
    shared = record.shared
    command, environment = [sys.executable, *argv], _environment(count) | dict(variables)
    deadline = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
    missing = min(count, total - len(shared.finished))
    deaths = _Deaths(shared, DEATHS * (count + 1))
    workers: list[subprocess.Popen[bytes]] = []
    try:
        while True:
            if time.monotonic() < deadline:
                workers += [_start(command, environment) for _ in range(missing)]
            if not workers:
                return
            look()
            time.sleep(POLL_SECONDS)
            ended = [worker for worker in workers if worker.poll() is not None]
            workers = [worker for worker in workers if worker not in ended]
            shared.bury_the_dead(lambda claim: give_run(record, claim))
            killed = [worker for worker in ended if deaths.note(worker)]
            missing = min(len(killed), total - len(shared.trials))
    finally:
        _stop(workers)


class _Deaths:
    """How workers end, and whether starting another is of any use."""

    def __init__(self, shared: SharedStudy, most: int) -> None:
        self._shared, self._most = shared, most
        self._in_a_row, self._finished = 0, len(shared.finished)

    def note(self, worker: "subprocess.Popen[bytes]") -> bool:
        """Whether a worker that ended did so before its time; one that gave up raises."""
        code = worker.returncode
        if code == 0:
            return False
        hung = code > 0 and worker.pid in self._shared.hung_processes()
        if code > 0 and code != INTERRUPTED and not hung:
            raise StudyError(f"a worker ended with exit code {code}; its reason stands above")
        finished = len(self._shared.finished)
        self._in_a_row = self._in_a_row + 1 if finished == self._finished else 1
        self._finished = finished
        if self._in_a_row >= self._most:
            raise StudyError(
                f"{self._in_a_row} workers died and no trial ended meanwhile (the last by "
                f"{_how(code)}); give them more memory, or try fewer --workers"
            )
        return True


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _environment(count: int) -> dict[str, str]:
    """A worker's: its share of the processors, unless it is alone and has what its leader has."""
    threads = {} if count == 1 else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
    return os.environ | threads | {WORKER_VARIABLE: str(os.getpid())}


def _start(command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a worker that Ctrl-C does not reach: a terminal sends it to all, the leader stops them.

    A signal that is blocked here stays blocked in what is started, and waits here until after.
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(command, env=environment)  # noqa: S603  our own command again
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _stop(workers: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Ask the workers to end their trials, and wait until they have.

    Whoever asks again has them stop where they are, and a third time has them killed.
    """
    for ask in (subprocess.Popen.terminate, subprocess.Popen.terminate, subprocess.Popen.kill):
        for worker in workers:
            if worker.poll() is None:
                ask(worker)
        try:
            for worker in workers:
                worker.wait()
        except KeyboardInterrupt:
            continue
        return
