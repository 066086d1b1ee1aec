"""The compiled band powers beside those of the module that every device and every export uses."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from fourier.config import SpectrogramConfig
from fourier.features.kernels import BandPower
from fourier.features.spectrogram import Spectrogram

RATE = 8000


@pytest.mark.parametrize(
    ("samples", "settings"),
    [
        (4000, {}),
        (4000, {"n_fft": 512, "hop_length": 128, "fmin": 300.0}),
        (4000, {"n_fft": 256, "hop_length": 256, "n_mels": 64, "fmax": 2000}),  # empty bands
        (4001, {"n_fft": 1024, "hop_length": 1, "n_mels": 8, "fmax": 500}),
        (100, {"n_fft": 2048, "hop_length": 64}),  # shorter than half a frame
        (4000, {"n_fft": 8192, "hop_length": 100, "n_mels": 128}),
        (4000, {"n_fft": 512, "hop_length": 250}),  # just over sixteen frames
        (4000, {"n_fft": 512, "hop_length": 267}),  # not quite
        (1, {"n_fft": 512}),
    ],
)
@pytest.mark.parametrize(("precision", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-3)])
def test_the_power_in_each_band_is_the_spectrograms(samples, settings, precision, tolerance):
    settings = {"n_fft": 1024, "hop_length": 256, "n_mels": 32, "fmax": 4000} | settings
    spectrogram = Spectrogram(SpectrogramConfig(**settings), RATE).to(precision)
    rng = np.random.default_rng(0)
    clip = rng.integers(-32768, 32768, samples).astype(np.int16)
    waveform = torch.from_numpy(clip)[None].to(precision) / 32768
    expected = spectrogram.band_power(spectrogram.cut(waveform))[0].numpy()
    power = BandPower(spectrogram)(clip)
    assert power.dtype == np.float32
    assert power.shape == expected.shape
    empty = ~expected.any(axis=1)
    assert empty.sum() == spectrogram.empty_bands
    assert not power[empty].any()
    ratio = power[~empty] / expected[~empty]
    assert np.abs(10 * np.log10(ratio)).max() <= tolerance


def test_silence_has_no_power():
    spectrogram = Spectrogram(SpectrogramConfig(fmax=4000), RATE).to(torch.float32)
    assert not BandPower(spectrogram)(np.zeros(4000, np.int16)).any()


def test_a_clip_that_may_not_be_written_is_only_read():
    spectrogram = Spectrogram(SpectrogramConfig(fmax=4000), RATE).to(torch.float32)
    power = BandPower(spectrogram)
    clip = np.random.default_rng(0).integers(-9999, 9999, 4000).astype(np.int16)
    expected, before = power(clip), clip.copy()
    clip.flags.writeable = False
    np.testing.assert_array_equal(power(clip), expected)
    np.testing.assert_array_equal(clip, before)


def test_clips_are_taken_with_gaps_between_their_samples():
    spectrogram = Spectrogram(SpectrogramConfig(fmax=4000), RATE).to(torch.float32)
    power = BandPower(spectrogram)
    both = np.random.default_rng(0).integers(-9999, 9999, (4000, 2)).astype(np.int16)
    np.testing.assert_array_equal(power(both[:, 0]), power(both[:, 0].copy()))


@pytest.mark.parametrize(("n_fft", "taken"), [(256, True), (1000, False), (4096, True)])
def test_windows_of_powers_of_two_are_taken(n_fft, taken):
    config = SpectrogramConfig(n_fft=n_fft, hop_length=128, fmax=4000)
    assert BandPower.takes(Spectrogram(config, RATE)) is taken


@pytest.mark.parametrize("beyond", range(-2, 3))
@pytest.mark.parametrize("blocks", [0, 1])
def test_nothing_is_read_beyond_the_clips_end(blocks, beyond):
    config = SpectrogramConfig(n_fft=256, hop_length=100, n_mels=8, fmax=4000)
    power = BandPower(Spectrogram(config, RATE).to(torch.float32))
    end = (16 * blocks + 15) * 100 + 128 + beyond  # where a block's last frame ends, or nearly
    whole = np.full(end + 4000, 32767, np.int16)
    whole[:end] = np.random.default_rng(0).integers(-99, 99, end)
    np.testing.assert_array_equal(power(whole[:end]), power(whole[:end].copy()))
    padded = np.concatenate([whole[:end], np.zeros(1000, np.int16)])
    frames = power(whole[:end]).shape[1]
    np.testing.assert_array_equal(power(whole[:end]), power(padded)[:, :frames])


def test_threads_that_share_one_disturb_nobody():
    power = BandPower(Spectrogram(SpectrogramConfig(fmax=4000), RATE).to(torch.float32))
    clips = np.random.default_rng(0).integers(-9999, 9999, (24, 30_000)).astype(np.int16)
    alone = [power(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, expected in zip(pool.map(power, clips), alone, strict=True):
                np.testing.assert_array_equal(found, expected)


def test_without_a_compiler_nothing_is_taken(monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    assert not BandPower.takes(Spectrogram(SpectrogramConfig(fmax=4000), RATE))
