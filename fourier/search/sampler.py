"""How a trial's parameters are drawn: TPE with a bounded memory, at random, or as they are given.

TPE looks at every trial that ever was each time it draws, which makes the thousandth trial five
times as dear as the hundredth. It learns from the best trials and weighs the others less the
older they are; so beyond `REMEMBERED` trials it is shown the best and the latest only.

TPE in groups draws the parameters that occur together from an estimate of their own, those of every
architecture whichever is chosen. Here the groups that not every trial has wait until one of their
parameters is asked for. Where all trials have all parameters, and up to `REMEMBERED` trials, it is
Optuna's own to the bit; where an architecture brings its own, they come from the same estimates by
other random numbers.
"""

import copy
import heapq
import warnings
from collections.abc import Container, Mapping
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
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

    Made anew for each trial, which it shows the same past from beginning to end.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, group=True, multivariate=True)
        self._past: _Past | None = None
        self._shared: frozenset[str] = frozenset()
        self._waiting: dict[str, dict[str, BaseDistribution]] = {}  # groups by their parameters
        self._drawn: dict[str, Any] = {}  # from those

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
        self._shared = frozenset.intersection(*kinds) if kinds else frozenset()
        return super().infer_relative_search_space(_Past(study, list(kinds.values())), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of those that every past trial has; the other groups wait."""
        groups = self._search_space_group.search_spaces if self._search_space_group else []
        for group in groups:
            names = sorted(name for name in group if name in search_space)
            space = {name: search_space[name] for name in names}
            if not group.keys() <= self._shared:
                self._waiting |= dict.fromkeys(names, space)
        everywhere = {name: each for name, each in search_space.items() if name in self._shared}
        return super().sample_relative(self._past or study, trial, everywhere)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The value of another: drawn with its group, or alone where past trials never had it."""
        past = self._past or study
        group = self._waiting.get(param_name, {})
        if group.get(param_name) == param_distribution:
            if param_name not in self._drawn:
                self._drawn |= self._sample_relative(past, trial, group)
            if param_name in self._drawn:
                return self._drawn[param_name]
        return super().sample_independent(past, trial, param_name, param_distribution)


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
