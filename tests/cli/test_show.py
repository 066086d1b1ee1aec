import io

import pytest
from rich.console import Console

from fourier.cli import show
from fourier.cli.guard import Interruption
from fourier.cli.show import Screen


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when a test says so."""
    now = [1000.0]
    monkeypatch.setattr(show.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("terminal", "lines"), [(False, 2), (True, 0)])
def test_a_log_says_every_half_minute_how_far_things_are_and_a_terminal_has_its_bar(
    terminal, lines, clock
):
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=terminal, width=80), Interruption())
    update = screen.stage("decoding")
    for done in range(65):
        clock[0] += 1
        update(done, 65)
    assert out.getvalue().count("decoding: ") == lines
    if lines:
        assert out.getvalue().splitlines() == ["  … decoding: 29 of 65", "  … decoding: 59 of 65"]


def test_a_long_trial_says_its_epoch_in_a_log(clock):
    out = io.StringIO()
    screen = Screen(Console(file=out, width=80), Interruption())
    screen.stage("trials")
    for epoch in range(5):
        clock[0] += 20
        screen.epoch_ends(3, epoch, 30, {"objective": 0.25})
    assert out.getvalue().splitlines() == [
        "  … trial 3: epoch 2/30, objective 0.250",
        "  … trial 3: epoch 4/30, objective 0.250",
    ]
