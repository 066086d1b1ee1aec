"""Cross-validation by group: one configuration trained once for each fold, and what that comes to.

Every clip outside the test part is predicted exactly once, by a network that learned from the other
folds. The figures are of all these predictions together, not means over folds: a track counts the
same in a small fold and in a large one, and macro-F1 or concordance, which are no means over
tracks, are taken over all of them rather than over a handful (Forman & Scholz 2010,
https://doi.org/10.1145/1882471.1882479). How much folds differ stands beside them.

The held-out clips choose nothing: no epoch, no end of the training, no statistics of the
normalisation. Not here: which clip is in which fold (`fourier.corpora.splits`), and giving a
configuration up after some folds, which the search decides.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fourier.config import TrialConfig
from fourier.digest import digest_of
from fourier.training.fit import Report, Result

if TYPE_CHECKING:
    from fourier.training.experiment import Experiment

Judge = Callable[[Sequence[Result]], bool]
"""Is given the folds so far after each of them; True ends the run there."""

BLOCKS = 20
"""Into how many parts a fold's tracks are divided at most, to tell how sure a difference is."""


def run_folds(
    experiment: "Experiment",
    config: TrialConfig,
    report: Report | None = None,
    judge: Judge | None = None,
) -> Result:
    """Train one configuration on each fold.

    Args:
        experiment: with folds.
        config: what to train; each fold's seed follows from its seed.
        report: called after each epoch; epochs count on from fold to fold. True ends the run.
        judge: called after each fold.

    Returns:
        All folds together, see `pool`.

    Raises:
        TrainingDiverged: in any fold.
    """
    results: list[Result] = []
    for number in range(experiment.folds):
        relay = _Relay(report, number * config.training.epochs)
        result = experiment.fold(number).run(fold_config(config, number), relay)
        results.append(dataclasses.replace(result, state={}))
        if (judge is not None and judge(results)) or relay.stopped:
            break
    return pool(experiment, results)


def fold_config(config: TrialConfig, number: int) -> TrialConfig:
    """The same settings with a seed of the fold's own, 31 bits."""
    seed = int(digest_of([config.training.seed, "fold", number]), 16) % 2**31
    return dataclasses.replace(config, training=dataclasses.replace(config.training, seed=seed))


def pool(experiment: "Experiment", results: Sequence[Result]) -> Result:
    """Folds together: metrics of all their held-out clips, curves as means over folds.

    Returns:
        ``predictions`` and ``rows`` are in the order of the corpus's clips, ``epochs`` and
        ``best_epoch`` are those of one fold, ``state`` is empty.
    """
    rows = np.concatenate([result.rows for result in results])
    order = np.argsort(rows)
    rows = rows[order]
    predictions = np.concatenate([result.predictions for result in results])[order]
    histories = zip(*(result.history for result in results), strict=False)
    history = [
        {name: float(np.mean([entry[name] for entry in entries])) for name in entries[0]}
        for entries in histories
    ]
    truth = experiment.targets.cpu().numpy()[rows]
    metrics = experiment.task.evaluate(predictions, truth, experiment.tracks[rows])
    return Result(
        metrics=history[-1] | metrics,
        best_epoch=len(history) - 1,
        epochs=len(history),
        history=history,
        state={},
        predictions=predictions,
        seconds=sum(result.seconds for result in results),
        rows=rows,
        folds=tuple(results),
    )


def spread_over_folds(result: Result, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation (n - 1; 0 for one fold) of metrics over the folds."""
    values = {name: [fold.metrics[name] for fold in result.folds] for name in names}
    return {
        name: (float(np.mean(each)), float(np.std(each, ddof=1)) if len(each) > 1 else 0.0)
        for name, each in values.items()
    }


def block_scores(experiment: "Experiment", result: Result) -> list[float]:
    """What each part of a fold's tracks says of the objective.

    The fold's tracks are dealt out to at most `BLOCKS` blocks. With m of them, block b's score is
    m times the objective of the whole fold less m - 1 times that without the block: the
    jackknife's pseudo-value (Tukey 1958). For an accuracy it is the accuracy within the block; for
    concordance or macro-F1, which no single track has, it is what the block adds. Two
    configurations on the same fold have the same blocks, so their scores are paired.

    Args:
        experiment: that the fold is of.
        result: of one fold.

    Returns:
        One finite number for each block, always in the same order; their mean is close to the
        fold's objective.
    """
    task = experiment.task
    truth, tracks = experiment.targets.cpu().numpy()[result.rows], experiment.tracks[result.rows]
    names, of = np.unique(tracks, return_inverse=True)
    count = min(len(names), BLOCKS)
    whole = result.metrics[task.objective]
    if count < 2:
        return [whole]
    scores = []
    for block in range(count):
        rest = of % count != block
        without = task.evaluate(result.predictions[rest], truth[rest], tracks[rest])
        scores.append(count * whole - (count - 1) * without[task.objective])
    return scores


class _Relay:
    """Hands epochs on, counted from the first fold's first; remembers whether to stop."""

    def __init__(self, report: Report | None, first: int) -> None:
        self._report, self._first, self.stopped = report, first, False

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        self.stopped = self._report is not None and bool(self._report(self._first + epoch, metrics))
        return self.stopped
