"""What happened, in MLflow: a task is an experiment, a study a parent run, a trial a child run.

Everything goes through one client with an explicit address, so nothing depends on MLflow's global
state, and several processes write side by side. Curves are kept in memory and written in batches,
at most one write a second: a write costs milliseconds, an epoch may take less. Not here: what is
worth writing (the search decides), and models in the registry (the release does).
"""

import contextlib
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from fourier.errors import TrackingError
from fourier.shown import without_password
from fourier.tracking.database import write_ahead

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FLUSH_SECONDS = 1.0
NOTE = "mlflow.note.content"
"""An experiment's description in the UI, where people write too."""
PARAM_CHARS = 6000
"""MLflow refuses longer parameter values."""


@contextlib.contextmanager
def _tracking_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one line that says what to do."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        text = without_password(str(error).strip()) or type(error).__name__
        reason = text.splitlines()[0]
        advice = "check MLFLOW_TRACKING_URI, or unset it to use ./mlflow.db"
        if "MLFLOW_TRACKING_URI" not in os.environ:
            advice = "work where you may write and there is room, or set MLFLOW_TRACKING_URI"
        raise TrackingError(
            f"MLflow at {without_password(uri)} did not take what was written: {reason}; {advice}"
        ) from error


@dataclass(frozen=True)
class Tracker:
    """One MLflow tracking store.

    Attributes:
        uri: its address, as MLflow understands it.
        client: the client that all writing goes through.
    """

    uri: str
    client: "MlflowClient"

    @classmethod
    def connect(cls, uri: str | None = None) -> "Tracker":
        """Open a tracking store, making its database where there is none.

        Args:
            uri: an MLflow tracking address; None takes ``MLFLOW_TRACKING_URI``, and without it
                ``mlflow.db`` in the working directory, which is also what ``mlflow ui`` opens.

        Raises:
            TrackingError: the store does not answer.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a sweep phones nobody
        # Else MLflow prints each run's address, with the password of a server that has one.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # rooms never print
        import mlflow
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # "Creating initial database tables…", 40 lines
            logging.getLogger(name).setLevel(logging.WARNING)
        # Tracebacks of what is raised as well, and becomes a line.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        uri = uri or mlflow.get_tracking_uri()
        if uri.startswith(("http://", "https://")):
            require_answer(uri)
        with _tracking_errors(uri), _one_at_a_time(uri):
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
            if uri.startswith("sqlite:"):
                write_ahead(uri)
        return cls(uri, client)

    def open_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """Find or make an experiment, bring its tags but the note up to date, and return its id."""
        with _tracking_errors(self.uri), _one_at_a_time(self.uri):
            experiment = self.client.get_experiment_by_name(name)
            if experiment is None:
                return str(self.client.create_experiment(name, tags=dict(tags)))
            if experiment.lifecycle_stage == "deleted":
                self.client.restore_experiment(experiment.experiment_id)
            for key, value in tags.items():
                written = key == NOTE and key in experiment.tags  # and maybe by hand
                if experiment.tags.get(key) != value and not written:
                    self.client.set_experiment_tag(experiment.experiment_id, key, value)
            return str(experiment.experiment_id)

    @property
    def shown_uri(self) -> str:
        """The address as it may be shown."""
        return without_password(self.uri)

    def set_experiment_tag(self, experiment: str, key: str, value: str) -> None:
        """Set one tag of an experiment."""
        with _tracking_errors(self.uri):
            self.client.set_experiment_tag(experiment, key, value)

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> "TrackedRun":
        """Make a run, started now, with its tags already there should the process die next."""
        with _tracking_errors(self.uri):
            run = self.client.create_run(experiment, run_name=name, tags=dict(tags))
        return TrackedRun(self, run.info.run_id, run.info.artifact_uri)

    def find_runs(self, experiment: str, tags: Mapping[str, str]) -> list["Run"]:
        """All runs of an experiment that carry these tags, oldest first."""
        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found: list[Run] = []
        token: str | None = None
        with _tracking_errors(self.uri):
            while True:
                page = self.client.search_runs(
                    [experiment],
                    query,
                    max_results=1000,
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
                found += page
                token = page.token
                if not token:
                    return found

    def read_artifact(self, run_id: str, name: str) -> str | None:
        """The text of one file of a run; None if the run has no such file."""
        with _tracking_errors(self.uri), tempfile.TemporaryDirectory() as folder:
            if name not in {each.path for each in self.client.list_artifacts(run_id)}:
                return None
            return Path(self.client.download_artifacts(run_id, name, folder)).read_text()

    def run_exists(self, run_id: str) -> bool:
        """Whether a run is there and not deleted."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        absent = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)
        with _tracking_errors(self.uri):
            try:
                return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
            except MlflowException as error:
                if error.error_code == absent:
                    return False
                raise


@dataclass
class TrackedRun:
    """A run being written: curves in batches, everything else at once.

    Attributes:
        tracker: the store that it is in.
        id: MLflow's run id.
        artifact_uri: where its files go; None asks the store when there are some.
    """

    tracker: Tracker
    id: str
    artifact_uri: str | None = None
    _metrics: list[Any] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Write parameters, None among them as an empty value."""
        from mlflow.entities import Param

        entries = [
            Param(key, "" if value is None else str(value)[:PARAM_CHARS])
            for key, value in params.items()
        ]
        with _tracking_errors(self.tracker.uri):
            self.tracker.client.log_batch(self.id, params=entries)

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Keep one point of each curve; written when the last write is a second ago."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics += [Metric(key, float(value), now, step) for key, value in metrics.items()]
        if time.monotonic() - self._written >= FLUSH_SECONDS:
            self.flush()

    def flush(self, tags: Mapping[str, str] | None = None) -> None:
        """Write what is kept, and with it tags."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in (tags or {}).items()]
        with _tracking_errors(self.tracker.uri):
            while self._metrics or entries:  # MLflow takes a thousand entries at a time
                room = 1000 - len(entries)
                self.tracker.client.log_batch(self.id, metrics=self._metrics[:room], tags=entries)
                del self._metrics[:room], entries[:]
        self._written = time.monotonic()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags in one write."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in tags.items()]
        with _tracking_errors(self.tracker.uri):
            self.tracker.client.log_batch(self.id, tags=entries)

    def log_folder(self, folder: Path) -> None:
        """Write every file of a folder as an artifact."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with _tracking_errors(self.tracker.uri):
            if self.artifact_uri is None:
                self.artifact_uri = self.tracker.client.get_run(self.id).info.artifact_uri
            # What the client does, without reading the whole run back to learn where.
            place = get_artifact_repository(self.artifact_uri, tracking_uri=self.tracker.uri)
            place.log_artifacts(str(folder))  # type: ignore[no-untyped-call]

    def end(self, status: str = "FINISHED") -> None:
        """Write what is kept and end the run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        with _tracking_errors(self.tracker.uri):
            self.tracker.client.set_terminated(self.id, status)

    def reopen(self) -> None:
        """Mark the run as running again: a study that is continued."""
        with _tracking_errors(self.tracker.uri):
            self.tracker.client.update_run(self.id, status="RUNNING")


def require_answer(uri: str, variable: str = "MLFLOW_TRACKING_URI") -> None:
    """Ask a server for its health once, where MLflow would retry for minutes.

    Args:
        uri: address of the server.
        variable: where the address comes from.

    Raises:
        TrackingError: it does not answer.
    """
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=5).raise_for_status()
    except requests.RequestException as error:
        raise TrackingError(
            f"no MLflow server answers at {without_password(uri)} ({type(error).__name__}); "
            f"start it with `mlflow server`, or unset {variable} to use ./mlflow.db"
        ) from None


def _one_at_a_time(uri: str) -> contextlib.AbstractContextManager[object]:
    """Keep processes from making the same local database or experiment twice.

    The lock lies near the database, so that they need not have one working directory.
    """
    from sqlalchemy.engine import make_url

    if not uri.startswith("sqlite:"):
        return contextlib.nullcontext()
    folder = Path((make_url(uri).database or "").removeprefix("file:")).parent / "mlruns"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / ".tracking.lock")
