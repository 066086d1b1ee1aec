"""Secrets planted wherever they may be, and a search through everything that a sweep writes."""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import psutil
import pytest
import requests

from fourier.cli.main import main
from fourier.errors import FourierError, StudyError, TrackingError
from fourier.search.storage import open_storage
from fourier.tracking import Tracker

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEPlanted",
    "MLFLOW_TRACKING_TOKEN": "dapi-0123456789abcdef",
    "MLFLOW_TRACKING_PASSWORD": "correct horse battery",
    "HF_TOKEN": "hf_PlantedPlantedPlanted",
    "PGPASSWORD": "pg-Planted-password",
}
IN_STORAGE, IN_TRACKING = "sto/rage:Pl@nted", "tracking-Pl@nted"
SPACE = """
import os
from fourier.cli.sweep import sweep_command
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.search.sweep import Space

def suggest(trial):
    n_mels = trial.suggest_categorical("n_mels", [8, 16])
    if n_mels == 16:
        told = [name + " is " + value for name, value in os.environ.items()]
        raise RuntimeError(", ".join(told) + " Authorization: Bearer unheard-of-token")
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=n_mels, n_fft=512),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(patience=0),
    )

space = Space(suggest, first=[{"n_mels": 8}, {"n_mels": 16}], epochs=1)
raise SystemExit(sweep_command("gtzan", lambda: space, "Mine."))
"""


def forms(secret):
    """A secret as it is, in an address, in JSON, and as HTTP's headers carry it."""
    pairs = [base64.b64encode(f"{user}:{secret}".encode()).decode() for user in ("ann", "")]
    return {secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1], *pairs}


ALL = {form for secret in (*SECRETS.values(), IN_STORAGE, IN_TRACKING) for form in forms(secret)}
ALL |= {"unheard-of-token"}


def found_in(data):
    return {secret for secret in ALL if secret.encode() in data}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(folder):
    """A real server whose address carries a password, and everything that it prints."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            time.sleep(0.3)
        yield f"http://ann:{quote(IN_TRACKING, safe='')}@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=120)


def watched(process):
    """Runs a process to its end; the words of all that it starts, and where they listen."""
    titles, listening = set(), set()
    leader = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for child in leader.children(recursive=True):
                titles.add(" ".join(child.cmdline()))
            for each in (leader, *leader.children(recursive=True)):
                where = [at.laddr for at in each.net_connections("inet") if at.status == "LISTEN"]
                listening |= set(where)
        time.sleep(0.1)
    return titles, listening


@pytest.mark.slow
def test_no_secret_is_written_anywhere_by_a_sweep(workplace, own_cache, tiny_gtzan):
    (workplace / "home").mkdir()
    (workplace / "mine.py").write_text(SPACE)
    secret = quote(IN_STORAGE, safe="")
    storage = f"sqlite:///file:studies.db?uri=true&user=ann&password={secret}"
    words = [sys.executable, "mine.py", "--data", str(tiny_gtzan), "--protocol", "track"]
    words += ["--trials", "2", "--workers", "2", "--storage", storage, "--device", "cpu"]
    with mlflow_server(workplace) as address:
        places = {"HOME": str(workplace / "home"), "MLFLOW_TRACKING_URI": address}
        with (workplace / "out.txt").open("wb") as out:
            process = subprocess.Popen(
                [*words, "--jobs", "1"],
                env=os.environ | SECRETS | places | {"OMP_NUM_THREADS": "1"},
                stdout=out,
                stderr=out,
            )
            titles, listening = watched(process)
    shown = (workplace / "out.txt").read_text()
    assert process.returncode == 0, shown
    assert "failed" in shown
    assert "http://***@127.0.0.1" in shown
    written = [path for folder in (workplace, own_cache) for path in folder.rglob("*")]
    names = {path.name for path in written}
    assert {"studies.db", "traceback.txt", "config.json", "trials.csv", "server.log"} <= names
    assert {
        path: leaks
        for path in written
        if path.is_file() and path.name != "mine.py" and (leaks := found_in(path.read_bytes()))
    } == {}
    assert any("mine.py" in title for title in titles)
    assert found_in("\n".join(titles).encode()) == set()
    assert listening == set()


class Echo(BaseHTTPRequestHandler):
    """Healthy, and tells whoever asks for more what they sent."""

    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 400)
        self.end_headers()
        self.wfile.write(str(self.headers).encode())

    do_POST = do_GET  # noqa: N815 (named so by the base class)

    def log_message(self, format, *args):  # noqa: A002 (named so by the base class)
        pass


@pytest.fixture
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


NOBODY = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://ann:{}@{echo}", "did not take"),
        ("http://{echo}", "did not take"),
        ("http://ann:{}@{nobody}/x", "no MLflow server answers at http://***@"),
        ("postgresql://ann:{}@{nobody}/x", "***@"),
        ("mysql+pymysql://ann:{}@{nobody}/x?ssl_token={}", "***@"),
        ("nothing://ann:{}@{nobody}/x", "check MLFLOW_TRACKING_URI"),
    ],
)
def test_a_tracking_store_that_fails_gives_no_secret_away(
    workplace, monkeypatch, capfd, echo, uri, words
):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    if "ann" not in uri:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
        monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    uri = uri.format(*[quote(IN_TRACKING, safe="")] * 2, echo=echo, nobody=NOBODY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["models"]) == 1
    out, err = capfd.readouterr()
    assert words in err
    assert found_in(f"{out}{err}".encode()) == set()
    assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:{}@127.0.0.1:1/x",
        "mysql+pymysql://ann:{}@127.0.0.1:1/x",
        "sqlite:///file:/dev/null/all?uri=true&password={}",
        "redis://:{}@127.0.0.1:1/0",
        "not even://ann:{}@an address",
        "postgresql://ann:{}@127.0.0.1:port/x",
    ],
)
def test_a_storage_that_fails_gives_no_secret_away(url):
    with pytest.raises(StudyError) as error:
        open_storage(url.format(quote(IN_STORAGE, safe="")))
    assert found_in(str(error.value).encode()) == set()
    assert "\n" not in str(error.value)
    chained = error.value.__cause__ or error.value.__context__
    assert error.value.__suppress_context__ or not found_in(repr(chained).encode())


def test_the_last_line_of_defence_is_the_command_itself(monkeypatch, capsys):
    from fourier.cli.guard import guarded

    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS["AWS_SESSION_TOKEN"])

    def fails(_):
        raise FourierError(f"S3 said no to {SECRETS['AWS_SESSION_TOKEN']}\nin two lines")

    assert guarded(fails) == 1
    assert capsys.readouterr().err == "error: S3 said no to ***\\nin two lines\n"


def test_an_error_of_the_tracking_store_hides_what_it_was_told(workplace, monkeypatch, echo):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRETS["MLFLOW_TRACKING_TOKEN"])
    with pytest.raises(TrackingError) as error:
        Tracker.connect(f"http://{echo}")
    assert found_in(str(error.value).encode()) == set()


def test_a_workers_command_has_no_storage_in_it():
    from fourier.cli.options import words_of_a_worker

    for given in (["--storage", "s://a:b@c"], ["--storage=s://a:b@c"], []):
        words, variables = words_of_a_worker(["x.py", "--trials", "3", *given, "--seed", "1"], "S")
        assert words == ["x.py", "--trials", "3", "--seed", "1"]
        assert variables == {"FOURIER_STORAGE": "S"}
    assert words_of_a_worker(["x.py"], None) == (["x.py"], {})


def test_a_storage_in_mlflows_own_database_is_one_line(workplace):
    with pytest.raises(StudyError, match="does not answer: .*table schema.*--storage"):
        open_storage("sqlite:///mlflow.db")
