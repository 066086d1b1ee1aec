"""One write to MLflow as plain data, and how it is carried out: now, or later and maybe again.

A write says everything itself, times included, so it can lie on a disk and be made whenever MLflow
is there. Made twice it leaves what once would have left: MLflow keeps one of two equal points of a
curve, parameters and tags take the same value again, and a run is made only where none carries its
key. MLflow alone gives a run its id; until then the key stands for it, wherever a run is named.
Not here: where writes lie meanwhile (`fourier.tracking.spool`), and who decides.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fourier.errors import TrackingError
from fourier.shown import without_password
from fourier.tracking.outage import tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY_TAG = "fourier.run_key"
KEY = "key-"
"""What keys begin with, and MLflow's own ids never do."""

Kind = Literal["run", "batch", "files", "end", "reopen", "experiment tag"]


@dataclass(frozen=True)
class Write:
    """What is to be written.

    Attributes:
        kind: what sort of write.
        run: MLflow's id of the run that it goes to, or its key; empty for an experiment's tag.
        data: plain values, by ``kind``.
            ``run``: experiment, name, tags, start (milliseconds since 1970).
            ``batch``: metrics as (name, value, milliseconds since 1970, step), params, tags.
            ``end``: status, end (milliseconds since 1970).
            ``experiment tag``: experiment, key, value.
        files: the folder whose files are to be written, for ``files``.
    """

    kind: Kind
    run: str
    data: Mapping[str, Any] = field(default_factory=dict)
    files: Path | None = None


def new_key() -> str:
    """A name for a run that MLflow has not named yet."""
    return KEY + uuid.uuid4().hex


@dataclass(frozen=True)
class Writer:
    """Carries writes out.

    Attributes:
        uri: the store's address.
        client: the client that all writing goes through.
        ids: MLflow's ids of runs, by their keys.
        places: where a run's files go, by MLflow's id.
    """

    uri: str
    client: "MlflowClient"
    ids: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def carry_out(self, write: Write, *, again: bool = False) -> None:
        """Write now.

        Args:
            write: what.
            again: it may have been written before, in whole or in part.

        Raises:
            TrackingAwayError: MLflow is away.
            TrackingError: it refuses.
        """
        with tracking_errors(self.uri):
            match write.kind:
                case "run":
                    self._make_run(write, again)
                case "batch":
                    self._log_batch(self.id_of(write.run), write.data)
                case "files":
                    self._log_files(self.id_of(write.run), write.files)
                case "end":
                    if again:
                        self._drop_twins(write.run)
                    self.client.set_terminated(
                        self.id_of(write.run), write.data["status"], write.data["end"]
                    )
                case "reopen":
                    self.client.update_run(self.id_of(write.run), status="RUNNING")
                case "experiment tag":
                    data = write.data
                    self.client.set_experiment_tag(data["experiment"], data["key"], data["value"])

    def find_id(self, run: str) -> str | None:
        """MLflow's id of a run that is named by it or by its key; None if it is not there yet."""
        if not run.startswith(KEY):
            return run
        if run not in self.ids:
            with tracking_errors(self.uri):
                there = [each.experiment_id for each in self.client.search_experiments()]
                found = self._runs_of(run, there)
            if not found:
                return None
            self.ids[run] = found[0].info.run_id
        return self.ids[run]

    def id_of(self, run: str) -> str:
        """The same of a run that must be there.

        Raises:
            TrackingError: it is not.
        """
        found = self.find_id(run)
        if found is None:
            raise TrackingError(
                f"there is no run with the tag {KEY_TAG} = {run} in MLflow at "
                f"{without_password(self.uri)}; restore it if it was deleted there"
            )
        return found

    def _make_run(self, write: Write, again: bool) -> None:
        data = write.data
        found = self._runs_of(write.run, [data["experiment"]]) if again else []
        if found:
            run = found[0]
        else:
            run = self.client.create_run(
                data["experiment"], data["start"], self._named(data["tags"]), data["name"]
            )
        self.ids[write.run] = run.info.run_id
        self.places[run.info.run_id] = run.info.artifact_uri

    def _runs_of(self, key: str, experiments: list[str]) -> list["Run"]:
        """The runs with this key, the oldest first."""
        if not experiments:
            return []
        query = f"tags.`{KEY_TAG}` = '{key}'"
        order = ["attributes.start_time ASC"]
        return list(self.client.search_runs(experiments, query, order_by=order))

    def _drop_twins(self, key: str) -> None:
        """Delete what a server made that was asked once, hung, and was asked again."""
        if not key.startswith(KEY):
            return
        chosen = self.id_of(key)
        experiment = self.client.get_run(chosen).info.experiment_id
        for run in self._runs_of(key, [experiment]):
            if run.info.run_id != chosen:
                self.client.delete_run(run.info.run_id)

    def _log_batch(self, run: str, data: Mapping[str, Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self.client.log_batch(
            run,
            metrics=[Metric(*point) for point in data.get("metrics", ())],
            params=[Param(key, value) for key, value in data.get("params", {}).items()],
            tags=[RunTag(key, value) for key, value in self._named(data.get("tags", {})).items()],
        )

    def _log_files(self, run: str, folder: Path | None) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if run not in self.places:
            self.places[run] = self.client.get_run(run).info.artifact_uri
        # What the client does, without reading the whole run back to learn where.
        place = get_artifact_repository(self.places[run], tracking_uri=self.uri)
        place.log_artifacts(str(folder))  # type: ignore[no-untyped-call]

    def _named(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Tags that name runs, by MLflow's ids where they are known."""
        named = dict(tags)
        for tag, value in tags.items():
            if value.startswith(KEY) and tag != KEY_TAG:
                named[tag] = self.find_id(value) or value
        return named
