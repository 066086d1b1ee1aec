"""Times of several ways to do the same thing, taken in turn in one run.

A shared machine drifts: what is compared is measured alternately, and what is told is the median
of the ratios of neighbours, which drift alike. Not here: what is measured, and what is required.
"""

import gc
import mmap
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

RUN_AND_TELL = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""

MEMORY_AT_HAND = 2**30

Measure = Callable[[], float]
"""Does the work once and returns what it came to: seconds, or clips a second."""


def seconds_of(work: Callable[[], object]) -> Measure:
    """A measure of the wall-clock seconds that a piece of work takes."""

    def measure() -> float:
        gc.collect()
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return measure


def alternate(
    ways: Mapping[str, Measure], repeats: int, *, warm_up: bool = True, prepare: bool = True
) -> dict[str, list[float]]:
    """Measure all ways in turn: A B C, A B C, ….

    Args:
        ways: measures by name.
        repeats: counted rounds.
        warm_up: one round before that does not count.
        prepare: `fetch_memory` before each that counts.

    Returns:
        By name, one value for each round.
    """
    if warm_up:
        for measure in ways.values():
            measure()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, measure in ways.items():
            if prepare:
                fetch_memory()
            taken[name].append(measure())
    return taken


def fetch_memory() -> None:
    """Touch a gibibyte and free it, so that the next to ask gets that without the host's help.

    A virtual machine may hand its free memory back to its host, seconds after it was freed. A page
    of a file then costs up to fifteen times as much to write (11 microseconds where 0.8 were seen),
    which measures the host and not what is measured, and whoever writes most pays most.
    """
    page = mmap.PAGESIZE
    with mmap.mmap(-1, MEMORY_AT_HAND) as memory:
        for start in range(0, MEMORY_AT_HAND, page):
            memory[start] = 1


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def median_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of value / other, round by round."""
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def peak_memory(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a command to its end and return the peak resident bytes of it or of a child of it.

    Of one process: the largest, as the operating system counted it when the process ended. A small
    process starts the command, for until a child runs its own program, it counts as large as who
    started it.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    starter = [sys.executable, "-c", RUN_AND_TELL, *command]
    done = subprocess.run(starter, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    return int(done.stdout) * 1024
