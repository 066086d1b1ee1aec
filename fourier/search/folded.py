"""One trial by folds: its curves fold by fold, and whether it is worth another fold.

After every fold the trial is held against the best one so far on the same tracks (Wilcoxon's
signed-rank test). What is paired are not folds: of five, a rank test can only say p = 1/32 when all
of them are worse, which is after the last. It is blocks of the fold's tracks, up to twenty a fold
(`fourier.training.folds.block_scores`), so a configuration that is much worse is given up after the
first fold and one that is a little worse after the third or never.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fourier.config import TrialConfig
from fourier.search.study import Claim
from fourier.search.watchdog import Limit
from fourier.tracking import TrackedRun
from fourier.training import Result
from fourier.training.folds import BLOCKS, block_scores, spread_over_folds
from fourier.training.task import Task

if TYPE_CHECKING:
    from fourier.search.trial import TrialRunner


class FoldReporter:
    """Hands each epoch of each fold to the run and the watcher; says after which fold to stop."""

    def __init__(
        self,
        runner: "TrialRunner",
        claim: Claim,
        run: TrackedRun,
        config: TrialConfig,
        limit: Limit,
    ) -> None:
        self.experiment, self.watcher = runner.experiment, runner.watcher
        self.claim, self.run, self.limit = claim, run, limit
        self.epochs = config.training.epochs
        self.pruned = self.begun = False

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        self.begun = True
        fold, step = divmod(epoch, self.epochs)
        self.run.log(fold_points(fold, metrics, self.experiment.task), step=step)
        total = self.experiment.folds * self.epochs
        self.watcher.epoch_ends(self.claim.slot, epoch, total, metrics)
        self.limit.check()
        return False

    def judge(self, results: Sequence[Result]) -> bool:
        """Report a fold's scores, and ask whether the trial is clearly worse than the best."""
        first = (len(results) - 1) * BLOCKS
        for place, score in enumerate(block_scores(self.experiment, results[-1])):
            self.claim.trial.report(score, first + place)
        self.pruned = len(results) < self.experiment.folds and self.claim.trial.should_prune()
        return self.pruned

    def close(self, result: Result) -> None:
        """Leave a pruned trial the value of its folds, as the last step, which Optuna takes."""
        if self.pruned:
            self.claim.trial.report(result.metrics["objective"], self.experiment.folds * BLOCKS)


def fold_points(fold: int, metrics: Mapping[str, float], task: Task) -> dict[str, float]:
    """One epoch of one fold under the names that users see: ``fold0/train/loss`` ….

    Only what is worth a column, because every name is one in the UI's list, for every fold.
    """
    shown = dict.fromkeys((task.objective, *task.display))
    points = {f"fold{fold}/val/{name}": metrics[name] for name in shown}
    return {f"fold{fold}/train/loss": metrics["train_loss"], **points}


def fold_metrics(result: Result, task: Task) -> dict[str, float]:
    """How far the folds agree: ``mean/track_accuracy``, ``std/track_accuracy``, …, ``folds``."""
    if not result.folds:
        return {}
    spread = spread_over_folds(result, list(dict.fromkeys((task.objective, *task.display))))
    means = {f"mean/{name}": mean for name, (mean, _) in spread.items()}
    stds = {f"std/{name}": std for name, (_, std) in spread.items()}
    return means | stds | {"folds": float(len(result.folds))}
