"""Which spectrogram and which network hear valence and arousal best? A study on DEAM.

Edit `suggest` to search something else; it is an ordinary Optuna function from a trial to a
configuration. The first trial is the project's first network: two convolutions over 128 mels up
to 8 kHz, decibels against the clip's peak, mapped to [0, 1]. The second and the third are what
others would try first: a small recurrent network from scratch (after Malik et al. 2017,
https://arxiv.org/abs/1706.02292) and a plain convolutional one, on decibels that keep loudness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fourier.cli.sweep import sweep_command
from fourier.config import SpectrogramConfig, TrialConfig

if TYPE_CHECKING:
    import optuna

    from fourier.search.sweep import Space

FIRST_NETWORK = {
    "n_fft": 2048,
    "hop_length": 512,
    "n_mels": 128,
    "fmax": 8000,
    "mel_scale": "slaney",
    "reference": "clip_peak",
    "normalization": "unit",
    "model": "two_conv",
    "dropout": 0.0,
    "loss": "mse",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "batch_size": 32,
    "schedule": "constant",
    "mixup": 0.0,
    "freq_mask": 0.0,
    "time_mask": 0.0,
}

RECURRENT = {
    "n_fft": 2048,
    "hop_length": 1024,
    "n_mels": 96,
    "fmax": 11025,
    "mel_scale": "slaney",
    "reference": "full_scale",
    "normalization": "standardize",
    "model": "crnn",
    "crnn.width": 24,
    "crnn.hidden": 64,
    "dropout": 0.1,
    "loss": "mse+ccc",
    "lr": 3e-3,
    "weight_decay": 1e-2,
    "batch_size": 16,
    "schedule": "one_cycle",
    "mixup": 0.0,
    "freq_mask": 0.0,
    "time_mask": 0.0,
}
CONVOLUTIONAL = RECURRENT | {"model": "cnn", "cnn.width": 32, "cnn.depth": 4}


def suggest_spectrogram(trial: optuna.Trial) -> SpectrogramConfig:
    """What the network hears."""
    return SpectrogramConfig(
        n_fft=trial.suggest_categorical("n_fft", [1024, 2048, 4096]),
        hop_length=trial.suggest_categorical("hop_length", [512, 1024]),
        n_mels=trial.suggest_categorical("n_mels", [48, 64, 96, 128]),
        fmax=trial.suggest_categorical("fmax", [4000, 8000, 11025, 16000]),
        mel_scale=trial.suggest_categorical("mel_scale", ["slaney", "htk"]),
        reference=trial.suggest_categorical("reference", ["clip_peak", "full_scale"]),
        normalization=trial.suggest_categorical("normalization", ["unit", "standardize"]),
    )


def suggest(trial: optuna.Trial) -> TrialConfig:
    """One trial: what the network hears, the network, and how it is trained."""
    from fourier.search.space import suggest_model, suggest_training

    return TrialConfig(
        spectrogram=suggest_spectrogram(trial),
        model=suggest_model(trial, ("two_conv", "cnn", "resnet", "crnn", "tdnn")),
        training=suggest_training(trial, ("mse", "ccc", "mse+ccc")),
    )


def space() -> Space:
    """The search space with its first trials."""
    from fourier.search.sweep import Space

    return Space(suggest=suggest, first=[FIRST_NETWORK, RECURRENT, CONVOLUTIONAL])


if __name__ == "__main__":
    raise SystemExit(sweep_command("deam", space, __doc__.split("\n\n")[0]))
