"""The NumPy network, beside torch's autograd."""

import numpy as np
import pytest
import torch
from torch import nn

from fourier.scratch import Network, activate, mean_squared_error, train

SIZES = [
    (1, 1),
    (2, 5, 1),
    (3, 3, 5, 2),
    (7, 4),
    (10, 1, 10),
    (4, 8, 8, 8, 3),
    (6, 5, 4, 3, 2, 1),
    (1690, 512, 256, 64, 10),
]


def problem(sizes, examples=6):
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, (examples, sizes[0])), rng.random((examples, sizes[-1]))


def twin(network):
    """The same network in torch, float64."""
    layers = []
    for i, w in enumerate(network.weights):
        linear = nn.Linear(*w.shape, bias=bool(network.biases), dtype=torch.float64)
        linear.weight.data = torch.from_numpy(w.T.copy())
        if network.biases:
            linear.bias.data = torch.from_numpy(network.biases[i].copy())
        layers += [linear, nn.Sigmoid()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize("biases", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gradients_are_autograds_to_1e_10(sizes, biases):
    inputs, targets = problem(sizes)
    network = Network(sizes, seed=3, biases=biases)
    rng = np.random.default_rng(2)
    network.biases = [rng.normal(size=b.shape) for b in network.biases]
    model = twin(network)
    outputs = model(torch.from_numpy(inputs))
    nn.functional.mse_loss(outputs, torch.from_numpy(targets)).backward()

    activations = network.forward(inputs)
    np.testing.assert_allclose(activations[-1], outputs.detach().numpy(), rtol=0, atol=1e-12)
    found = network.back_propagate(activations, targets)
    # the loss is half the sum over the outputs, torch's the mean
    factor = 2 / sizes[-1]
    linears = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert len(found.weights) == len(linears)
    assert len(found.biases) == (len(linears) if biases else 0)
    for linear, slope in zip(linears, found.weights, strict=True):
        np.testing.assert_allclose(factor * slope, linear.weight.grad.numpy().T, rtol=0, atol=1e-10)
        assert np.abs(slope).max() > 1e-7  # so that 1e-10 says something
    for linear, slope in zip(linears, found.biases, strict=False):
        np.testing.assert_allclose(factor * slope, linear.bias.grad.numpy(), rtol=0, atol=1e-10)


def test_a_descent_step_is_torchs_sgd():
    sizes = (3, 4, 2)
    inputs, targets = problem(sizes)
    network = Network(sizes, seed=0)
    model = twin(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.7)
    for _ in range(20):
        optimizer.zero_grad()
        squares = (model(torch.from_numpy(inputs)) - torch.from_numpy(targets)).square()
        (squares.sum() / (2 * len(inputs))).backward()
        optimizer.step()
        network.descend(network.back_propagate(network.forward(inputs), targets), 0.7)
    outputs = model(torch.from_numpy(inputs)).detach().numpy()
    np.testing.assert_allclose(network.predict(inputs), outputs, rtol=0, atol=1e-12)


def test_one_neuron_of_a_network_is_the_neuron():
    network = Network((3, 1), seed=0)
    network.biases[0][:] = 0.3
    inputs = [0.5, 0.3, 0.2]
    expected = activate(inputs, network.weights[0][:, 0].tolist(), bias=0.3)
    assert network.predict([inputs]).item() == pytest.approx(expected, rel=1e-15)


def test_examples_of_a_batch_do_not_meet_and_their_gradients_average():
    sizes = (4, 6, 3)
    inputs, targets = problem(sizes)
    network = Network(sizes, seed=0)
    one_by_one = [
        network.back_propagate(network.forward(x[None]), t[None])
        for x, t in zip(inputs, targets, strict=True)
    ]
    together = network.back_propagate(network.forward(inputs), targets)
    for i, slope in enumerate(together.weights):
        mean = np.mean([single.weights[i] for single in one_by_one], axis=0)
        np.testing.assert_allclose(slope, mean, rtol=0, atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_to_add_as_the_document_did(seed):
    inputs = np.random.default_rng(seed).random((1000, 2)) / 2
    targets = inputs.sum(axis=1, keepdims=True)
    network = Network((2, 5, 1), seed, biases=False, span=(0, 1))
    seen = []
    errors = train(
        network,
        inputs,
        targets,
        epochs=50,
        learning_rate=0.1,
        seed=seed,
        report=lambda epoch, error: seen.append((epoch, error)),
    )
    assert 0.04 < errors[0] < 0.07  # the document: 0.062
    assert errors[-1] < 0.005
    assert seen == list(enumerate(errors))
    assert network.predict([[0.3, 0.1]]).item() == pytest.approx(0.4, abs=0.02)
    assert mean_squared_error(network.predict(inputs), targets) < 0.001


def test_the_seeds_decide_everything_and_no_example_is_left_out():
    inputs, targets = problem((3, 2), examples=7)
    settings = {"epochs": 3, "learning_rate": 0.5, "batch_size": 3}

    def weights(network_seed, order_seed):
        network = Network((3, 4, 2), network_seed)
        train(network, inputs, targets, seed=order_seed, **settings)
        return network.weights[0]

    assert np.array_equal(weights(0, 0), weights(0, 0))
    assert not np.array_equal(weights(0, 0), weights(1, 0))
    assert not np.array_equal(weights(0, 0), weights(0, 1))
    frozen = Network((3, 4, 2), 0)
    start = mean_squared_error(frozen.predict(inputs), targets)
    errors = train(frozen, inputs, targets, epochs=1, learning_rate=1e-12, batch_size=3)
    assert errors[0] == pytest.approx(start, rel=1e-9)  # the seventh example counts, once


def test_sigmoids_far_out_are_exact_and_do_not_warn():
    network = Network((1, 2), biases=False)
    network.weights[0][:] = [[1e4, -1e4]]
    assert network.predict([[1.0]]).tolist() == [[1.0, 0.0]]


WRONG = {
    "one layer": (lambda: Network((3,)), "`sizes` must name two layers"),
    "an empty layer": (lambda: Network((3, 0, 1)), "none empty"),
    "inputs of another width": (lambda: Network((3, 1)).forward([[1, 2]]), r"must be \[n, 3\]"),
    "one example that is no batch": (lambda: Network((3, 1)).forward([1, 2, 3]), r"\[n, 3\]"),
    "targets of another shape": (
        lambda: Network((1, 2)).back_propagate(Network((1, 2)).forward([[1]]), [[1]]),
        r"`targets` must be \[1, 2\], but got \[1, 1\]",
    ),
    "fewer targets": (
        lambda: train(Network((1, 1)), [[1], [2]], [[1]], epochs=1, learning_rate=1),
        r"got \(2, 1\)",
    ),
    "no epoch": (
        lambda: train(Network((1, 1)), [[1]], [[1]], epochs=0, learning_rate=1),
        "`epochs, batch_size >= 1",
    ),
    "no step": (
        lambda: train(Network((1, 1)), [[1]], [[1]], epochs=1, learning_rate=0),
        "learning_rate > 0",
    ),
}


@pytest.mark.parametrize(("call", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named(call, text):
    with pytest.raises(ValueError, match=text):
        call()
