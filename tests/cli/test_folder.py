"""A labelled folder from a sweep to a prediction, as its owner types it."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from fourier.cli.main import main
from fourier.tracking import Tracker

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
QUICK = ["--device", "cpu", "--jobs", "1"]


def run_of(experiment: str, kind: str):
    tracker = Tracker.connect()
    found = tracker.client.get_experiment_by_name(experiment)
    return tracker.find_runs(found.experiment_id, {"fourier.kind": kind})[0]


def test_labels_of_any_name_from_a_sweep_to_a_prediction(
    labelled_sounds: Path, workplace: Path, capsys
) -> None:
    data = ["--data", str(labelled_sounds), *QUICK]
    assert main(["sweep", "--trials", "1", "--epochs", "1", *data]) == 0
    out = capsys.readouterr().out
    assert "40 of 3 s from 20 tracks" in out
    assert "my-sounds (new)" in out
    assert main(["sweep", "--trials", "1", "--epochs", "1", *data]) == 0
    assert "1 of 1 trials done" in capsys.readouterr().out

    assert main(["promote", "--top", "1", "--seeds", "1", "--yes", "--force", *data]) == 0
    out = capsys.readouterr().out
    assert "fourier-my-sounds version 1 is champion" in out
    assert "fourier predict song.mp3 --task my-sounds" in out

    song = labelled_sounds / "audio" / "high" / "3 [take 1].wav"
    assert main(["predict", str(song), "--task", "my-sounds", "--out", "heard"]) == 0
    (table,) = Path("heard").glob("3*.csv")
    columns = table.read_text().splitlines()[0]
    assert columns == 'time,predicted,"p_Hum, low",p_whistle,padded'
    assert main(["predict", str(song), "--model", "models:/fourier-my-sounds@champion"]) == 0
    capsys.readouterr()

    run = run_of("my-sounds", "trial")
    assert run.data.tags["fourier.task"] == "classification"
    assert main(["reproduce", run.info.run_id, *data]) == 0
    assert "every metric is the same" in capsys.readouterr().out


def test_numbers_with_a_split_from_a_sweep_to_a_prediction(
    labelled_moods: Path, workplace: Path, capsys
) -> None:
    data = ["--data", str(labelled_moods), *QUICK]
    clips = ["--clip-seconds", "2.5"]
    assert main(["sweep", "--trials", "1", "--epochs", "1", *data, *clips]) == 0
    out = capsys.readouterr().out
    assert "split: 6 train / 2 valid / 2 test tracks" in out
    assert "40 of 2.5 s from 10 tracks" in out

    promote = ["promote", "--top", "1", "--seeds", "1", "--yes", "--force", *data]
    assert main(promote) == 1  # clips of the usual length are another corpus
    assert "was made with corpus moods" in capsys.readouterr().err
    assert main([*promote, *clips]) == 0
    capsys.readouterr()
    assert main(["predict", str(labelled_moods / "audio" / "3.ogg"), "--task", "moods"]) == 0
    out = capsys.readouterr().out
    assert "valence" in out
    assert "arousal" in out

    run = run_of("moods", "trial")
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert json.loads((folder / "config.json").read_text())["corpus"]["clip_seconds"] == 2.5
    assert main(["reproduce", run.info.run_id, *data]) == 0  # knows its clips


@pytest.mark.parametrize("script", ["sweep_gtzan.py", "sweep_deam.py"])
def test_an_edited_space_takes_a_folder_of_its_kind(
    script: str, labelled_sounds: Path, labelled_moods: Path, workplace: Path, monkeypatch, capsys
) -> None:
    mine, other = labelled_sounds, labelled_moods
    if script == "sweep_deam.py":
        mine, other = other, mine
    for root, code in ((mine, 0), (other, 1)):
        words = [script, "--data", str(root), "--dry-run", *QUICK]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(EXPERIMENTS / script), run_name="__main__")
        assert end.value.code == code
    assert "type `fourier sweep --data" in capsys.readouterr().err


def exit_code_of(words: list[str]) -> object:
    try:
        return main(words)
    except SystemExit as end:
        return end.code


REFUSED = {
    "no folder": (["sweep"], 1, "this searches a labelled folder: name it with --data DIR"),
    "no labels": (["sweep", "--data", "."], 1, "there is no labels.csv; put the files in audio/"),
    "no trials": (["sweep", "--trials", "0"], 2, "--trials must be greater than 0"),
    "no seeds": (["promote", "gtzan", "--seeds", "0"], 2, "--seeds must be 1 or greater"),
    "nothing to promote": (["promote"], 1, "`fourier promote --data DIR` for a labelled folder"),
    "no sweep": (["promote", "--data", "{sounds}"], 1, "run `fourier sweep --data DIR`"),
    "no clip": (["check", "{sounds}", "--clip-seconds", "0"], 2, "`0.5 <= clip_seconds <= 60.0`"),
    "no model": (["predict", "x.wav", "--task", "moods"], 1, "`fourier promote --data DIR`"),
    "no champion": (["rollback", "moods"], 1, "`fourier promote --data DIR`"),
}


@pytest.mark.parametrize(("words", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_one_line(
    words: list[str], code: int, message: str, labelled_sounds: Path, workplace: Path, capsys
) -> None:
    words = [word.format(sounds=labelled_sounds) for word in words]
    assert exit_code_of(words) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_workers_join_a_folders_sweep(labelled_sounds: Path, workplace: Path) -> None:
    words = ["sweep", "--trials", "1", "--epochs", "1", "--workers", "2"]
    process = subprocess.run(
        [sys.executable, "-m", "fourier", *words, "--data", str(labelled_sounds), *QUICK],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.count("  trial 000") == 1
