"""A multilayer perceptron in NumPy: forward, back, and down the gradient.

A network is layers of neurons, each connected to all of the layer before. Learning asks one thing
of each weight: if it were a little larger, would the error rise or fall, and how fast? That is a
derivative. All of them together are the gradient, and training steps against it, again and again.

The whole batch goes through at once, as matrices. Letters, used everywhere below:

=====  ==========================  =======================================================
n                                  examples in the batch
s_i                                neurons of layer i; layer 0 is the inputs
a_i    [n, s_i]                    activations, what the neurons of layer i say
W_i    [s_i, s_(i+1)]              weights from layer i to layer i + 1
b_i    [s_(i+1)]                   biases of layer i + 1
h_i    [n, s_i]                    net inputs, h_(i+1) = a_i · W_i + b_i
σ                                  the sigmoid, a_(i+1) = σ(h_(i+1))
t      [n, s_last]                 targets, what the last layer should say
=====  ==========================  =======================================================

Not here: other activations, momentum, regularisation, a GPU; PyTorch has them, and finds the
gradient of anything by the same rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def sigmoid(h: Floats) -> Floats:
    """1 / (1 + e^-h) of every element; any shape, none of which overflows."""
    e = np.exp(-np.abs(h))
    return np.where(h >= 0, 1 / (1 + e), e / (1 + e))


def sigmoid_slope(a: Floats) -> Floats:
    """The derivative of the sigmoid, from its *value* a = σ(h): σ'(h) = a · (1 - a).

    It is 1/4 at most, and nearly 0 where a neuron is sure of itself: such a neuron hardly learns.
    """
    return a * (1 - a)


def mean_squared_error(outputs: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """The average of (a - t)² over all examples and outputs."""
    difference = np.asarray(outputs, dtype=np.float64) - np.asarray(targets, dtype=np.float64)
    return float(np.mean(difference**2))


@dataclass(frozen=True)
class Gradients:
    """How fast the loss rises with each weight and each bias.

    Attributes:
        weights: ∂L/∂W_i, shaped as `Network.weights`.
        biases: ∂L/∂b_i, shaped as `Network.biases`; empty where the network has none.
    """

    weights: list[Floats]
    biases: list[Floats]


class Network:
    """A multilayer perceptron with sigmoid neurons.

    Attributes:
        weights: W_0, W_1, …, one [s_i, s_(i+1)] between each two layers.
        biases: b_0, b_1, …, one [s_(i+1)] for each layer but the first; [] without biases.
    """

    weights: list[Floats]
    biases: list[Floats]

    def __init__(
        self,
        sizes: Sequence[int],
        seed: int = 0,
        *,
        biases: bool = True,
        span: tuple[float, float] | None = None,
    ) -> None:
        """Make a network with random weights; biases begin at 0.

        The weights must differ at first: neurons that begin equal get equal gradients and stay
        equal for ever. They must not be large either: the sum over many inputs would drive the
        sigmoid to where it is flat. By default they lie within ±4 · √(6 / (s_i + s_(i+1))), which
        keeps activations and gradients of about one size from layer to layer (Glorot & Bengio
        2010, with their factor for the sigmoid).

        Args:
            sizes: neurons of each layer, inputs first and outputs last; any number between them.
            seed: of the weights.
            biases: whether the neurons have any.
            span: draw all weights evenly between these two numbers instead.

        Raises:
            ValueError: there are fewer than two layers, or an empty one.
        """
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"`sizes` must name two layers or more, none empty, but got {sizes}")
        rng = np.random.default_rng(seed)
        self.weights, self.biases = [], []
        for before, after in pairwise(sizes):
            reach = 4 * np.sqrt(6 / (before + after))
            low, high = span or (-reach, reach)
            self.weights.append(rng.uniform(low, high, size=(before, after)))  # [s_i, s_(i+1)]
            if biases:
                self.biases.append(np.zeros(after))  # [s_(i+1)]

    def forward(self, inputs: npt.ArrayLike) -> list[Floats]:
        """What every layer says, from the inputs to the outputs.

        h_(i+1) = a_i · W_i + b_i and a_(i+1) = σ(h_(i+1)). Row k of a product of matrices depends
        on row k of the left one alone, so the examples of a batch do not meet.

        Args:
            inputs: a_0 [n, s_0].

        Returns:
            a_0, a_1, …, a_last; the last are the outputs [n, s_last].

        Raises:
            ValueError: the inputs do not fit the first layer.
        """
        a = np.asarray(inputs, dtype=np.float64)  # [n, s_0]
        if a.ndim != 2 or a.shape[1] != len(self.weights[0]):
            raise ValueError(f"`inputs` must be [n, {len(self.weights[0])}], but got {a.shape}")
        activations = [a]
        for i, w in enumerate(self.weights):
            h = a @ w  # [n, s_i] · [s_i, s_(i+1)] -> [n, s_(i+1)]
            if self.biases:
                h = h + self.biases[i]  # [n, s_(i+1)] + [s_(i+1)]: one bias a column
            a = sigmoid(h)  # [n, s_(i+1)]
            activations.append(a)
        return activations

    def predict(self, inputs: npt.ArrayLike) -> Floats:
        """The outputs [n, s_last] for inputs [n, s_0], each between 0 and 1."""
        return self.forward(inputs)[-1]

    def back_propagate(self, activations: Sequence[Floats], targets: npt.ArrayLike) -> Gradients:
        """The gradient of the loss, layer by layer from the last to the first.

        The loss is half the squared error, summed over the outputs and averaged over the batch:
        L = 1/(2n) · Σ (a_last - t)². The half cancels the 2 of the derivative; `mean_squared_error`
        is the same up to a factor, so both have their minimum in the same place.

        Call δ_i the derivative of L by the net inputs h_i, [n, s_i]. The chain rule gives the last
        from the error, and each from the one after it:

            δ_last = (a_last - t) / n  ∘  a_last ∘ (1 - a_last)
            δ_i    = (δ_(i+1) · W_iᵀ)  ∘  a_i ∘ (1 - a_i)

        where ∘ multiplies element by element. In words: a neuron is to blame for the error of the
        neurons that it feeds, in proportion to the weights. The error travels backwards along the
        same connections, and that is why each layer costs only one product more. Then

            ∂L/∂W_i = a_iᵀ · δ_(i+1)        ∂L/∂b_i = Σ over the batch of δ_(i+1)

        since W_i enters h_(i+1) with the factor a_i, and b_i with the factor 1.

        Source: Rumelhart, Hinton & Williams (1986), *Learning representations by back-propagating
        errors*.

        Args:
            activations: what `forward` returned.
            targets: t [n, s_last].

        Raises:
            ValueError: the targets do not have the shape of the outputs.
        """
        t = np.asarray(targets, dtype=np.float64)  # [n, s_last]
        outputs = activations[-1]  # [n, s_last]
        if t.shape != outputs.shape:
            raise ValueError(f"`targets` must be {list(outputs.shape)}, but got {list(t.shape)}")
        delta = (outputs - t) / len(t) * sigmoid_slope(outputs)  # [n, s_last]
        weights, biases = [], []
        for i in reversed(range(len(self.weights))):
            a = activations[i]  # [n, s_i]
            weights.append(a.T @ delta)  # [s_i, n] · [n, s_(i+1)] -> [s_i, s_(i+1)]
            biases.append(delta.sum(axis=0))  # [n, s_(i+1)] -> [s_(i+1)]
            if i:  # the inputs have nothing to learn
                blame = delta @ self.weights[i].T  # [n, s_(i+1)] · [s_(i+1), s_i] -> [n, s_i]
                delta = blame * sigmoid_slope(a)  # [n, s_i]
        return Gradients(weights[::-1], biases[::-1] if self.biases else [])

    def descend(self, gradients: Gradients, learning_rate: float) -> None:
        """One step of gradient descent: W ← W - learning_rate · ∂L/∂W, and so the biases.

        The gradient points where the loss rises fastest, so the step goes the other way. Too long
        a step jumps over the valley, too short a one takes for ever.
        """
        for i, slope in enumerate(gradients.weights):
            self.weights[i] -= learning_rate * slope  # [s_i, s_(i+1)]
        for i, slope in enumerate(gradients.biases):
            self.biases[i] -= learning_rate * slope  # [s_(i+1)]


def train(
    network: Network,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int = 1,
    seed: int = 0,
    report: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Stochastic gradient descent: the examples in a new order each epoch, a step for each batch.

    A batch of one is the plainest form. Its gradient is a guess from a single example, wrong in
    detail and right on average, and costs next to nothing; larger batches guess better and let
    NumPy multiply larger matrices.

    Args:
        network: learns in place.
        inputs: [n, s_0].
        targets: [n, s_last], between 0 and 1, for no sigmoid says anything else.
        epochs: passes over all examples.
        learning_rate: length of a step.
        batch_size: examples a step.
        seed: of the order.
        report: called after each epoch with its number, from 0, and its error.

    Returns:
        The error of each epoch: the mean squared error of every example as it came up, before the
        step that learned from it.

    Raises:
        ValueError: inputs, targets and network do not fit, or a setting is below 1 or not positive.
    """
    x, t = np.asarray(inputs, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if len(x) != len(t) or not len(x):
        raise ValueError(f"`len(inputs) == len(targets) > 0` must hold, but got {len(x), len(t)}")
    if min(epochs, batch_size) < 1 or not learning_rate > 0:
        got = (epochs, batch_size, learning_rate)
        raise ValueError(f"`epochs, batch_size >= 1, learning_rate > 0` must hold, but got {got}")
    rng = np.random.default_rng(seed)
    errors = []
    for epoch in range(epochs):
        order = rng.permutation(len(x))  # [n]
        squares = 0.0
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]  # [batch]
            activations = network.forward(x[batch])  # a_0 [batch, s_0] … a_last [batch, s_last]
            squares += mean_squared_error(activations[-1], t[batch]) * len(batch)
            network.descend(network.back_propagate(activations, t[batch]), learning_rate)
        errors.append(squares / len(x))
        if report is not None:
            report(epoch, errors[-1])
    return errors
