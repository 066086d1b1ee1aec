"""Is the gain more than noise? A paired bootstrap over whole tracks, vectorised.

Clips of one track resemble each other, so tracks are drawn, not clips. Every metric of a task is a
function of sums over tracks (of counts, squares, products, hits …): one draw is a matrix product
instead of another pass over the clips, and ten thousand take a second. Both models are measured on
the same draws, so what makes a track hard for both cancels out of the gain. Not here: what follows
from an interval (`fourier.release.promote`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fourier.training import Classification, Regression, Task
from fourier.training.metrics import average_by_track, log_softmax
from fourier.training.task import AVERAGED, MINIMIZED

RESAMPLES = 10_000
LEVEL = 0.95
BLOCK = 500  # draws at a time, so that a large test part does not fill the memory
MOMENTS = 7  # sums for each dimension of a regression, see `_regression_sums`
NEGLIGIBLE = 1e-12  # a variance below this share of the mean square is rounding

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval.

    Attributes:
        value: on the tracks as they are.
        low: the 2.5th percentile over the draws.
        high: the 97.5th.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same tracks.

    Attributes:
        metric: what the gain is measured in.
        winner: each metric of the new model.
        champion: each metric of the reigning one; empty where there is none.
        gain: by how much the new model is better, positive also for metrics that shall be small;
            None where there is nothing to compare with.
        tracks: how many there are to draw from.
        resamples: draws.
    """

    metric: str
    winner: Mapping[str, Interval]
    champion: Mapping[str, Interval]
    gain: Interval | None
    tracks: int
    resamples: int


def compare(
    task: Task,
    winner: npt.NDArray[np.float32],
    champion: npt.NDArray[np.float32] | None,
    target: npt.NDArray[np.generic],
    tracks: npt.NDArray[np.str_],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Measure one model, or two on the same clips, with intervals.

    Args:
        task: decides the metrics, and which of them the gain is measured in.
        winner: outputs of the new model [clips, outputs], numbers or logits.
        champion: outputs of the other, or None.
        target: numbers [clips, dimensions] or labels [clips].
        tracks: the track of each clip [clips].
        resamples: draws.
        seed: of the draws.
    """
    predictions = [winner] if champion is None else [winner, champion]
    sums = np.stack([track_sums(task, each, target, tracks) for each in predictions])
    values = metrics_of_sums(task, sums.sum(axis=1))
    samples = metrics_of_sums(task, _draw(sums, resamples, seed))
    intervals = [
        {name: _interval(values[name][i], samples[name][i]) for name in task.metric_names}
        for i in range(len(predictions))
    ]
    gain = None
    if champion is not None:
        sign = -1 if task.objective.startswith(MINIMIZED) else 1
        of, drawn = values[task.objective], samples[task.objective]
        gain = _interval(sign * (of[0] - of[1]), sign * (drawn[0] - drawn[1]))
    return Comparison(
        metric=task.objective,
        winner=intervals[0],
        champion=intervals[1] if gain else {},
        gain=gain,
        tracks=sums.shape[1],
        resamples=resamples,
    )


def track_sums(
    task: Task,
    prediction: npt.NDArray[np.float32],
    target: npt.NDArray[np.generic],
    tracks: npt.NDArray[np.str_],
) -> Floats:
    """What every metric of a task can be computed from, summed over the clips of each track.

    Returns:
        [tracks, sums], by the track's name.

    Raises:
        TypeError: a kind of task that has no such sums.
    """
    _, of = np.unique(tracks, return_inverse=True)
    outputs = np.asarray(prediction, np.float64)
    if isinstance(task, Regression):
        return _per_track(_regression_sums(outputs, np.asarray(target, np.float64)), of)
    if isinstance(task, Classification):
        return _classification_sums(outputs, np.asarray(target, np.int64), tracks, of)
    raise TypeError(f"`task` must be a regression or a classification, but got {task!r}")


def metrics_of_sums(task: Task, sums: Floats) -> dict[str, Floats]:
    """The metrics that `Task.evaluate` gives, from sums over tracks.

    Args:
        task: of the kind that the sums were made for.
        sums: [..., sums], of `track_sums` added up over tracks.

    Returns:
        Arrays [...] by the metric's name.
    """
    if isinstance(task, Regression):
        return _regression_metrics(task, sums)
    return _classification_metrics(task, sums)


def _draw(sums: Floats, resamples: int, seed: int) -> Floats:
    """[models, resamples, sums]: tracks drawn with replacement, the same for all models."""
    tracks = sums.shape[1]
    rng = np.random.default_rng(seed)
    blocks = []
    for start in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - start)
        times = rng.multinomial(tracks, np.full(tracks, 1 / tracks), size).astype(np.float64)
        blocks.append(times @ sums)
    return np.concatenate(blocks, axis=1)


def _interval(value: float, samples: Floats) -> Interval:
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def _per_track(values: Floats, of: npt.NDArray[np.intp]) -> Floats:
    """Sums [tracks, columns] of values [clips, columns]."""
    total = np.zeros((of.max() + 1, values.shape[1]))
    np.add.at(total, of, values)
    return total


def _regression_sums(x: Floats, y: Floats) -> Floats:
    """For each dimension: 1, x, y, x², y², xy, |x - y|; both sides less the targets' mean."""
    center = y.mean(axis=0)
    error = np.abs(x - y)
    x, y = x - center, y - center
    each = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y, error], axis=2)
    return each.reshape(len(x), -1)


def _regression_metrics(task: Regression, sums: Floats) -> dict[str, Floats]:
    values: dict[str, Floats] = {}
    for i, name in enumerate(task.targets):
        n, x, y, xx, yy, xy, error = np.moveaxis(sums[..., MOMENTS * i : MOMENTS * (i + 1)], -1, 0)
        mean_x, mean_y = x / n, y / n
        var_x = _variance(xx / n, mean_x)
        var_y = _variance(yy / n, mean_y)
        covariance = xy / n - mean_x * mean_y
        squared = np.maximum((xx - 2 * xy + yy) / n, 0)
        varied = (var_x > 0) & (var_y > 0)
        spread = np.sqrt(np.where(varied, var_x * var_y, 1))
        apart = np.where(varied, var_x + var_y + (mean_x - mean_y) ** 2, 1)
        total = np.where(var_y > 0, var_y, 1)
        values[f"rmse_{name}"] = np.sqrt(squared)
        values[f"mae_{name}"] = error / n
        values[f"r_{name}"] = np.where(varied, np.clip(covariance / spread, -1, 1), 0)
        flat = np.where(error == 0, 1.0, 0.0)
        values[f"r2_{name}"] = np.where(var_y > 0, 1 - squared / total, flat)
        values[f"ccc_{name}"] = np.where(varied, 2 * covariance / apart, 0)
    for name in AVERAGED:
        values[name] = np.mean(
            [values[f"{name}_{dimension}"] for dimension in task.targets], axis=0
        )
    return values


def _variance(mean_square: Floats, mean: Floats) -> Floats:
    """The population's; exactly 0 where what is left is rounding."""
    variance = mean_square - mean**2
    return np.where(variance > NEGLIGIBLE * mean_square, variance, 0.0)


def _classification_sums(
    logits: Floats,
    labels: npt.NDArray[np.int64],
    tracks: npt.NDArray[np.str_],
    of: npt.NDArray[np.intp],
) -> Floats:
    """Segments and their log-loss, then for segments and for tracks: hits and occurrences."""
    log_probabilities = log_softmax(logits)
    classes = logits.shape[1]
    votes, truth = average_by_track(np.exp(log_probabilities), labels, tracks)
    true = -np.take_along_axis(log_probabilities, labels[:, None], axis=1)
    segments = np.hstack(
        [np.ones_like(true), true, _hits(log_probabilities.argmax(1), labels, classes)]
    )
    return np.hstack([_per_track(segments, of), _hits(votes.argmax(1), truth, classes)])


def _hits(guessed: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], classes: int) -> Floats:
    """Per unit and class: 1 where it was hit; 1 each for being guessed and being true."""
    one = np.eye(classes)
    return np.hstack([one[labels] * (guessed == labels)[:, None], one[guessed] + one[labels]])


def _classification_metrics(task: Task, sums: Floats) -> dict[str, Floats]:
    classes = task.outputs
    edges = np.cumsum([1, 1, classes, classes, classes])
    segments, loss, *rest = np.split(sums, edges, axis=-1)
    hits, there, track_hits, track_there = rest
    return {
        "segment_accuracy": hits.sum(-1) / segments[..., 0],
        "segment_f1": _macro_f1(hits, there),
        "track_accuracy": 2 * track_hits.sum(-1) / track_there.sum(-1),
        "track_f1": _macro_f1(track_hits, track_there),
        "log_loss": loss[..., 0] / segments[..., 0],
    }


def _macro_f1(hits: Floats, occurrences: Floats) -> Floats:
    there = occurrences > 0
    each = 2 * hits / np.where(there, occurrences, 1)
    return np.asarray(each.sum(-1) / there.sum(-1))
