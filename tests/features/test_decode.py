"""What comes out of an audio file, and what is said when nothing does."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from fourier.errors import AudioError
from fourier.features import decode as decoding
from fourier.features.decode import decode, stream

RATE = 22_050


def music(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A glide and noise that comes and goes, [samples, channels]."""
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.1, (len(t), channels))
    tone = 0.3 * np.sin(2 * np.pi * (150 + 60 * t) * t)
    return tone[:, None] + noise * (np.sin(2 * np.pi * t) > 0)[:, None]


def low_rate_mp3(path: Path, seconds: float, rate: int = 44_100) -> None:
    """Noise bursts between silence at a low variable rate: frames borrow many frames back."""
    with sf.SoundFile(
        path, "w", rate, 1, "MPEG_LAYER_III", format="MP3",
        compression_level=0.99, bitrate_mode="VARIABLE",
    ) as file:  # fmt: skip
        file.write(music(seconds, rate))


FORMATS = {
    "wav 8 bit": ("WAV", "PCM_U8", 0.01),
    "wav 16 bit": ("WAV", "PCM_16", 1e-4),
    "wav 24 bit": ("WAV", "PCM_24", 1e-6),
    "wav float": ("WAV", "FLOAT", 1e-7),
    "au": ("AU", "PCM_16", 1e-4),
    "flac": ("FLAC", "PCM_16", 1e-4),
    "ogg": ("OGG", "VORBIS", 0.2),
    "mp3": ("MP3", "MPEG_LAYER_III", 0.3),
}


@pytest.mark.parametrize(("container", "subtype", "error"), FORMATS.values(), ids=FORMATS)
def test_every_format_decodes_whatever_its_name(
    tmp_path: Path, container: str, subtype: str, error: float
) -> None:
    audio = music(1.0)
    sf.write(tmp_path / "song.dat", audio, RATE, subtype, format=container)
    samples = decode(tmp_path / "song.dat", RATE)
    assert samples.dtype == np.float32
    assert len(samples) == len(audio)
    assert np.abs(samples - audio[:, 0]).max() <= error
    assert np.corrcoef(samples, audio[:, 0])[0, 1] > 0.98


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    audio = music(4.0, channels=channels)  # longer than one block
    sf.write(tmp_path / "a.wav", audio, RATE, "FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav", RATE), audio.mean(axis=1), atol=1e-6)


def test_16_bit_samples_come_back_to_the_bit(tmp_path: Path) -> None:
    written = np.random.default_rng(0).integers(-32768, 32768, 100_000, dtype=np.int16)
    sf.write(tmp_path / "a.wav", written, RATE)
    assert np.array_equal(decode(tmp_path / "a.wav", RATE) * 32768, written)


def test_samples_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.array([0.5, 1.5, -7.0, -1.0]), RATE, "FLOAT")
    assert decode(tmp_path / "a.wav", RATE).tolist() == [0.5, 1.0, -1.0, -1.0]


@pytest.mark.parametrize(("native", "rate"), [(44_100, 22_050), (48_000, 44_100), (8_000, 22_050)])
def test_another_rate_is_resampled_without_delay(tmp_path: Path, native: int, rate: int) -> None:
    def tone(sample_rate: int) -> np.ndarray:
        return 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * sample_rate) / sample_rate)

    sf.write(tmp_path / "a.wav", tone(native), native, "FLOAT")
    samples = decode(tmp_path / "a.wav", rate)
    assert len(samples) == 2 * rate
    middle = slice(rate // 2, -rate // 2)
    assert np.abs(samples - tone(rate))[middle].max() < 1e-4


PARTS = [(0.0, 1.0), (0.013, 0.5), (1.0, 2.0), (2.71828, 0.5), (4.5, 3.0), (5.9, None), (3.0, None)]


@pytest.mark.parametrize("rate", [44_100, 22_050, 16_000])
@pytest.mark.parametrize(("container", "subtype", "_"), FORMATS.values(), ids=FORMATS)
def test_a_part_is_the_whole_file_cut(
    tmp_path: Path, container: str, subtype: str, _: float, rate: int
) -> None:
    sf.write(tmp_path / "song", music(6.0, 44_100, 2), 44_100, subtype, format=container)
    whole = decode(tmp_path / "song", rate)
    for start, seconds in PARTS:
        part = decode(tmp_path / "song", rate, start, seconds)
        first = round(start * rate)
        expected = whole[first:] if seconds is None else whole[first:][: round(seconds * rate)]
        assert len(part) == len(expected)
        assert np.abs(part - expected).max() < 1e-6, (start, seconds)


def worst_cut(path: Path, starts: np.ndarray) -> float:
    rate = sf.info(path).samplerate
    whole = decode(path, rate)
    worst = 0.0
    for start in starts:
        part = decode(path, rate, float(start), 0.2)
        worst = max(worst, np.abs(part - whole[round(start * rate) :][: len(part)]).max())
    return worst


def test_an_mp3_that_borrows_bits_from_far_back_is_cut_exactly(tmp_path: Path) -> None:
    low_rate_mp3(tmp_path / "low.mp3", 8.0)
    assert worst_cut(tmp_path / "low.mp3", np.linspace(0, 7.7, 60)) < 1e-6


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["vbri.mp3", "silence-44-s.mp3", "silence-44-s-v1.mp3", "xing.mp3"]
)
def test_real_low_rate_mp3s_are_cut_exactly(real_data: Path, name: str) -> None:
    path = real_data / "odd-audio" / name
    seconds = len(decode(path, 44_100)) / 44_100
    assert worst_cut(path, np.linspace(0, seconds - 0.01, 40)) < 1e-9


@pytest.mark.realdata
@pytest.mark.parametrize("song", [2, 3, 12])
def test_deam_songs_are_cut_exactly(real_data: Path, song: int) -> None:
    path = real_data / f"deam-mini/DEAM_audio/MEMD_audio/{song}.mp3"
    assert worst_cut(path, np.arange(15.0, 45.0, 5.0)) < 1e-6


@pytest.mark.parametrize("values", [1 << 10, 1 << 13])
def test_block_borders_leave_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    low_rate_mp3(tmp_path / "low.mp3", 4.0)
    whole = decode(tmp_path / "low.mp3", 44_100)
    monkeypatch.setattr(decoding, "BLOCK_VALUES", values)
    assert np.array_equal(decode(tmp_path / "low.mp3", 44_100), whole)


@pytest.mark.realdata
def test_the_samples_read_count_not_the_header(real_data: Path) -> None:
    for path in sorted((real_data / "deam-mini/DEAM_audio/MEMD_audio").glob("*.mp3")):
        samples = decode(path, 44_100)
        assert len(samples) < sf.info(path).frames
        assert 44.62 <= len(samples) / 44_100 <= 45.06


def truncated(path: Path) -> None:
    low_rate_mp3(path, 8.0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def trailing_junk(path: Path) -> None:
    low_rate_mp3(path, 4.0)
    path.write_bytes(path.read_bytes() + bytes(5000))


def hole(path: Path) -> None:
    low_rate_mp3(path, 4.0)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes(3000) + data[middle + 3000 :])


DAMAGES = [(truncated, 3.0, 5.0), (trailing_junk, 3.99, 4.01), (hole, 1.5, 2.5)]


@pytest.mark.parametrize(("write", "low", "high"), DAMAGES)
def test_a_damaged_mp3_gives_what_comes_before_the_damage_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], write: Callable, low: float, high: float
) -> None:
    write(tmp_path / "a.mp3")
    assert low < len(decode(tmp_path / "a.mp3", 44_100)) / 44_100 < high
    assert capfd.readouterr() == ("", "")


def test_stderr_is_itself_again_afterwards(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trailing_junk(tmp_path / "a.mp3")
    decode(tmp_path / "a.mp3", 44_100)
    assert capfd.readouterr().err == ""
    sf.read(tmp_path / "a.mp3", frames=1000)
    assert "Xing stream size" in capfd.readouterr().err


def write_nothing(path: Path) -> None:
    path.touch()


def write_text(path: Path) -> None:
    path.write_text("this is no audio\n" * 100)


def write_header_only(path: Path) -> None:
    sf.write(path, np.empty(0), RATE, format="WAV")


def write_nan(path: Path) -> None:
    sf.write(path, np.array([0.0, np.nan, 0.1]), RATE, "FLOAT", format="WAV")


def write_infinity(path: Path) -> None:
    sf.write(path, np.array([0.0, np.inf, 0.1]), RATE, "FLOAT", format="WAV")


def write_slow(path: Path) -> None:
    sf.write(path, np.zeros(10), 1, format="WAV")


def write_sync_only(path: Path) -> None:
    path.write_bytes(b"\xff\xfb\x90\x00" + bytes(2000))


def write_loop(path: Path) -> None:
    path.symlink_to(path)


REASONS = {
    "absent": (os.fspath, "no such file"),
    "folder": (Path.mkdir, "a folder, not a file"),
    "pipe": (os.mkfifo, "not a regular file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "symlink to itself": (write_loop, "cannot be opened (Too many levels of symbolic links)"),
    "empty": (write_nothing, "an empty file"),
    "text": (write_text, "not an audio format that libsndfile knows"),
    "header only": (write_header_only, "no audio in it"),
    "NaN": (write_nan, "holds samples that are not numbers (NaN or infinity)"),
    "infinity": (write_infinity, "holds samples that are not numbers (NaN or infinity)"),
    "1 Hz": (write_slow, "claims a sample rate of 1 Hz"),
    "one mp3 header": (write_sync_only, "no mp3 frames found in it"),
}


@pytest.mark.parametrize(("write", "reason"), REASONS.values(), ids=REASONS)
@pytest.mark.timeout(10)
def test_what_cannot_be_used_is_an_audio_error_with_a_short_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], write: Callable, reason: str
) -> None:
    write(tmp_path / "a.wav")
    with pytest.raises(AudioError) as caught:
        decode(tmp_path / "a.wav", RATE)
    assert str(caught.value) == reason
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", music(0.1), RATE)
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(AudioError, match=r"cannot be opened \(Permission denied\)"):
        decode(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("container", ["WAV", "MP3", "OGG", "FLAC"])
@pytest.mark.parametrize("start", [1.0, 1.2, 30.0])
def test_a_part_behind_the_end_is_an_audio_error(
    tmp_path: Path, container: str, start: float
) -> None:
    sf.write(tmp_path / "a", music(1.0), RATE, format=container)
    with pytest.raises(AudioError, match=f"^the audio ends before {start:.2f} s$"):
        decode(tmp_path / "a", RATE, start)


def test_a_part_over_the_end_is_shorter(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", music(1.0), RATE)
    assert len(decode(tmp_path / "a.wav", RATE, 0.8, 0.5)) == round(0.2 * RATE)


@pytest.mark.parametrize(("rate", "start", "seconds"), [(0, 0.0, 1.0), (1, -1.0, 1), (1, 0.0, 0.0)])
def test_impossible_parts_are_value_errors(
    tmp_path: Path, rate: int, start: float, seconds: float
) -> None:
    with pytest.raises(ValueError, match="must hold, but got"):
        decode(tmp_path / "a.wav", rate, start, seconds)


UNUSABLE = {
    "bach.ogg": "does not decode (unknown error in flac decoder)",
    "bad-POPM-frame.mp3": "no mp3 frames found in it",
    "emptyfile.mp3": "an empty file",
    "format_test.m4a": "not an audio format that libsndfile knows",
    "lame397v9short.mp3": "no audio in it",
    "test1_empty.wav": "no audio in it",
    "too-short.mp3": "no mp3 frames found in it",
    "wrong_extension.aac": "not an audio format that libsndfile knows",
}


@pytest.mark.realdata
def test_odd_files_are_used_or_have_a_reason(
    real_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reasons = {}
    paths = sorted((real_data / "odd-audio").iterdir())
    for path in paths:
        try:
            samples = decode(path, RATE)
        except AudioError as error:
            reasons[path.name] = str(error)
        else:
            assert len(samples) > 1000
            assert np.isfinite(samples).all()
    assert len(paths) == 30
    assert reasons == UNUSABLE
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("native", [22_050, 44_100, 48_000])
@pytest.mark.parametrize("extension", ["wav", "mp3", "ogg"])
def test_a_stream_is_what_decoding_gives(tmp_path: Path, native: int, extension: str) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"a.{extension}"
    sf.write(path, 0.2 * rng.standard_normal((3 * native + 17, 2)), native)
    whole = decode(path, 44_100)
    parts = list(stream(path, 44_100, seconds=0.5))
    assert len(parts) > 5
    assert max(map(len, parts)) < 44_100
    streamed = np.concatenate(parts)
    assert len(streamed) == len(whole)
    tolerance = 0 if native == 44_100 else 2e-6
    np.testing.assert_allclose(streamed, whole, atol=tolerance)


def test_a_stream_of_whole_blocks_ends_where_the_file_does(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.full(2000, 0.5), 1000)
    assert [len(part) for part in stream(tmp_path / "a.wav", 1000, seconds=0.5)] == [500] * 4


def test_whoever_listens_to_a_stream_may_decode_meanwhile(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.full(2000, 0.5), 1000)
    for _part in stream(tmp_path / "a.wav", 1000, seconds=1.0):
        assert len(decode(tmp_path / "a.wav", 1000)) == 2000


def test_a_stream_without_audio_says_so(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.empty(0), 44_100)
    with pytest.raises(AudioError, match="no audio in it"):
        list(stream(tmp_path / "a.wav", 44_100))
