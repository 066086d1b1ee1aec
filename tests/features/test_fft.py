"""Powers of sixteen signals at once beside numpy's transform, at every length that is taken."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fourier.features.fft import bin_power, make_plan, transform
from fourier.features.lanes import LANES


def powers(signals, low=0, high=None):
    """Sixteen signals [16, samples] to their powers [bins, 16]."""
    length, number = signals.shape[1], signals.dtype
    high = length // 2 + 1 if high is None else high
    plan = make_plan(length, number)
    data = np.ascontiguousarray(signals.T).ravel()  # a real and an imaginary row in turn
    transform(data, plan)
    power = np.empty(LANES * (high - low), number)
    bin_power(data, plan, low, high, power)
    return power.reshape(-1, LANES) / 4


@pytest.mark.parametrize("length", [4, 8, 16, 32, 256, 512, 1024, 2048, 4096, 8192])
@pytest.mark.parametrize(("number", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_the_power_is_that_of_the_fourier_transform(length, number, tolerance):
    signals = np.random.default_rng(0).normal(size=(LANES, length)).astype(number)
    expected = np.abs(np.fft.rfft(signals.astype(np.float64))).T ** 2
    assert_allclose(powers(signals), expected, rtol=0, atol=tolerance * expected.max())


def test_signals_do_not_hear_one_another():
    signals = np.zeros((LANES, 64))
    signals[5, 3] = 2.0
    expected = np.zeros((33, LANES))
    expected[:, 5] = 4.0
    assert_allclose(powers(signals), expected, atol=1e-14)


def test_only_the_frequencies_asked_for_are_written():
    signals = np.random.default_rng(1).normal(size=(LANES, 128))
    np.testing.assert_array_equal(powers(signals, 7, 20), powers(signals)[7:20])


def test_a_pure_tone_leaves_next_to_nothing_elsewhere():
    samples = np.arange(2048)
    signals = np.tile(np.sin(2 * np.pi * 100 * samples / 2048), (LANES, 1)).astype(np.float32)
    power = powers(signals)[:, 0]
    assert power.argmax() == 100
    power[100] = 0
    assert 10 * np.log10(power.max() / 1024**2) < -130  # dB below the tone
