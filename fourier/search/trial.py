"""One trial: drawn, trained, written to its run, and told to the study.

The order matters. The run is made with the trial's number in its tags, and then the trial carries
the run's id; all files are in the run before Optuna is told the value; the last points, which the
files and the trial hold too, and the run's end come last. So whatever is killed in between, the
next start can tell what happened and put it right (`fourier.search.mend`). Nobody waits for what
can be written while a network learns, this one or the next.
"""

import contextlib
import dataclasses
import math
import time
import traceback
from collections.abc import Callable, Mapping

import optuna
import torch
from optuna.trial import TrialState

from fourier.config import TrialConfig
from fourier.errors import FourierError, StudyError, TrackingError
from fourier.search.artifacts import write_artifacts
from fourier.search.folded import FoldReporter, fold_metrics
from fourier.search.points import best_points, curve_points, of_curves
from fourier.search.record import StudyRecord
from fourier.search.storage import storage_errors
from fourier.search.study import Claim, SharedStudy
from fourier.search.watch import Outcome, State, Watcher
from fourier.search.watchdog import Limit
from fourier.tracking import TrackedRun, scratch_folder, without_password, write_checksums
from fourier.training import Result, TrainingDiverged
from fourier.training.device import free_memory
from fourier.training.energy import open_meter
from fourier.training.experiment import Experiment

Suggest = Callable[[optuna.Trial], TrialConfig]


@dataclasses.dataclass(frozen=True)
class TrialRunner:
    """Runs the trials of one study, one after the other.

    Attributes:
        shared: the study.
        experiment: corpus, split and device.
        suggest: the search space.
        record: where runs are written.
        watcher: is told what happens.
        trial_seconds: how long a trial may take; None is for ever.
    """

    shared: SharedStudy
    experiment: Experiment
    suggest: Suggest
    record: StudyRecord
    watcher: Watcher
    trial_seconds: float | None = None

    def run(self, claim: Claim) -> Outcome:
        """Run a claimed trial to its end.

        A trial that goes wrong by itself (a loss that is not a number, no memory, no end, a bug in
        a network) is one failed trial. When the world breaks or somebody interrupts, the trial does
        not count, its slot is free again, and the error goes on to the caller.
        """
        started = time.monotonic()
        limit = Limit(self.trial_seconds, self.shared.report_of(claim.trial))
        run: TrackedRun | None = None
        try:
            with limit.watched():
                config = self._try_to_draw(claim)
                drawn = None if isinstance(config, Exception) else config
                run = self.record.open_trial(claim, drawn)
                outcome = self._learn_or_fail(claim, run, config, limit)
        except (FourierError, KeyboardInterrupt, SystemExit) as error:
            self._give_back(claim, run, error)
            raise
        if outcome.state == "failed":
            free_memory(self.experiment.store.device)
        outcome = dataclasses.replace(outcome, seconds=time.monotonic() - started)
        self.watcher.trial_ends(outcome)
        return outcome

    def draw(self, claim: Claim) -> TrialConfig:
        """The configuration of a claimed trial: its parameters, the study's epochs, its seed."""
        try:
            config = self.suggest(claim.trial)
        except ValueError as error:
            if "dynamic value space" not in str(error):
                raise
            name = self.shared.name
            raise StudyError(
                f"the search space is not the one that study {name!r} was begun with ({error}); "
                "name another with --study"
            ) from error
        setting = self.shared.setting
        training = dataclasses.replace(config.training, epochs=setting.epochs, seed=claim.seed)
        if setting.folds:  # the held-out clips end nothing, and the configuration says so
            training = dataclasses.replace(training, patience=0)
        return dataclasses.replace(config, training=training)

    def _try_to_draw(self, claim: Claim) -> TrialConfig | Exception:
        """Drawn before there is a run, so that the run begins with it; what fails belongs in it."""
        try:
            return self.draw(claim)
        except Exception as error:  # noqa: BLE001  raised again as soon as there is a run
            return error

    def _learn_or_fail(
        self, claim: Claim, run: TrackedRun, config: TrialConfig | Exception, limit: Limit
    ) -> Outcome:
        try:
            with storage_errors():
                if isinstance(config, Exception):
                    raise config
                return self._learn(claim, run, config, limit)
        except FourierError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a trial raises fails only that trial
            return self._fail(claim, run, error)

    def _learn(self, claim: Claim, run: TrackedRun, config: TrialConfig, limit: Limit) -> Outcome:
        self.watcher.trial_begins(claim.slot, config)
        claim.trial.set_user_attr("config", config.to_dict())
        result, pruned = self._train(claim, run, config, limit)
        value = result.metrics["objective"]
        if not math.isfinite(value):  # Optuna would take it for a failure, after all was written
            raise TrainingDiverged(f"the objective is {value}")
        state: State = "pruned" if pruned else "complete"
        self._write_files(claim, run, config, result)
        points = fold_metrics(result, self.experiment.task)
        points |= {"best/epoch": result.best_epoch, "time/seconds": result.seconds}
        claim.trial.set_user_attr("points", points)
        claim.trial.set_user_attr("metrics", result.metrics)
        if pruned:
            self.shared.study.tell(claim.trial, state=TrialState.PRUNED)
        else:
            self.shared.study.tell(claim.trial, value)
        run.keep(best_points(result.metrics) | points)
        run.end("FINISHED", {"fourier.state": state}, wait=False)
        return Outcome(
            number=claim.trial.number,
            slot=claim.slot,
            state=state,
            value=value,
            metrics=result.metrics,
            config=config,
        )

    def _train(
        self, claim: Claim, run: TrackedRun, config: TrialConfig, limit: Limit
    ) -> tuple[Result, bool]:
        """Train, and once more from the start if the device had no room for the first step.

        The room may have been taken by features kept for later trials; without them the same
        trial may fit. It is never made smaller, because then it would be another trial.
        """
        if self.experiment.folds:
            reporter: Reporter = FoldReporter(self, claim, run, config, limit)
        else:
            reporter = _Reporter(self, claim, run, config, limit)
        try:
            return self._train_once(claim, run, config, reporter)
        except torch.OutOfMemoryError:
            if reporter.begun:
                raise
        # Here, where no error holds what filled the memory any more.
        self.experiment.store.release()
        free_memory(self.experiment.store.device)
        run.set_tags({"fourier.out_of_memory": "tried again"})
        return self._train_once(claim, run, config, reporter)

    def _train_once(
        self, claim: Claim, run: TrackedRun, config: TrialConfig, reporter: "Reporter"
    ) -> tuple[Result, bool]:
        """Once or fold by fold, and whether it was given up."""
        meter = open_meter(self.experiment.store.device)
        each = meter.through(reporter) if meter else reporter
        if isinstance(reporter, FoldReporter):
            result = self.experiment.run(config, each, reporter.judge)
            reporter.close(result)
        else:
            result = self.experiment.run(config, each)
        if meter:
            meter.sample()
            claim.trial.set_user_attr("energy", {"joules": meter.joules, "source": meter.source})
            run.keep({"energy/joules": meter.joules})
        return result, reporter.pruned

    def _give_back(self, claim: Claim, run: TrackedRun | None, error: BaseException) -> None:
        """Free the slot of a trial that did not get to its end.

        One that was told to the study before something broke stays what it is; its run is ended by
        whoever looks next (`fourier.search.mend`).
        """
        if self.shared.has_ended(claim.trial):
            return
        try:
            self.shared.bury(claim.trial, f"interrupted ({type(error).__name__})")
        finally:
            if run is not None:
                # If MLflow refuses, what is told is why the trial broke off: maybe just that.
                with contextlib.suppress(TrackingError):
                    run.break_off("KILLED", {"fourier.state": "interrupted"})

    def _fail(self, claim: Claim, run: TrackedRun, error: Exception) -> Outcome:
        reason = without_password(f"{type(error).__name__}: {error}".splitlines()[0])
        with scratch_folder() as folder:
            text = without_password("".join(traceback.format_exception(error)))
            (folder / "traceback.txt").write_text(text)
            run.log_folder(folder)
        run.set_tags({"fourier.state": "failed", "fourier.reason": reason})
        self.shared.fail(claim.trial, reason)
        run.end("FAILED")
        return Outcome(number=claim.trial.number, slot=claim.slot, state="failed", reason=reason)

    def _write_files(
        self, claim: Claim, run: TrackedRun, config: TrialConfig, result: Result
    ) -> None:
        """The run's files, and of several folds the curves, which no file has."""
        if result.folds:
            for epoch, metrics in enumerate(result.history):
                run.keep(curve_points(metrics), step=epoch)
            run.flush(wait=False)  # while the picture is drawn
        with scratch_folder() as folder:
            title = f"trial {claim.trial.number:04d}   {config.describe()}"
            write_artifacts(folder, title, self.experiment, config, result)
            write_checksums(folder)
            run.log_folder(folder)


class _Reporter:
    """Hands each epoch to the run, the study and the watcher; says when to stop."""

    def __init__(
        self, runner: TrialRunner, claim: Claim, run: TrackedRun, config: TrialConfig, limit: Limit
    ) -> None:
        self.runner, self.claim, self.run, self.limit = runner, claim, run, limit
        self.epochs = config.training.epochs
        self.pruned = False
        self.best: float | None = None
        self.task = runner.experiment.task

    @property
    def begun(self) -> bool:
        """Whether an epoch has ended."""
        return self.best is not None

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        better = max if self.runner.shared.setting.direction == "maximize" else min
        value = metrics["objective"]
        self.best = value if self.best is None else better(self.best, value)
        self.run.keep(curve_points(of_curves(metrics, self.task)), step=epoch)
        self.runner.watcher.epoch_ends(self.claim.slot, epoch, self.epochs, metrics)
        self.limit.check()
        # The best so far, so that a pruned trial is worth the same here and in its run.
        self.claim.trial.report(self.best, epoch)
        ends = epoch + 1 == self.epochs
        self.pruned = not ends and self.claim.trial.should_prune()
        if not (ends or self.pruned):  # else it is written with the end of the run
            self.run.post()
        return self.pruned


Reporter = _Reporter | FoldReporter
