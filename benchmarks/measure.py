"""Times of several ways to do the same thing, taken in turn in one run.

A shared machine drifts: what is compared is measured alternately, and what is told is the median
of the ratios of neighbours, which drift alike. Not here: what is measured, and what is required.
"""

import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

RUN_AND_TELL = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""

BYTES_AT_HAND = 2**28
"""Of each kind of file that `warm_pages` writes."""
PIECE = 441_000
"""A clip of 5 s in 16 bits, bytes; one file holds many."""
FILE = 1_000_000
"""A trial's weights, bytes."""

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
        prepare: `warm_pages` before each that counts.

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
                warm_pages()
            taken[name].append(measure())
    return taken


def warm_pages() -> None:
    """Write clips and weights to files and delete them, so that the next find pages at hand.

    A virtual machine may hand its free memory back to its host, seconds after it was freed. A page
    of a file then costs ten times as much to write, which measures the host and not what is
    measured, and whoever writes most pays most. On the machine of `RESULTS.md` this helps for some
    seconds, and files written in pieces of these sizes; memory that a process touched did not help.
    """
    with tempfile.TemporaryDirectory() as folder:
        with Path(folder, "in pieces").open("wb", buffering=0) as file:
            for _ in range(BYTES_AT_HAND // PIECE):
                file.write(bytes(PIECE))
        for number in range(BYTES_AT_HAND // FILE):
            Path(folder, str(number)).write_bytes(bytes(FILE))


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
