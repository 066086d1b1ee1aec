"""One neuron: a weighted sum, bent into the range from 0 to 1.

This is all that a neuron does. Not here: many of them at once, and learning, which are matrices
and derivatives (`fourier.scratch.network`).
"""

import math
from collections.abc import Sequence


def sigmoid(x: float) -> float:
    """The logistic function, 1 / (1 + e^-x): near 0 for very negative x, 1/2 at 0, near 1 beyond.

    For negative x the same number is written e^x / (1 + e^x), because e^-x would overflow below
    x = -709.
    """
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    return math.exp(x) / (1 + math.exp(x))


def activate(inputs: Sequence[float], weights: Sequence[float], bias: float = 0.0) -> float:
    """What a neuron answers: sigmoid(x₁·w₁ + x₂·w₂ + … + bias).

    A weight says how much its input matters and in which direction. The bias says how easily the
    neuron fires when nothing comes in: without it, no input always gives 1/2.

    >>> activate([0.5, 0.3, 0.2], [0.4, 0.7, 0.2])
    0.610639233949222

    Args:
        inputs: x, one number from each neuron before this one [n].
        weights: w, one for each input [n].
        bias: added to the sum.

    Returns:
        A number between 0 and 1.

    Raises:
        ValueError: there are not as many weights as inputs.
    """
    if len(inputs) != len(weights):
        got = (len(inputs), len(weights))
        raise ValueError(f"`len(inputs) == len(weights)` must hold, but got {got}")
    net_input = bias
    for x, w in zip(inputs, weights, strict=True):
        net_input += x * w
    return sigmoid(net_input)
