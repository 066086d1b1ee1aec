"""Folders of files that no corpus should hold: each is used, or listed with its reason."""

import os
import shutil
import stat
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from fourier.cli.main import main
from fourier.corpora import load_corpus
from fourier.errors import CorpusError
from fourier.features.decode import stream
from fourier.features.pcm import open_pcm

GTZAN = Path(__file__).parents[2] / "experiments" / "sweep_gtzan.py"
TEN_HOURS = 36_000
NAMES = {
    "a line end": "a\nb",
    "quotes": 'it\'s "so"',
    "markup": "[bold]x[red",
    "a formula": r"$\frac{$",
    "other scripts": "Ünïcödé 日本",
    "an emoji": "🎵",
    "right to left": "\u202egnp",
    "the terminal's language": "\x1b[31m",
    "255 bytes": "x" * 251,
    "255 bytes of others": "é" * 125 + "x",
    "blanks around it": " a ",
    "a comma": "a,b;c",
}


NO_TEXT = os.fsdecode(b"b\xff")


def sound(path, seconds=31.0, rate=8000, channels=1, kind="WAV"):
    noise = np.random.default_rng(zlib.crc32(os.fsencode(path))).uniform(
        -0.1, 0.1, (round(seconds * rate), channels)
    )
    with path.open("wb") as file:  # soundfile takes no name that is no UTF-8
        soundfile.write(file, noise, rate, format=kind)


def silence(path):
    """Ten hours, which the file system stores in a few blocks."""
    soundfile.write(path, np.zeros(1), 8000, "PCM_U8", format="WAV")
    header = bytearray(path.read_bytes()[:44])
    size = TEN_HOURS * 8000
    header[4:8], header[40:44] = (n.to_bytes(4, "little") for n in (size + 36, size))
    path.write_bytes(header)
    os.truncate(path, 44 + size)


def nan(path):
    samples = np.zeros(31 * 8000)
    samples[100_000:] = np.nan
    soundfile.write(path, samples, 8000, "FLOAT", format="WAV")


def loop(path):
    path.symlink_to(path.name)


FILES = {
    "zero bytes": (Path.touch, "an empty file"),
    "ten hours of silence": (silence, None),
    "one sample": (lambda path: sound(path, 1 / 8000), "the audio ends"),
    "NaN": (nan, "holds samples that are not numbers (NaN or infinity)"),
    "192 kHz": (lambda path: sound(path, rate=192_000), None),
    "8 channels": (lambda path: sound(path, channels=8), None),
    "wrong extension": (lambda path: sound(path, kind="OGG"), None),
    "a text": (lambda path: path.write_text("la la la\n" * 99), "not an audio format that"),
    "a folder": (Path.mkdir, "nothing"),
    "a pipe": (os.mkfifo, "not a file"),
    "a link to itself": (loop, "not a file"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "not a file"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "not a file"),
}
BEFORE_THE_LABELS = "the audio ends before 15.00 s"


def gtzan_of(folder):
    """Every case as a track of one genre, beside a genre of ordinary ones."""
    for genre in ("blues", "rock"):
        (folder / "genres" / genre).mkdir(parents=True)
    for number in range(6):
        sound(folder / "genres" / "blues" / f"blues.{number:05d}.wav", 3.1)
    for number, (write, _) in enumerate(FILES.values()):
        write(folder / "genres" / "rock" / f"rock.{number:05d}.wav")
    return folder


def deam_of(folder):
    """Every case as a song."""
    (folder / "MEMD_audio").mkdir(parents=True)
    table = pd.DataFrame(np.zeros((len(FILES), 31)))
    table.columns = [f"sample_{15_000 + 500 * i}ms" for i in range(31)]
    table.insert(0, "song_id", range(2, 2 + len(FILES)))
    for name in ("valence", "arousal"):
        table.to_csv(folder / f"{name}.csv", index=False)
    for number, (write, _) in enumerate(FILES.values()):
        write(folder / "MEMD_audio" / f"{2 + number}.wav")
    return folder


@pytest.mark.timeout(60)
@pytest.mark.parametrize("task", ["deam", "gtzan"])
def test_every_odd_file_of_a_corpus_is_used_or_listed_with_its_reason(
    tmp_path, own_cache, capsys, task
):
    root = {"deam": deam_of, "gtzan": gtzan_of}[task](tmp_path / task)
    assert main(["check", str(root), "--jobs", "1"]) == 0
    assert capsys.readouterr().err == ""
    store = open_pcm(load_corpus(root), own_cache, jobs=1)
    reasons = dict(store.left_out.to_numpy().tolist())
    for number, (case, (_, reason)) in enumerate(FILES.items()):
        track = f"rock.{number:05d}" if task == "gtzan" else str(2 + number)
        found = [text for item, text in reasons.items() if track in item.replace("/", " ")]
        clips = (store.clips["track"] == track).sum()
        if reason is None:
            assert clips == {"gtzan": 10, "deam": 3}[task], (case, found)
        elif reason == "nothing":
            assert found == {"gtzan": ["not a file"], "deam": ["no audio"]}[task], case
        else:
            assert clips == 0, case
            early = (task, case) == ("deam", "one sample")
            assert (BEFORE_THE_LABELS if early else reason) in " ".join(found), case


@pytest.mark.timeout(60)
def test_every_odd_file_is_predicted_or_is_one_line(tmp_path, models, capsys):
    folder = tmp_path / "music"
    folder.mkdir()
    for number, (write, _) in enumerate(FILES.values()):
        write(folder / f"{number}.mp3")
    named = [str(path) for path in sorted(folder.iterdir()) if not path.is_dir()]
    # The same again, as a folder: what is no file is then no music.
    for words, failing in ((named, 7), ([str(folder)], 3)):
        code = main(["predict", *words, "--model", str(models["gtzan"]), "--every", "3600"])
        out, err = capsys.readouterr()
        assert code == 1
        assert err.count("\n") == failing, err
        assert all(line.startswith(f"error: {folder}/") for line in err.splitlines())
        assert sum(f"{number}.mp3" in out for number in range(len(FILES))) == len(FILES) - 1 - 7
    assert "10:00:00" in out


def test_ten_hours_are_read_in_the_memory_of_a_minute(tmp_path):
    silence(tmp_path / "a.wav")
    tracemalloc.start()
    parts = stream(tmp_path / "a.wav", 8000, seconds=60.0)
    seconds = sum(len(part) for part in parts) / 8000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds == TEN_HOURS
    assert peak < 5 * 4 * 60 * 8000


def test_odd_names_are_predicted_and_shown_in_one_line_each(tmp_path, models, capsys):
    music, out = tmp_path / "[/music]", tmp_path / "[/out]"
    music.mkdir(parents=True)
    for name in [*NAMES.values(), NO_TEXT]:
        sound(music / f"{name}.wav", 0.3)
    (music / "broken\n\x1b[31m.wav").write_text("no music")
    assert main(["predict", str(music), "--model", str(models["gtzan"]), "--out", str(out)]) == 1
    shown, err = capsys.readouterr()
    name, reason = r"broken\n\x1b[31m.wav", "not an audio format that libsndfile knows"
    assert err == f"error: {music}/{name}: {reason}\n"
    assert "\x1b[31m" not in shown
    assert str(out) in shown
    assert "[bold]x[red.wav" in shown
    summary = pd.read_csv(out / "summary.csv")
    assert len(summary) == len(NAMES) + 1
    assert all((out / name).is_file() for name in summary["output"])
    assert len(list(out.glob("*.png"))) == len(NAMES) + 1


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 2100, "loop"], ids=["long", "deep", "loop"])
@pytest.mark.parametrize("command", ["check", "predict", "sweep", "predict --out"])
def test_a_path_that_no_file_can_have_is_one_line(
    workplace, models, music_file, capsys, sweep, command, name
):
    loop(workplace / "loop")
    if command == "sweep":
        code, _, err = sweep(GTZAN, "--data", name, "--trials", 1)
    else:
        words = {
            "check": ["check", name],
            "predict": ["predict", name],
            "predict --out": ["predict", str(music_file), "--out", name],
        }[command]
        model = ["--model", str(models["gtzan"])]
        code = main([*words, *(model if words[0] == "predict" else [])])
        err = capsys.readouterr().err
    assert code == 1
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.fixture
def music_file(tmp_path):
    sound(tmp_path / "song.wav", 1.0)
    return tmp_path / "song.wav"


def test_a_sweep_takes_genres_and_tracks_of_any_name(workplace, sweep):
    root = workplace / "d[/a] 'q' \"$x$ 日本"
    for genre in ("$r$ & [b]", "日本 \x1b[31m"):
        (root / "genres" / genre).mkdir(parents=True)
        for name in [*NAMES.values()][:8]:
            sound(root / "genres" / genre / f"{name}.wav", 3.1)
    (root / "genres" / NO_TEXT).mkdir()
    sound(root / "genres" / NO_TEXT / "a.wav", 3.1)
    sound(root / "genres" / "$r$ & [b]" / f"{NO_TEXT}.wav", 3.1)
    options = ["--data", root, "--protocol", "track", "--study", 'it\'s "x" 日本 $a$']
    code, out, err = sweep(GTZAN, *options, "--trials", 1, "--epochs", 1, "--device", "cpu")
    assert (code, err) == (0, ""), out
    assert str(root) in out
    assert "\x1b" not in out
    reasons = load_corpus(root).left_out["reason"]
    assert reasons.tolist() == ["its name is no UTF-8"] * 2
    (study,) = (workplace / "mlruns").glob("studies.journal")
    assert study.stat().st_size > 0


@pytest.fixture
def open_folder():
    """A folder that everybody may enter; pytest's own are the user's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("what", ["track", "genre", "tables"])
def test_what_may_not_be_read_is_listed_or_one_line(
    open_folder, own_cache, tiny_deam, as_nobody, what
):
    root = open_folder / "data"
    if what == "tables":
        shutil.copytree(tiny_deam, root)
        root.chmod(0o755)
        (root / "MEMD_audio").chmod(0o755)
        (root / "arousal.csv").chmod(0)
        words = r"arousal\.csv cannot be read as a table: .*Permission denied.*; unpack it again"
    else:
        for genre in ("blues", "rock"):
            (root / "genres" / genre).mkdir(parents=True)
            sound(root / "genres" / genre / "1.wav", 3.1)
        locked = root / "genres" / "rock" / ("1.wav" if what == "track" else ".")
        locked.chmod(0)
        words = r"rock cannot be read \(Permission denied\); mend its permissions"
    if what == "track":
        corpus = load_corpus(root, "gtzan")
        _ = corpus.digest
        own_cache.chmod(0o777)
        from fourier.features.clips import TrackClips, cut_track

        wanted = TrackClips("rock.1", root / "genres" / "rock" / "1.wav", (0.0,), (0,))
        with as_nobody():
            cut = cut_track(wanted, Path("/nowhere"), 22_050, 66_150)
        assert cut.left_out == [("rock.1", "cannot be opened (Permission denied)")]
        return
    with as_nobody(), pytest.raises(CorpusError, match=words):
        load_corpus(root)
    locked = root / ("arousal.csv" if what == "tables" else "genres/rock")
    assert stat.S_IMODE(locked.stat().st_mode) == 0
    locked.chmod(0o755)


def test_a_folder_of_music_that_may_not_be_read_is_one_line_and_the_others_are_heard(
    open_folder, as_nobody, capsys
):
    for name in ("open", "shut"):
        (open_folder / name).mkdir()
        sound(open_folder / name / "a.wav", 1.0)
    (open_folder / "shut").chmod(0)
    from fourier.cli.predict import _Desk, _find_audio

    desk = _Desk(None, None, "csv")
    with as_nobody():
        found = _find_audio([open_folder], desk)
    (open_folder / "shut").chmod(0o755)
    assert found == [open_folder / "open" / "a.wav"]
    err = capsys.readouterr().err
    assert err == f"error: {open_folder}/shut: cannot be read (Permission denied)\n"
