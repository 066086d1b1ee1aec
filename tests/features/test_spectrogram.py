"""The spectrogram beside librosa's, and beside physics."""

import io
import warnings
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import torch

from fourier.config import SpectrogramConfig
from fourier.features.decode import decode
from fourier.features.spectrogram import Spectrogram, storage_type

RATE = 22_050


def mel(**settings: Any) -> SpectrogramConfig:
    settings.setdefault("normalization", "none")
    return SpectrogramConfig(**settings)


def synthetic(rate: int, seconds: float = 1.0) -> np.ndarray:
    """Signals with a narrow and a wide range of levels, [signals, samples] float32, 16 bit."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * 440 * t)
    click = np.zeros_like(t)
    click[len(t) // 3] = 1
    signals = [
        rng.normal(0, 0.2, len(t)),
        rng.normal(0, 1e-4, len(t)),
        tone,
        0.9 * tone + rng.normal(0, 3e-5, len(t)),
        0.9 * np.sin(2 * np.pi * 60 * t) + rng.normal(0, 1e-5, len(t)),
        np.sin(2 * np.pi * (50 * t + rate / 4 * t**2)),
        click,
        np.sign(tone),
    ]
    steps = np.clip(np.rint(np.stack(signals) * 32768), -32768, 32767)
    return (steps / 32768).astype(np.float32)


def librosa_power(audio: np.ndarray, config: SpectrogramConfig, rate: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Empty filters")
        return librosa.feature.melspectrogram(
            y=audio,
            sr=rate,
            n_fft=config.n_fft,
            hop_length=config.hop_length,
            n_mels=config.n_mels,
            fmin=config.fmin,
            fmax=config.fmax,
            htk=config.mel_scale == "htk",
        )


def librosa_decibels(
    audio: np.ndarray, config: SpectrogramConfig, rate: int, reference_power: float
) -> np.ndarray:
    power, floor = librosa_power(audio, config, rate), config.floor_db
    if config.reference == "clip_peak":
        return librosa.power_to_db(power, ref=np.max, top_db=floor)
    if config.reference == "unity":
        return librosa.power_to_db(power, top_db=floor)
    return np.maximum(librosa.power_to_db(power, ref=reference_power, top_db=None), -floor)


def assert_equals_librosa(audio: np.ndarray, config: SpectrogramConfig, rate: int) -> None:
    spectrogram = Spectrogram(config, rate)
    ours = spectrogram(torch.from_numpy(audio)).numpy()
    assert ours.dtype == np.float32
    for clip, decibels in zip(audio, ours, strict=True):
        theirs = librosa_decibels(clip, config, rate, spectrogram.reference_power)
        assert decibels.shape == theirs.shape
        assert np.abs(decibels - theirs).max() < 1e-4  # ten times better than promised


SETTINGS = [
    mel(fmax=8000),
    mel(n_fft=512, hop_length=160, n_mels=64, fmax=8000),
    mel(n_fft=512, hop_length=512, n_mels=256, fmax=11_025),  # with empty bands
    mel(n_fft=1024, hop_length=256, n_mels=16, fmin=40, fmax=4000, mel_scale="htk"),
    mel(n_fft=4096, hop_length=1024, n_mels=256, fmin=20, fmax=11_025),
    mel(n_fft=4096, hop_length=441, n_mels=48, fmin=300, fmax=3400, mel_scale="htk"),
    mel(n_fft=1023, hop_length=100, n_mels=32, fmax=5000),  # an odd window
    mel(n_fft=8192, hop_length=2048, n_mels=96, fmax=6000),
]


@pytest.mark.parametrize("floor_db", [20.0, 80.0, 120.0])
@pytest.mark.parametrize("reference", ["clip_peak", "full_scale", "unity"])
@pytest.mark.parametrize("config", SETTINGS, ids=lambda c: f"{c.n_fft}-{c.n_mels}-{c.mel_scale}")
def test_decibels_equal_librosas(
    config: SpectrogramConfig, reference: str, floor_db: float
) -> None:
    config = SpectrogramConfig(**config.to_dict() | {"reference": reference, "floor_db": floor_db})
    assert_equals_librosa(synthetic(RATE, 0.5), config, RATE)


@pytest.mark.realdata
@pytest.mark.parametrize("reference", ["clip_peak", "full_scale", "unity"])
@pytest.mark.parametrize("config", SETTINGS[:5], ids=lambda c: f"{c.n_fft}-{c.n_mels}")
def test_decibels_of_music_equal_librosas(
    real_data: Path, config: SpectrogramConfig, reference: str
) -> None:
    config = SpectrogramConfig(
        **config.to_dict() | {"reference": reference, "floor_db": 100.0, "fmax": 11_025}
    )
    songs = [real_data / f"deam-mini/DEAM_audio/MEMD_audio/{n}.mp3" for n in (2, 5, 12)]
    audio = np.stack([decode(song, 44_100, 20, 3) for song in songs])
    assert_equals_librosa(audio, config, 44_100)


@pytest.mark.parametrize("n_mfcc", [1, 13, 128])
def test_mfccs_equal_librosas(n_mfcc: int) -> None:
    config = mel(kind="mfcc", n_mfcc=n_mfcc, fmax=11_025, reference="unity")
    audio = synthetic(RATE, 0.5)
    ours = Spectrogram(config, RATE)(torch.from_numpy(audio)).numpy()
    assert ours.dtype == np.float32
    for clip, coefficients in zip(audio, ours, strict=True):
        theirs = librosa.feature.mfcc(y=clip, sr=RATE, n_mfcc=n_mfcc)
        assert coefficients.shape == theirs.shape == (n_mfcc, 22)
        assert np.abs(coefficients - theirs).max() < 1e-3


@pytest.mark.parametrize("reference", ["clip_peak", "full_scale"])
def test_mfccs_are_the_cosine_transform_of_the_decibels(reference: str) -> None:
    settings = {"n_mels": 40, "n_fft": 1024, "fmax": 6000, "reference": reference}
    audio = torch.from_numpy(synthetic(RATE, 0.5))
    decibels = Spectrogram(mel(**settings), RATE)(audio).numpy()
    ours = Spectrogram(mel(kind="mfcc", n_mfcc=20, **settings), RATE)(audio).numpy()
    theirs = librosa.feature.mfcc(S=decibels, n_mfcc=20)
    assert np.abs(ours - theirs).max() < 1e-3


def tone(hertz: float, seconds: float = 1.0, rate: int = RATE) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(round(seconds * rate)) / rate)[None]


@pytest.mark.parametrize("hertz", [440.0, 1000.0, 5000.0])
@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
def test_a_tone_peaks_in_the_band_that_holds_it(hertz: float, mel_scale: str) -> None:
    config = mel(n_mels=64, fmax=10_000, mel_scale=mel_scale)
    edges = librosa.mel_frequencies(66, fmin=0, fmax=10_000, htk=mel_scale == "htk")
    loudest = Spectrogram(config, RATE)(tone(hertz))[0].mean(dim=1).argmax()
    assert edges[loudest] < hertz < edges[loudest + 2]


def test_doubling_the_amplitude_adds_6_decibels_or_vanishes_in_the_peak() -> None:
    audio = torch.from_numpy(synthetic(RATE)[:1] / 4)
    for reference, gain in (("full_scale", 6.0206), ("unity", 6.0206), ("clip_peak", 0.0)):
        spectrogram = Spectrogram(mel(reference=reference), RATE)
        quiet, loud = spectrogram(audio), spectrogram(2 * audio)
        torch.testing.assert_close(loud - quiet, torch.full_like(quiet, gain), atol=1e-4, rtol=0)


@pytest.mark.parametrize("n_fft", [256, 2048])
@pytest.mark.parametrize("floor_db", [20.0, 80.0, 120.0])
@pytest.mark.parametrize("reference", ["clip_peak", "full_scale"])
def test_silence_sits_on_the_floor(reference: str, floor_db: float, n_fft: int) -> None:
    config = mel(
        n_fft=n_fft, hop_length=128, n_mels=8, fmax=11_025, mel_scale="htk",
        reference=reference, floor_db=floor_db,
    )  # fmt: skip
    assert (Spectrogram(config, RATE)(torch.zeros(2, RATE)) == -floor_db).all()


def test_a_full_scale_tone_in_the_most_sensitive_band_is_0_decibels() -> None:
    spectrogram = Spectrogram(mel(reference="full_scale", fmax=11_025), RATE)
    filters = spectrogram.filters.numpy()
    most_sensitive = np.unravel_index(filters.argmax(), filters.shape)[0] + 1  # bin 0 is not heard
    decibels = Spectrogram(mel(reference="full_scale", fmax=11_025), RATE)(
        tone(most_sensitive * RATE / 2048)
    )
    assert 0 <= decibels[..., 5:-5].max() < 1.77  # neighbouring bins may add a half


def test_fft_bins_outside_the_bands_are_not_computed_further() -> None:
    hertz_per_bin = RATE / 2048
    filters = Spectrogram(mel(fmin=500, fmax=2000, n_mels=16), RATE).filters
    assert filters.shape[1] == 16
    assert filters.shape[0] == pytest.approx(1500 / hertz_per_bin, abs=2)
    assert filters[[0, -1]].any(dim=1).all()


@pytest.mark.parametrize("samples", [1, 100, 511, 512, 513, RATE])
@pytest.mark.parametrize(("n_fft", "hop_length"), [(512, 512), (1023, 100), (2048, 512)])
def test_frames_are_counted_as_librosa_counts_them(
    n_fft: int, hop_length: int, samples: int
) -> None:
    spectrogram = Spectrogram(mel(n_fft=n_fft, hop_length=hop_length), RATE)
    shape = spectrogram(torch.randn(2, samples)).shape
    assert shape == (2, 128, spectrogram.frames(samples))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "n_fft=.* is too large")
        theirs = librosa.stft(np.zeros(samples), n_fft=n_fft, hop_length=hop_length)
    assert theirs.shape[1] == spectrogram.frames(samples)


@pytest.mark.parametrize("reference", ["clip_peak", "full_scale", "unity"])
def test_batch_mates_do_not_influence_each_other(reference: str) -> None:
    audio = torch.from_numpy(synthetic(RATE, 0.5))
    spectrogram = Spectrogram(mel(reference=reference), RATE)
    together = spectrogram(audio)
    for clip in range(len(audio)):
        torch.testing.assert_close(
            spectrogram(audio[clip : clip + 1])[0], together[clip], atol=1e-4, rtol=0
        )
    others_loud = torch.cat([audio[:1], torch.ones_like(audio[1:])])
    assert torch.equal(spectrogram(others_loud)[0], together[0])


def test_bands_without_a_bin_are_counted_and_stay_on_the_floor() -> None:
    spectrogram = Spectrogram(mel(n_fft=512, n_mels=256, fmax=11_025), RATE)
    power = librosa_power(np.random.default_rng(0).normal(size=RATE), spectrogram.config, RATE)
    empty = ~power.any(axis=1)
    assert spectrogram.empty_bands == empty.sum() > 0
    decibels = spectrogram(torch.from_numpy(synthetic(RATE)[:1]))[0]
    assert (decibels[torch.from_numpy(empty)] == -80).all()
    assert Spectrogram(mel(), RATE).empty_bands == 0


def test_autocast_does_not_touch_it() -> None:
    audio = torch.from_numpy(synthetic(RATE, 0.3))
    for config in (mel(), mel(kind="mfcc", n_mfcc=13)):
        spectrogram = Spectrogram(config, RATE)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(spectrogram(audio), spectrogram(audio.double()))


def test_single_precision_is_there_for_devices_without_doubles() -> None:
    audio = torch.from_numpy(synthetic(RATE, 0.5))
    for config in (mel(), mel(kind="mfcc", n_mfcc=13)):
        double = Spectrogram(config, RATE)(audio)
        single = Spectrogram(config, RATE).float()(audio)
        assert single.dtype == torch.float32
        assert 0 < (single - double).abs().max() < 1e-2


@pytest.mark.parametrize("reference", ["clip_peak", "full_scale", "unity"])
@pytest.mark.parametrize("config", SETTINGS, ids=lambda c: f"{c.n_fft}-{c.n_mels}-{c.mel_scale}")
def test_half_precision_hides_what_single_precision_does(
    config: SpectrogramConfig, reference: str
) -> None:
    config = SpectrogramConfig(**config.to_dict() | {"reference": reference})
    assert storage_type(config) == torch.float32
    audio = torch.from_numpy(synthetic(RATE, 0.5))
    double = Spectrogram(config, RATE)(audio).half()
    single = Spectrogram(config, RATE).float()(audio).half()
    # Near 0 dB half precision has finer steps than anybody needs.
    allowed = step(double).clamp_min(4e-3)
    assert ((single.float() - double.float()).abs() <= allowed).all()
    assert (single == double).float().mean() > 0.98


def step(values: torch.Tensor) -> torch.Tensor:
    """From each number of half precision to the next."""
    return 2.0 ** (torch.frexp(values.float()).exponent - 11)


@pytest.mark.parametrize(
    "settings",
    [{"floor_db": 80.1}, {"floor_db": 120.0}, {"kind": "mfcc", "n_mfcc": 13}],
    ids=str,
)
def test_deep_floors_and_mfccs_are_stored_from_double_precision(settings: dict[str, Any]) -> None:
    assert storage_type(mel(**settings)) == torch.float64


@pytest.mark.parametrize("config", [mel(), mel(n_fft=512, hop_length=128)], ids=str)
@pytest.mark.parametrize("samples", [RATE // 8, RATE, 4 * RATE])
def test_a_few_frames_at_a_time_are_the_same_picture(
    config: SpectrogramConfig, samples: int
) -> None:
    audio = torch.from_numpy(np.resize(synthetic(RATE)[:3], (3, samples)))
    spectrogram = Spectrogram(config, RATE)
    power = spectrogram.band_power_in_blocks(spectrogram.cut(audio))
    torch.testing.assert_close(spectrogram.picture(power), spectrogram(audio), atol=1e-4, rtol=0)


def test_the_settings_rebuild_it_so_its_state_is_empty() -> None:
    assert Spectrogram(mel(kind="mfcc", n_mfcc=13), RATE).state_dict() == {}


@pytest.mark.parametrize("config", [mel(), mel(kind="mfcc", n_mfcc=13, reference="unity")])
def test_it_exports_with_its_tables_inside_and_any_batch_size(config: SpectrogramConfig) -> None:
    spectrogram = Spectrogram(config, RATE)
    audio = torch.from_numpy(synthetic(RATE, 0.5))
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(
        spectrogram, (audio[:2],), dynamic_shapes={"waveform": {0: batch}}
    )
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for clips in (1, 2, 5):
        torch.testing.assert_close(loaded(audio[:clips]), spectrogram(audio[:clips]))


def test_it_compiles_in_one_graph() -> None:
    spectrogram = Spectrogram(mel(), RATE)
    audio = torch.from_numpy(synthetic(RATE, 0.3))
    compiled = torch.compile(spectrogram, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(audio), spectrogram(audio))


@pytest.mark.parametrize(
    ("settings", "rate", "message"),
    [
        (
            {"fmax": 11_026.0},
            RATE,
            r"`fmax <= sample_rate / 2` must hold, but got \(11026.0, 22050",
        ),
        ({"fmin": 101, "fmax": 102, "n_fft": 512}, RATE, "must hold an FFT bin inside a band"),
    ],
)
def test_settings_that_hear_nothing_are_value_errors(
    settings: dict[str, Any], rate: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Spectrogram(mel(**settings), rate)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_hears_the_same() -> None:
    audio = torch.from_numpy(synthetic(RATE))
    for config in (mel(), mel(reference="full_scale", floor_db=120), mel(kind="mfcc", n_mfcc=13)):
        spectrogram = Spectrogram(config, RATE)
        here = spectrogram(audio)
        there = spectrogram.cuda()(audio.cuda()).cpu()
        torch.testing.assert_close(there, here, atol=1e-3, rtol=0)
