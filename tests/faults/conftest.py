"""Processes that die, with what they need already loaded."""

import signal

import pytest


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
