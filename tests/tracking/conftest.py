"""MLflow's own REST interface in a process of its own, stopped and started again in no time."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """MLflow on one port, with a database that outlives it."""

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
