import json
import threading

import numpy as np
import pandas as pd
import pytest
import soundfile

from fourier.corpora.deam import load_deam
from fourier.corpora.demo import DEMO_VERSION, ensure_demo, write_demo
from fourier.corpora.gtzan import GENRES, load_gtzan
from fourier.errors import CorpusError

DYNAMIC = (
    "DEAM_Annotations/annotations/annotations averaged per song/dynamic (per second annotations)"
)
SMALL = {"deam_songs": 3, "gtzan_tracks_per_genre": 1}


def contents(folder):
    """Every file's bytes by its path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Both corpora, small, with every step of the progress that was reported."""
    folder = tmp_path_factory.mktemp("demo")
    steps = []
    write_demo(folder, **SMALL, progress=lambda done, total: steps.append((done, total)))
    return folder, steps


def test_the_deam_demo_has_deams_layout(demo):
    deam = demo[0] / "deam"
    assert set(contents(deam)) == {
        *(f"DEAM_audio/MEMD_audio/{song}.mp3" for song in (90001, 90002, 90003)),
        *(f"{DYNAMIC}/{name}.csv" for name in ("arousal", "valence")),
        *("README.txt", "fourier-demo.json"),
    }
    for name in ("arousal", "valence"):
        table = pd.read_csv(deam / DYNAMIC / f"{name}.csv")
        times = [f"sample_{15000 + 500 * point}ms" for point in range(61)]
        assert list(table.columns) == ["song_id", *times]
        assert table["song_id"].tolist() == [90001, 90002, 90003]
        assert table[times].abs().to_numpy().max() <= 1
        assert (table[times].std(axis=1) > 0.02).all()  # moods drift


def test_the_gtzan_demo_has_gtzans_layout(demo):
    assert set(contents(demo[0] / "gtzan")) == {
        *(f"genres_original/{genre}/{genre}.90000.wav" for genre in GENRES),
        *("README.txt", "fourier-demo.json"),
    }


@pytest.mark.parametrize(
    ("pattern", "form", "rate", "seconds"),
    [("deam/**/*.mp3", ("MP3", 1), 44_100, 45), ("gtzan/**/*.wav", ("WAV", 1), 22_050, 30)],
)
def test_the_audio_is_what_the_real_corpora_hold(demo, pattern, form, rate, seconds):
    for path in demo[0].glob(pattern):
        info = soundfile.info(path)
        assert (info.format, info.channels) == form
        assert info.samplerate == rate
        wave, _ = soundfile.read(path)
        assert len(wave) >= seconds * rate
        assert 0.02 < np.abs(wave).max() <= 1
        parts = np.array_split(wave, seconds // 3)
        assert min(np.sqrt(np.mean(part**2)) for part in parts) > 0.003  # nowhere silent


def test_the_corpora_are_read_back_as_demos(demo):
    deam, gtzan = load_deam(demo[0] / "deam"), load_gtzan(demo[0] / "gtzan")
    assert (deam.name, gtzan.name) == ("deam-demo", "gtzan-demo")
    assert (len(deam.tracks), len(deam.clips)) == (3, 18)
    assert (len(gtzan.tracks), len(gtzan.clips), gtzan.classes) == (10, 100, GENRES)
    assert deam.left_out.empty
    assert gtzan.left_out.empty


def test_a_demo_cannot_be_taken_for_the_real_corpus(demo):
    for task in ("deam", "gtzan"):
        folder = demo[0] / task
        marker = json.loads((folder / "fourier-demo.json").read_text())
        assert marker == {
            "corpus": f"{task}-demo",
            "version": DEMO_VERSION,
            "seed": 0,
            "tracks": 3 if task == "deam" else 1,
        }
        assert "synthetic" in (folder / "README.txt").read_text()
    numbers = [int(track.split(".")[1]) for track in load_gtzan(demo[0] / "gtzan").tracks.index]
    assert min(numbers) > 99
    assert min(int(song) for song in load_deam(demo[0] / "deam").tracks.index) > 2058


def test_progress_counts_every_track(demo):
    assert demo[1] == [(done, 13) for done in range(1, 14)]


def test_a_seed_decides_every_byte_whatever_the_jobs_and_the_size(demo, tmp_path):
    write_demo(tmp_path / "again", deam_songs=1, gtzan_tracks_per_genre=1, jobs=1)
    first, again = contents(demo[0]), contents(tmp_path / "again")
    audio = [name for name in again if name.endswith((".mp3", ".wav"))]
    assert len(audio) == 11
    assert all(again[name] == first[name] for name in audio)
    for name in ("arousal", "valence"):
        rows = first[f"deam/{DYNAMIC}/{name}.csv"].splitlines()
        assert again[f"deam/{DYNAMIC}/{name}.csv"].splitlines() == rows[:2]
    write_demo(tmp_path / "other", seed=1, deam_songs=1, gtzan_tracks_per_genre=1)
    other = contents(tmp_path / "other")
    assert all(other[name] != first[name] for name in audio)


def test_an_interrupted_demo_stops_soon_and_leaves_nothing(tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    (tmp_path / "mine.txt").write_text("mine")
    for task in ("deam", "gtzan"):
        with pytest.raises(KeyboardInterrupt):
            write_demo(tmp_path, task, deam_songs=3, gtzan_tracks_per_genre=999, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_same_demo_is_left_as_it_is_and_another_replaces_it(tmp_path):
    steps = []

    def write(**arguments):
        steps.clear()
        write_demo(tmp_path, "gtzan", progress=lambda *step: steps.append(step), **arguments)
        return (tmp_path / "gtzan").stat().st_ino, contents(tmp_path)

    first = write(gtzan_tracks_per_genre=1)
    assert write(gtzan_tracks_per_genre=1) == first
    assert steps == []
    inode, second = write(gtzan_tracks_per_genre=2)
    assert inode != first[0]
    assert steps == [(done, 20) for done in range(1, 21)]
    assert "gtzan/genres_original/pop/pop.90001.wav" in second
    assert [path.name for path in tmp_path.iterdir()] == ["gtzan"]


@pytest.mark.parametrize("marker", [None, "{}", "[]", "not json", '{"corpus": "gtzan-demo"}'])
def test_a_folder_that_is_no_demo_is_never_touched(tmp_path, marker):
    (tmp_path / "deam").mkdir()
    (tmp_path / "deam" / "precious.mp3").write_bytes(b"the real thing")
    if marker is not None:
        (tmp_path / "deam" / "fourier-demo.json").write_text(marker)
    before = contents(tmp_path)
    with pytest.raises(CorpusError, match="is no demo corpus: name another folder"):
        write_demo(tmp_path)
    assert contents(tmp_path) == before
    assert not (tmp_path / "gtzan").exists()


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot be written to .*name another folder"):
        write_demo(tmp_path / "file", **SMALL)
    with pytest.raises(CorpusError, match="FOURIER_CACHE"):
        ensure_demo(tmp_path / "file", "gtzan")


@pytest.mark.parametrize(
    "arguments",
    [
        {"task": "imagenet"},
        {"seed": -1},
        {"deam_songs": 0},
        {"jobs": 0},
        {"gtzan_tracks_per_genre": 10_000},
    ],
)
def test_arguments_have_bounds(tmp_path, arguments):
    with pytest.raises(ValueError, match="must"):
        write_demo(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_the_demo_is_made_once_for_a_cache_whoever_asks(tmp_path):
    half_made = tmp_path / "demo" / f"v{DEMO_VERSION}" / ".gtzan-killed"
    half_made.mkdir(parents=True)
    steps, found = [], []

    def ask():
        found.append(ensure_demo(tmp_path, "gtzan", lambda *step: steps.append(step)))

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found == [tmp_path / "demo" / f"v{DEMO_VERSION}" / "gtzan"] * 2
    assert steps == [(done, 80) for done in range(1, 81)]
    assert len(load_gtzan(found[0]).clips) == 800
    assert not half_made.exists()
    before = (found[0] / "genres_original").stat().st_mtime_ns
    assert ensure_demo(tmp_path, "gtzan") == found[0]
    assert (found[0] / "genres_original").stat().st_mtime_ns == before
