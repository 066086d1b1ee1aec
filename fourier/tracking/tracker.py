"""What happened, in MLflow: a task is an experiment, a study a parent run, a trial a child run.

Everything goes through one client with an explicit address, so nothing depends on MLflow's global
state, and several processes write side by side. Not here: what is worth writing (the search
decides), a run's curves and files (`fourier.tracking.runs`), and models in the registry (the
release does).
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from fourier.errors import TrackingAwayError
from fourier.shown import without_password
from fourier.tracking.courier import Courier
from fourier.tracking.database import write_ahead
from fourier.tracking.files import CHECKSUMS_FILE, find_damaged
from fourier.tracking.outage import give_up_soon, require_answer, tracking_errors
from fourier.tracking.outbox import Delivered, Outbox, Progress
from fourier.tracking.runs import TrackedRun, now
from fourier.tracking.spool import Kept
from fourier.tracking.writes import KEY_TAG, Write, Writer, new_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NOTE = "mlflow.note.content"
"""An experiment's description in the UI, where people write too."""


@dataclass(frozen=True)
class Tracker:
    """One MLflow tracking store.

    Attributes:
        uri: its address, as MLflow understands it.
        client: the client that all writing goes through.
        writer: carries writes out.
        outbox: keeps them while the store is away; None makes that an error.
        courier: carries those out that nobody waits for.
    """

    uri: str
    client: "MlflowClient"
    writer: Writer
    outbox: Outbox | None = None
    courier: Courier = field(default_factory=Courier)

    @classmethod
    def connect(
        cls, uri: str | None = None, *, spool: Path | None = None, may_be_away: bool = False
    ) -> "Tracker":
        """Open a tracking store, making its database where there is none.

        Args:
            uri: an MLflow tracking address; None takes ``MLFLOW_TRACKING_URI``, and without it
                ``mlflow.db`` in the working directory, which is also what ``mlflow ui`` opens.
            spool: the folder that keeps what is written while the store is away; None makes that
                an error.
            may_be_away: whether the store may be so from the beginning, because somebody else has
                seen that it is the right one.

        Raises:
            TrackingAwayError: the store does not answer.
            TrackingError: it cannot be used.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a sweep phones nobody
        # Else MLflow prints each run's address, with the password of a server that has one.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # rooms never print
        import mlflow
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # "Creating initial database tables…", 40 lines
            logging.getLogger(name).setLevel(logging.WARNING)
        # It prints a database's errors with their traceback, and raises them too.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        uri = uri or mlflow.get_tracking_uri()
        if spool is not None:
            give_up_soon()
        with tracking_errors(uri), _one_at_a_time(uri):
            client = MlflowClient(uri)
        try:
            if uri.startswith(("http://", "https://")):
                require_answer(uri)
            with tracking_errors(uri), _one_at_a_time(uri):
                client.search_experiments(max_results=1)
                if uri.startswith("sqlite:"):
                    write_ahead(uri)
        except TrackingAwayError:
            if not may_be_away:
                raise
        writer = Writer(uri, client)
        return cls(uri, client, writer, None if spool is None else Outbox(writer, spool))

    def open_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        """Find or make an experiment, bring its tags but the note up to date, and return its id."""
        with tracking_errors(self.uri), _one_at_a_time(self.uri):
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
        data = {"experiment": experiment, "key": key, "value": value}
        self.write(Write("experiment tag", "", data))

    def open_run(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        *,
        at_once: bool = False,
        made: Callable[[str], None] | None = None,
    ) -> TrackedRun:
        """Make a run, started now, with its tags already there should the process die next.

        Args:
            experiment: MLflow's id of it.
            name: the run's.
            tags: what it is found by.
            at_once: whether MLflow must be there, because others need the run's id.
            made: makes it in the background; called there with its id, or with its key while
                MLflow is away.
        """
        key = new_key()
        mark = {KEY_TAG: key} if self.outbox else {}  # so that it is found, should it be asked for
        data = {"experiment": experiment, "name": name, "tags": dict(tags) | mark, "start": now()}
        write = Write("run", key, data)
        if made is not None:
            self.courier.send(lambda: self._make_run(write, made))
            return TrackedRun(self, key)
        self.courier.settle()
        if at_once:
            self.writer.carry_out(write)
        else:
            self._carry_out(write)
        return TrackedRun(self, self.writer.ids.get(key, key))

    def write(self, write: Write, *, wait: bool = True) -> None:
        """Write, or keep it for later where there is an outbox.

        Args:
            write: what.
            wait: until it is written, and all that was sent before it.

        Raises:
            TrackingError: it failed, or what was sent before it and not waited for.
        """
        self.courier.send(lambda: self._carry_out(write))
        if wait:
            self.courier.settle()

    def hold(self, write: Write) -> None:
        """Write it before the next write, or with the next `settle`."""
        self.courier.hold(lambda: self._carry_out(write))

    def settle(self) -> None:
        """Wait until everything is written that was not waited for.

        Raises:
            TrackingError: it failed.
        """
        self.courier.settle()

    def deliver(self, progress: Progress = lambda _done, _total: None) -> Delivered:
        """Deliver what is kept, by this process or by one that died.

        Args:
            progress: called with (done, total).

        Raises:
            TrackingAwayError: the store is still away.
            TrackingError: it refuses something.
        """
        self.settle()
        return self.outbox.deliver(progress) if self.outbox else Delivered(0, 0)

    def kept(self) -> list[Kept]:
        """What is kept for this store, by all processes."""
        self.settle()
        return self.outbox.kept() if self.outbox else []

    def close(self) -> None:
        """Leave what is kept to whoever comes next."""
        self.settle()
        if self.outbox:
            self.outbox.close()

    def id_of(self, run: str) -> str:
        """MLflow's id of a run that a trial names; what is not delivered yet keeps its key.

        Raises:
            TrackingAwayError: the store does not answer, and only it knows.
        """
        return self.writer.find_id(run) or run

    def find_runs(self, experiment: str, tags: Mapping[str, str]) -> list["Run"]:
        """All runs of an experiment that carry these tags, oldest first."""
        query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        found: list[Run] = []
        token: str | None = None
        with tracking_errors(self.uri):
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
        with tracking_errors(self.uri), tempfile.TemporaryDirectory() as folder:
            if name not in {each.path for each in self.client.list_artifacts(run_id)}:
                return None
            return Path(self.client.download_artifacts(run_id, name, folder)).read_text()

    def read_sound_artifact(self, run_id: str, name: str) -> str | None:
        """The same where the run's checksums say that the file is as it was written; else None."""
        with tracking_errors(self.uri), tempfile.TemporaryDirectory() as folder:
            wanted = {name, CHECKSUMS_FILE}
            if not wanted <= {each.path for each in self.client.list_artifacts(run_id)}:
                return None
            for each in wanted:
                self.client.download_artifacts(run_id, each, folder)
            return None if find_damaged(Path(folder)) else (Path(folder) / name).read_text()

    def length_of_curve(self, run_id: str, name: str) -> int:
        """How many points a metric of a run has."""
        with tracking_errors(self.uri):
            return len(self.client.get_metric_history(run_id, name))

    def _make_run(self, write: Write, made: Callable[[str], None]) -> None:
        self._carry_out(write)
        made(self.writer.ids.get(write.run, write.run))

    def _carry_out(self, write: Write) -> None:
        if self.outbox:
            self.outbox.write(write)
        else:
            self.writer.carry_out(write)

    def run_exists(self, run_id: str) -> bool:
        """Whether a run is there and not deleted."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        absent = ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)
        with tracking_errors(self.uri):
            try:
                return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
            except MlflowException as error:
                if error.error_code == absent:
                    return False
                raise


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
