"""What the watchdog leaves of a process that hung."""

import faulthandler
import threading

import pytest

from fourier.search.watchdog import read_report


@pytest.fixture
def deep_thread():
    """Another thread, which stands so deep that it alone would fill the report."""

    def descend(left):
        if left:
            descend(left - 1)
        else:
            there.set()
            leave.wait()

    there, leave = threading.Event(), threading.Event()
    thread = threading.Thread(target=descend, args=(90,))
    thread.start()
    there.wait()
    yield
    leave.set()
    thread.join()


def stand_here(file):
    faulthandler.dump_traceback(file)


def test_where_the_training_stood_is_told_however_deep_other_threads_stand(deep_thread, tmp_path):
    report = tmp_path / "trial.hung"
    with report.open("w") as file:
        file.write("no end after 3 s\n")
        file.flush()
        stand_here(file)
    reason, stood = read_report(report)
    assert reason == "no end after 3 s"
    assert "in stand_here" in stood


def test_a_process_that_ended_by_anything_else_left_no_report(tmp_path):
    report = tmp_path / "trial.hung"
    assert read_report(report) is None
    report.write_text("no end after 3 s\n")
    assert read_report(report) is None
