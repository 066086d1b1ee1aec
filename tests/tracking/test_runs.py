import socket
import threading
import time

import pytest

from fourier.errors import TrackingError
from fourier.tracking import Tracker, without_password


@pytest.fixture
def tracker(workplace):
    return Tracker.connect()


@pytest.fixture
def run(tracker):
    return tracker.open_run(tracker.open_experiment("demo", {}), "trial", {"kind": "trial"})


def test_the_default_store_is_the_one_that_a_bare_mlflow_ui_opens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = Tracker.connect()
    assert (tmp_path / "mlflow.db").is_file()
    assert tracker.uri == f"sqlite:///{tmp_path}/mlflow.db"


def test_every_point_of_a_curve_arrives_once_and_in_order(tracker, run):
    for step in range(1500):
        run.log({"val/ccc": step / 1500, "train/loss": 1.0}, step)
    run.end()
    history = tracker.client.get_metric_history(run.id, "val/ccc")
    assert [point.step for point in history] == list(range(1500))
    assert history[-1].value == pytest.approx(1499 / 1500)
    assert tracker.client.get_run(run.id).info.status == "FINISHED"


def test_a_curve_is_written_soon_for_the_first_time_and_then_once_a_second(tracker):
    def written():
        tracker.settle()
        return len(tracker.client.get_metric_history(run.id, "a"))

    experiment, opened = tracker.open_experiment("demo", {}), time.monotonic()
    run = tracker.open_run(experiment, "trial", {"kind": "trial"})
    assert opened + 0.1 <= run._due <= time.monotonic() + 0.1
    run._due += 60  # not yet, however busy the machine is
    run.log({"a": 1.0}, 0)
    assert written() == 0
    run._due = flushed = time.monotonic()
    run.log({"a": 1.0}, 1)
    assert written() == 2
    assert flushed + 1.0 <= run._due <= time.monotonic() + 1.0
    run._due += 60
    run.log({"a": 1.0}, 2)
    assert written() == 2


def test_a_run_that_breaks_off_ends_though_what_it_had_to_say_is_refused(tracker, run):
    run.log_params({"a": 1})
    run.log_params({"a": 2}, wait=False)  # MLflow takes no other value
    run.keep({"never": 1.0})
    run.break_off("KILLED", {"fourier.state": "interrupted"})
    found = tracker.client.get_run(run.id)
    assert found.info.status == "KILLED"
    assert found.data.tags["fourier.state"] == "interrupted"


def test_nobody_waits_for_a_point_nor_for_the_run_itself(tracker):
    made = threading.Event()
    go_on = threading.Event()
    tracker.courier.send(go_on.wait)
    experiment = tracker.open_experiment("e", {})
    run = tracker.open_run(experiment, "r", {}, made=lambda _: made.set())
    run.log_params({"a": 1}, wait=False)
    run.log({"a": 1.0})
    run.end(wait=False)
    assert tracker.courier.busy
    assert not made.is_set()
    go_on.set()
    tracker.settle()
    (written,) = tracker.find_runs(experiment, {})
    assert made.is_set()
    assert written.data.params == {"a": "1"}
    assert written.data.metrics == {"a": 1.0}
    assert written.info.status == "FINISHED"


def test_parameters_hold_what_a_config_holds(tracker, run):
    run.log_params({"spectrogram.n_mfcc": None, "model.hidden": [8, 4], "training.lr": 1e-3})
    assert tracker.client.get_run(run.id).data.params == {
        "spectrogram.n_mfcc": "",
        "model.hidden": "[8, 4]",
        "training.lr": "0.001",
    }


def test_an_experiment_is_made_once_and_its_tags_follow(tracker):
    first = tracker.open_experiment("deam", {"kind": "old", "mlflow.note.content": "a person's"})
    assert tracker.open_experiment("deam", {"kind": "new", "mlflow.note.content": "ours"}) == first
    tags = tracker.client.get_experiment(first).tags
    assert (tags["kind"], tags["mlflow.note.content"]) == ("new", "a person's")


def test_a_deleted_experiment_comes_back(tracker):
    first = tracker.open_experiment("deam", {})
    tracker.client.delete_experiment(first)
    assert tracker.open_experiment("deam", {}) == first
    assert tracker.client.get_experiment(first).lifecycle_stage == "active"


def test_runs_are_found_by_their_tags(tracker):
    experiment = tracker.open_experiment("deam", {})
    ids = [tracker.open_run(experiment, f"{i}", {"slot": str(i % 2)}).id for i in range(4)]
    found = [run.info.run_id for run in tracker.find_runs(experiment, {"slot": "1"})]
    assert sorted(found) == sorted(ids[1::2])


def test_a_deleted_run_does_not_exist(tracker, run):
    assert tracker.run_exists(run.id)
    tracker.client.delete_run(run.id)
    assert not tracker.run_exists(run.id)
    assert not tracker.run_exists("0" * 32)


def test_a_server_that_does_not_answer_is_one_line_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(TrackingError) as error:
        Tracker.connect(f"http://someone:secret@127.0.0.1:{port}")
    assert time.monotonic() - started < 6
    text = str(error.value)
    assert "\n" not in text
    assert "secret" not in text
    assert "mlflow server" in text


def test_a_store_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI") as error:
        Tracker.connect()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@db:5432/x", "postgresql://***@db:5432/x"),
        ("http://token@host/a", "http://***@host/a"),
        ("postgresql://ann:se/cr@et@db/x", "postgresql://***@db/x"),
        ("postgresql://db/x?user=ann&password=secret", "postgresql://db/x?user=ann&password=***"),
        ("no answer from http://a:b@c/d; try", "no answer from http://***@c/d; try"),
        ("sqlite:///studies.db", "sqlite:///studies.db"),
        ("mlruns/studies.journal", "mlruns/studies.journal"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_password_is_never_shown(url, shown):
    assert without_password(url) == shown
