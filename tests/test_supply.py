"""What comes from elsewhere: pinned packages without known holes, checked downloads, loopback.

`pip-audit` asks a service for advisories; where none answers it passes everything. So those that
are known are written down in `data/advisories.csv`, and the lock is held against them here.
"""

import csv
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from fourier.corpora.download import SOURCES

PROJECT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
EXEMPT = re.compile(r"nvidia-.*|cuda-.*|triton|setuptools")
"""What torch's build for GPUs pins by itself, and what `pip freeze` leaves out."""


def read_lock():
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(name): version for name, _, version in (p.partition("==") for p in pins)
    }


LOCK = read_lock()


def declared():
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    lines = chain(project["dependencies"], *extras)
    return [Requirement(line) for line in lines]


def installed_closure():
    """Everything installed that the project needs, directly or not, for running and testing."""
    extras = set(PYPROJECT["project"]["optional-dependencies"]) & {"test"}
    waiting, seen = [(r, frozenset(r.extras)) for r in _needs("fourier", extras)], {}
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extras) in seen or EXEMPT.fullmatch(name):
            continue
        try:
            seen[name, extras] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform or Python
        waiting += [(r, frozenset(r.extras)) for r in _needs(name, extras)]
    return {name: version for (name, _), version in seen.items()}


def _needs(name, extras):
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield requirement


def test_every_line_of_the_lock_pins_one_version():
    assert len(LOCK) > 100
    assert all(re.fullmatch(r"[0-9][\w.+]*", version) for version in LOCK.values())


def test_everything_that_is_installed_for_the_project_is_in_the_lock():
    found = installed_closure()
    assert {"torch", "mlflow", "optuna", "werkzeug", "pytest"} <= set(found)
    assert sorted(found.keys() - LOCK.keys()) == []


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_keeps_to_what_is_declared(requirement):
    name = canonicalize_name(requirement.name)
    assert name in LOCK or name in NOT_LOCKED, f"run the tests with {name} and pin it"
    if name in LOCK:
        assert requirement.specifier.contains(LOCK[name])


NOT_LOCKED = {"nvidia-ml-py", "atheris"}
"""Of machines with a GPU, and of a fuzz run by hand."""


def advisories():
    with (PROJECT / "tests" / "data" / "advisories.csv").open() as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("name", "fixed_in", "advisory"), advisories())
def test_nothing_in_the_lock_has_a_hole_that_is_written_down(name, fixed_in, advisory):
    assert Version(LOCK[name]) >= Version(fixed_in), advisory


def test_every_download_is_checksummed_or_comes_over_tls():
    for source in SOURCES.values():
        over_tls = all(url.startswith("https://") for url in source.base_urls)
        for archive in source.archives:
            assert over_tls or re.fullmatch("[0-9a-f]{64}", archive.sha256), archive


HOSTS = """
import click
from mlflow.cli import cli

for words in ("ui", "server", "models serve"):
    command = cli
    for word in words.split():
        command = command.get_command(click.Context(command), word)
    print(*(each.default for each in command.params if "--host" in each.opts))
"""


def test_what_users_are_told_to_start_listens_on_loopback():
    command = [sys.executable, "-W", "ignore", "-c", HOSTS]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told == ["127.0.0.1"] * 3


def test_ci_runs_the_whole_gate():
    script = (PROJECT / ".ci" / "run").read_text()
    for tool in ("pytest", "ruff format --check", "ruff check", "mypy", "lint-imports", "bandit"):
        assert re.search(rf"^{tool}\b", script, re.MULTILINE), tool
