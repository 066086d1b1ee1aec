"""Configurations as nobody would write them: each is legal and comes back, or names its field."""

import dataclasses
import json
import math
import re
import typing

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

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

MODELS = (MLPConfig, TwoConvConfig, CNNConfig, ResNetConfig, CRNNConfig, TDNNConfig)
PARTS = (*MODELS, SpectrogramConfig, TrainingConfig)
FIELDS = [(part, field.name) for part in PARTS for field in dataclasses.fields(part)]

numbers = st.one_of(
    st.integers(-3, 9000),
    st.floats(0, 1),
    st.sampled_from([0, 1, 512, 8000, 1e-3, 80.0, 16000.0, 2**63]),
)
words = st.sampled_from(["mel", "mfcc", "htk", "unity", "none", "cosine", "mse", "bf16", "cnn"])
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(numbers, max_size=4),
    st.dictionaries(st.text(max_size=2), numbers, max_size=2),
    st.sampled_from([10**400, -(10**5000), "x" * 10_000, "a\nb", math.nan, math.inf, -math.inf]),
    st.sampled_from([[[]] * 1000, list(range(20)), (8, 4), object(), TrialConfig(), MLPConfig()]),
)
values = st.one_of(numbers, words, st.lists(st.integers(1, 64), min_size=1, max_size=3), odd)


def drawn(part):
    """A configuration with a few fields changed, as keyword arguments."""
    names = [field.name for field in dataclasses.fields(part)]
    return st.dictionaries(st.sampled_from(names), values, max_size=3)


def build(part, changes):
    """The configuration, or None where it is refused as promised."""
    try:
        return part(**changes)
    except ValueError as error:
        text = str(error)
        assert any(re.search(rf"\b{name}\b", text) for name in changes), text
        assert "\n" not in text
        assert len(text) < 400
        return None


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_whatever_it_is_given_a_part_is_legal_and_comes_back_or_names_the_field(part, data):
    config = build(part, data.draw(drawn(part)))
    if config is None:
        return
    field = "model" if part in MODELS else part.__name__.removesuffix("Config").lower()
    trial = TrialConfig(**{field: config})
    again = TrialConfig.from_dict(json.loads(json.dumps(trial.to_dict())))
    assert again == trial
    assert hash(again) == hash(trial)
    assert again.digest == trial.digest


@pytest.mark.parametrize(
    ("part", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value)
)
@given(value=odd)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_an_illegal_value_in_any_field_is_a_value_error_that_names_it(part, name, value):
    config = build(part, {name: value})
    if config is None:
        return
    hint = typing.get_type_hints(part)[name]
    if hint in (int, float, str):
        assert type(getattr(config, name)) is hint
    elif typing.get_origin(hint) is tuple:
        assert {type(item) for item in getattr(config, name)} <= {int}


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(data=st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_stored_trial_with_anything_changed_is_legal_or_a_config_error(data):
    part = data.draw(st.sampled_from(MODELS))
    stored = TrialConfig(model=part()).to_dict()
    for _ in range(data.draw(st.integers(1, 3))):
        place = stored
        while True:
            key = data.draw(st.sampled_from([*place, "new", "a\nb"]))
            if not (isinstance(place.get(key), dict) and place[key] and data.draw(st.booleans())):
                break
            place = place[key]
        if data.draw(st.booleans()):
            place.pop(key, None)
        else:
            place[key] = data.draw(st.one_of(values, json_values))
        if not stored:
            break
    refusal = None
    try:
        config = TrialConfig.from_dict(stored)
    except ConfigError as error:
        refusal = str(error)
    if refusal is None:
        assert TrialConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    else:
        assert "\n" not in refusal
        assert len(refusal) < 600


@pytest.mark.parametrize("data", [None, 3, "trial", [], [["spectrogram", {}]]])
def test_what_is_no_object_is_no_trial(data):
    with pytest.raises(ConfigError, match="must be an object"):
        TrialConfig.from_dict(data)


def test_equal_settings_have_one_digest_however_they_were_written():
    written = TrialConfig(
        model=MLPConfig(hidden=[8, 4], dropout=0),
        spectrogram=SpectrogramConfig(fmin=0, fmax=8000, floor_db=80),
        training=TrainingConfig(lr=1, weight_decay=0, clip_norm=1),
    )
    usual = TrialConfig(
        model=MLPConfig(hidden=(8, 4), dropout=0.0),
        training=TrainingConfig(lr=1.0, weight_decay=0.0, clip_norm=1.0),
    )
    assert written == usual
    assert written.digest == usual.digest
