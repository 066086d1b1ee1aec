"""How a trial's parameters are drawn: TPE with a bounded memory, at random, or as they are given.

TPE looks at every trial that ever was each time it draws, which makes the thousandth trial five
times as dear as the hundredth. It learns from the best trials and weighs the others less the
older they are; so beyond `REMEMBERED` trials it is shown the best and the latest only.

TPE in groups draws what only some architectures have for all of them, chosen or not. Here such a
group waits until one of its parameters is asked for, and comes from the same estimate by other
random numbers. Everything else is Optuna's own to the bit, as long as all trials are remembered,
the one that is drawn counted, and one worker draws. To other workers Optuna also announces what it
drew for architectures that were not chosen, and counts it there as if it were being tried; here
only what all have is announced before it is used.
"""

import copy
import heapq
import warnings
from collections.abc import Container, Mapping
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

SamplerName = Literal["tpe", "random"]

REMEMBERED = 200
"""Finished trials that TPE is shown."""
BEST = 25
"""Of them the best, whenever they were: TPE counts at most so many as good."""


def make_sampler(name: SamplerName, seed: int) -> BaseSampler:
    """The sampler of one trial: TPE over groups of parameters that occur together, or random."""
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `group`
        return BoundedTPESampler(seed)


def fix_parameters(parameters: Mapping[str, Any], sampler: BaseSampler) -> BaseSampler:
    """A sampler that gives these parameters their values and draws only others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(parameters), sampler)


class BoundedTPESampler(optuna.samplers.TPESampler):
    """TPE that costs no more for the thousandth trial, and draws no group that is not asked for.

    Within one trial it shows the same past from beginning to end.
    """

    _past: "_Past"

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, group=True, multivariate=True)
        self._kinds: list[frozenset[str]] = []  # parameters that past trials had together
        self._waiting: dict[str, dict[str, BaseDistribution]] = {}  # groups, by parameter
        self._drawn: dict[str, Any] = {}  # of those groups

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that past trials have in common, by groups."""
        self._past = _Past(study, remembered(study))
        # Of trials with the same parameters the first says it all.
        kinds: dict[frozenset[str], FrozenTrial] = {}
        for each in self._past.remembered:
            if each.state in (TrialState.COMPLETE, TrialState.PRUNED):
                kinds.setdefault(frozenset(each.distributions), each)
        self._kinds = list(kinds)
        return super().infer_relative_search_space(_Past(study, list(kinds.values())), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of those that every past trial has; the other groups wait."""
        del study  # its past is what is shown
        groups: dict[tuple[bool, ...], dict[str, BaseDistribution]] = {}
        # Sorted, because the order of names decides which random number goes to which.
        for name, distribution in sorted(search_space.items()):
            those_with_it = tuple(name in kind for kind in self._kinds)
            groups.setdefault(those_with_it, {})[name] = distribution
        of_all = groups.pop((True,) * len(self._kinds), {})
        self._waiting = {name: group for group in groups.values() for name in group}
        self._drawn = {}
        return super().sample_relative(self._past, trial, of_all)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of another: drawn with its group, or alone where past trials never had it."""
        del study
        group = self._waiting.get(param_name)
        if group is not None:
            if param_name not in self._drawn:
                self._drawn |= self._sample_relative(self._past, trial, group)
            if param_name in self._drawn:  # what `Trial` does with a value that was drawn at once
                check_distribution_compatibility(group[param_name], param_distribution)
                value = self._drawn[param_name]
                if param_distribution._contains(param_distribution.to_internal_repr(value)):
                    return value
        return super().sample_independent(self._past, trial, param_name, param_distribution)


class _Past(optuna.Study):
    """A study as it is now, of which only some trials are remembered."""

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        self.__dict__.update(study.__dict__)
        self.remembered = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        del use_cache  # it is one
        found = [trial for trial in self.remembered if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def remembered(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that TPE is shown, in their order.

    All that run, the `BEST` best that are complete, and of the others that have a result the
    latest, `REMEMBERED` in all.
    """
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    trials = study.get_trials(deepcopy=False, states=states)
    if len(trials) <= REMEMBERED:
        return trials
    sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = heapq.nsmallest(
        BEST, complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number)
    )
    kept = {trial.number for trial in best}
    for trial in reversed(trials):
        if trial.state == TrialState.RUNNING or len(kept) < REMEMBERED:
            kept.add(trial.number)
    return [trial for trial in trials if trial.number in kept]
