"""Is the best trial the best setting? The top trials are trained again with new seeds.

A sweep's best value is the luckiest of many, and two settings often differ by less than two seeds
of one. So the first few are trained anew, all with as many seeds, and compared by their means. Of
the winner's networks the median one is released: the best by validation would be luck again, and
its figures would promise more than the setting keeps. Not here: the test part, which stays closed
(`fourier.release.heldout`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fourier.config import TrialConfig
from fourier.digest import digest_of
from fourier.errors import ReleaseError
from fourier.release.runs import read_config
from fourier.search.study import Setting, SharedStudy
from fourier.search.sweep import best_trials
from fourier.search.watch import Watcher
from fourier.tracking import KEY, SPOOL, Tracker, look
from fourier.training import Experiment, Result, TrainingDiverged
from fourier.training.task import Direction


@dataclass(frozen=True)
class Candidate:
    """A trial that may become a model.

    Attributes:
        trial: its number in the study.
        run_id: its run.
        config: what was trained.
        objective: the value that the study ranked it by.
    """

    trial: int
    run_id: str
    config: TrialConfig
    objective: float


@dataclass(frozen=True, eq=False)
class Attempt:
    """A candidate trained with one new seed.

    Attributes:
        config: the candidate's, with this seed.
        result: what came of it; None if it diverged.
        reason: why it diverged.
    """

    config: TrialConfig
    result: Result | None
    reason: str = ""

    @property
    def network(self) -> Result:
        """What came of it, where it is known to have ended.

        Raises:
            ValueError: it diverged.
        """
        if self.result is None:
            raise ValueError(f"`result` must be there, but the training diverged: {self.reason}")
        return self.result


@dataclass(frozen=True, eq=False)
class Confirmed:
    """A candidate with all its attempts.

    Attributes:
        candidate: the trial.
        attempts: one for each seed.
        direction: of the objective.
    """

    candidate: Candidate
    attempts: Sequence[Attempt]
    direction: Direction

    @cached_property
    def results(self) -> list[Result]:
        """What came of the attempts that did not diverge."""
        return [attempt.result for attempt in self.attempts if attempt.result is not None]

    @property
    def diverged(self) -> int:
        """Attempts that did not end in a network; with any, a setting cannot win."""
        return len(self.attempts) - len(self.results)

    def mean(self, metric: str) -> float:
        """Mean of a validation metric over the seeds; NaN where none ended."""
        values = [result.metrics[metric] for result in self.results]
        return float(np.mean(values)) if values else float("nan")

    def std(self, metric: str) -> float:
        """Standard deviation over the seeds (n - 1); NaN below two."""
        values = [result.metrics[metric] for result in self.results]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    @property
    def median(self) -> Attempt:
        """The attempt in the middle; of an even number the worse of the two middle ones."""
        sign = 1 if self.direction == "maximize" else -1
        ended = [attempt for attempt in self.attempts if attempt.result is not None]
        ranked = sorted(ended, key=lambda attempt: sign * attempt.network.metrics["objective"])
        return ranked[(len(ranked) - 1) // 2]


class Audience(Watcher):
    """A watcher that is also told how the confirmation goes."""

    def attempt_ends(self, candidate: Candidate, index: int, attempt: Attempt) -> None:
        """A candidate was trained with its seed of this index."""


def find_candidates(tracker: Tracker, shared: SharedStudy, count: int) -> list[Candidate]:
    """The best complete trials of a study whose settings differ, best first.

    Raises:
        ReleaseError: there is no complete trial, or the run of one is gone.
    """
    found: dict[str, Candidate] = {}
    waiting = {run for kept in look(SPOOL) for run in kept.runs}
    for trial in best_trials(shared, len(shared.trials)):
        name = str(trial.user_attrs["run_id"])
        run_id = tracker.id_of(name)
        if waiting & {name, run_id} or run_id.startswith(KEY):
            raise ReleaseError(
                f"the run of trial {trial.number} was kept while MLflow was away and is not whole "
                f"in {tracker.shown_uri} yet; type `fourier sync` where the sweep ran"
            )
        config = read_config(tracker, run_id).trial
        candidate = Candidate(trial.number, run_id, config, float(trial.value or 0.0))
        found.setdefault(with_seed(config, 0).digest, candidate)
        if len(found) == count:
            break
    if not found:
        raise ReleaseError(
            f"study {shared.name!r} has no finished trial to promote; run its sweep first"
        )
    return list(found.values())


def confirm(
    experiment: Experiment,
    setting: Setting,
    candidates: Sequence[Candidate],
    seeds: int,
    audience: Audience,
) -> list[Confirmed]:
    """Train each candidate with new seeds.

    Args:
        experiment: corpus, split and device.
        setting: of the study; its seed is where the new ones come from.
        candidates: what to train.
        seeds: how often.
        audience: is told of every epoch, and may raise to stop.

    Returns:
        In the order of the candidates.
    """
    confirmed = []
    for candidate in candidates:
        attempts = []
        for index in range(seeds):
            config = with_seed(candidate.config, seed_of(setting, candidate.trial, index))
            attempt = _train(experiment, config, candidate, audience)
            audience.attempt_ends(candidate, index, attempt)
            attempts.append(attempt)
        confirmed.append(Confirmed(candidate, attempts, setting.direction))
    return confirmed


def pick_winner(confirmed: Sequence[Confirmed]) -> Confirmed:
    """The one with the best mean objective among those that never diverged; of equals the first.

    Raises:
        ReleaseError: all of them diverged at least once.
    """
    sound = [each for each in confirmed if not each.diverged]
    if not sound:
        reasons = {attempt.reason for each in confirmed for attempt in each.attempts}
        raise ReleaseError(
            f"every candidate diverged with a seed ({', '.join(sorted(reasons - {''}))}); "
            "look at more trials with --top"
        )
    sign = 1 if sound[0].direction == "maximize" else -1
    return max(sound, key=lambda each: sign * each.mean("objective"))


def confirmation_table(confirmed: Sequence[Confirmed], metrics: Sequence[str]) -> pd.DataFrame:
    """A row for each candidate: its trial, the study's value, mean and std of the metrics."""
    rows = []
    for each in confirmed:
        candidate = each.candidate
        row: dict[str, object] = {"trial": candidate.trial}
        row |= {"sweep_objective": candidate.objective}
        for name in metrics:
            row |= {f"{name}_mean": each.mean(name), f"{name}_std": each.std(name)}
        row |= {"seeds": len(each.attempts), "diverged": each.diverged}
        rows.append(row | {"settings": each.candidate.config.describe()})
    return pd.DataFrame(rows)


def attempts_table(confirmed: Sequence[Confirmed]) -> pd.DataFrame:
    """A row for each training: trial, seed, best epoch and all validation metrics."""
    rows = []
    for each in confirmed:
        for attempt in each.attempts:
            row: dict[str, object] = {"trial": each.candidate.trial}
            row |= {"seed": attempt.config.training.seed}
            if attempt.result is not None:
                row |= {"best_epoch": attempt.result.best_epoch, **attempt.result.metrics}
            rows.append(row | {"reason": attempt.reason})
    return pd.DataFrame(rows)


def seed_of(setting: Setting, trial: int, index: int) -> int:
    """The seed of one attempt, 31 bits; none of the study's own trials has it but by chance."""
    return int(digest_of([setting.seed, "confirm", trial, index]), 16) % 2**31


def with_seed(config: TrialConfig, seed: int) -> TrialConfig:
    """The same settings with another seed."""
    training = dataclasses.replace(config.training, seed=seed)
    return dataclasses.replace(config, training=training)


def _train(
    experiment: Experiment, config: TrialConfig, candidate: Candidate, audience: Audience
) -> Attempt:
    audience.trial_begins(candidate.trial, config)
    epochs = config.training.epochs

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        audience.epoch_ends(candidate.trial, epoch, epochs, metrics)

    try:
        return Attempt(config, experiment.run(config, report))
    except TrainingDiverged as error:
        return Attempt(config, None, str(error))
