"""How good predictions are: the formulas, in float64 NumPy.

Every function takes whole arrays and returns one number, finite for finite input: a correlation
with something constant is 0, never NaN. Not here: which of them a task reports
(`fourier.training.task`), and anything differentiable (`fourier.training.losses`).
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def rmse(prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Root of the mean squared error, in the unit of the targets."""
    x, y = _pair(prediction, target)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def mae(prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Mean absolute error, in the unit of the targets."""
    x, y = _pair(prediction, target)
    return float(np.mean(np.abs(x - y)))


def pearson_r(prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Pearson's correlation, -1 to 1; 0 where either side is constant."""
    x, y = _pair(prediction, target)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    # Each side is scaled on its own, so that no product of small variances underflows.
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return float(np.clip(x @ y, -1.0, 1.0))


def r2(prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Coefficient of determination: 1 is perfect, 0 as good as the targets' mean.

    For constant targets it is 1 if every prediction is exact, else 0 (scikit-learn's convention).
    """
    x, y = _pair(prediction, target)
    residual = float(np.sum((y - x) ** 2))
    if np.ptp(y) == 0:
        return 1.0 if residual == 0 else 0.0
    return 1.0 - residual / float(np.sum((y - y.mean()) ** 2))


def ccc(prediction: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Concordance correlation coefficient: 2·cov / (var + var + (difference of means)²).

    Like Pearson's r, but an offset or a wrong scale costs too. Moments are the population's
    (divided by n). 0 where either side is constant.

    Source: Lin (1989), "A concordance correlation coefficient to evaluate reproducibility".
    """
    x, y = _pair(prediction, target)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def accuracy(prediction: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Share of labels that were predicted."""
    x, y = _pair(prediction, labels)
    return float(np.mean(x == y))


def macro_f1(prediction: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean over classes of the harmonic mean of precision and recall.

    Classes that occur neither in the predictions nor in the labels do not count, as in
    scikit-learn.

    Args:
        prediction: predicted class numbers [n], from 0.
        labels: true class numbers [n], from 0.
    """
    _pair(prediction, labels)
    x, y = np.asarray(prediction, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    classes = int(max(x.max(), y.max())) + 1
    hits = np.bincount(y[x == y], minlength=classes)
    occurrences = np.bincount(x, minlength=classes) + np.bincount(y, minlength=classes)
    there = occurrences > 0
    return float(np.mean(2 * hits[there] / occurrences[there]))


def log_softmax(logits: npt.ArrayLike) -> Floats:
    """Log-probabilities [n, classes] of logits [n, classes]."""
    values = np.asarray(logits, dtype=np.float64)
    values = values - values.max(axis=1, keepdims=True)
    return np.asarray(values - np.log(np.exp(values).sum(axis=1, keepdims=True)))


def log_loss(log_probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean negative log-probability of the true class, in nats.

    Args:
        log_probabilities: [n, classes], as from `log_softmax`.
        labels: true class numbers [n].
    """
    values = np.asarray(log_probabilities, dtype=np.float64)
    true = np.asarray(labels, dtype=np.int64)
    if len(values) != len(true) or not len(true):
        got = (len(values), len(true))
        raise ValueError(f"`len(log_probabilities) == len(labels) > 0` must hold, but got {got}")
    return float(-values[np.arange(len(true)), true].mean())


def average_by_track(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, tracks: npt.NDArray[np.str_]
) -> tuple[Floats, Labels]:
    """One vote a track: the mean of its segments' probabilities.

    Args:
        probabilities: [segments, classes].
        labels: class numbers [segments], the same for all segments of a track.
        tracks: the track of each segment [segments].

    Returns:
        Probabilities [tracks, classes] and labels [tracks], by the track's name.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    names, first, of = np.unique(tracks, return_index=True, return_inverse=True)
    sums = np.stack([np.bincount(of, column, minlength=len(names)) for column in values.T], axis=1)
    means = sums / np.bincount(of)[:, None]
    return means, np.asarray(labels, dtype=np.int64)[first]


def _pair(prediction: npt.ArrayLike, target: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both as float64 vectors of one length."""
    x, y = np.asarray(prediction, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not x.size:
        got = (x.shape, y.shape)
        raise ValueError(f"two vectors of the same length, at least 1, are needed, but got {got}")
    return x, y
