import os
import signal
import time

import pytest

from fourier.cli import guard
from fourier.cli.guard import Interruption, guarded
from fourier.errors import StudyError, TrialsError


def ends(error):
    def command(_interruption):
        raise error

    return command


ENDS = {
    "a broken world": (StudyError("it is away; look"), 1, "error: it is away; look\n"),
    "trials that all fail": (TrialsError("all failed; mend"), 3, "error: all failed; mend\n"),
    "somebody stops it": (KeyboardInterrupt(), 130, "\nstopped. Go on.\n"),
}


@pytest.mark.parametrize(("error", "code", "said"), ENDS.values(), ids=ENDS)
def test_how_a_command_ends_is_a_code_and_a_line(error, code, said, capsys):
    assert guarded(ends(error), "Go on.") == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_a_good_moment_and_one_that_follows_at_once_is_the_same_wish(number):
    def command(interruption):
        with interruption.waiting():
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("the end of the epoch")
            interruption.check()
        return 0

    reached = []
    assert guarded(command) == 130
    assert reached


def test_a_signal_long_after_the_first_strikes_at_once(monkeypatch):
    monkeypatch.setattr(guard, "SAME_WISH_SECONDS", 0.01)
    interruption = Interruption()
    with interruption.waiting():
        interruption(signal.SIGINT, None)
        time.sleep(0.02)
        with pytest.raises(KeyboardInterrupt):
            interruption(signal.SIGINT, None)


def test_a_signal_that_strikes_amid_garbage_is_not_told_of_and_not_lost(capsys):
    class Garbage:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("only as far as this")

    def command(interruption):
        Garbage()
        reached.append("going on")
        interruption.check()
        return 0

    reached = []
    assert guarded(command) == 130
    assert reached[-1] == "going on"
    assert capsys.readouterr().err == "\nstopped.\n"


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert guarded(lambda _: os.kill(os.getpid(), signal.SIGHUP) or 0) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
