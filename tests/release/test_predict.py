"""Files in, tables out: the program's own numbers for whatever decodes."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from fourier.config import SpectrogramConfig
from fourier.errors import AudioError, ReleaseError
from fourier.features.decode import decode
from fourier.release.predict import WINDOWS_AT_ONCE, Predictor
from fourier.release.program import load_program


@pytest.fixture(scope="module")
def hears_emotion(emotion: Any) -> Predictor:
    return Predictor.from_program(emotion.path)


@pytest.fixture(scope="module")
def hears_genre(genre: Any) -> Predictor:
    return Predictor.from_program(str(genre.path))


def write_song(path: Path, seconds: float, rate: int = 44_100, channels: int = 1) -> Path:
    rng = np.random.default_rng(round(seconds * 100))
    samples = round(seconds * rate)
    swell = 0.3 * np.sin(np.linspace(0, 3, samples))[:, None]
    soundfile.write(path, swell * rng.uniform(-1, 1, (samples, channels)), rate)
    return path


def by_the_program(predictor: Predictor, path: Path, frame: pd.DataFrame, every: float) -> Any:
    """What the exported program says of the clips that the table's times name."""
    program = predictor.program
    audio = decode(path, program.sample_rate)
    starts = [predictor.first_sample(time, every=every) for time in frame["time"]]
    return program.predict(np.stack([audio[start:][: program.samples] for start in starts]))


@pytest.mark.parametrize("every", [0.5, 1.7, 5.0])
def test_a_table_holds_the_programs_numbers(
    hears_emotion: Predictor, tmp_path: Path, every: float
) -> None:
    path = write_song(tmp_path / "a.wav", 24.3)
    frame = hears_emotion.predict(path, every=every)
    assert list(frame.columns) == ["time", "valence", "arousal", "padded"]
    assert len(frame) == int((24.3 - 5) / every) + 1
    np.testing.assert_allclose(np.diff(frame["time"]), every)
    expected = by_the_program(hears_emotion, path, frame, every)
    np.testing.assert_allclose(frame[["valence", "arousal"]], expected, atol=1e-5)
    assert np.ptp(expected[:, 1]) > 1e-3  # they do differ
    assert not frame["padded"].any()


def test_emotion_comes_every_half_second(hears_emotion: Predictor, tmp_path: Path) -> None:
    frame = hears_emotion.predict(write_song(tmp_path / "a.wav", 7.1))
    assert frame["time"].tolist() == [0, 0.5, 1, 1.5, 2]
    assert frame.attrs["track"]["valence"] == pytest.approx(frame["valence"].mean(), abs=1e-6)
    assert frame.attrs["seconds"] == pytest.approx(7.1)


def test_genre_comes_by_segment_and_for_the_track(hears_genre: Predictor, tmp_path: Path) -> None:
    path = write_song(tmp_path / "a.wav", 9.5, rate=22_050)
    frame = hears_genre.predict(path)
    names = ["p_blues", "p_metal", "p_rock"]
    assert list(frame.columns) == ["time", "predicted", *names, "padded"]
    assert frame["time"].tolist() == [0, 3, 6]
    np.testing.assert_allclose(frame[names].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(frame[names], by_the_program(hears_genre, path, frame, 3), atol=1e-5)
    assert list(frame["predicted"]) == [
        names[i].removeprefix("p_") for i in frame[names].to_numpy().argmax(axis=1)
    ]
    assert frame.attrs["track"] == pytest.approx(frame[names].mean().to_dict(), abs=1e-6)


@pytest.mark.parametrize("extension", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (48_000, 2)])
def test_any_format_rate_and_channels_will_do(
    hears_genre: Predictor, tmp_path: Path, extension: str, rate: int, channels: int
) -> None:
    path = write_song(tmp_path / f"a.{extension}", 6.6, rate, channels)
    frame = hears_genre.predict(path)
    assert len(frame) == 2
    np.testing.assert_allclose(
        frame[hears_genre.columns], by_the_program(hears_genre, path, frame, 3), atol=1e-5
    )


@pytest.mark.parametrize("seconds", [1e-4, 0.5, 2.9])
def test_a_short_file_is_filled_up_and_marked(
    hears_genre: Predictor, tmp_path: Path, seconds: float
) -> None:
    path = write_song(tmp_path / "a.wav", seconds, rate=22_050)
    frame = hears_genre.predict(path)
    assert frame["padded"].tolist() == [True]
    clip = np.zeros((1, 66_150), np.float32)
    audio = decode(path, 22_050)
    clip[0, : len(audio)] = audio
    expected = hears_genre.program.predict(clip)
    np.testing.assert_allclose(frame[hears_genre.columns], expected, atol=1e-5)


def test_many_files_share_batches_and_keep_their_order(
    hears_genre: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = [3.5, 0.2, 9.5, 70.0, 3.1, 12.5, 3.0, 3.0]
    paths = [write_song(tmp_path / f"{i}.wav", s, 8000) for i, s in enumerate(lengths)]
    paths.insert(3, tmp_path / "missing.wav")
    alone = [hears_genre.predict(path) for path in paths if path.exists()]
    batches = []
    answer = hears_genre._model.answer
    monkeypatch.setattr(
        hears_genre._model, "answer", lambda part: batches.append(len(part)) or answer(part)
    )
    together = list(hears_genre.predict_many(paths))
    assert [path for path, _ in together] == paths
    assert isinstance(together[3][1], AudioError)
    for frame, (_, other) in zip(alone, together[:3] + together[4:], strict=True):
        pd.testing.assert_frame_equal(frame, other, atol=1e-5)
        assert frame.attrs["seconds"] == other.attrs["seconds"]
    assert len(batches) < len(paths) / 2
    assert max(batches) < 2 * WINDOWS_AT_ONCE


def test_a_file_that_breaks_off_late_does_not_spoil_the_others(
    hears_genre: Predictor, tmp_path: Path
) -> None:
    good = write_song(tmp_path / "good.wav", 4.0, 22_050)
    audio = np.zeros(70 * 22_050, np.float32)
    audio[-5] = np.nan
    soundfile.write(tmp_path / "bad.wav", audio, 22_050, subtype="FLOAT")
    (_, first), (_, bad), (_, last) = hears_genre.predict_many([good, tmp_path / "bad.wav", good])
    assert isinstance(bad, AudioError)
    pd.testing.assert_frame_equal(first, last, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing.wav", "no such file"), (".", "a folder, not a file")]
)
def test_what_cannot_be_read_says_why(
    hears_genre: Predictor, tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(AudioError, match=reason):
        hears_genre.predict(tmp_path / name)


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan")])
def test_windows_must_go_forward(hears_genre: Predictor, tmp_path: Path, every: float) -> None:
    with pytest.raises(ValueError, match="`every > 0` must hold"):
        hears_genre.predict(tmp_path / "a.wav", every=every)


def test_a_program_that_computes_otherwise_is_refused(genre: Any) -> None:
    program = load_program(genre.path)
    config = dataclasses.replace(
        genre.config, spectrogram=SpectrogramConfig(n_mels=32, fmax=8000, mel_scale="htk")
    )
    other = {**program.metadata, "trial": config.to_dict(), "fourier": "9.9"}
    with pytest.raises(ReleaseError, match=r"computes otherwise .* \(9\.9;"):
        Predictor(dataclasses.replace(program, metadata=other))


GROWTH = """
import resource, sys
from fourier.release.predict import Predictor
predictor = Predictor.from_program(sys.argv[1])
for path in sys.argv[2:]:
    predictor.predict(path)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_recording(genre: Any, tmp_path: Path) -> None:
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    minute = np.random.default_rng(0).integers(-9000, 9000, 60 * 22_050).astype(np.int16)
    with soundfile.SoundFile(short, "w", 22_050, 1) as file:
        file.write(minute)
    with soundfile.SoundFile(long, "w", 22_050, 1) as file:
        for _ in range(15):  # 79 MB as float32
            file.write(minute)
    answer = subprocess.run(
        [sys.executable, "-c", GROWTH, genre.path, short, long],
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    after_short, after_long = map(int, answer.stdout.split())
    assert after_long - after_short < 40


@pytest.mark.realdata
def test_odd_audio_is_predicted_or_refused_in_one_line(
    hears_genre: Predictor, real_data: Path
) -> None:
    files = sorted((real_data / "odd-audio").iterdir())
    outcomes = dict(hears_genre.predict_many(files))
    assert len(outcomes) == len(files)
    refused = [outcome for outcome in outcomes.values() if isinstance(outcome, AudioError)]
    assert 0 < len(refused) < len(files) / 2
    assert all("\n" not in str(error) for error in refused)
    for outcome in outcomes.values():
        if not isinstance(outcome, AudioError):
            assert np.isfinite(outcome[hears_genre.columns].to_numpy()).all()
