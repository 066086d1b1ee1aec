"""A sweep whose tracking server is stopped in its middle, comes back, and goes for good."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
import psutil
import pytest
import requests

from fourier.search.storage import open_storage
from fourier.tracking import SPOOL, Tracker, look

# Three starts of a server and three of a sweep, which take their time where others compute too.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SPACE = """
import time
from pathlib import Path
from fourier.cli.sweep import sweep_command
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.search.sweep import Space

def suggest(trial):
    n_mels = trial.suggest_int("n_mels", 8, 24)
    lr = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    here, go = Path(f"at-{trial.number}"), Path(f"go-{trial.number}")
    while Path("gates").exists() and trial.number in (2, 5, 7) and not go.exists():
        here.touch()
        time.sleep(0.05)
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=n_mels, n_fft=512),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(lr=lr, patience=0),
    )

space = Space(suggest, first=[{"n_mels": 8, "lr": 1e-3}], epochs=3)
raise SystemExit(sweep_command("gtzan", lambda: space, "Mine."))
"""
TRIALS = 8
SYNC = [sys.executable, "-m", "fourier", "sync"]


class Server:
    """A real ``mlflow server``, stopped and started."""

    def __init__(self, folder, port):
        self.folder, self.uri = folder, f"http://127.0.0.1:{port}"
        words = ["-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
        words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        words += ["--artifacts-destination", str(folder / "artifacts")]
        self.command = [sys.executable, *words]
        self.process = None

    def start(self):
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log)
        wait_for(self._answers)

    def stop(self):
        if self.process is None:
            return
        mine = [psutil.Process(self.process.pid)]
        mine += mine[0].children(recursive=True)
        for each in mine:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
        psutil.wait_procs(mine, timeout=60)
        self.process.wait()
        self.process = None

    def _answers(self):
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.uri}/health", timeout=5).ok
        return False


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(folder, words, **environment):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


@dataclass
class Story:
    """What was seen of it, and the two folders afterwards."""

    torn: Path
    whole: Path
    server: Path
    offline: list
    kept: list
    ended: tuple
    delivered: tuple


@pytest.fixture(scope="module")
def story(tmp_path_factory, empty_tracking_database, tiny_gtzan):
    root = tmp_path_factory.mktemp("outage")
    places = [root / name for name in ("torn", "whole", "server")]
    for place in places:
        place.mkdir()
        (place / "mine.py").write_text(SPACE)
        shutil.copy(empty_tracking_database, place / "mlflow.db")
    torn, whole, home = places
    words = ["mine.py", "--data", str(tiny_gtzan), "--protocol", "track", "--device", "cpu"]
    words += ["--trials", str(TRIALS), "--pruner", "none"]
    caches = tmp_path_factory.mktemp("caches")
    alone = start(whole, words, FOURIER_CACHE=str(caches / "a"))
    started = [alone]
    server = Server(home, free_port())
    try:
        server.start()
        (torn / "gates").touch()
        address = {"MLFLOW_TRACKING_URI": server.uri}
        sweep = start(torn, words, FOURIER_CACHE=str(caches / "b"), **address)
        started.append(sweep)
        wait_for((torn / "at-2").exists)
        server.stop()
        (torn / "go-2").touch()
        wait_for((torn / "at-5").exists)
        offline = [trial.state.name for trial in trials_of(torn)]
        kept = look(torn / SPOOL)
        server.start()
        (torn / "go-5").touch()
        wait_for((torn / "at-7").exists)
        server.stop()
        (torn / "go-7").touch()
        ended = (*sweep.communicate(timeout=240), sweep.returncode)
        server.start()
        sync = subprocess.run(SYNC, cwd=torn, capture_output=True, text=True, check=False)
        alone.communicate(timeout=240)
    finally:
        server.stop()
        for process in started:
            process.kill()
            process.communicate()
    assert alone.returncode == 0
    delivered = (sync.stdout, sync.stderr, sync.returncode)
    return Story(torn, whole, home, offline, kept, ended, delivered)


def free_port():
    """One that no connection gets by itself while the server is away."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", port)) != 0:
                return port


def trials_of(folder):
    storage = open_storage(str(folder / "mlruns" / "studies.journal"))
    return optuna.load_study(study_name="gtzan-track", storage=storage).trials


def runs_of(database):
    with contextlib.chdir(database.parent):
        tracker = Tracker.connect(f"sqlite:///{database}")
    experiment = tracker.client.get_experiment_by_name("gtzan").experiment_id
    return tracker, tracker.find_runs(experiment, {})


OWN_TAGS = {"fourier.run_key", "mlflow.parentRunId", "fourier.best_run", "fourier.study_key"}
OWN_FILES = {
    *("history.csv", "trials.csv", "baselines.csv", "study.html", "trial.png"),
    "checksums.json",  # of these too
}
"""Other from sweep to sweep, with an outage or without: ids, seconds, identifiers of plots."""


def content_of(tracker, run, artifacts):
    """Everything in a run but what differs between two sweeps that nothing happened to."""
    curves = {}
    for key in run.data.metrics:
        if not ("time/" in key or "seconds" in key or "energy" in key):
            points = tracker.client.get_metric_history(run.info.run_id, key)
            curves[key] = [(point.step, point.value) for point in points]
    tags = {k: v for k, v in run.data.tags.items() if k not in OWN_TAGS}
    files = {
        path.relative_to(artifacts).as_posix(): b"" if path.name in OWN_FILES else path.read_bytes()
        for path in sorted(artifacts.rglob("*"))
        if path.is_file()
    }
    return run.info.run_name, run.info.status, run.data.params, tags, curves, files


def test_training_goes_on_while_the_server_is_away(story):
    assert story.offline == ["COMPLETE"] * 5 + ["RUNNING"]
    (kept,) = story.kept
    assert len(kept.runs) == 4  # three trials', and the end of the one before
    assert kept.busy


def test_a_sweep_whose_server_never_comes_back_ends_well_and_says_what_to_do(story):
    out, err, code = story.ended
    assert (code, err) == (0, "")
    assert "The best trials" in out
    assert "does not answer" in out
    assert "`fourier sync`" in out
    out, err, code = story.delivered
    assert (code, err) == (0, "")
    assert out.startswith("Delivered ")
    assert look(story.torn / SPOOL) == []


def test_in_the_end_mlflow_holds_what_it_would_have_held_without_an_outage(story):
    torn, whole = runs_of(story.server / "mlflow.db"), runs_of(story.whole / "mlflow.db")
    found = []
    for folder, (tracker, runs) in ((story.server / "artifacts", torn), (None, whole)):
        contents = []
        for run in runs:
            local = run.info.artifact_uri.removeprefix("file://")
            inside = run.info.artifact_uri.removeprefix("mlflow-artifacts:/")
            place = folder / inside if folder else story.whole / local
            contents.append(content_of(tracker, run, place))
        found.append(sorted(contents, key=lambda content: content[0]))
    assert [content[0] for content in found[0]] == [content[0] for content in found[1]]
    assert len(found[0]) == TRIALS + 3  # the study and two baselines
    for mine, its in zip(*found, strict=True):
        assert mine == its
    assert {content[1] for content in found[0]} == {"FINISHED"}


def test_every_trial_has_its_one_run_and_the_same_value(story):
    tracker, runs = runs_of(story.server / "mlflow.db")
    trials, alone = trials_of(story.torn), trials_of(story.whole)
    assert [(t.params, t.value) for t in trials] == [(t.params, t.value) for t in alone]
    by_id = {run.info.run_id: run for run in runs}
    mine = [tracker.id_of(trial.user_attrs["run_id"]) for trial in trials]
    assert len(set(mine)) == TRIALS
    for trial, run_id in zip(trials, mine, strict=True):
        assert by_id[run_id].data.tags["fourier.trial"] == str(trial.number)
        assert by_id[run_id].data.metrics["best/objective"] == trial.value
    parent = next(run for run in runs if run.data.tags["fourier.kind"] == "study")
    assert parent.data.tags["fourier.best_run"] in mine
    place = parent.info.artifact_uri.removeprefix("mlflow-artifacts:/")
    table = pd.read_csv(story.server / "artifacts" / place / "trials.csv")
    assert [tracker.id_of(run_id) for run_id in table["run_id"]] == mine
