"""The parts of a search space that both tasks share: the network and how it is trained.

Parameters that exist only in one architecture carry its name (``crnn.hidden``). Not here: what the
network hears, which each experiment says for itself.
"""

from typing import cast

import optuna

from fourier.config import (
    CNNConfig,
    CRNNConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    TDNNConfig,
    TrainingConfig,
    TwoConvConfig,
)
from fourier.config.training import Loss, Schedule

HIDDEN_LAYERS: dict[str, tuple[int, ...]] = {
    "512-256-64": (512, 256, 64),
    "256-64": (256, 64),
    "128": (128,),
}


def suggest_model(trial: optuna.Trial, names: tuple[str, ...]) -> ModelConfig:
    """Draw an architecture, and then its own parameters."""
    name = trial.suggest_categorical("model", names)
    dropout = trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
    match name:
        case "mlp":
            hidden = trial.suggest_categorical("mlp.hidden", list(HIDDEN_LAYERS))
            return MLPConfig(hidden=HIDDEN_LAYERS[hidden], dropout=dropout)
        case "two_conv":
            return TwoConvConfig(dropout=dropout)
        case "cnn":
            return CNNConfig(
                width=trial.suggest_categorical("cnn.width", [16, 24, 32, 48]),
                depth=trial.suggest_int("cnn.depth", 3, 5),
                dropout=dropout,
            )
        case "resnet":
            return ResNetConfig(
                width=trial.suggest_categorical("resnet.width", [16, 24, 32]),
                stages=trial.suggest_int("resnet.stages", 3, 4),
                dropout=dropout,
            )
        case "crnn":
            return CRNNConfig(
                width=trial.suggest_categorical("crnn.width", [16, 24, 32]),
                hidden=trial.suggest_categorical("crnn.hidden", [32, 64, 128]),
                dropout=dropout,
            )
        case "tdnn":
            return TDNNConfig(
                layers=trial.suggest_int("tdnn.layers", 0, 3),
                width=trial.suggest_categorical("tdnn.width", [32, 64, 128]),
                hidden=trial.suggest_categorical("tdnn.hidden", [128, 256, 512, 1024]),
                dropout=dropout,
            )
    raise ValueError(f"`name` must be an architecture that has a space, but got {name!r}")


def suggest_training(trial: optuna.Trial, losses: tuple[str, ...]) -> TrainingConfig:
    """Draw how a network is trained; the caller sets epochs and seed."""
    loss = trial.suggest_categorical("loss", losses) if len(losses) > 1 else losses[0]
    smoothing = 0.0
    if loss == "cross_entropy":
        smoothing = trial.suggest_categorical("label_smoothing", [0.0, 0.05, 0.1])
    schedule = trial.suggest_categorical("schedule", ["cosine", "one_cycle", "constant"])
    return TrainingConfig(
        lr=trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        weight_decay=trial.suggest_categorical("weight_decay", [0.0, 1e-4, 1e-3, 1e-2, 1e-1]),
        batch_size=trial.suggest_categorical("batch_size", [16, 32, 64]),
        schedule=cast(Schedule, schedule),
        loss=cast(Loss, loss),
        label_smoothing=smoothing,
        mixup=trial.suggest_categorical("mixup", [0.0, 0.2, 0.4]),
        freq_mask=trial.suggest_float("freq_mask", 0.0, 0.3, step=0.1),
        time_mask=trial.suggest_float("time_mask", 0.0, 0.3, step=0.1),
    )
