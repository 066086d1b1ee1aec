"""Which trials are given up early: by epochs on one split, by tracks between folds.

Not here: what a trial reports (`fourier.search.trial`, `fourier.search.folded`).
"""

import warnings
from collections.abc import Callable
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

PrunerName = Literal["median", "hyperband", "wilcoxon", "none"]

FOLDWISE = ("wilcoxon", "none")
"""The pruners that can stop a trial between folds; the others go by epochs."""

WORSE_BY_CHANCE = 0.05
"""How likely a configuration as good as the best may be given up after some fold."""


def make_pruner(name: PrunerName, epochs: int, folds: int = 0) -> optuna.pruners.BasePruner:
    """The pruner of a study whose trials last at most this many epochs, or folds.

    Between folds a trial is tested against the best after each but the last, so each test gets its
    share of `WORSE_BY_CHANCE` (Bonferroni). That is strict on purpose: the tracks tell how sure a
    difference is between two networks, not between two settings, whose seeds also differ.

    A perceptron is soon as good as it gets, a convolutional network begins slowly; so nothing is
    pruned in the first third of its epochs, nor among the first ten trials.
    """
    makers: dict[str, Callable[[], optuna.pruners.BasePruner]] = {
        "median": lambda: _PatientPruner(n_startup_trials=10, n_warmup_steps=max(1, epochs // 3)),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(
            min_resource=max(1, epochs // 9), max_resource=epochs
        ),
        "wilcoxon": lambda: optuna.pruners.WilcoxonPruner(
            p_threshold=WORSE_BY_CHANCE / max(1, folds - 1)
        ),
        "none": optuna.pruners.NopPruner,
    }
    if name != "none" and (name in FOLDWISE) != bool(folds):
        raise ValueError(
            f"`pruner` must be one of {', '.join(FOLDWISE)} with folds and another without, but "
            f"got {name!r} with {folds} folds"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `WilcoxonPruner`
        return makers[name]()


class _PatientPruner(optuna.pruners.MedianPruner):
    """The median pruner, which in the epochs that it leaves alone does not even look around."""

    def __init__(self, n_startup_trials: int, n_warmup_steps: int) -> None:
        super().__init__(n_startup_trials=n_startup_trials, n_warmup_steps=n_warmup_steps)
        self._first_step = n_warmup_steps

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        if (trial.last_step or 0) < self._first_step:
            return False
        return super().prune(study, trial)
