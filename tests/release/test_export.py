"""A program answers as the training path does, and says what it is."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fourier.config import (
    CRNNConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    SpectrogramConfig,
    TDNNConfig,
    TwoConvConfig,
)
from fourier.errors import ReleaseError
from fourier.features.spectrogram import Spectrogram
from fourier.release.export import (
    build_clip_model,
    check_export,
    describe_program,
    export_program,
    load_program,
    quantize,
)
from fourier.release.reference import librosa_features

MFCC = SpectrogramConfig(kind="mfcc", n_mfcc=13, n_mels=40, normalization="none")
LOUDNESS = SpectrogramConfig(
    n_mels=32, hop_length=1024, reference="full_scale", normalization="standardize", floor_db=60
)
UNITY = SpectrogramConfig(n_mels=32, reference="unity", normalization="standardize")
HTK = SpectrogramConfig(n_mels=48, n_fft=1024, hop_length=400, fmin=40, fmax=4000, mel_scale="htk")


def held_out(released: Any) -> torch.Tensor:
    return released.experiment.split.valid


@pytest.mark.parametrize(
    ("task", "spectrogram", "model"),
    [
        ("gtzan", MFCC, MLPConfig(hidden=(32,))),
        ("gtzan", LOUDNESS, CRNNConfig(width=4, depth=2, hidden=8)),
        ("gtzan", MFCC, TDNNConfig(width=8, hidden=8)),
        ("deam", LOUDNESS, TDNNConfig(layers=0, hidden=8)),
        ("deam", UNITY, ResNetConfig(width=16, stages=2)),
        ("deam", HTK, TwoConvConfig(width=4)),
    ],
    ids=lambda part: getattr(part, "name", getattr(part, "reference", part)),
)
def test_a_program_answers_as_the_training_path(
    press: Any, task: str, spectrogram: SpectrogramConfig, model: ModelConfig
) -> None:
    released = press(task, spectrogram=spectrogram, model=model)
    program = load_program(released.path)
    difference = check_export(
        program, released.experiment, released.config, released.state, held_out(released)
    )
    assert difference < 1e-5
    assert program.config == released.config
    assert program.precision == ("float64" if spectrogram.kind == "mfcc" else "float32")
    assert program.state().keys() == released.state.keys()


@pytest.mark.parametrize("clips", [1, 2, 5])
def test_a_program_takes_any_number_of_clips(genre: Any, clips: int) -> None:
    program = load_program(genre.path)
    waveforms = np.random.default_rng(0).normal(0, 0.1, (clips, program.samples))
    answers = program.predict(waveforms.astype(np.float32))
    assert answers.shape == (clips, 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_numbers_stay_on_the_annotations_scale(emotion: Any) -> None:
    model = build_clip_model(
        emotion.config,
        {name: value * 100 for name, value in emotion.state.items()},
        sample_rate=44_100,
        samples=220_500,
        outputs=2,
        classification=False,
    )
    noise = torch.randn(2, 220_500, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert model(noise).abs().max() == 1


def test_audio_is_heard_in_the_steps_that_training_stored() -> None:
    audio = torch.tensor([[0.0, 1.0, -1.0, 0.4 / 32768, 0.6 / 32768, 2.0]])
    steps = [0.0, 32767, -32768, 0, 1, 32767]
    assert (quantize(audio) * 32768).tolist() == [steps]


def test_a_program_hears_quiet_audio_in_those_steps_too(genre: Any) -> None:
    program = load_program(genre.path)
    quiet = np.random.default_rng(0).normal(0, 2e-5, (2, program.samples)).astype(np.float32)
    steps = quantize(torch.from_numpy(quiet)).numpy()
    assert not np.array_equal(steps, quiet)
    np.testing.assert_array_equal(program.predict(quiet), program.predict(steps))


def test_other_weights_do_not_pass_the_check(press: Any, genre: Any) -> None:
    other = press("gtzan", training=dataclasses.replace(genre.config.training, seed=1))
    with pytest.raises(ReleaseError, match="differs by .* from the training path"):
        check_export(
            load_program(other.path), genre.experiment, genre.config, genre.state, held_out(genre)
        )


def test_another_spectrogram_does_not_pass_the_check(
    genre: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fourier.release.export.librosa_features", lambda *args: librosa_features(*args) + 20
    )
    with pytest.raises(ReleaseError, match="differs by .* from librosa's features"):
        check_export(
            load_program(genre.path), genre.experiment, genre.config, genre.state, held_out(genre)
        )


@pytest.mark.parametrize("config", [MFCC, LOUDNESS, UNITY, HTK], ids=lambda c: c.reference)
def test_the_reference_is_librosa_and_agrees(config: SpectrogramConfig) -> None:
    rng = np.random.default_rng(0)
    clips = np.stack([rng.normal(0, 0.2, 22_050), np.zeros(22_050)]).astype(np.float32)
    ours = Spectrogram(config, 22_050)(torch.from_numpy(clips)).numpy()
    np.testing.assert_allclose(librosa_features(config, clips, 22_050), ours, atol=1e-3)


def test_weights_of_another_network_are_one_line(genre: Any) -> None:
    wider = dataclasses.replace(genre.config, model=MLPConfig())
    with pytest.raises(ReleaseError, match="do not fit the configuration") as caught:
        build_clip_model(
            wider, genre.state, sample_rate=22_050, samples=66_150, outputs=3, classification=True
        )
    assert "\n" not in str(caught.value)


def test_building_a_model_leaves_chance_alone(genre: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build_clip_model(
        genre.config,
        genre.state,
        sample_rate=22_050,
        samples=66_150,
        outputs=3,
        classification=True,
    )
    assert torch.rand(1) == expected


def test_a_program_says_what_it_is(genre: Any) -> None:
    program = load_program(genre.path)
    assert program.task == "gtzan"
    assert program.classes == ("blues", "metal", "rock")
    assert (program.sample_rate, program.samples) == (22_050, 66_150)
    assert program.metadata["protocol"] == "track"
    assert program.metadata["corpus"]["digest"] == genre.experiment.corpus.digest
    assert program.metadata["missing_samples"] == genre.experiment.corpus.missing_samples


def test_what_a_program_must_say_is_asked_for(genre: Any, tmp_path: Path) -> None:
    about = describe_program(genre.experiment, genre.config)
    del about["classes"]
    model = build_clip_model(
        genre.config,
        genre.state,
        sample_rate=22_050,
        samples=66_150,
        outputs=3,
        classification=True,
    )
    with pytest.raises(ValueError, match="`metadata` must say classes"):
        export_program(model, tmp_path / "a.pt2", samples=66_150, metadata=about)
    assert list(tmp_path.iterdir()) == []
