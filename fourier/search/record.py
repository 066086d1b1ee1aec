"""The join of a study and its runs: one parent run for the study, one child for each trial.

Linked both ways: the trial carries the run's id, the run the trial's number in its tags. Tags are
there from the moment a run is made, so a run whose process died can be found and put right
(`fourier.search.mend`).
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError

from fourier.config import SpectrogramConfig, TrialConfig
from fourier.corpora import PROTOCOLS
from fourier.errors import StudyError, TrackingAwayError
from fourier.search.command import environment_tags
from fourier.search.storage import storage_errors
from fourier.search.study import Claim, SharedStudy
from fourier.tracking import TrackedRun, Tracker, save_view, scratch_folder
from fourier.training import describe_device
from fourier.training.experiment import Experiment
from fourier.training.facts import clips_fact, split_fact


@dataclass(frozen=True)
class StudyRecord:
    """Where the runs of one study are written.

    Attributes:
        shared: the study.
        experiment: what its trials have in common.
        experiment_id: MLflow's experiment.
        parent: the run of the study itself.
    """

    shared: SharedStudy
    experiment: Experiment
    experiment_id: str
    parent: TrackedRun

    @classmethod
    def open(cls, tracker: Tracker, shared: SharedStudy, experiment: Experiment) -> "StudyRecord":
        """Find or make the study's run, in the experiment that carries the corpus's name."""
        task = experiment.task
        kind = {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.experiment.primaryMetric.name": f"best/{task.objective}",
            "mlflow.note.content": _experiment_note(experiment),
        }
        experiment_id = tracker.open_experiment(experiment.corpus.name, kind)
        with shared.lock:
            run_id = shared.study.user_attrs.get("run_id")
            if run_id and tracker.run_exists(run_id):
                parent = TrackedRun(tracker, run_id)
                parent.reopen()
            else:
                parent = _make_parent(tracker, experiment_id, shared, experiment)
                with storage_errors():
                    shared.study.set_user_attr("run_id", parent.id)
            if shared.study.user_attrs.get("experiment_id") != experiment_id:
                with storage_errors():
                    shared.study.set_user_attr("experiment_id", experiment_id)
            parent.set_tags(_facts(experiment))
        return cls(shared, experiment, experiment_id, parent)

    @classmethod
    def join(cls, tracker: Tracker, shared: SharedStudy, experiment: Experiment) -> "StudyRecord":
        """The runs of a study that another process has opened, while MLflow is away or not.

        Raises:
            TrackingAwayError: it is away, and nobody has opened them.
        """
        try:
            return cls.open(tracker, shared, experiment)
        except TrackingAwayError:
            known = shared.study.user_attrs
            if not {"run_id", "experiment_id", "baselines"} <= set(known):
                raise
            parent = TrackedRun(tracker, known["run_id"])
            return cls(shared, experiment, known["experiment_id"], parent)

    @classmethod
    def find(cls, tracker: Tracker, shared: SharedStudy, experiment: Experiment) -> "StudyRecord":
        """The runs of a study that was searched before; its own run is left as it is.

        Raises:
            StudyError: its run is not in this store.
        """
        run_id = shared.study.user_attrs.get("run_id", "")
        if not run_id or not tracker.run_exists(run_id):
            raise StudyError(
                f"the runs of study {shared.name!r} are not in {tracker.shown_uri}; set "
                "MLFLOW_TRACKING_URI as it was when the study was run"
            )
        experiment_id = tracker.client.get_run(run_id).info.experiment_id
        return cls(shared, experiment, experiment_id, TrackedRun(tracker, run_id))

    @property
    def tracker(self) -> Tracker:
        """The store that everything is written to."""
        return self.parent.tracker

    def link(self, *, save: bool = True) -> str:
        """The link to this study as people want to see it in MLflow's UI.

        Args:
            save: whether the view is saved, which the link needs once.
        """
        task = self.experiment.task
        metrics = dict.fromkeys(("objective", task.objective, *task.display))
        spread = [f"metrics.`std/{task.objective}`"] if self.experiment.folds else []
        params = ("model.name", "spectrogram.n_mels", "spectrogram.fmax", "spectrogram.reference")
        return save_view(
            self.tracker,
            self.experiment_id,
            f"Study {self.shared.name}: best first",
            parent=self.parent.id,
            columns=[
                *(f"metrics.`best/{name}`" for name in metrics),
                *spread,
                *(f"params.`{name}`" for name in (*params, "training.lr")),
            ],
            ascending=self.shared.setting.direction == "minimize",
            save=save,
        )

    def open_trial(self, claim: Claim, config: TrialConfig | None) -> TrackedRun:
        """Make the run of a claimed trial, in the background, and have the trial carry its id.

        Args:
            claim: the trial.
            config: None if none could be drawn.
        """

        @storage_errors()
        def note(run_id: str) -> None:
            with contextlib.suppress(UpdateFinishedTrialError):  # it was given back meanwhile
                claim.trial.set_user_attr("run_id", run_id)

        number = claim.trial.number
        tags = {
            "fourier.kind": "trial",
            "fourier.trial": str(number),
            "fourier.slot": str(claim.slot),
            "fourier.state": "running",
        }
        if config is not None:
            tags["fourier.digest"] = config.digest
        run = self._child(f"trial {number:04d}", tags, note)
        if config is not None:
            run.log_params(config.to_flat(), wait=False)
        return run

    def open_promotion(self, tags: Mapping[str, str]) -> TrackedRun:
        """Make the run of a promotion, beside the trials that it chose from."""
        kind = environment_tags() | {"fourier.kind": "promotion"}
        return self._child("promotion", kind | dict(tags))

    def write_baselines(self, spectrogram: SpectrogramConfig) -> dict[str, dict[str, float]]:
        """Measure the baselines once in a study's life, each as a run beside the trials.

        Returns:
            Metrics by the baseline's name.
        """
        with self.shared.lock:
            kept = self.shared.study.user_attrs.get("baselines")
            if kept is not None:
                return dict(kept)
            found = self.experiment.baselines(spectrogram)
            mine = {"mlflow.parentRunId": self.parent.id, "fourier.kind": "baseline"}
            there = self.tracker.find_runs(self.experiment_id, mine)
            left = {run.info.run_name: run.info.run_id for run in there}  # by a start that died
            for name, metrics in found.items():
                title = f"baseline {name}"
                if title in left:
                    run = TrackedRun(self.tracker, left[title])
                else:
                    run = self._child(title, {"fourier.kind": "baseline"})
                run.log({f"best/{key}": value for key, value in metrics.items()})
                run.end()
            with storage_errors():
                self.shared.study.set_user_attr("baselines", found)
        return found

    def trial_runs(self) -> dict[str, str]:
        """MLflow's ids of the trials' runs by what the trials call them: these, or keys.

        While MLflow is away a key stays a key.
        """
        names = {str(trial.user_attrs.get("run_id", "")) for trial in self.shared.trials}
        runs = {name: name for name in names}
        with contextlib.suppress(TrackingAwayError):
            for name in names:
                runs[name] = self.tracker.id_of(name)
        return runs

    def sum_up(self, folder: Path, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Write what people compare with to the study's run."""
        self.parent.log(metrics)
        self.parent.flush()
        self.parent.log_folder(folder)
        self.parent.set_tags(tags)

    def _child(
        self, name: str, tags: Mapping[str, str], made: Callable[[str], None] | None = None
    ) -> TrackedRun:
        common = {"mlflow.parentRunId": self.parent.id}
        tags = common | _study_tags(self.shared, self.experiment) | dict(tags)
        return self.tracker.open_run(self.experiment_id, name, tags, made=made)


def _make_parent(
    tracker: Tracker, experiment_id: str, shared: SharedStudy, experiment: Experiment
) -> TrackedRun:
    """The study's run: the one that a start made which died before it was noted, or a new one."""
    key = {"fourier.kind": "study", "fourier.study_key": shared.study.user_attrs["key"]}
    left = tracker.find_runs(experiment_id, key)
    if left:
        parent = TrackedRun(tracker, left[0].info.run_id)
        parent.reopen()
    else:
        tags = _study_tags(shared, experiment) | environment_tags() | key
        parent = tracker.open_run(experiment_id, shared.name, tags, at_once=True)
    if not left or not left[0].data.params:
        how = {"sampler": shared.sampler, "pruner": shared.pruner}
        parent.log_params(shared.setting.__dict__ | how)
        _write_leaks(parent, experiment)
    return parent


def _study_tags(shared: SharedStudy, experiment: Experiment) -> dict[str, str]:
    protocol = PROTOCOLS[experiment.protocol]
    tags: dict[str, Any] = {
        "fourier.kind": "study",
        "fourier.study": shared.name,
        "fourier.task": experiment.task.name,
        "fourier.corpus": experiment.corpus.name,
        "fourier.corpus_digest": experiment.corpus.digest,
        "fourier.protocol": experiment.protocol,
        "fourier.device": str(experiment.store.device),
        "fourier.leaks": str(len(experiment.leaks)),
    }
    if experiment.folds:
        tags["fourier.folds"] = str(experiment.folds)
    if protocol.leaky:
        tags["fourier.leaky"] = "true"
    if experiment.corpus.is_demo:
        tags["fourier.demo"] = "true"
    return tags


def _write_leaks(run: TrackedRun, experiment: Experiment) -> None:
    """What the search for copies found, as the run's ``leaks.json``."""
    write_text(run, "leaks.json", json.dumps(experiment.describe_leaks(), indent=2) + "\n")


def write_text(run: TrackedRun, name: str, text: str) -> None:
    """Write a text as one file of a run."""
    with scratch_folder() as folder:
        (folder / name).write_text(text)
        run.log_folder(folder)


def _facts(experiment: Experiment) -> dict[str, str]:
    """What the study learns from, for whoever reads of it later without the corpus at hand."""
    return {
        "fourier.clips": clips_fact(experiment),
        "fourier.split": split_fact(experiment),
        "fourier.left_out": str(len(experiment.pcm.left_out)),
        "fourier.device_name": describe_device(experiment.store.device),
    }


def _experiment_note(experiment: Experiment) -> str:
    """What the experiment's page says in the UI, Markdown."""
    task, corpus = experiment.task, experiment.corpus
    return (
        f"**{corpus.name}**: which spectrogram and which network hear it best?\n\n"
        f"A parent run is a study; its children are trials and baselines. The objective is "
        f"`best/{task.objective}` ({task.direction}), measured on validation tracks; the test "
        "part stays closed until a promotion.\n"
    )
