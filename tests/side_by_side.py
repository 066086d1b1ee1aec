"""How the whole suite runs: two tests at a time, each on one core, the longest files first.

`pytest` without paths starts two workers, each of which takes file after file; a file is tested by
one worker, in its order. With paths `pytest` stays in its own process, which is there sooner and
can be debugged; `-n 0` asks for that with the whole suite.
"""

import os

import joblib
import pytest

WORKERS = 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for a part of the suite, or where a second would have no core."""
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    return WORKERS if whole and joblib.cpu_count() >= WORKERS else 0


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """One thread for each worker and for what it starts: they share the cores already."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with long tests first: what is left is short, and both workers end at once."""
    if hasattr(config, "workerinput"):
        long = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in long)
