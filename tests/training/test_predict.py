"""Outputs for stored clips: in order, in any block size, without a trace in the network."""

from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

from fourier.training import predict


@pytest.fixture
def features():
    return torch.randn((50, 8, 12), generator=torch.Generator().manual_seed(0)).half()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(96, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3)
    )


def test_rows_come_back_in_their_order(network, features):
    rows = torch.tensor([7, 3, 3, 49, 0])
    out = predict(network, features, rows)
    assert out.dtype == np.float32
    assert out.shape == (5, 3)
    with torch.no_grad():
        expected = network.eval()(features[rows].float())
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_blocks_do_not_matter(network, features, monkeypatch):
    whole = predict(network, features, torch.arange(50))
    module = import_module("fourier.training.predict")  # the function has the same name
    monkeypatch.setattr(module, "BLOCK_VALUES", 1)
    np.testing.assert_allclose(
        predict(network, features, torch.arange(50), batch_size=3), whole, rtol=1e-5
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(network, features, training):
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    predict(network, features, torch.arange(50))
    assert network.training is training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    # Nothing of inference mode sticks to the weights: they can be trained afterwards.
    network(features[:4].float()).sum().backward()


def test_its_mode_is_put_back_after_an_error(network, features):
    with pytest.raises(RuntimeError):
        predict(network, features[:, :3], torch.arange(50))
    assert network.training


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16"])
def test_every_precision_gives_float32_close_to_exact(network, features, precision):
    exact = predict(network, features, torch.arange(50))
    out = predict(network, features, torch.arange(50), precision=precision)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, exact, atol=0.05)
    assert (precision == "bf16") is not np.array_equal(out, exact)
