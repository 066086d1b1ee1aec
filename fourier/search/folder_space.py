"""What `fourier sweep` searches on a labelled folder, where nobody wrote a space for it.

The parts that all spaces share, over log-mel spectrograms. The first trial is a plain
convolutional network on full-scale decibels. Not here: the spaces of DEAM and GTZAN, which stand
in `experiments/` to be edited; their commands take a labelled folder too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from fourier.config import SpectrogramConfig, TrialConfig
from fourier.search.space import suggest_model, suggest_training
from fourier.search.sweep import Space

FIRST: Mapping[str, Any] = {
    "n_fft": 2048,
    "hop_length": 512,
    "n_mels": 128,
    "fmax": 11025,
    "mel_scale": "slaney",
    "reference": "full_scale",
    "normalization": "standardize",
    "model": "cnn",
    "cnn.width": 32,
    "cnn.depth": 4,
    "dropout": 0.2,
    "lr": 1e-3,
    "weight_decay": 1e-2,
    "batch_size": 32,
    "schedule": "cosine",
    "mixup": 0.0,
    "freq_mask": 0.0,
    "time_mask": 0.0,
}


CHOICES: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "classification": {"hop_length": [256, 512], "fmax": [5512, 8000, 11025]},
    "regression": {"hop_length": [512, 1024], "fmax": [4000, 8000, 11025, 16000]},
}
LOSSES = {"classification": ("cross_entropy",), "regression": ("mse", "ccc", "mse+ccc")}
FIRST_OF: Mapping[str, Mapping[str, Any]] = {
    "classification": {"label_smoothing": 0.05},
    "regression": {"loss": "ccc"},
}


def folder_space(kind: str) -> Space:
    """The space for a kind of labelled folder, with its first trial.

    Args:
        kind: ``classification`` (at 22,050 Hz) or ``regression`` (at 44,100 Hz).
    """

    def suggest(trial: optuna.Trial) -> TrialConfig:
        return TrialConfig(
            spectrogram=_suggest_spectrogram(trial, CHOICES[kind]),
            model=suggest_model(trial, ("mlp", "cnn", "resnet", "crnn", "tdnn")),
            training=suggest_training(trial, LOSSES[kind]),
        )

    return Space(suggest=suggest, first=[{**FIRST, **FIRST_OF[kind]}])


def _suggest_spectrogram(
    trial: optuna.Trial, choices: Mapping[str, Sequence[Any]]
) -> SpectrogramConfig:
    everywhere: Mapping[str, Sequence[Any]] = {
        "n_fft": [1024, 2048],
        "n_mels": [48, 64, 96, 128],
        "mel_scale": ["slaney", "htk"],
        "reference": ["clip_peak", "full_scale"],
        "normalization": ["unit", "standardize"],
    }
    drawn: dict[str, Any] = {
        name: trial.suggest_categorical(name, each)
        for name, each in {**everywhere, **choices}.items()
    }
    return SpectrogramConfig(**drawn)
