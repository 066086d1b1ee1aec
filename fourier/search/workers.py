"""Several workers: the same command again, as often as asked, until the study has its trials.

A worker is a process of its own that joins the study; this module only starts them, starts
another where one was killed, and looks at the study meanwhile. Not here: how a worker knows what
to do, which is the command line's.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from fourier.errors import StudyError
from fourier.search.study import SharedStudy

WORKER_VARIABLE = "FOURIER_WORKER"
"""Set in a worker's environment; tells the command that somebody else shows and sums up."""

POLL_SECONDS = 0.5


def is_worker() -> bool:
    """Whether this process was started by `run_workers`."""
    return WORKER_VARIABLE in os.environ


def run_workers(
    shared: SharedStudy,
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
        shared: the study, to see which trials are left.
        total: trials that the study shall have.
        count: workers at a time.
        argv: the command of a worker, without the interpreter.
        look: called twice a second.
        timeout_seconds: after which no worker is started.
        variables: of a worker's environment; unlike its command they are the user's own to read.

    Raises:
        StudyError: a worker gave up by itself; it has said why on its standard error.
    """
    threads = max(1, (os.cpu_count() or 1) // count)
    environment = os.environ | variables | {WORKER_VARIABLE: "1", "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, *argv]
    deadline = time.monotonic() + timeout_seconds if timeout_seconds else float("inf")
    missing = min(count, total - len(shared.finished))
    workers: list[subprocess.Popen[bytes]] = []
    try:
        while True:
            if time.monotonic() < deadline:
                workers += [_start(command, environment) for _ in range(missing)]
            if not workers:
                return
            look()
            time.sleep(POLL_SECONDS)
            killed = [worker for worker in workers if (worker.poll() or 0) < 0]
            workers = [worker for worker in workers if _still_runs(worker)]
            shared.bury_the_dead()
            missing = min(len(killed), total - len(shared.trials))
    finally:
        _stop(workers)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment)  # noqa: S603  our own command again


def _still_runs(worker: subprocess.Popen[bytes]) -> bool:
    """Whether a worker runs; one that was killed does not, one that gave up raises."""
    code = worker.poll()
    if code is not None and code > 0:
        raise StudyError(f"a worker ended with exit code {code}; its reason stands above")
    return code is None


def _stop(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask the workers to end their trials, and wait until they have."""
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    for worker in workers:
        worker.wait()
