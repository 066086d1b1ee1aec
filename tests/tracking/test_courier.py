"""Writes on a thread of their own: their order, and what becomes of one that fails."""

import threading

import pytest

from fourier.errors import TrackingError
from fourier.tracking.courier import Courier


def refuse():
    raise TrackingError("MLflow refuses it")


@pytest.fixture
def courier():
    return Courier()


def test_writes_are_made_in_the_order_they_were_sent_in_and_held_ones_before_the_next(courier):
    written = []
    courier.send(lambda: written.append(1))
    courier.hold(lambda: written.append(2))
    courier.send(lambda: written.append(3))
    courier.hold(lambda: written.append(4))
    courier.settle()
    assert written == [1, 2, 3, 4]


def test_what_is_held_is_not_written_until_somebody_sends_or_waits(courier):
    written = threading.Event()
    courier.hold(written.set)
    assert not written.wait(0.05)
    assert not courier.busy
    courier.settle()
    assert written.is_set()


def test_nobody_waits_for_what_is_sent(courier):
    go_on = threading.Event()
    courier.send(lambda: go_on.wait(60))
    assert courier.busy
    go_on.set()
    courier.settle()
    assert not courier.busy


@pytest.mark.parametrize("how", ["settle", "send"])
def test_a_failure_is_told_at_the_next_occasion_and_what_is_behind_it_is_dropped(courier, how):
    written = []
    go_on = threading.Event()
    courier.send(lambda: go_on.wait(60))
    courier.send(refuse)
    courier.send(lambda: written.append("behind"))
    go_on.set()
    while courier.busy:
        pass
    with pytest.raises(TrackingError, match="refuses"):
        courier.settle() if how == "settle" else courier.send(lambda: written.append("next"))
    assert written == []


def test_after_a_failure_was_told_writing_goes_on(courier):
    written = []
    courier.send(refuse)
    with pytest.raises(TrackingError):
        courier.settle()
    courier.send(lambda: written.append(1))
    courier.settle()
    assert written == [1]
