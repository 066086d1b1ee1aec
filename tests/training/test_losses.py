"""What training minimises: it agrees with the metrics, and small batches do not break it."""

import pytest
import torch

from fourier.training import metrics
from fourier.training.losses import CCC_EPSILON, concordance_loss


def _batch(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand((size, 2), generator=generator) * 2 - 1
    return target + 0.3 * torch.randn((size, 2), generator=generator), target


@pytest.mark.parametrize("size", [4, 32, 500])
def test_concordance_loss_is_one_minus_the_mean_ccc(size):
    prediction, target = (side.double() for side in _batch(size))
    each = [metrics.ccc(prediction[:, i].numpy(), target[:, i].numpy()) for i in range(2)]
    assert concordance_loss(prediction, target).item() == pytest.approx(1 - sum(each) / 2, abs=1e-4)


def test_exact_predictions_cost_nothing_and_opposite_ones_two():
    _, target = _batch(64)
    target = target - target.mean(0)
    assert concordance_loss(target, target).item() == pytest.approx(0, abs=1e-6)
    assert concordance_loss(-target, target).item() == pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("spread", [0.0, 1e-8, 1.0])
def test_tiny_and_constant_batches_have_finite_bounded_gradients(size, spread):
    target = torch.linspace(-spread, spread, size).unsqueeze(1).repeat(1, 2)
    for offset in (0.0, 1e-4, 1.0):
        prediction = (target + offset).requires_grad_()
        loss = concordance_loss(prediction, target)
        loss.backward()
        assert 0 <= loss.item() <= 2 + 1e-6
        assert prediction.grad.norm() <= 2 / CCC_EPSILON**0.5


def test_gradient_is_the_derivative():
    prediction, target = (side.double() for side in _batch(6))
    assert torch.autograd.gradcheck(
        lambda x: concordance_loss(x, target), prediction.requires_grad_()
    )
