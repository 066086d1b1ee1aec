"""``fourier predict`` as people type it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from fourier.cli.main import main

RATE = 8000
CLASSES = ("blues", "jazz")


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Two songs of one name, a third one, an unreadable one, and things that are no music."""
    folder = tmp_path / "music"
    for name, seconds in (("a/song.wav", 4.2), ("b/song.flac", 0.4), ("b/other.ogg", 2.0)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * RATE))
        soundfile.write(path, noise, RATE)
    (folder / "b" / "broken.mp3").write_text("no audio")
    (folder / "b" / "cover.jpg").write_text("no audio either")
    (folder / "b" / "._song.flac").write_text("what a file manager leaves")
    return folder


def test_one_file_is_shown_as_a_short_table(
    model: Path, music: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(music / "a" / "song.wav"), "--model", str(model)]) == 0
    shown = capsys.readouterr().out
    assert "of 7 windows" in shown if model.stem == "deam" else "of 4 windows" in shown
    assert "song.wav  4.2 s" in shown
    assert ("arousal " if model.stem == "deam" else "%") in shown
    assert sorted(path.name for path in music.parent.iterdir()) == ["music"]  # nothing written


def test_a_folder_goes_into_tables_and_pictures(
    model: Path, music: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(["predict", str(music), "--model", str(model), "--out", str(out)])
    errors = capsys.readouterr().err
    assert code == 1
    assert (
        errors
        == f"error: {music / 'b' / 'broken.mp3'}: not an audio format that libsndfile knows\n"
    )
    names = {"other", "song", "song-2", "summary"}
    assert {path.name for path in out.iterdir()} == (
        {f"{name}.csv" for name in names} | {f"{name}.png" for name in names - {"summary"}}
    )
    summary = pd.read_csv(out / "summary.csv").set_index("output")
    assert summary["padded"].to_dict() == {
        "song.csv": False,
        "song-2.csv": True,
        "other.csv": False,
    }
    assert summary.at["song-2.csv", "file"] == str(music / "b" / "song.flac")
    table = pd.read_csv(out / "song.csv")
    columns = ["p_blues", "p_jazz"] if model.stem == "gtzan" else ["valence", "arousal"]
    assert np.allclose(table[columns].mean(), summary.loc["song.csv", columns].astype(float), 1e-5)
    assert (out / "song.png").read_bytes().startswith(b"\x89PNG")


def test_json_holds_windows_and_summary(model: Path, music: Path, tmp_path: Path) -> None:
    words = ["predict", str(music / "a" / "song.wav"), "--model", str(model), "--every", "1.5"]
    assert main([*words, "--out", str(tmp_path / "out"), "--format", "json"]) == 0
    song = json.loads((tmp_path / "out" / "song.json").read_text())
    assert [window["time"] for window in song["windows"]] == [0.0, 1.5, 3.0]
    assert song["windows"][0]["padded"] is False
    assert song["seconds"] == 4.2
    (row,) = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert row["output"] == "song.json"
    assert row["windows"] == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "error: FILE: name at least one audio file or folder"),
        (["{song}", "--every", "0"], 2, "error: --every: it must be greater than 0"),
        (["{song}"], 1, "error: fourier-deam has no champion; run a sweep, then `fourier promote"),
        (["{song}", "--task", "gtzan"], 1, "`fourier promote gtzan`"),
        (["{song}", "--model", "nowhere.pt2"], 1, "nowhere.pt2 cannot be read"),
        (["{song}", "--model", "{song}"], 1, "is not a program that fourier exported"),
        (["{music}/none", "--model", "{model}"], 1, "none: no such file"),
        (["{empty}", "--model", "{model}"], 1, "empty: no audio files in it"),
        (["{song}", "--model", "{model}", "--out", "{song}"], 1, "cannot be written"),
        (["{song}", "--model", "{model}", "--task", "{other}"], 1, "leave --task out"),
    ],
)
def test_what_goes_wrong_is_one_line(
    model: Path,
    music: Path,
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    message: str,
) -> None:
    (workplace / "empty").mkdir()
    places = {
        "song": music / "a" / "song.wav",
        "music": music,
        "model": model,
        "empty": workplace / "empty",
        "other": "deam" if model.stem == "gtzan" else "gtzan",
    }
    try:
        found = main(["predict", *(word.format(**places) for word in words)])
    except SystemExit as end:
        found = end.code
    errors = capsys.readouterr().err
    assert found == code
    assert message in errors
    assert errors.count("\n") == 1
