import dataclasses
import json

import pytest

from fourier.config import (
    CNNConfig,
    CRNNConfig,
    MLPConfig,
    ResNetConfig,
    SpectrogramConfig,
    TDNNConfig,
    TrainingConfig,
    TrialConfig,
    TwoConvConfig,
)
from fourier.errors import ConfigError

MODELS = [
    MLPConfig(hidden=(8, 4)),
    TwoConvConfig(),
    CNNConfig(),
    ResNetConfig(),
    CRNNConfig(),
    TDNNConfig(),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_trial_survives_json(model):
    config = TrialConfig(model=model, spectrogram=SpectrogramConfig(n_mels=64, fmax=11025))
    assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"spectrogram": SpectrogramConfig(fmax=8000)}, True),  # 8000 and 8000.0 are one number
        ({"spectrogram": SpectrogramConfig(n_mels=64)}, False),
        ({"model": CNNConfig(width=16)}, False),
        ({"model": ResNetConfig()}, False),
        ({"training": TrainingConfig(seed=1)}, False),
    ],
)
def test_the_digest_changes_with_the_experiment_and_with_nothing_else(change, same):
    start = TrialConfig()
    assert (dataclasses.replace(start, **change).digest == start.digest) == same


def test_the_digest_is_the_same_on_every_machine():
    assert TrialConfig().digest == "98399d3addce6a9c"


def test_features_are_shared_by_settings_that_differ_in_normalization_only():
    start = SpectrogramConfig()
    other = dataclasses.replace(start, normalization="standardize")
    assert other.feature_digest == start.feature_digest
    assert dataclasses.replace(start, n_mels=64).feature_digest != start.feature_digest


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SpectrogramConfig(n_fft=100), "`256 <= n_fft <= 8192` must hold, but got 100"),
        (
            lambda: SpectrogramConfig(hop_length=4096),
            "`1 <= hop_length <= n_fft` must hold, but got (4096, 2048)",
        ),
        (
            lambda: SpectrogramConfig(fmin=900, fmax=800),
            "`0 <= fmin < fmax` must hold, but got (900.0, 800.0)",
        ),
        (lambda: SpectrogramConfig(fmax=float("nan")), "`0 <= fmin < fmax` must hold"),
        (lambda: SpectrogramConfig(n_mfcc=13), "`n_mfcc` must be None for `kind='mel'`"),
        (lambda: SpectrogramConfig(kind="mfcc"), "`1 <= n_mfcc <= n_mels` must hold for MFCCs"),
        (
            lambda: SpectrogramConfig(kind="mfcc", n_mfcc=13, normalization="unit"),
            "`normalization='unit'` needs decibels between -floor_db and 0",
        ),
        (lambda: SpectrogramConfig(reference="peak"), "`reference` must be one of 'clip_peak'"),
        (lambda: TrainingConfig(lr=0), "`1e-07 <= lr <= 1` must hold, but got 0"),
        (lambda: TrainingConfig(lr=float("nan")), "`1e-07 <= lr <= 1` must hold, but got nan"),
        (lambda: MLPConfig(hidden=()), "`hidden` must name at least one layer"),
        (lambda: CNNConfig(dropout=1.0), "`0 <= dropout <= 0.9` must hold, but got 1.0"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_with_its_bound(make, words):
    with pytest.raises(ValueError, match="must|needs") as error:
        make()
    assert words in str(error.value)


def _with(path, value):
    data = TrialConfig().to_dict()
    *parents, last = path
    place = data
    for name in parents:
        place = place[name]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_with(["speed"], 1), "`speed` is not a setting of TrialConfig"),
        (_with(["spectrogram", "n_mel"], 1), "`spectrogram.n_mel` is not a setting"),
        (_with(["spectrogram", "n_mels"], KeyError), "`spectrogram.n_mels` is missing"),
        (
            _with(["spectrogram", "n_mels"], "128"),
            "`spectrogram.n_mels` must be int, but got '128'",
        ),
        (_with(["spectrogram", "n_mels"], True), "`spectrogram.n_mels` must be int, but got True"),
        (_with(["spectrogram", "n_mels"], 4), "spectrogram: `8 <= n_mels <= 256` must hold"),
        (_with(["spectrogram", "kind"], "cqt"), "`spectrogram.kind` must be one of 'mel', 'mfcc'"),
        (_with(["training", "lr"], float("inf")), "`training.lr` must be finite"),
        (_with(["model"], {"name": "vit"}), "`model.name` must be one of mlp, two_conv, cnn"),
        (_with(["model"], 3), "`model.name` must be one of mlp"),
        (_with(["training"], []), "`training` must be an object, but got []"),
    ],
)
def test_a_stored_config_that_is_not_one_is_refused_by_field(data, words):
    with pytest.raises(ConfigError) as error:
        TrialConfig.from_dict(data)
    assert words in str(error.value)


def test_parameters_of_a_run_carry_dotted_names():
    flat = TrialConfig(model=MLPConfig(hidden=(8, 4))).to_flat()
    assert flat["spectrogram.n_mels"] == 128
    assert flat["model.name"] == "mlp"
    assert flat["model.hidden"] == [8, 4]
