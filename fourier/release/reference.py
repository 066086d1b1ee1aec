"""Spectrograms as librosa computes them: what an exported program is held against.

Slow, and independent of `fourier.features.spectrogram` on purpose. Not here: anything that
training or prediction uses.
"""

import warnings
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt

from fourier.config import SpectrogramConfig
from fourier.features.spectrogram import AMIN


def librosa_features(
    config: SpectrogramConfig, waveforms: npt.NDArray[np.float32], sample_rate: int
) -> npt.NDArray[np.float32]:
    """Decibels or MFCCs by librosa alone, before normalisation.

    Args:
        config: the settings.
        waveforms: [clips, samples] within [-1, 1].
        sample_rate: Hz.

    Returns:
        [clips, bands, frames] float32.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Empty filters detected", UserWarning)
        clips = [_clip_features(config, waveform, sample_rate) for waveform in waveforms]
    return np.stack(clips).astype(np.float32)


def _clip_features(
    config: SpectrogramConfig, waveform: npt.NDArray[np.float32], sample_rate: int
) -> npt.NDArray[np.float64]:
    bank: dict[str, Any] = {
        "sr": sample_rate,
        "n_fft": config.n_fft,
        "n_mels": config.n_mels,
        "fmin": config.fmin,
        "fmax": config.fmax,
        "htk": config.mel_scale == "htk",
    }
    audio = waveform.astype(np.float64)
    power = librosa.feature.melspectrogram(y=audio, hop_length=config.hop_length, **bank)
    decibels = _decibels(config, power, float(librosa.filters.mel(**bank).max()))
    if config.n_mfcc is None:
        return decibels
    mfccs: npt.NDArray[np.float64] = librosa.feature.mfcc(S=decibels, n_mfcc=config.n_mfcc)
    return mfccs


def _decibels(
    config: SpectrogramConfig, power: npt.NDArray[np.float64], highest_filter: float
) -> npt.NDArray[np.float64]:
    floor = config.floor_db
    if config.reference == "clip_peak" and power.max() <= AMIN:
        return np.full_like(power, -floor)  # silence: librosa says 0 dB, the features the floor
    if config.reference == "clip_peak":
        return np.asarray(librosa.power_to_db(power, ref=np.max, top_db=floor))
    if config.reference == "unity":
        return np.asarray(librosa.power_to_db(power, top_db=floor))
    window = librosa.filters.get_window("hann", config.n_fft)
    full_scale = (window.sum() / 2) ** 2 * highest_filter
    amin = min(AMIN, full_scale * 10 ** (-floor / 10))
    decibels = librosa.power_to_db(power, ref=full_scale, amin=amin, top_db=None)
    return np.asarray(np.maximum(decibels, -floor))
