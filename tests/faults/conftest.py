"""Processes that die, with what they need already loaded."""

import multiprocessing
import signal

import pytest

LOADED = [
    "fourier.search.sweep",
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.artifact.artifact_repository_registry",
    "plotly.graph_objects",
    "librosa.filters",
    "sklearn.linear_model",
    "torch._dynamo",
]
"""None of these folders' own modules: a fork server does not find them yet."""


@pytest.fixture(scope="session")
def processes():
    """Where processes come from that do not have to load everything first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


@pytest.fixture
def run(processes):
    """Run a function in a process of its own; returns its exit code, negative for a signal."""

    def begin(function, *args, **options):
        process = processes.Process(target=function, args=args, kwargs=options)
        process.start()
        process.join(120)
        return process.exitcode

    return begin


@pytest.fixture
def killed():
    """The exit code of a process that was killed."""
    return -signal.SIGKILL
