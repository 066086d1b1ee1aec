"""The files of a trial: configuration, weights, predictions, curves and the picture.

Not here: when they are written (`fourier.search.trial`), and where to (`fourier.tracking`).
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fourier.config import TrialConfig
from fourier.tracking import draw_trial
from fourier.training import Result
from fourier.training.experiment import Experiment


def write_artifacts(
    folder: Path, title: str, experiment: Experiment, config: TrialConfig, result: Result
) -> None:
    """Write ``config.json``, weights, predictions, metrics of all epochs and the picture.

    Several folds have no weights worth keeping: they are as many networks, and a promotion trains
    its own. Their picture shows mean curves, and all folds' predictions.
    """
    from safetensors.torch import save_file

    description: dict[str, Any] = experiment.describe() | {"trial": config.to_dict()}
    (folder / "config.json").write_text(json.dumps(description, indent=2) + "\n")
    if result.state:
        save_file(result.state, folder / "weights.safetensors")
    experiment.predictions(result).to_csv(folder / "predictions.csv", index=False)
    write_history(folder / "history.csv", result.history)
    draw_trial(
        folder / "trial.png",
        title=title,
        history=result.history,
        objective=experiment.task.objective,
        predictions=result.predictions,
        truth=experiment.truth(result),
        targets=experiment.corpus.targets,
        classes=experiment.corpus.classes,
    )


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write the metrics of all epochs, one line each; what is not a number is an empty field."""
    with path.open("w", newline="") as file:
        # Not by pandas, which takes more than twice as long for the ten lines of every trial.
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["epoch", *history[0]])
        for epoch, metrics in enumerate(history):
            values = [float(metrics[name]) for name in history[0]]
            lines.writerow([epoch, *("" if math.isnan(value) else value for value in values)])
