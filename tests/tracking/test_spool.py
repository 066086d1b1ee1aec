"""What happens while MLflow is away: a real server, stopped and started, and real processes."""

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
import requests
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INVALID_PARAMETER_VALUE,
    PERMISSION_DENIED,
    TEMPORARILY_UNAVAILABLE,
)

from fourier.cli.main import main
from fourier.errors import TrackingAwayError, TrackingError
from fourier.tracking import SPOOL, Tracker, look
from fourier.tracking.outage import is_outage, require_answer
from fourier.tracking.spool import DONE, FILES, LINES, Spool

HTTP, SQLITE = "http://127.0.0.1:5000", "sqlite:///mlflow.db"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tracker(server):
    tracker = Tracker.connect(server.uri, spool=SPOOL)
    yield tracker
    tracker.close()


@pytest.fixture
def experiment(tracker):
    return tracker.open_experiment(uuid.uuid4().hex, {})


def write_trial(tracker, experiment, name="trial", between=lambda: None):
    """Everything that a trial writes, in its order."""
    run = tracker.open_run(experiment, name, {"fourier.state": "running"})
    run.log_params({"model.name": "cnn", "training.lr": 1e-3})
    for step in range(3):
        run.log({"val/ccc": step / 7, "train/loss": float("nan") if step == 2 else 1.0}, step)
        run.flush()
        between()
    folder = Path("written") / name
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "in" / "it [1].txt").write_text("odd")
    run.log_folder(folder)
    shutil.rmtree(folder)
    run.flush({"fourier.state": "complete"})
    run.end()
    return run


def stored(tracker, experiment):
    """All runs of an experiment with everything in them but their ids and times."""
    found = []
    for run in tracker.client.search_runs([experiment], order_by=["tags.`mlflow.runName`"]):
        curves = {
            key: [(p.step, repr(p.value)) for p in client_history(tracker, run, key)]
            for key in run.data.metrics
        }
        tags = {k: v for k, v in run.data.tags.items() if k != "fourier.run_key"}
        files = files_of(tracker, run.info.run_id)
        found.append((run.info.run_name, run.info.status, run.data.params, tags, curves, files))
    return found


def client_history(tracker, run, key):
    return tracker.client.get_metric_history(run.info.run_id, key)


def files_of(tracker, run, path=None):
    found = []
    for each in tracker.client.list_artifacts(run, path):
        found += files_of(tracker, run, each.path) if each.is_dir else [(each.path, each.file_size)]
    return sorted(found)


def lines():
    (folder,) = look(SPOOL)
    return [line[9:] for line in (folder.folder / LINES).read_text().splitlines()]


@pytest.mark.parametrize("goes_after", [0, 1, 3])
def test_what_is_written_while_the_server_is_away_arrives_later_as_if_it_had_been_there(
    goes_after, server, tracker, experiment
):
    expected = tracker.open_experiment(uuid.uuid4().hex, {})
    write_trial(tracker, expected)
    steps = iter(range(9))
    if goes_after == 0:
        server.stop()
    write_trial(
        tracker, experiment, between=lambda: next(steps) + 1 == goes_after and server.stop()
    )
    assert look(SPOOL)[0].writes == len(lines()) - 1 > 0
    server.start()
    tracker.deliver()
    assert stored(tracker, experiment) == stored(tracker, expected)
    assert look(SPOOL) == []
    assert [path.name for path in SPOOL.iterdir()] == [".lock"]


def test_times_are_those_of_the_writing_and_not_of_the_delivery(server, tracker, experiment):
    server.stop()
    before = int(time.time() * 1000)
    run = write_trial(tracker, experiment)
    after = int(time.time() * 1000)
    time.sleep(0.05)
    server.start()
    tracker.deliver()
    found = tracker.client.get_run(tracker.id_of(run.id))
    points = client_history(tracker, found, "val/ccc")
    times = [found.info.start_time, *(p.timestamp for p in points), found.info.end_time]
    assert times == sorted(times)
    assert before <= times[0]
    assert times[-1] <= after


def test_a_run_that_is_named_before_mlflow_knows_it_is_named_by_its_id_afterwards(
    server, tracker, experiment
):
    server.stop()
    run = tracker.open_run(experiment, "trial", {})
    assert tracker.id_of("0" * 32) == "0" * 32
    other = tracker.open_run(experiment, "study", {"best_run": run.id})
    server.start()
    tracker.deliver()
    late = Tracker.connect(server.uri)  # which knows of nothing but the run's tag
    assert late.id_of(run.id) != run.id
    assert late.client.get_run(late.id_of(other.id)).data.tags["best_run"] == late.id_of(run.id)
    run.set_tags({"next": run.id})  # written at once, by whoever still calls it by its key
    assert late.client.get_run(late.id_of(run.id)).data.tags["next"] == late.id_of(run.id)


def test_what_comes_next_goes_behind_what_waits(server, tracker, experiment):
    run = tracker.open_run(experiment, "trial", {})
    server.stop()
    run.set_tags({"state": "old"})
    server.start()
    run.set_tags({"state": "new"})  # MLflow is back, but nobody has asked it again
    assert len(look(SPOOL)) == 1
    tracker.outbox._next_try = 0.0
    run.set_tags({"other": "x"})
    assert look(SPOOL) == []
    tags = tracker.client.get_run(run.id).data.tags
    assert (tags["state"], tags["other"]) == ("new", "x")


def test_a_write_whose_answer_is_lost_is_there_once(server, tracker, experiment):
    server.lose_answers()
    write_trial(tracker, experiment)
    server.answer()
    tracker.deliver()
    (run,) = tracker.client.search_runs([experiment], run_view_type=ViewType.ALL)
    assert [point.step for point in client_history(tracker, run, "val/ccc")] == [0, 1, 2]
    assert run.info.status == "FINISHED"


def test_what_a_hanging_server_made_twice_is_one_run(server, tracker, experiment):
    server.stop()
    run = tracker.open_run(experiment, "trial", {})
    run.end()
    server.start()
    tags = {"fourier.run_key": run.id}
    for _ in range(2):  # as a server does that was asked, hung, and was asked again
        tracker.client.create_run(experiment, run_name="trial", tags=tags)
    tracker.deliver()
    (left,) = tracker.client.search_runs([experiment])
    assert left.info.run_id == tracker.id_of(run.id)
    assert left.info.status == "FINISHED"


def test_a_delivery_that_is_cut_off_and_made_again_leaves_what_one_would_have(
    server, tracker, experiment
):
    expected = tracker.open_experiment(uuid.uuid4().hex, {})
    write_trial(tracker, expected)
    server.stop()
    write_trial(tracker, experiment)
    tracker.close()
    (kept,) = look(SPOOL)
    copy = shutil.copytree(kept.folder, "copy")
    server.start()
    for done in (0, 1, 4, 7):  # as killed after so many, and before the last was noted
        shutil.copytree(copy, SPOOL / f"again-{done}")
        (SPOOL / f"again-{done}" / DONE).write_text(str(done))
    tracker.deliver()
    assert stored(tracker, experiment) == stored(tracker, expected)


def in_a_process(uri, experiment, code):
    script = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from fourier.tracking import SPOOL, Tracker
    from test_spool import write_trial
    tracker = Tracker.connect(sys.argv[2], spool=SPOOL, may_be_away=True)
    experiment = sys.argv[3]
    """
    command = textwrap.dedent(script) + textwrap.dedent(code)
    words = [sys.executable, "-c", command, str(Path(__file__).parent), uri, experiment]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_leaves_what_it_kept_to_the_next(server, tracker, experiment):
    expected = tracker.open_experiment(uuid.uuid4().hex, {})
    write_trial(tracker, expected)
    server.stop()
    killed = in_a_process(
        server.uri,
        experiment,
        """
        write_trial(tracker, experiment)
        print("written", flush=True)
        sys.stdin.read()
        """,
    )
    assert killed.stdout.readline() == "written\n"
    assert [kept.busy for kept in look(SPOOL)] == [True]
    server.start()
    assert tracker.deliver().writes == 0  # its own process lives, and will deliver it
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    delivered = tracker.deliver()
    assert (delivered.writes, delivered.runs) == (8, 1)
    assert stored(tracker, experiment) == stored(tracker, expected)


def keep_a_run(server, tracker, experiment):
    """A queue with a run, two tags in two writes, and a file; nobody holds it."""
    server.stop()
    run = tracker.open_run(experiment, "trial", {})
    run.set_tags({"a": "1"})
    run.set_tags({"b": "2"})
    Path("files").mkdir()
    Path("files/x.txt").write_text("x")
    run.log_folder(Path("files"))
    tracker.close()
    server.start()
    (kept,) = look(SPOOL)
    return kept.folder


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_last_line_is_as_if_it_had_not_been_written(cut, server, tracker, experiment):
    folder = keep_a_run(server, tracker, experiment)
    path = folder / LINES
    last = len(path.read_bytes().splitlines(keepends=True)[-1])
    assert cut < last
    os.truncate(path, path.stat().st_size - cut)
    assert look(SPOOL)[0].writes == 3
    assert tracker.deliver().writes == 3
    (run,) = tracker.client.search_runs([experiment])
    assert (run.data.tags["a"], run.data.tags["b"]) == ("1", "2")
    assert look(SPOOL) == []


def test_a_queue_that_was_begun_and_not_yet_written_is_removed(server, tracker):
    for i, content in enumerate((None, b"", b'0000abcd {"uri"')):
        (SPOOL / f"{i:020d}-1").mkdir(parents=True)
        if content is not None:
            (SPOOL / f"{i:020d}-1" / LINES).write_bytes(content)
    assert look(SPOOL) == []
    assert tracker.deliver().writes == 0
    assert [path.name for path in SPOOL.iterdir()] == [".lock"]


def test_a_line_that_was_changed_is_reported_and_not_delivered(server, tracker, experiment):
    path = keep_a_run(server, tracker, experiment) / LINES
    path.write_bytes(path.read_bytes().replace(b'"a":"1"', b'"a":"7"'))
    with pytest.raises(TrackingError, match="does not match its checksum") as error:
        tracker.deliver()
    assert "\n" not in str(error.value)
    assert all("a" not in run.data.tags for run in tracker.client.search_runs([experiment]))


@pytest.mark.parametrize("kind", ["a link", "a linked folder", "a pipe", "nothing"])
def test_files_that_a_spool_never_holds_are_not_uploaded(
    kind, server, tracker, experiment, tmp_path
):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    folder = keep_a_run(server, tracker, experiment)
    (place,) = (folder / FILES).iterdir()
    if kind == "a link":
        (place / "y.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    elif kind == "a pipe":
        os.mkfifo(place / "y.txt")
    else:
        shutil.rmtree(place)
        if kind == "a linked folder":
            place.symlink_to(tmp_path / "outside")
    with pytest.raises(TrackingError, match="delete"):
        tracker.deliver()
    (run,) = tracker.client.search_runs([experiment])
    assert files_of(tracker, run.info.run_id) == []


def test_no_name_in_a_queue_leads_out_of_it(server, tracker, experiment):
    spool = Spool.create(SPOOL, server.uri)
    Path("mlruns/outside").mkdir()
    Path("mlruns/outside/secret.txt").write_text("secret")
    data = {"files": "../../outside", "folder": "../../outside", "number": "../../outside"}
    spool.append({"kind": "files", "run": "../../outside", "data": data})
    spool.close()
    with pytest.raises(TrackingError, match="is gone"):
        tracker.deliver()


def test_what_mlflow_refuses_is_one_line_and_not_kept(server, tracker, experiment):
    run = tracker.open_run(experiment, "trial", {})
    tracker.client.delete_run(run.id)
    with pytest.raises(TrackingError, match="must be in the 'active' state") as error:
        run.set_tags({"a": "1"})
    assert not isinstance(error.value, TrackingAwayError)
    assert "\n" not in str(error.value)
    assert look(SPOOL) == []


def test_what_mlflow_refuses_later_is_one_line_and_stays(server, tracker, experiment, capsys):
    run = tracker.open_run(experiment, "trial", {})
    server.stop()
    run.set_tags({"a": "1"})
    tracker.close()
    server.start()
    tracker.client.delete_run(run.id)
    with pytest.raises(TrackingError, match="`fourier sync`") as error:
        tracker.deliver()
    assert "\n" not in str(error.value)
    assert main(["sync"]) == 1
    assert "refuses what was kept" in capsys.readouterr().err
    tracker.client.restore_run(run.id)
    assert main(["sync"]) == 0
    assert tracker.client.get_run(run.id).data.tags["a"] == "1"


def test_a_server_that_hangs_takes_a_tenth_of_the_time_and_no_write(
    server, tracker, experiment, monkeypatch
):
    run = tracker.open_run(experiment, "trial", {})
    server.hang()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setattr("fourier.tracking.outbox.PROBE_SECONDS", 0.2)
    monkeypatch.setattr("fourier.tracking.outbox.RETRY_SECONDS", 0.1)
    asked = []
    monkeypatch.setattr(
        "fourier.tracking.outbox.require_answer",
        lambda *words, **options: asked.append(words) or require_answer(*words, **options),
    )
    started = time.monotonic()
    run.set_tags({"n": "0"})
    noticed = time.monotonic()
    assert 0.9 < noticed - started < 5
    tracker.outbox._next_try = 0.0
    waited = []
    while time.monotonic() - noticed < 1.8:
        before = time.monotonic()
        run.set_tags({"n": "1"})
        waited.append(time.monotonic() - before)
        time.sleep(0.02)
    assert len(asked) == 1  # and not soon again
    assert waited[0] > 0.15
    assert statistics.median(waited) < 0.1
    server.answer()
    tracker.deliver()
    assert tracker.client.get_run(run.id).data.tags["n"] == "1"


def test_a_delivery_stops_for_the_training_and_goes_on_later(
    server, tracker, experiment, monkeypatch
):
    run = tracker.open_run(experiment, "trial", {})
    server.stop()
    for i in range(6):
        run.set_tags({"n": str(i)})
    server.start()
    monkeypatch.setattr("fourier.tracking.outbox.BURST_SECONDS", 0.0)
    left = []
    for i in range(6, 9):
        tracker.outbox._next_try = 0.0
        run.set_tags({"n": str(i)})
        left.append(look(SPOOL)[0].writes)
    assert left == [6, 6, 6]  # one out, one in
    tracker.deliver()
    assert tracker.client.get_run(run.id).data.tags["n"] == "8"


def test_a_spool_that_does_not_fit_on_the_disk_is_one_line_and_goes_on_when_there_is_room(
    server, tracker, experiment
):
    run = tracker.open_run(experiment, "trial", {})
    server.stop()
    run.set_tags({"a": "1"})
    (kept,) = look(SPOOL)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (kept.folder / LINES).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        with pytest.raises(TrackingError, match="File too large; make room") as error:
            run.set_tags({"b": "2"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "\n" not in str(error.value)
    run.set_tags({"c": "3"})
    server.start()
    assert tracker.deliver().writes == 2
    tags = tracker.client.get_run(run.id).data.tags
    assert (tags["a"], tags["c"], "b" in tags) == ("1", "3", False)


def test_a_write_that_is_interrupted_is_not_there_and_the_next_ones_are(
    server, tracker, experiment, monkeypatch
):
    run = tracker.open_run(experiment, "trial", {})
    server.stop()
    run.set_tags({"a": "1"})
    force = os.fsync

    def interrupted(file):
        monkeypatch.setattr(os, "fsync", force)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.set_tags({"b": "2"})
    Path("files").mkdir()
    Path("files/x.txt").write_text("x")
    run.log_folder(Path("files"))
    server.start()
    assert tracker.deliver().writes == 2
    assert "b" not in tracker.client.get_run(run.id).data.tags
    assert files_of(tracker, run.id) == [("x.txt", 1)]


def test_what_is_kept_says_for_whom_without_the_password(server, monkeypatch, capsys):
    address = server.uri.replace("://", "://ann:pl@nted-secret@")
    tracker = Tracker.connect(address, spool=SPOOL)
    experiment = tracker.open_experiment(uuid.uuid4().hex, {})
    server.stop()
    tracker.open_run(experiment, "trial", {})
    tracker.close()
    (kept,) = look(SPOOL)
    assert kept.uri == server.uri.replace("://", "://***@")
    assert b"nted-secret" not in (kept.folder / LINES).read_bytes()
    server.start()
    assert main(["sync"]) == 1
    assert "set MLFLOW_TRACKING_URI" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert main(["sync"]) == 0
    assert "Delivered 1 write of 1 run" in capsys.readouterr().out
    assert len(tracker.client.search_runs([experiment])) == 1


def test_another_store_does_not_get_it(server, tracker, experiment, workplace):
    folder = keep_a_run(server, tracker, experiment)
    assert Tracker.connect(SQLITE, spool=SPOOL).deliver().writes == 0
    assert [kept.folder for kept in look(SPOOL)] == [folder]


def test_sync_says_what_it_did_and_what_is_left(server, tracker, experiment, capsys):
    assert main(["sync"]) == 0
    assert "Nothing waits" in capsys.readouterr().out
    keep_a_run(server, tracker, experiment)
    server.stop()
    assert main(["sync"]) == 1
    err = capsys.readouterr().err
    assert "4 writes of 1 run stay in mlruns/spool" in err
    assert err.count("\n") == 1
    server.start()
    assert main(["sync"]) == 0
    assert f"Delivered 4 writes of 1 run to {server.uri}." in capsys.readouterr().out
    (run,) = tracker.client.search_runs([experiment])
    assert files_of(tracker, run.info.run_id) == [("x.txt", 1)]
    assert not Path("mlflow.db").exists()


def test_without_a_spool_a_server_that_is_away_is_an_error(server, tmp_path):
    tracker = Tracker.connect(server.uri)
    run = tracker.open_run(tracker.open_experiment(uuid.uuid4().hex, {}), "promotion", {})
    server.stop()
    with pytest.raises(TrackingAwayError):
        run.set_tags({"a": "1"})
    assert not SPOOL.exists()


@pytest.mark.slow
def test_a_database_that_somebody_locks_for_long_gets_it_later_and_prints_nothing(workplace, capfd):
    tracker = Tracker.connect(spool=SPOOL)
    run = tracker.open_run(tracker.open_experiment("demo", {}), "trial", {})
    with contextlib.closing(sqlite3.connect("mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        run.set_tags({"a": "1"})  # MLflow waits for 20 s
        assert look(SPOOL)[0].writes == 1
    tracker.deliver()
    assert tracker.client.get_run(run.id).data.tags["a"] == "1"
    assert capfd.readouterr() == ("", "")


def answer(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status}", response=response)


def of_mlflow(text, code):
    return MlflowException(text, error_code=code)


@pytest.mark.parametrize(
    ("error", "uri", "passes"),
    [
        (requests.ConnectionError("refused"), HTTP, True),
        (requests.ReadTimeout("slow"), HTTP, True),
        (answer(503), HTTP, True),
        (answer(429), HTTP, True),
        (answer(401), HTTP, False),
        (answer(404), HTTP, False),
        (of_mlflow("no database", TEMPORARILY_UNAVAILABLE), HTTP, True),
        (of_mlflow("no such run", INVALID_PARAMETER_VALUE), HTTP, False),
        (of_mlflow("not you", PERMISSION_DENIED), HTTP, False),
        (of_mlflow("database is locked", TEMPORARILY_UNAVAILABLE), SQLITE, True),
        (of_mlflow("database or disk is full", TEMPORARILY_UNAVAILABLE), SQLITE, True),
        (of_mlflow("no such table: runs", TEMPORARILY_UNAVAILABLE), SQLITE, False),
        (of_mlflow("server closed", TEMPORARILY_UNAVAILABLE), "postgresql://db/x", True),
        (OSError(28, "No space left on device"), SQLITE, True),
        (PermissionError(13, "Permission denied"), SQLITE, False),
    ],
    ids=str,
)
def test_what_passes_by_itself_is_told_from_what_does_not(error, uri, passes):
    assert is_outage(error, uri) == passes
