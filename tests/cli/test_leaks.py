"""The guard against leaks as people meet it: sweeps, check, promotions and reproductions."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import soundfile

from fourier.cli.main import main
from fourier.corpora import assign_parts, load_corpus
from fourier.tracking import Tracker

SWEEP = Path(__file__).parents[2] / "experiments" / "sweep_gtzan.py"


@pytest.fixture
def leaky(tiny_gtzan: Path, workplace: Path) -> Path:
    """A corpus in which a validation track is a training track, and another pair on one side."""
    root = workplace / "gtzan"
    shutil.copytree(tiny_gtzan, root)
    corpus = load_corpus(root)
    parts = assign_parts(corpus, corpus.clips, "track")
    train = corpus.clips.loc[parts == "train", "track"].unique()
    (valid, *_) = corpus.clips.loc[parts == "valid", "track"].unique()
    for mine, theirs in ((train[0], valid), (train[1], train[2])):
        wave, rate = soundfile.read(root / corpus.tracks.at[mine, "path"])
        soundfile.write(root / corpus.tracks.at[theirs, "path"], wave, rate)
    return root


def sweep(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [str(SWEEP), *map(str, words)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SWEEP), run_name="__main__")
    return end.value.code


def test_every_command_stops_at_a_leak_until_it_is_allowed(
    leaky: Path, workplace: Path, monkeypatch, capsys
) -> None:
    data = ["--data", str(leaky), "--device", "cpu"]
    words = ["--trials", 1, "--epochs", 1, "--protocol", "track", *data]
    assert sweep(monkeypatch, *words) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: protocol track puts copies of one recording on several sides: ")
    assert "(train)" in error
    assert "(valid)" in error
    assert error.endswith("--allow-leaks\n")
    assert error.count("\n") == 1
    assert not (workplace / "mlruns" / "studies.journal").exists()

    assert sweep(monkeypatch, *words, "--allow-leaks") == 0
    out = capsys.readouterr().out
    assert "2 pairs of tracks, 1 across sides, allowed: " in out
    tracker = Tracker.connect()
    experiment = tracker.client.get_experiment_by_name("gtzan").experiment_id
    (parent,) = tracker.find_runs(experiment, {"fourier.kind": "study"})
    assert parent.data.tags["fourier.leaks"] == "1"
    folder = Path(parent.info.artifact_uri.removeprefix("file://"))
    leaks = json.loads((folder / "leaks.json").read_text())
    assert (len(leaks["across_sides"]), len(leaks["copies"])) == (1, 2)
    assert leaks["across_sides"][0]["identical_clips"] == 2
    (trial,) = tracker.find_runs(experiment, {"fourier.kind": "trial"})
    assert trial.data.tags["fourier.leaks"] == "1"

    run = trial.info.run_id
    promote = ["promote", "gtzan", "--study", "gtzan-track", "--dry-run", "--force", *data]
    for command in (promote, ["reproduce", run, *data]):
        assert main(command) == 1
        assert "--allow-leaks" in capsys.readouterr().err
        assert main([*command, "--allow-leaks"]) == 0
    assert "every metric is the same" in capsys.readouterr().out


def test_check_lists_the_copies(leaky: Path, capsys) -> None:
    assert main(["check", str(leaky)]) == 0
    out = capsys.readouterr().out
    assert "2 pairs of tracks" in out
    assert out.count("2 clips identical in every sample") == 2


def test_a_clean_corpus_says_so_in_one_line(
    tiny_gtzan: Path, workplace: Path, monkeypatch, capsys
) -> None:
    data = ["--data", tiny_gtzan, "--device", "cpu"]
    assert sweep(monkeypatch, "--dry-run", "--protocol", "track", *data) == 0
    assert "none among 18 tracks" in capsys.readouterr().out
    assert sweep(monkeypatch, "--dry-run", "--protocol", "segment", *data) == 0
    assert "segment puts tracks themselves on several sides" in capsys.readouterr().out
    assert [path.name for path in workplace.iterdir()] == ["mlflow.db"]
