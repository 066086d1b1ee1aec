"""The floor that every network must beat: no learning at all, and a linear model.

Both see what a network sees (the same clips, features and split) and are measured by the same
task. Not here: tuning; the linear models are fixed and deterministic.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fourier.training.fit import Split
from fourier.training.task import Task

Floats = npt.NDArray[np.float64]

BLOCK_VALUES = 2**24  # feature values that are float32 at once
RIDGE_ALPHA = 100.0
LOGISTIC_C = 0.1
SMALLEST_PROBABILITY = 1e-12


def baselines(
    features: Tensor,
    targets: Tensor,
    tracks: npt.NDArray[np.str_],
    split: Split,
    task: Task,
) -> dict[str, dict[str, float]]:
    """Metrics on the validation clips, with ``seconds`` for learning and predicting.

    Args:
        features: [clips, bands, frames].
        targets: numbers [clips, dimensions] or labels [clips].
        tracks: the track of each clip [clips].
        split: which clips are learned and which held out.
        task: what to predict and how to measure it.

    Returns:
        For regression ``mean`` (of the training targets) and ``ridge``; for classification
        ``majority`` (class frequencies of the training clips) and ``logistic``. The linear models
        see each band's mean and standard deviation over time, standardised over the training
        clips.
    """
    return pooled_baselines(features, targets, tracks, [split], task)


def pooled_baselines(
    features: Tensor,
    targets: Tensor,
    tracks: npt.NDArray[np.str_],
    splits: Sequence[Split],
    task: Task,
) -> dict[str, dict[str, float]]:
    """The same over several folds: each learned by itself, all held-out clips measured together."""
    parts = [(split.train.cpu().numpy(), split.valid.cpu().numpy()) for split in splits]
    rows = np.concatenate([valid for _, valid in parts])
    known = targets.cpu().numpy()
    regression = not task.classes
    simple, linear = (_mean, _ridge) if regression else (_majority, _logistic)
    names = ("mean", "ridge") if regression else ("majority", "logistic")

    began = time.perf_counter()
    inputs = band_statistics(features)
    summary_seconds = time.perf_counter() - began
    results = {}
    for name, learn, seconds in zip(names, (simple, linear), (0.0, summary_seconds), strict=True):
        began = time.perf_counter()
        predictions = [
            learn(inputs[train], known[train], task.outputs)(inputs[valid])
            for train, valid in parts
        ]
        given = np.concatenate(predictions).astype(np.float32)
        metrics = task.evaluate(given, known[rows], tracks[rows])
        results[name] = {**metrics, "seconds": seconds + time.perf_counter() - began}
    return results


def band_statistics(features: Tensor) -> Floats:
    """Mean and standard deviation of every band over time, a block of clips at once.

    Args:
        features: [clips, bands, frames].

    Returns:
        [clips, 2 * bands]: means, then standard deviations.
    """
    blocks = []
    for block in torch.split(features, max(1, BLOCK_VALUES // features[0].numel())):
        deviation, mean = torch.std_mean(block.float(), dim=2, correction=0)
        blocks.append(torch.cat([mean, deviation], dim=1).cpu())
    return np.asarray(torch.cat(blocks).numpy(), dtype=np.float64)


Predictor = Callable[[Floats], Floats]


def _mean(_: Floats, targets: npt.NDArray[Any], outputs: int) -> Predictor:
    mean = np.asarray(targets, dtype=np.float64).mean(axis=0).reshape(outputs)
    return lambda inputs: np.tile(mean, (len(inputs), 1))


def _majority(_: Floats, labels: npt.NDArray[Any], outputs: int) -> Predictor:
    """Log-frequencies, with one clip more of each class so that none is impossible."""
    frequencies = np.log((np.bincount(labels, minlength=outputs) + 1) / (len(labels) + outputs))
    return lambda inputs: np.tile(frequencies, (len(inputs), 1))


def _ridge(inputs: Floats, targets: npt.NDArray[Any], outputs: int) -> Predictor:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), Ridge(alpha=RIDGE_ALPHA))
    model.fit(inputs, np.asarray(targets, dtype=np.float64).reshape(len(targets), outputs))
    return lambda unseen: np.asarray(model.predict(unseen)).reshape(len(unseen), outputs)


def _logistic(inputs: Floats, labels: npt.NDArray[Any], outputs: int) -> Predictor:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=LOGISTIC_C, max_iter=10_000))
    model.fit(inputs, labels)

    def predict(unseen: Floats) -> Floats:
        # Classes that the training part lacks have no column.
        probabilities = np.zeros((len(unseen), outputs))
        probabilities[:, model.classes_] = model.predict_proba(unseen)
        return np.asarray(np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1)))

    return predict
