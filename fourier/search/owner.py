"""Who runs a trial, and whether they still live.

A journal has no heartbeat, so a trial carries its owner: host, process id, and when the process
started, because ids are given out again. Not here: what to do with a trial whose owner is gone.
"""

import os
import socket

import psutil

CLOCK_SLACK_SECONDS = 2.0
"""A start time read twice may differ by this much when the clock was set in between."""


def this_process() -> dict[str, str | int | float]:
    """This process as an owner: plain data that a trial's attributes can hold."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "started": psutil.Process(pid).create_time()}


def is_this_process(owner: dict[str, str | int | float]) -> bool:
    """Whether an owner is this process, or a dead one that had its id."""
    return (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())


def is_gone(owner: dict[str, str | int | float]) -> bool:
    """Whether an owner is known to have died. One on another host is not known to have."""
    if owner["host"] != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(owner["pid"]))
        started = process.create_time()
        zombie = process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    return zombie or abs(started - float(owner["started"])) > CLOCK_SLACK_SECONDS
