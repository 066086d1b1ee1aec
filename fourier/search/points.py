"""What an epoch or a training came to, under the names that users see in MLflow.

Not here: several folds (`fourier.search.folded`).
"""

from collections.abc import Mapping

from fourier.training.task import Task

OF_LEARNING = {"train_loss": "train/loss", "lr": "train/lr", "epoch_seconds": "time/epoch_seconds"}
"""What `fourier.training.fit` measures besides the task's metrics, and its curves' names."""


def curve_points(metrics: Mapping[str, float]) -> dict[str, float]:
    """One epoch's metrics: ``train/loss``, ``val/ccc``, …."""
    return {OF_LEARNING.get(name, f"val/{name}"): value for name, value in metrics.items()}


def of_curves(metrics: Mapping[str, float], task: Task) -> dict[str, float]:
    """One epoch's metrics, as far as they are worth a curve; ``history.csv`` has the others.

    A point of a curve costs MLflow as much as a line of a table.
    """
    names = {*OF_LEARNING, "objective", task.objective, *task.display}
    return {name: value for name, value in metrics.items() if name in names}


def best_points(metrics: Mapping[str, float]) -> dict[str, float]:
    """What a training came to: ``best/ccc``, ``best/rmse``, …."""
    return {f"best/{k}": value for k, value in metrics.items() if k not in OF_LEARNING}
