"""The ``fourier`` command, and the UI that opens on what a sweep leaves."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import requests
import soundfile

from fourier.cli.main import main
from fourier.corpora import write_demo
from fourier.tracking import Tracker, save_view


def test_check_says_what_a_sweep_would_use(tiny_gtzan, capsys):
    assert main(["check", str(tiny_gtzan)]) == 0
    out = capsys.readouterr().out
    assert "36 of 3 s at 22050 Hz" in out
    assert "18 by 18 groups" in out
    assert "blues.00000 @ 6.0 s" in out
    assert "the audio ends at 6.10 s" in out


def test_check_of_a_folder_that_is_none_is_a_line_and_exit_code_1(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: there is no folder")
    assert err.count("\n") == 1


def test_check_reads_the_demo_corpora_and_calls_them_so(tmp_path, capsys):
    write_demo(tmp_path, deam_songs=5, gtzan_tracks_per_genre=1)
    for name, clips in (("deam", "30 of 5 s"), ("gtzan", "100 of 3 s")):
        assert main(["check", str(tmp_path / name)]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name}-demo ({name})")
        assert clips in out


def test_an_unknown_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as end:
        main(["promenade"])
    assert end.value.code == 2


@pytest.mark.realdata
def test_odd_files_in_a_deam_folder_are_used_or_listed_and_nothing_crashes(
    real_data, tmp_path, capsys
):
    files = sorted((real_data / "odd-audio").iterdir())
    audio = tmp_path / "MEMD_audio"
    audio.mkdir()
    for song, path in enumerate(files, 2):
        shutil.copy(path, audio / f"{song}{path.suffix}")
    table = pd.DataFrame(np.zeros((len(files), 61)))
    table.columns = [f"sample_{15_000 + 500 * i}ms" for i in range(61)]
    table.insert(0, "song_id", range(2, 2 + len(files)))
    for name in ("valence", "arousal"):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    assert main(["check", str(tmp_path)]) == 1  # none of them lasts twenty seconds
    out, err = capsys.readouterr()
    assert err.startswith("error: no clip of")
    listed = {line.split()[0] for line in out[out.index("One by one") :].splitlines()[2:] if line}
    assert {item for item in listed if item.isdecimal()} == {str(2 + i) for i in range(len(files))}
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, 41 * 44_100)
    soundfile.write(audio / "3.flac", noise, 44_100)
    (audio / "3.mp3").unlink()
    assert main(["check", str(tmp_path)]) == 0
    assert "5 of 5 s at 44100 Hz" in capsys.readouterr().out


@pytest.mark.realdata
def test_odd_files_in_a_gtzan_folder_are_used_or_listed_and_nothing_crashes(
    real_data, tmp_path, capsys
):
    files = sorted((real_data / "odd-audio").iterdir())
    (tmp_path / "genres" / "rock").mkdir(parents=True)
    for number, path in enumerate(files):
        shutil.copy(path, tmp_path / "genres" / "rock" / f"rock.{number:05d}.wav")
    assert main(["check", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "rock" in out
    assert "an empty file" in out


@contextlib.contextmanager
def mlflow_ui():
    """``mlflow ui`` with no flag but the port, as a person types it in the working directory.

    With all that it starts by itself, which servers of other tests leave out.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    variables = {k: v for k, v in os.environ.items() if k != "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"}
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=variables
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=120)


def ask(address, path, body):
    answer = requests.post(f"{address}/api/2.0/mlflow/{path}", json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


def test_a_bare_mlflow_ui_lists_the_runs_and_the_saved_view(workplace):
    tracker = Tracker.connect()
    experiment = tracker.open_experiment("deam-demo", {})
    parent = tracker.open_run(experiment, "study", {"fourier.kind": "study"})
    child = tracker.open_run(experiment, "trial 0000", {"mlflow.parentRunId": parent.id})
    child.log({"best/objective": 0.5})
    child.end()
    link = save_view(
        tracker,
        experiment,
        "Study",
        parent=parent.id,
        columns=["metrics.`best/objective`"],
        ascending=False,
    )
    with mlflow_ui() as address:
        found = ask(address, "runs/search", {"experiment_ids": [experiment]})["runs"]
        tags = ask(address, "experiments/search", {"max_results": 10})["experiments"]
    assert {run["info"]["run_id"] for run in found} == {parent.id, child.id}
    key = link.split("viewStateShareKey=")[1].split("&")[0]
    (ours,) = [entry for entry in tags if entry["name"] == "deam-demo"]
    assert f"mlflow.sharedViewState.{key}" in {tag["key"] for tag in ours["tags"]}
