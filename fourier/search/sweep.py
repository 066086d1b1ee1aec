"""A sweep from beginning to end: open everything, run trials until there are enough, sum up.

Not here: the command line, and what is printed.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from fourier.config import TrialConfig
from fourier.corpora import Corpus
from fourier.errors import ConfigError, TrackingAwayError
from fourier.search.failures import Failures
from fourier.search.mend import mend
from fourier.search.plots import write_plots
from fourier.search.points import best_points
from fourier.search.pruner import PrunerName
from fourier.search.record import StudyRecord
from fourier.search.sampler import SamplerName
from fourier.search.storage import open_storage, study_lock
from fourier.search.study import Setting, SharedStudy, open_study, slot_of
from fourier.search.trial import Suggest, TrialRunner
from fourier.search.watch import Outcome, State, Watcher
from fourier.search.workers import is_worker
from fourier.tracking import SPOOL, Tracker, scratch_folder
from fourier.training.experiment import Experiment


@dataclass(frozen=True)
class Space:
    """What a sweep searches.

    Attributes:
        suggest: draws a configuration from a trial; epochs and seed are set by the sweep.
        first: parameters of the first trials: known points to start from, the seed's among them.
        epochs: epochs of a trial at most, unless the command line says otherwise.
        demo_epochs: the same on a demo corpus, where a first look shall take minutes.
    """

    suggest: Suggest
    first: Sequence[Mapping[str, Any]]
    epochs: int = 30
    demo_epochs: int = 20

    def epochs_on(self, corpus: Corpus) -> int:
        """Epochs of a trial at most on this corpus, unless the command line says otherwise."""
        return self.demo_epochs if corpus.is_demo else self.epochs

    def start(self) -> TrialConfig:
        """The configuration of the first trial."""
        return self.suggest(FixedTrial(dict(self.first[0])))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a study is searched.

    Attributes:
        study: its name.
        storage: see `fourier.search.storage.open_storage`.
        sampler: how parameters are drawn.
        pruner: how bad trials are stopped early.
        epochs: epochs of a trial at most.
        seed: of the whole study.
    """

    study: str
    storage: str | None = None
    sampler: SamplerName = "tpe"
    pruner: PrunerName = "median"
    epochs: int
    seed: int = 0


@dataclass(frozen=True)
class Sweep:
    """A study that is open and ready to go on.

    Attributes:
        space: what is searched.
        experiment: corpus, split and device.
        shared: the study.
        record: its runs.
        baselines: what its networks must beat, metrics by name.
        watcher: is told what happens.
    """

    space: Space
    experiment: Experiment
    shared: SharedStudy
    record: StudyRecord
    baselines: Mapping[str, Mapping[str, float]]
    watcher: Watcher

    @classmethod
    def open(
        cls,
        experiment: Experiment,
        space: Space,
        plan: Plan,
        watcher: Watcher,
    ) -> "Sweep":
        """Open or continue a study and its runs, and put right what a killed process left.

        Raises:
            StudyError: the storage does not answer, or the study was begun with other settings.
            TrackingError: MLflow does not answer.
        """
        setting = Setting(
            task=experiment.task.name,
            corpus=experiment.corpus.name,
            corpus_digest=experiment.corpus.digest,
            protocol=experiment.protocol,
            objective=experiment.task.objective,
            direction=experiment.task.direction,
            epochs=plan.epochs,
            seed=plan.seed,
            folds=experiment.folds,
        )
        try:
            start = space.start()
            experiment.check(start)
        except ValueError as error:
            raise ConfigError(f"the space's first trial is not legal: {error}; mend it") from error
        # Whoever started this worker has seen that it is the right store.
        tracker = Tracker.connect(spool=SPOOL, may_be_away=is_worker())
        with _may_be_away() if is_worker() else contextlib.nullcontext():
            tracker.deliver(watcher.stage("delivering what was kept"))
        shared = open_study(
            plan.study,
            open_storage(plan.storage),
            setting,
            sampler=plan.sampler,
            pruner=plan.pruner,
            lock=study_lock(plan.study, plan.storage),
            first=space.first,
        )
        record = (StudyRecord.join if is_worker() else StudyRecord.open)(
            tracker, shared, experiment
        )
        with _may_be_away() if is_worker() else contextlib.nullcontext():
            mend(record)
        watcher.stage("baselines")
        baselines = record.write_baselines(start.spectrogram)
        return cls(space, experiment, shared, record, baselines, watcher)

    def run(
        self,
        total: int,
        timeout_seconds: float | None = None,
        trial_seconds: float | None = None,
        failures: Failures | None = None,
    ) -> None:
        """Run trials until the study has this many.

        Args:
            total: trials that the study shall have.
            timeout_seconds: after which no new one begins.
            trial_seconds: how long one may take; a process in which one hangs is ended.
            failures: is told of each that ended, and may stop the sweep.
        """
        runner = TrialRunner(
            self.shared,
            self.experiment,
            self.space.suggest,
            self.record,
            self.watcher,
            trial_seconds,
        )
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        try:
            while deadline is None or time.monotonic() < deadline:
                claim = self.shared.claim(total)
                if claim is None:
                    return
                outcome = runner.run(claim)
                if failures is not None:
                    failures.note(outcome)
        finally:
            self.record.tracker.settle()

    def outcome_of(self, trial: FrozenTrial) -> Outcome:
        """How a trial ended that another process ran."""
        kept = trial.user_attrs.get("config")
        config = None if kept is None else TrialConfig.from_dict(kept)
        states: dict[TrialState, State] = {
            TrialState.COMPLETE: "complete",
            TrialState.PRUNED: "pruned",
            TrialState.FAIL: "failed",
        }
        lasted = trial.duration.total_seconds() if trial.duration else 0.0
        return Outcome(
            number=trial.number,
            slot=slot_of(trial),
            state=states[trial.state],
            value=trial.value,
            metrics=trial.user_attrs.get("metrics", {}),
            config=config,
            seconds=lasted,
            reason=trial.user_attrs.get("reason", ""),
        )

    def finish(self) -> None:
        """Write the table, the plots and the best values to the study's run, and end it.

        If MLflow is still away, all of that is kept for it as well.
        """
        study, tracker = self.shared.study, self.record.tracker
        with _may_be_away():
            tracker.deliver(self.watcher.stage("delivering what was kept"))
        with _may_be_away():
            mend(self.record)
        with scratch_folder() as folder, self.shared.lock:
            runs = self.record.trial_runs()
            results_table(self.shared, runs).to_csv(folder / "trials.csv", index=False)
            baselines = pd.DataFrame(list(self.baselines.values()), index=list(self.baselines))
            baselines.to_csv(folder / "baselines.csv", index_label="baseline")
            write_plots(study, folder / "study.html")
            best = best_trials(self.shared, 1)
            metrics = {"trials": float(len(self.shared.finished))}
            tags = {}
            if best:
                metrics["best/objective"] = best[0].value or 0.0
                metrics |= best_points(best[0].user_attrs["metrics"])
                tags["fourier.best_trial"] = str(best[0].number)
                best_run = best[0].user_attrs["run_id"]  # maybe of a trial that ended just now
                tags["fourier.best_run"] = runs.get(best_run, best_run)
            self.record.sum_up(folder, metrics, tags)
            if all(trial.state.is_finished() for trial in self.shared.trials):
                self.record.parent.end()  # else another worker is still at it
        tracker.close()


@contextlib.contextmanager
def _may_be_away() -> Iterator[None]:
    """What is inside asks MLflow; should it not answer, the next start does it."""
    with contextlib.suppress(TrackingAwayError):
        yield


def best_trials(shared: SharedStudy, count: int) -> list[FrozenTrial]:
    """The best complete trials, best first; of equals the earlier."""
    done = [trial for trial in shared.trials if trial.state == TrialState.COMPLETE]
    sign = -1 if shared.setting.direction == "maximize" else 1
    return sorted(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))[:count]


def results_table(shared: SharedStudy, runs: Mapping[str, str]) -> pd.DataFrame:
    """One row for each trial that counts: number, state, value, metrics, parameters, run.

    Args:
        shared: the study.
        runs: see `StudyRecord.trial_runs`.
    """
    rows = [
        {"trial": trial.number, "state": trial.state.name.lower(), "objective": trial.value}
        | trial.user_attrs.get("metrics", {})
        | trial.params
        | {"run_id": runs.get(trial.user_attrs.get("run_id", ""), "")}
        for trial in shared.finished
    ]
    return pd.DataFrame(rows)
