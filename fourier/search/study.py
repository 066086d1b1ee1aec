"""The Optuna study that all workers share: opening it, and claiming the next trial of it.

A trial's *slot* is its place among the trials that count: 0 to ``--trials`` less one. What it
draws (parameters, weights, order of clips) is seeded by the study's seed and its slot. A trial
whose process died does not count; its slot is free again, and whoever claims it draws the same.
So N trials, interrupted anywhere, equal N that were left alone, as long as one worker runs. Only
a slot whose process died five times (no memory left, a crash in a library) is a failed trial: it
would die for ever. One that a watchdog ended because it hung is a failed trial at once.

Optuna's own numbers only ever grow, so the trial that takes over a slot has a new one.
"""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from fourier.digest import digest_of
from fourier.errors import StudyError
from fourier.search import owner
from fourier.search.pruner import PrunerName, make_pruner
from fourier.search.sampler import SamplerName, fix_parameters, make_sampler
from fourier.search.storage import storage_errors
from fourier.search.watchdog import read_report

DIED = "its process died"
DEATHS = 5
"""A slot's trials may die so often; the last of them counts, as failed."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What must stay the same for the trials of one study to be comparable.

    Attributes:
        task: ``deam``, ``gtzan``, or the kind of a labelled folder.
        corpus: name of the corpus.
        corpus_digest: its identity.
        protocol: how tracks are split.
        objective: the metric that is optimised.
        direction: ``maximize`` or ``minimize``.
        epochs: epochs of a trial at most.
        seed: of the whole study.
        folds: how many each trial trains on; 0 for one split.
    """

    task: str
    corpus: str
    corpus_digest: str
    protocol: str
    objective: str
    direction: Literal["minimize", "maximize"]
    epochs: int
    seed: int
    folds: int = 0

    def seed_of(self, slot: int) -> int:
        """The seed of everything random in the trial at this slot, 31 bits."""
        return int(digest_of([self.seed, slot]), 16) % 2**31


@dataclass(frozen=True)
class Claim:
    """A trial that this process runs.

    Attributes:
        trial: Optuna's trial.
        slot: its place among the trials that count.
        seed: of everything random in it.
    """

    trial: Trial
    slot: int
    seed: int


@dataclass(frozen=True)
class SharedStudy:
    """A study that several processes work on.

    Attributes:
        name: its name in the storage.
        study: Optuna's study.
        setting: what its trials have in common.
        is_new: whether this process made it.
        first: parameters of the first trials, known points to start from.
        sampler: how the others are drawn.
        pruner: how bad ones are stopped early.
        lock: held while a trial is claimed, so that two processes never take the same slot.
    """

    name: str
    study: optuna.Study
    setting: Setting
    is_new: bool
    first: Sequence[Mapping[str, Any]]
    sampler: SamplerName
    pruner: PrunerName
    lock: FileLock

    @property
    @storage_errors()
    def trials(self) -> list[FrozenTrial]:
        """The trials that count, in the order of their slots."""
        counted = [t for t in self.study.get_trials(deepcopy=False) if _counts(t)]
        return sorted(counted, key=slot_of)

    @property
    def finished(self) -> list[FrozenTrial]:
        """The trials that count and have ended, well or not."""
        return [trial for trial in self.trials if trial.state.is_finished()]

    @storage_errors()
    def claim(self, total: int) -> Claim | None:
        """Take the lowest free slot below ``total``; None when there is none."""
        with self.lock:
            taken = {slot_of(t) for t in self.study.get_trials(deepcopy=False) if _counts(t)}
            slot = next(i for i in range(len(taken) + 1) if i not in taken)
            if slot >= total:
                return None
            seed = self.setting.seed_of(slot)
            self.study.sampler = make_sampler(self.sampler, seed)
            if slot < len(self.first):  # not Optuna's queue: what dies in it, another slot takes
                self.study.sampler = fix_parameters(self.first[slot], self.study.sampler)
            trial = self.study.ask()
            trial.set_user_attr("claim", {"slot": slot, "owner": owner.this_process()})
        return Claim(trial, slot, seed)

    @storage_errors()
    def bury(self, trial: Trial, reason: str) -> None:
        """End a trial that does not count, and free its slot."""
        trial.set_user_attr("lost", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def has_ended(self, trial: Trial) -> bool:
        """Whether a trial was told to the study, by this process or another."""
        return self.study.get_trials(deepcopy=False)[trial.number].state.is_finished()

    @storage_errors()
    def bury_the_dead(
        self, give_run: Callable[[Claim], None] = lambda _claim: None
    ) -> list[FrozenTrial]:
        """End the trials whose process is gone, and return them as they were.

        They do not count, unless it was the fifth time at this slot, or the trial hung until its
        watchdog ended the process: then it is a failed trial.

        Args:
            give_run: called with a trial that is to fail and has no run yet.
        """
        lost: list[FrozenTrial] = []
        with self.lock:  # claims are made under it, so a running trial without one has no owner
            for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                claim = frozen.user_attrs.get("claim")
                if claim is None or owner.is_gone(claim["owner"]):
                    lost.append(frozen)
                    trial = Trial(self.study, frozen._trial_id)
                    reason = self._why_it_fails(trial, claim)
                    if claim is None or reason is None:
                        self.bury(trial, DIED)
                    else:
                        if "run_id" not in frozen.user_attrs:
                            slot = claim["slot"]
                            give_run(Claim(trial, slot, self.setting.seed_of(slot)))
                        self.fail(trial, reason)
                    self.report_of(trial).unlink(missing_ok=True)
        return lost

    def report_of(self, trial: Trial) -> Path:
        """The file in which a watchdog says where a trial hung."""
        lock = Path(self.lock.lock_file)
        return lock.with_name(f"{lock.stem}-{trial.number}.hung")

    def hung_processes(self) -> set[int]:
        """Ids of the processes that a watchdog ended."""
        hung = [t for t in self.study.get_trials(deepcopy=False) if "stood" in t.user_attrs]
        return {trial.user_attrs["claim"]["owner"]["pid"] for trial in hung}

    def _why_it_fails(self, trial: Trial, claim: Mapping[str, Any] | None) -> str | None:
        """Why a trial whose process died counts, as failed; None if its slot is to be run again."""
        hung = read_report(self.report_of(trial))
        if hung is not None:
            reason, stood = hung
            trial.set_user_attr("stood", stood)
            return f"{reason}; where it hung stands in its run"
        if claim is None or self._deaths(claim["slot"]) + 1 < DEATHS:
            return None
        return f"{DIED} {DEATHS} times; is there memory enough for it?"

    @storage_errors()
    def fail(self, trial: Trial, reason: str) -> None:
        """End a trial that counts and has no result."""
        trial.set_user_attr("reason", reason)
        self.study.tell(trial, state=TrialState.FAIL)

    def _deaths(self, slot: int) -> int:
        """How many trials died at a slot so far."""
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        died = [trial for trial in failed if trial.user_attrs.get("lost") == DIED]
        return sum("claim" in trial.user_attrs and slot_of(trial) == slot for trial in died)


def open_study(
    name: str,
    storage: BaseStorage,
    setting: Setting,
    *,
    sampler: SamplerName,
    pruner: PrunerName,
    lock: FileLock,
    first: Sequence[Mapping[str, Any]] = (),
) -> SharedStudy:
    """Open a study, making it where there is none.

    Raises:
        StudyError: there is one of this name whose trials could not be compared with new ones.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with lock:
        is_new = name not in optuna.get_all_study_names(storage)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction=setting.direction,
            pruner=make_pruner(pruner, setting.epochs, setting.folds),
            load_if_exists=True,
        )
        wanted = setting.__dict__
        if is_new or "setting" not in study.user_attrs:
            study.set_user_attr("setting", dict(wanted))
        if "key" not in study.user_attrs:  # a name may be given again, to another study
            study.set_user_attr("key", uuid.uuid4().hex)
    # By way of `Setting`, because older studies do not say what was not there to be chosen.
    _require_same(name, Setting(**study.user_attrs["setting"]).__dict__, wanted)
    return SharedStudy(name, study, setting, is_new, first, sampler, pruner, lock)


def find_study(name: str, storage: BaseStorage) -> SharedStudy:
    """Open a study that is there, as it is, to read it.

    Raises:
        StudyError: there is none of this name, or it is not one of this project's.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        setting = Setting(**study.user_attrs["setting"])
    except KeyError:
        there = ", ".join(list_studies(storage)) or "none yet"
        raise StudyError(
            f"there is no study {name!r}; there are: {there}; name one with --study, or "
            "run its sweep first"
        ) from None
    lock = FileLock(os.devnull)  # never held: nothing is claimed
    return SharedStudy(name, study, setting, False, (), "tpe", "none", lock)


def list_studies(storage: BaseStorage) -> dict[str, Setting]:
    """The settings of this project's studies in a storage, by their names."""
    return {
        summary.study_name: Setting(**summary.user_attrs["setting"])
        for summary in optuna.get_all_study_summaries(storage, include_best_trial=False)
        if "setting" in summary.user_attrs
    }


def slot_of(trial: FrozenTrial) -> int:
    """A trial's place among the trials that count."""
    return int(trial.user_attrs["claim"]["slot"])


def _counts(trial: FrozenTrial) -> bool:
    return "claim" in trial.user_attrs and "lost" not in trial.user_attrs


def _require_same(name: str, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        if kept.get(key) != value:
            raise StudyError(
                f"study {name!r} was begun with {key.replace('_', ' ')} {kept.get(key)!r}, not "
                f"{value!r}, and their trials cannot be compared; name another with --study"
            )
