"""A released model in MLflow: registered, loaded without this package, served over HTTP."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile

from fourier.errors import ReleaseError, TrackingError
from fourier.features.decode import decode
from fourier.release import load_champion
from fourier.release.locate import load_predictor
from fourier.release.packaging import log_exported
from fourier.tracking import Tracker

BLOCKER = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is not installed here")

sys.meta_path.insert(0, Blocker())
"""
BLOCKED = ("fourier", "librosa", "soundfile", "soxr", "optuna", "safetensors", "tyro", "joblib")


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python finds torch, numpy and MLflow, and none of our own."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCKER.format(blocked=BLOCKED))
    mine = {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, **mine, "PATH": path}


def register(tracker: Tracker, path: Path, name: str) -> None:
    """A champion, as a promotion would register it."""
    run = tracker.open_run(tracker.open_experiment("gtzan", {}), "promotion", {})
    model_id = log_exported(run, path, tags={"fourier.kind": "release"})
    run.end()
    client = tracker.client
    client.create_registered_model(name)
    version = client.create_model_version(
        name, f"models:/{model_id}", run_id=run.id, model_id=model_id
    )
    client.set_registered_model_alias(name, "champion", version.version)


@pytest.fixture(scope="module")
def shop(
    tmp_path_factory: pytest.TempPathFactory,
    empty_tracking_database: Path,
    genre: Any,
    emotion: Any,
) -> Path:
    """A folder with a registry in which both tasks have a champion."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(empty_tracking_database, folder / "mlflow.db")
    with contextlib.chdir(folder):
        tracker = Tracker.connect(f"sqlite:///{folder}/mlflow.db")
        register(tracker, genre.path, "fourier-gtzan")
        register(tracker, emotion.path, "fourier-deam")
    return folder


@pytest.fixture
def in_shop(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is there."""
    monkeypatch.chdir(shop)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shop}/mlflow.db")
    return shop


def song(folder: Path) -> Path:
    time_axis = np.arange(7 * 22_050) / 22_050
    soundfile.write(folder / "song.wav", 0.4 * np.sin(900 * time_axis), 22_050)
    return folder / "song.wav"


@pytest.fixture
def server(in_shop: Path, tmp_path: Path, elsewhere: dict[str, str]) -> Iterator[str]:
    """``mlflow models serve`` as a person would type it, where this package is not installed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["mlflow", "models", "serve", "-m", "models:/fourier-gtzan@champion"]
    words += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(
            words, env=elsewhere, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for(f"{address}/ping", process, tmp_path / "serve.log")
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_a_served_model_answers_what_predict_says(server: str, tmp_path: Path) -> None:
    predictor = load_champion("gtzan")
    path = song(tmp_path)
    frame = predictor.predict(path)
    audio = decode(path, predictor.program.sample_rate)
    clips = np.stack([audio[start : start + 66_150] for start in (0, 66_150)])
    request = json.dumps({"inputs": clips.round(7).tolist()})
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server}/invocations", request, headers=headers, timeout=60)
    assert answer.ok, answer.text
    served = np.array(answer.json()["predictions"])
    np.testing.assert_allclose(served, frame[predictor.columns], atol=1e-5)
    too_short = json.dumps({"inputs": clips[:, :100].tolist()})
    refused = requests.post(f"{server}/invocations", too_short, headers=headers, timeout=60)
    assert refused.status_code == 400
    assert "66150" in refused.text


ALONE = """
import json, sys
import mlflow.pyfunc, mlflow.pytorch, numpy, torch
clips = numpy.load(sys.argv[2])
served = mlflow.pyfunc.load_model(sys.argv[1]).predict(clips)
native = mlflow.pytorch.load_model(sys.argv[1])(torch.from_numpy(clips)).detach().numpy()
print(json.dumps([served.tolist(), native.tolist(), sorted(sys.modules)]))
"""


def test_a_model_loads_where_only_torch_numpy_and_mlflow_are(
    in_shop: Path, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    predictor = load_champion("deam")
    clips = np.random.default_rng(0).normal(0, 0.2, (3, 220_500)).clip(-1, 1).astype(np.float32)
    np.save(tmp_path / "clips.npy", clips)
    answer = subprocess.run(
        [sys.executable, "-c", ALONE, "models:/fourier-deam@champion", tmp_path / "clips.npy"],
        env=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    served, native, loaded = json.loads(answer.stdout)
    assert not set(BLOCKED) & set(loaded)
    expected = predictor.program.predict(clips)
    np.testing.assert_allclose(served, expected, atol=1e-6)
    np.testing.assert_allclose(native, expected, atol=1e-6)


def test_a_registered_model_says_what_it_takes(genre: Any, in_shop: Path) -> None:
    from mlflow.models import Model, get_model_info

    info = get_model_info("models:/fourier-gtzan@champion")
    model_id = info.model_id
    assert info.signature is not None
    assert info.signature.inputs.inputs[0].shape == (-1, 66_150)
    assert info.signature.outputs.inputs[0].shape == (-1, 3)
    assert info.flavors["python_function"]["config"] == {"device": "cpu"}  # also beside a GPU
    assert info.metadata["fourier"]["classes"] == ["blues", "metal", "rock"]
    folder = next(in_shop.glob(f"mlruns/*/models/{model_id}/artifacts"))
    requirements = (folder / "requirements.txt").read_text()
    named = {line.partition("==")[0] for line in requirements.splitlines()}
    assert named == {"mlflow", "numpy", "torch"}
    assert "+" not in requirements
    assert (folder / "data" / "model.pt2").read_bytes() == genre.path.read_bytes()
    example = Model.load(str(folder)).load_input_example(str(folder))
    assert example.shape == (2, 66_150)
    model = Tracker.connect().client.get_logged_model(model_id)
    assert model.status == "READY"
    assert model.tags["fourier.kind"] == "release"
    # Addressed in every way that people may type
    for where in (
        "models:/fourier-gtzan@champion",
        "models:/fourier-gtzan/1",
        f"models:/{model_id}",
        f"runs:/{model.source_run_id}/model",
        folder,
        folder / "data" / "model.pt2",
    ):
        assert load_predictor(where, task="gtzan").program.task == "gtzan"


def test_a_model_that_is_not_there_is_one_line(
    in_shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for where, message in {
        "models:/fourier-gtzan-demo@champion": "has no champion; .*`fourier promote gtzan`, "
        "or use --model models:/fourier-deam@champion$",
        "models:/fourier-gtzan@previous": "has no previous; .*`fourier promote gtzan`$",
        "models:/fourier-gtzan/7": "cannot be fetched .*`fourier models` lists",
        "models:/m-0123456789abcdef0123456789abcdef": "cannot be fetched",
        "runs:/0123456789abcdef0123456789abcdef/model": "cannot be fetched",
    }.items():
        with pytest.raises(ReleaseError, match=message) as caught:
            load_predictor(where)
        assert "\n" not in str(caught.value)
    with pytest.raises(ReleaseError, match="is a model for gtzan, not for deam"):
        load_predictor("models:/fourier-gtzan@champion", task="deam")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="no MLflow server answers"):
        load_champion("gtzan")


def test_a_model_that_cannot_be_packaged_is_marked_failed(
    genre: Any, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Tracker.connect()
    experiment = tracker.open_experiment("gtzan", {})
    run = tracker.open_run(experiment, "promotion", {})
    monkeypatch.setattr("fourier.release.packaging.PROGRAM_FILE", "data/elsewhere.pt2")
    with pytest.raises(ReleaseError, match="keeps a program elsewhere"):
        log_exported(run, genre.path)
    (model,) = tracker.client.search_logged_models([experiment])
    assert model.status == "FAILED"
