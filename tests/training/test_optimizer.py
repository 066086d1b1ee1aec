"""AdamW with clipping: the same weights as torch's plain parts, one by one."""

import pytest
import torch
from torch import nn

from fourier.config import TrainingConfig
from fourier.training.optimizer import Optimizer


def _network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 2))


def _backward(network, step):
    x = torch.randn((8, 6), generator=torch.Generator().manual_seed(step))
    (network(x) ** 2).sum().backward()


@pytest.mark.parametrize("clip_norm", [0.0, 0.5, 1000.0])
def test_steps_equal_torchs_plain_adamw_after_clip_grad_norm(clip_norm):
    config = TrainingConfig(weight_decay=0.1, clip_norm=clip_norm)
    ours, theirs = _network(), _network()
    optimizer = Optimizer(ours, config)
    decayed = [p for p in theirs.parameters() if p.ndim > 1]
    rest = [p for p in theirs.parameters() if p.ndim <= 1]
    plain = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        foreach=False,
    )
    for step, (lr, beta) in enumerate([(0.1, 0.95), (0.01, 0.85), (0.05, 0.9)]):
        _backward(ours, step)
        _backward(theirs, step)
        optimizer.step(lr, beta)
        if clip_norm:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip_norm)
        for group in plain.param_groups:
            group |= {"lr": lr, "betas": (beta, 0.999)}
        plain.step()
        plain.zero_grad()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_only_weights_with_two_dimensions_decay():
    network = _network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = Optimizer(network, TrainingConfig(weight_decay=0.5))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.1, 0.9)
    for name, value in network.state_dict().items():
        factor = 0.95 if value.ndim > 1 else 1.0
        torch.testing.assert_close(value, before[name] * factor)


def test_gradients_are_forgotten_after_a_step():
    network = _network()
    _backward(network, 0)
    Optimizer(network, TrainingConfig()).step(0.1, 0.9)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_weights_that_take_no_part_and_frozen_ones_stay():
    network = nn.ModuleDict({"used": nn.Linear(2, 2), "spare": nn.Linear(2, 2)})
    network["used"].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network["used"](torch.ones(3, 2)).sum().backward()
    Optimizer(network, TrainingConfig()).step(0.1, 0.9)
    moved = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {"used.weight"}
