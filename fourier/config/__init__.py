"""Frozen configurations with their bounds; the vocabulary that every room shares."""

from fourier.config.model import (
    CNNConfig,
    CRNNConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    TDNNConfig,
    TwoConvConfig,
)
from fourier.config.spectrogram import SpectrogramConfig
from fourier.config.training import TrainingConfig
from fourier.config.trial import TrialConfig

__all__ = [
    "CNNConfig",
    "CRNNConfig",
    "MLPConfig",
    "ModelConfig",
    "ResNetConfig",
    "SpectrogramConfig",
    "TDNNConfig",
    "TrainingConfig",
    "TrialConfig",
    "TwoConvConfig",
]
