"""Learning rate and momentum against torch's own schedulers, and by their shape."""

import numpy as np
import pytest
import torch

from fourier.config import TrainingConfig
from fourier.training.schedule import schedule

LR = 0.01


def paces(name, total, warmup=0.1):
    config = TrainingConfig(schedule=name, lr=LR, warmup=warmup)
    pace = schedule(config, np.arange(total), total)
    return pace.lr, pace.momentum


def theirs(total, make):
    """Learning rate and first beta at each step of one of torch's schedulers."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make(optimizer)
    lrs, momenta = [], []
    for step in range(total):
        lrs.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        if step + 1 < total:
            scheduler.step()
    return lrs, momenta


@pytest.mark.parametrize("total", [10, 97, 400])
@pytest.mark.parametrize("warmup", [0.15, 0.3, 0.5])
def test_one_cycle_is_torchs_one_cycle(total, warmup):
    lr, momentum = paces("one_cycle", total, warmup)
    expected = theirs(
        total,
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, max_lr=LR, total_steps=total, pct_start=warmup
        ),
    )
    np.testing.assert_allclose(lr, expected[0], rtol=1e-9)
    np.testing.assert_allclose(momentum, expected[1], rtol=1e-9)


def test_cosine_without_warm_up_is_torchs_cosine():
    lr, _ = paces("cosine", 50, warmup=0.0)
    expected, _ = theirs(50, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=50))
    np.testing.assert_allclose(lr, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "warmup", "table"),
    [
        ("constant", 0.5, {0: 1, 50: 1, 99: 1}),
        ("cosine", 0.0, {0: 1, 50: 0.5, 99: 0.000247}),
        ("cosine", 0.1, {0: 1 / 11, 5: 6 / 11, 10: 1, 55: 0.5, 99: 0.000305}),
        ("one_cycle", 0.3, {0: 0.04, 29: 1, 99: 0.000004}),
        ("one_cycle", 0.0, {0: 1, 99: 0.000004}),
    ],
)
def test_shapes_in_shares_of_the_peak(name, warmup, table):
    lr, _ = paces(name, 100, warmup)
    for step, share in table.items():
        assert lr[step] / LR == pytest.approx(share, abs=1e-6), step


@pytest.mark.parametrize("name", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
def test_every_training_climbs_once_falls_once_and_never_leaves_its_bounds(name, warmup, total):
    lr, momentum = paces(name, total, warmup)
    assert len(lr) == len(momentum) == total
    assert (lr > 0).all()
    assert (lr <= LR * (1 + 1e-12)).all()
    assert ((momentum >= 0.85 - 1e-12) & (momentum <= 0.95 + 1e-12)).all()
    turns = np.diff(np.sign(np.diff(lr)))
    assert np.count_nonzero(turns) <= 1 + (name == "one_cycle" and warmup > 0)


def test_epochs_taken_one_by_one_make_the_whole():
    config = TrainingConfig(schedule="one_cycle")
    whole = schedule(config, np.arange(60), 60)
    pieces = [schedule(config, np.arange(e * 20, (e + 1) * 20), 60).lr for e in range(3)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole.lr)
