"""What all tests share: where the real audio lies, a cache of their own, and a server to stop."""

import contextlib
import multiprocessing
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from ready import LOADED

from .side_by_side import (
    pytest_collection_modifyitems,
    pytest_xdist_auto_num_workers,
    pytest_xdist_setupnodes,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_setupnodes",
]

BESIDE_THE_PROJECT = Path(__file__).parents[2] / "shared" / "data"


def pytest_sessionstart() -> None:
    """Hear Ctrl-C, and have the processes that tests start hear it, also behind a shell's `&`."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real audio (`gtzan-mini`, `deam-mini`, `odd-audio`); skips where absent."""
    folder = Path(os.environ.get("FOURIER_REAL_DATA", BESIDE_THE_PROJECT))
    if not folder.is_dir():
        pytest.skip(f"no real audio at {folder}; set FOURIER_REAL_DATA to its folder")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the cache, the tracking store or the study of whoever runs it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FOURIER_CACHE", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(autouse=True, scope="session")
def no_jobs_beside_servers() -> Iterator[None]:
    """A server that a test starts does not start eight processes more, for jobs of language models.

    Each would load all of MLflow, and nothing here uses them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        yield


@pytest.fixture(scope="session")
def processes() -> BaseContext:
    """Where processes come from that do not have to load everything first."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


@pytest.fixture(scope="session")
def empty_tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with nothing in it; making one takes seconds, copying it none."""
    from fourier.tracking import Tracker

    folder = tmp_path_factory.mktemp("tracking")
    with contextlib.chdir(folder):
        Tracker.connect(f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_tracking_database: Path
) -> Path:
    """A working directory of the test's own, with an empty tracking store in it."""
    shutil.copy(empty_tracking_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def tiny_gtzan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three genres that any network can tell apart, two segments of each of 18 tracks."""
    root = tmp_path_factory.mktemp("gtzan")
    time = np.arange(round(6.1 * 22_050)) / 22_050
    rng = np.random.default_rng(0)
    for genre, frequency in (("blues", 110.0), ("metal", 880.0), ("rock", 3520.0)):
        (root / "genres" / genre).mkdir(parents=True)
        for i in range(6):
            tone = 0.3 * np.sin(2 * np.pi * frequency * rng.uniform(0.9, 1.1) * time)
            noise = 0.05 * rng.standard_normal(len(time))
            path = root / "genres" / genre / f"{genre}.{i:05d}.wav"
            soundfile.write(path, tone + noise, 22_050)
    return root


@pytest.fixture(scope="session")
def labelled_sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled folder of hums and whistles, two clips each, ten files of each kind."""
    root = tmp_path_factory.mktemp("folders") / "my sounds"
    (root / "audio" / "high").mkdir(parents=True)
    time = np.arange(round(6.1 * 22_050)) / 22_050
    rng = np.random.default_rng(0)
    lines = ["file,label"]
    for label, folder, frequency in (("Hum, low", "", 110.0), ("whistle", "high/", 3520.0)):
        for i in range(10):
            tone = 0.3 * np.sin(2 * np.pi * frequency * rng.uniform(0.9, 1.1) * time)
            noise = 0.05 * rng.standard_normal(len(time))
            name = f"{folder}{i} [take 1].wav"
            soundfile.write(root / "audio" / name, tone + noise, 22_050)
            lines.append(f'{name},"{label}"')
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def labelled_moods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled folder of ten songs of 10 s, each with its split, annotated as loud as it is."""
    root = tmp_path_factory.mktemp("folders") / "moods"
    (root / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["file,start,end,valence,arousal,split"]
    for song in range(10):
        split = "train" if song < 6 else "valid" if song < 8 else "test"
        parts = [rng.uniform(-level, level, 5 * 44_100) for level in rng.uniform(0.05, 0.9, 2)]
        soundfile.write(root / "audio" / f"{song}.ogg", np.concatenate(parts), 44_100)
        for i, part in enumerate(parts):
            loudness = np.abs(part).max()
            lines.append(f"{song}.ogg,{5 * i},{5 * i + 5},{0.5 - loudness},{loudness},{split}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def tiny_deam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten songs of two clips, annotated as loud as they are."""
    root = tmp_path_factory.mktemp("deam")
    (root / "MEMD_audio").mkdir()
    rng = np.random.default_rng(0)
    columns = [f"sample_{15_000 + 500 * i}ms" for i in range(21)]
    rows = []
    for song in range(2, 12):
        loudness = rng.uniform(0.05, 0.9)
        noise = rng.uniform(-loudness, loudness, round(25.2 * 44_100))
        soundfile.write(root / "MEMD_audio" / f"{song}.wav", noise, 44_100)
        rows.append([song, *(loudness - 0.5 + 0.05 * rng.standard_normal(21)).clip(-1, 1)])
    table = pd.DataFrame(rows, columns=["song_id", *columns])
    for name in ("valence", "arousal"):
        table.to_csv(root / f"{name}.csv", index=False)
    return root


SERVED = """
import sys, threading, time
from werkzeug.serving import make_server
from mlflow.server import app

port, mode, server = int(sys.argv[1]), "answer", None

def answer(environ, start_response):
    if mode == "hang":
        time.sleep(60)
    elif mode == "answer" or environ["PATH_INFO"] == "/health":
        return app(environ, start_response)
    else:
        b"".join(app(environ, lambda *_: None))  # done, but nobody hears of it
    start_response("502 Bad Gateway", [("Content-Length", "0")])
    return [b""]

print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "start":
        server = make_server("127.0.0.1", port, answer, threaded=True)
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    elif word == "stop":
        server.shutdown()
        server.server_close()
    else:
        mode = word
    print("done", flush=True)
"""


def free_port() -> int:
    """A port that no connection gets by itself, so that it is still free after a stop."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = first // 2 + secrets.randbelow(first // 2)
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Server:
    """MLflow's own REST interface in a process: stopped and started again in no time."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self.runs = False
        store = {
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/mlflow.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SERVED, str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | store,
            )
        self._hear("ready")

    def start(self) -> None:
        if not self.runs:
            self._say("start")
        self.runs = True

    def stop(self) -> None:
        if self.runs:
            self._say("stop")
        self.runs = False

    def hang(self) -> None:
        """Take what is asked, and never answer."""
        self._say("hang")

    def lose_answers(self) -> None:
        """Do what is asked, and answer that something went wrong."""
        self._say("lose")

    def answer(self) -> None:
        self._say("answer")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _say(self, word: str) -> None:
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        self._hear("done")

    def _hear(self, word: str) -> None:
        assert self._process.stdout.readline() == word + "\n"


@pytest.fixture(scope="session")
def _server(
    tmp_path_factory: pytest.TempPathFactory, empty_tracking_database: Path
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_tracking_database, folder / "mlflow.db")
    server = Server(folder)
    yield server
    server.close()


@pytest.fixture
def server(_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """It runs; the test may stop and start it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    _server.start()
    _server.answer()
    return _server
