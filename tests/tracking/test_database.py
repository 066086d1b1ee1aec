import sqlite3
from pathlib import Path

import pytest

from fourier.tracking import Tracker
from fourier.tracking.database import file_system_of, write_ahead

MOUNTS = [
    ("/", "ext4"),
    ("/home", "nfs4"),
    ("/home/ann/scratch", "xfs"),
    ("/data", "nfs4"),
    ("/data", "tmpfs"),
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/mlflow.db", "ext4"),
        ("/home/ann/mlflow.db", "nfs4"),
        ("/home/ann/scratch/mlflow.db", "xfs"),
        ("/home/ann/scratches/mlflow.db", "nfs4"),
        ("/data/mlflow.db", "tmpfs"),
    ],
)
def test_the_innermost_and_latest_mount_decides(path, kind):
    assert file_system_of(Path(path), MOUNTS) == kind


def test_nobody_knows_where_nothing_is_mounted():
    assert file_system_of(Path("/x"), []) == ""


def test_a_run_is_read_while_another_program_writes(workplace):
    tracker = Tracker.connect()
    run = tracker.open_run(tracker.open_experiment("demo", {}), "trial", {"kind": "trial"})
    with sqlite3.connect("mlflow.db") as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        writer.execute("BEGIN EXCLUSIVE")
        assert tracker.client.get_run(run.id).data.tags["kind"] == "trial"


def test_a_database_on_a_network_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("fourier.tracking.database.LOCAL_FILE_SYSTEMS", frozenset())
    assert not write_ahead(f"sqlite:///{tmp_path}/x.db")
    assert not (tmp_path / "x.db").exists()


def test_a_database_that_is_busy_is_left_for_the_next_start(tmp_path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN EXCLUSIVE")
        assert not write_ahead(f"sqlite:///{path}")
    other.close()
    assert write_ahead(f"sqlite:///{path}")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_needs_nothing(uri):
    assert not write_ahead(uri)
