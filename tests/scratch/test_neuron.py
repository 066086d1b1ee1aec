"""One neuron, beside the first document's figure and SciPy."""

import math

import pytest
from scipy.special import expit

from fourier.scratch import activate, sigmoid


def test_the_first_documents_neuron_gives_its_figure_to_the_last_digit():
    assert activate([0.5, 0.3, 0.2], [0.4, 0.7, 0.2]) == 0.610639233949222


@pytest.mark.parametrize("x", [-800.0, -30.0, -1.0, 0.0, 1e-9, 2.0, 40.0, 800.0])
def test_the_sigmoid_is_scipys_and_never_overflows(x):
    assert sigmoid(x) == pytest.approx(expit(x), rel=1e-15, abs=0)


def test_a_bias_is_an_input_that_is_always_one():
    assert activate([0.3], [2.0], bias=-1.5) == activate([0.3, 1.0], [2.0, -1.5])


def test_nothing_in_gives_a_half():
    assert activate([], []) == 0.5
    assert math.isclose(activate([0, 0], [3, -9]), 0.5)


def test_a_weight_is_needed_for_every_input():
    with pytest.raises(ValueError, match=r"`len\(inputs\) == len\(weights\)` .* got \(2, 1\)"):
        activate([1, 2], [1])
