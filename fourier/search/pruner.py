"""Which trials are given up early: by epochs on one split, by tracks between folds.

Not here: what a trial reports (`fourier.search.trial`, `fourier.search.folded`).
"""

import bisect
import copy
import math
import warnings
from collections.abc import Callable, Container
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

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
        "median": lambda: PatientMedian(n_startup_trials=10, n_warmup_steps=max(1, epochs // 3)),
        "hyperband": lambda: SlotHyperband(epochs),
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


class PatientMedian(optuna.pruners.BasePruner):
    """The median pruner, which looks at other trials once a trial instead of once an epoch.

    It decides as Optuna's does, of finite values and while one worker runs: a trial is given up
    whose best value so far is worse than the median, in the same epoch, of the trials that are
    complete. Of several workers' trials it compares with those that were complete when it first
    looked. Optuna's asks for all trials at every epoch, which takes longer the more there are.
    """

    def __init__(self, n_startup_trials: int, n_warmup_steps: int) -> None:
        """Give nobody up among so many complete trials, nor in so many first epochs."""
        self._startup, self._first_step = n_startup_trials, n_warmup_steps
        self._seen: set[int] = set()
        self._values: dict[int, list[float]] = {}  # of complete trials by epoch, ascending
        self._judged: int | None = None

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to give the trial up after its last epoch."""
        step = trial.last_step
        if step is None or step < self._first_step:
            return False
        if trial.number != self._judged:
            self._look(study)
            self._judged = trial.number
        if len(self._seen) < max(1, self._startup):
            return False
        own = [value for value in trial.intermediate_values.values() if not math.isnan(value)]
        if not own:
            return True
        values = self._values.get(step)
        if not values:
            return False
        maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
        half = len(values) // 2
        median = (values[half] + values[-half - 1]) / 2
        return max(own) < median if maximize else min(own) > median

    def _look(self, study: optuna.Study) -> None:
        """Take the values of the trials that are complete now; of a trial they never change."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if trial.number in self._seen:
                continue
            self._seen.add(trial.number)
            for step, value in trial.intermediate_values.items():
                if not math.isnan(value):
                    bisect.insort(self._values.setdefault(step, []), value)


class SlotHyperband(optuna.pruners.HyperbandPruner):
    """Hyperband whose brackets go by slots, where Optuna's go by its own numbers.

    A slot that is run again after a kill gets another number, and with it would come another
    bracket. What was lost is in none: its values compete with nobody's.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__(min_resource=max(1, epochs // 9), max_resource=epochs)
        # Else there are no brackets until the first look at a value, after a restart too.
        self._try_initialization(None)  # type: ignore[arg-type]  # asked for only to learn `epochs`

    def _get_bracket_id(self, study: optuna.Study, trial: FrozenTrial) -> int:
        claim = trial.user_attrs.get("claim")
        if claim is None or "lost" in trial.user_attrs:
            return _NOWHERE
        numbered = copy.copy(trial)
        numbered.number = claim["slot"]
        return super()._get_bracket_id(study, numbered)

    def _create_bracket_study(self, study: optuna.Study, bracket_id: int) -> optuna.Study:
        return _Bracket(study, self, bracket_id)


_NOWHERE = -1


class _Bracket(optuna.Study):
    """A study of which only one bracket's trials are seen."""

    def __init__(self, study: optuna.Study, pruner: SlotHyperband, bracket_id: int) -> None:
        self.__dict__.update(study.__dict__)
        self._bracket_of, self._id = pruner._get_bracket_id, bracket_id

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in found if self._bracket_of(self, trial) == self._id]
