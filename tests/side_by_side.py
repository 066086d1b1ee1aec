"""The whole suite two tests at a time, each on one core, and some with nothing beside them.

`pytest` without paths starts two workers; with paths it stays in its own process, which is there
sooner and can be debugged, as `-n 0` always is. A test that is marked `alone` waits until the
other worker has nothing under way, and the other worker waits for it: what holds time or the whole
machine to account must not be put out by a neighbour. What a test waits here is no part of its
time limit. Nothing here is used where there is one worker or none.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

WORKERS = 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for a part of the suite, or where a second would have no core."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return WORKERS if whole and len(os.sched_getaffinity(0)) >= WORKERS else 0


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """One thread for each worker and for what it starts: they share the cores already."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure_node(node) -> None:
    """Tell each worker where turns are taken."""
    config = node.config
    if not hasattr(config, "turns"):
        config.turns = tempfile.TemporaryDirectory(prefix="turns-")
        config.add_cleanup(config.turns.cleanup)
    node.workerinput["turns"] = config.turns.name


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around all of a test: what it sets up, and the time that it may take."""
    folder = getattr(item.config, "workerinput", {}).get("turns")
    if folder is None:
        return (yield)
    with turn(Path(folder), alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Share the room, or have it to oneself; who waits for that keeps the door shut."""
    with (folder / "door").open("w") as door, (folder / "room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # though a forked child still has it open
