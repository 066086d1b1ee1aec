"""Copies are found whatever was done to them, and nothing else is taken for one."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from fourier.corpora import Corpus, load_corpus
from fourier.corpora.corpus import left_out_frame
from fourier.corpora.synthesis.genres import STYLES, genre_track
from fourier.features import copies as copies_module
from fourier.features.cache import CacheWarning
from fourier.features.copies import LEAST_SECONDS, MOST_DIFFERENT, Copy, find_copies
from fourier.features.fingerprint import FRAME_SECONDS, RATE, WINDOW, fingerprint
from fourier.features.pcm import PcmStore, open_pcm

NATIVE = 22_050
SECONDS, CLIP_SECONDS = 12.0, 3.0
Wave = np.ndarray
OpenTracks = Callable[..., PcmStore]


def music(genre: str = "disco", seed: int = 0, seconds: float = SECONDS) -> Wave:
    return genre_track(genre, np.random.default_rng(seed), seconds, NATIVE)


def encoded(wave: Wave, name: str, compression: float) -> Wave:
    """Through an encoder and back, as long as before."""
    file = io.BytesIO()
    rate = {"bitrate_mode": "CONSTANT"} if name == "MP3" else {}
    soundfile.write(file, wave, NATIVE, format=name, compression_level=compression, **rate)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0][: len(wave)]


def quieter(wave: Wave, db: float) -> Wave:
    return wave * np.float32(10 ** (-db / 20))


def later(wave: Wave, seconds: float) -> Wave:
    return wave[round(seconds * NATIVE) :]


@pytest.fixture
def open_tracks(tmp_path: Path) -> OpenTracks:
    """A PCM store of these waves, cut into as many 3-s clips as they fill."""

    def open_them(waves: dict[str, Wave], starts: dict[str, list[float]] | None = None) -> PcmStore:
        root = tmp_path / "corpus"
        root.mkdir(exist_ok=True)
        rows = []
        for track, wave in waves.items():
            soundfile.write(root / f"{track}.wav", wave, NATIVE, subtype="PCM_16")
            whole = np.arange(int(len(wave) / NATIVE / CLIP_SECONDS)) * CLIP_SECONDS
            rows += [(track, start, 0) for start in (starts or {}).get(track, whole.tolist())]
        corpus = Corpus(
            name="gtzan",
            task="gtzan",
            root=root,
            sample_rate=NATIVE,
            clip_seconds=CLIP_SECONDS,
            tracks=pd.DataFrame(
                {"path": [f"{track}.wav" for track in waves], "group": list(waves)},
                index=pd.Index(list(waves), name="track"),
            ),
            clips=pd.DataFrame(rows, columns=["track", "start", "label"]),
            targets=("label",),
            classes=("any",),
            left_out=left_out_frame([]),
            default_protocol="track",
        )
        return open_pcm(corpus, tmp_path / "cache", jobs=1)

    return open_them


def all_at_once(wave: Wave) -> Wave:
    return encoded(quieter(later(wave, 0.9), 9), "MP3", 0.8)


CHANGES: dict[str, Callable[[Wave], Wave]] = {
    "mp3 at 80 kbits": lambda wave: encoded(wave, "MP3", 0.5),
    "mp3 at 24 kbits": lambda wave: encoded(wave, "MP3", 0.9),
    "the smallest ogg": lambda wave: encoded(wave, "OGG", 1.0),
    "9 dB quieter": lambda wave: quieter(wave, 9),
    "turned over": lambda wave: -wave,
    "0.3 s later": lambda wave: later(wave, 0.3),
    "0.9 s later": lambda wave: later(wave, 0.9),
    "half a frame later": lambda wave: later(wave, 12.5 * FRAME_SECONDS),
    "0.7 s earlier": lambda wave: np.concatenate([music("jazz", 9, 0.7), wave]),
    "without its first 5 s": lambda wave: later(wave, 5.0),
    "all of it": all_at_once,
}
SHIFTS = {
    "0.3 s later": 0.3,
    "0.9 s later": 0.9,
    "0.7 s earlier": -0.7,
    "without its first 5 s": 5.0,
    "all of it": 0.9,
}


@pytest.mark.parametrize("genre", ["classical", "disco", "metal"])
def test_a_copy_is_found_whatever_was_done_to_it(open_tracks: OpenTracks, genre: str) -> None:
    wave = music(genre)
    changed = {name: change(wave) for name, change in CHANGES.items()}
    store = open_tracks({"0 original": wave, "1 other": music(genre, 1)} | changed)
    found = {copy.second: copy for copy in find_copies(store) if copy.first == "0 original"}
    assert found.keys() == changed.keys()
    for name, copy in found.items():
        assert copy.bit_error < 0.2 < MOST_DIFFERENT, name
        assert copy.identical_clips == 0, name
        if name in SHIFTS:
            assert copy.shift == pytest.approx(SHIFTS[name], abs=2 * FRAME_SECONDS)
    assert not any("1 other" in (copy.first, copy.second) for copy in find_copies(store))


def test_the_same_samples_are_counted_by_clips(open_tracks: OpenTracks) -> None:
    wave, other = music(), music(seed=1)
    half = np.concatenate([wave[: 6 * NATIVE], other[: 6 * NATIVE]])
    store = open_tracks({"a": wave, "b": wave, "c": half, "d": music("jazz")})
    found = {(copy.first, copy.second): copy.identical_clips for copy in find_copies(store)}
    assert found == {("a", "b"): 4, ("a", "c"): 2, ("b", "c"): 2}
    assert find_copies(store)[0].evidence == "4 clips identical in every sample"


def test_equal_checksums_of_other_samples_are_no_copy(open_tracks: OpenTracks) -> None:
    store = open_tracks({"a": music(seed=1), "b": music(seed=2)})
    store.checksums[:] = 7
    store._seen[:] = True
    assert find_copies(store) == ()


def test_one_short_clip_each_is_enough_though_shifted_by_almost_a_second(
    open_tracks: OpenTracks,
) -> None:
    wave = music("pop", 3)
    store = open_tracks({"a": wave[: 3 * NATIVE], "b": later(wave, 0.9)[: 3 * NATIVE]})
    (copy,) = find_copies(store)
    assert copy.shift == pytest.approx(0.9, abs=2 * FRAME_SECONDS)
    assert 1.4 < copy.seconds < LEAST_SECONDS


def test_an_excerpt_is_found_where_clips_in_between_are_missing(open_tracks: OpenTracks) -> None:
    wave = music("rock", 5, 24.0)
    store = open_tracks({"a": wave, "b": later(wave, 10.0)}, {"a": [0.0, 12.0, 15.0, 21.0]})
    (copy,) = find_copies(store)
    assert copy.shift == pytest.approx(10.0, abs=2 * FRAME_SECONDS)
    assert copy.bit_error < 0.15


def test_tracks_of_one_style_are_not_copies(open_tracks: OpenTracks) -> None:
    waves = {f"{genre} {i}": music(genre, i) for genre in STYLES for i in range(3)}
    assert find_copies(open_tracks(waves)) == ()


def test_the_same_loop_twice_as_loud_as_other_music_is_not_a_copy(open_tracks: OpenTracks) -> None:
    loop = np.tile(music("hiphop", 7, 2.0), 6)
    tunes = {f"tune {i}": music("jazz", i)[: len(loop)] for i in range(4)}
    level = np.sqrt(np.mean(loop**2))
    mixed = {
        name: 0.7 * loop + 0.3 * tune * level / np.sqrt(np.mean(tune**2))
        for name, tune in tunes.items()
    }
    assert find_copies(open_tracks(mixed)) == ()


def tone(frequency: float, phase: float, level: float = 0.3) -> Wave:
    time = np.arange(round(SECONDS * NATIVE)) / NATIVE
    return (level * np.sin(2 * np.pi * frequency * time + phase)).astype(np.float32)


def hiss(seed: int) -> Wave:
    wave = np.random.default_rng(seed).normal(0, 1e-5, round(SECONDS * NATIVE))
    return wave.astype(np.float32)


def test_silence_and_steady_tones_are_copies_of_nothing(open_tracks: OpenTracks) -> None:
    steady = {
        "silence": np.zeros(round(SECONDS * NATIVE), np.float32),
        "more silence": np.zeros(round(SECONDS * NATIVE), np.float32),
        "hiss": hiss(0),
        "more hiss": hiss(1),
        "tone": tone(440, 0),
        "tone, another phase": tone(440, 1),
        "tone, quieter": tone(440, 2, 0.1),
        "tone, as mp3": encoded(tone(440, 0), "MP3", 0.5),
        "chord": tone(440, 0) + tone(554.4, 1) + tone(659.3, 2),
        "chord, other phases": tone(440, 1) + tone(554.4, 2) + tone(659.3, 0),
    }
    assert find_copies(open_tracks(steady)) == ()


def test_the_same_tone_to_the_sample_is_a_copy(open_tracks: OpenTracks) -> None:
    (copy,) = find_copies(open_tracks({"a": tone(440, 0), "b": tone(440, 0)}))
    assert (copy.identical_clips, copy.seconds) == (4, 0.0)


def test_music_between_the_same_silences_is_not_a_copy(open_tracks: OpenTracks) -> None:
    quiet = np.zeros(3 * NATIVE, np.float32)
    waves = {str(i): np.concatenate([quiet, music("pop", i, 6.0), quiet]) for i in range(3)}
    assert find_copies(open_tracks(waves)) == ()


def test_copies_are_looked_for_once(
    open_tracks: OpenTracks, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_tracks({"a": music(), "b": quieter(music(), 9)})
    seen: list[tuple[int, int]] = []
    first = find_copies(store, lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    monkeypatch.setattr(copies_module, "_compute", lambda *_: pytest.fail("compared again"))
    assert find_copies(store) == first
    assert isinstance(first[0], Copy)


def test_another_store_in_the_same_place_is_compared_anew(open_tracks: OpenTracks) -> None:
    store = open_tracks({"a": music(), "b": music(seed=1)})
    assert find_copies(store) == ()
    path = store.path.with_name("copies.json")
    kept = path.read_text()
    for damage in ("", kept[:-9], kept.replace("[]", "[1]")):
        path.write_text(damage)
        with pytest.warns(CacheWarning, match="comparing anew"):
            assert find_copies(store) == ()
    other = open_tracks({"a": music(), "b": quieter(music(), 9)})
    other.path.with_name("copies.json").write_text(path.read_text())
    assert json.loads(path.read_text())["pcm"] != other.digest
    assert len(find_copies(other)) == 1


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_a_word_every_frame_at_any_rate(rate: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 4 * rate).astype(np.float32)
    whole = fingerprint([samples], rate)
    assert len(whole.words) == pytest.approx((4 * RATE - WINDOW) / 128, abs=2)
    assert whole.counts.all()
    parts = fingerprint(np.array_split(samples, 7), rate)
    assert np.bitwise_count(parts.words ^ whole.words).mean() < 0.1


@pytest.mark.parametrize("samples", [0, 1, 2_000, 8_000])
def test_what_is_shorter_than_a_window_has_no_words(samples: int) -> None:
    words = fingerprint([np.ones(samples, np.float32)], 22_050).words
    assert (words.dtype, len(words)) == (np.uint32, 0)


@pytest.mark.realdata
def test_real_tracks_hold_no_copies_but_a_planted_one(
    real_data: Path, own_cache: Path, tmp_path: Path
) -> None:
    root = tmp_path / "gtzan" / "genres"
    for genre in ("blues", "hiphop", "reggae"):
        (root / genre).mkdir(parents=True)
        for path in sorted((real_data / "gtzan-mini").rglob(f"{genre}.*.wav")):
            (root / genre / path.name).symlink_to(path)
    wave, rate = soundfile.read(root / "reggae" / "reggae.00002.wav", dtype="float32")
    assert rate == NATIVE
    soundfile.write(root / "hiphop" / "hiphop.99999.wav", all_at_once(wave), rate)
    corpus = load_corpus(tmp_path / "gtzan")
    (copy,) = find_copies(open_pcm(corpus, own_cache))
    assert (copy.first, copy.second) == ("hiphop.99999", "reggae.00002")
