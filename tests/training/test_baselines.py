"""The floor: constant predictors, and linear models on band statistics."""

from importlib import import_module

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from fourier.training import Split, baselines
from fourier.training.baselines import band_statistics


def run(toy, **changes):
    arguments = vars(toy) | changes
    order = ("features", "targets", "tracks", "split", "task")
    return baselines(*(arguments[name] for name in order))


def test_the_mean_explains_nothing_and_errs_by_the_spread(moods):
    values = run(moods)["mean"]
    train, valid = moods.targets[moods.split.train], moods.targets[moods.split.valid]
    expected = (valid - train.mean(0)).square().mean(0).sqrt()
    assert values["ccc"] == values["r_valence"] == values["r_arousal"] == 0
    assert values["rmse_valence"] == pytest.approx(expected[0].item(), rel=1e-5)
    assert values["rmse_arousal"] == pytest.approx(expected[1].item(), rel=1e-5)


def test_the_majority_is_the_commonest_class_of_the_training_part(genres):
    labels = genres.targets.clone()
    labels[genres.split.train[:60]] = 2
    values = run(genres, targets=labels)["majority"]
    valid = labels[genres.split.valid]
    assert values["segment_accuracy"] == pytest.approx((valid == 2).double().mean().item())
    counts = np.bincount(labels[genres.split.train], minlength=4) + 1
    expected = -np.log(counts / counts.sum())[valid].mean()
    assert values["log_loss"] == pytest.approx(expected, rel=1e-6)


def test_linear_models_beat_the_constant_ones_where_there_is_something_to_learn(moods, genres):
    mood, genre = run(moods), run(genres)
    assert mood["ridge"]["ccc"] > 0.4
    assert genre["logistic"]["track_accuracy"] == 1.0
    assert genre["logistic"]["segment_accuracy"] > 0.9
    assert genre["logistic"]["log_loss"] < genre["majority"]["log_loss"] / 2


def test_linear_models_equal_scikit_learn_by_hand(moods, genres):
    for toy, name, model in (
        (moods, "ridge", Ridge(alpha=100.0)),
        (genres, "logistic", LogisticRegression(C=0.1, max_iter=10_000)),
    ):
        x = toy.features.double()
        x = torch.cat([x.mean(2), x.std(2, correction=0)], 1).numpy()
        train, valid = toy.split.train.numpy(), toy.split.valid.numpy()
        scale = (x - x[train].mean(0)) / x[train].std(0)
        model.fit(scale[train], toy.targets[train].numpy())
        ridge = name == "ridge"
        out = model.predict(scale[valid]) if ridge else model.predict_log_proba(scale[valid])
        expected = toy.task.evaluate(out, toy.targets[valid], toy.tracks[valid])
        values = {metric: run(toy)[name][metric] for metric in expected}
        assert values == pytest.approx(expected, abs=1e-4)


def test_they_are_deterministic_and_timed(moods, genres):
    for toy in (moods, genres):
        first, again = run(toy), run(toy)
        for name, values in first.items():
            assert values.pop("seconds") > 0
            again[name].pop("seconds")
            assert values == again[name]


def test_labels_outside_the_split_are_never_read(moods, genres):
    for toy, blank in ((moods, torch.nan), (genres, -1)):
        split = Split(train=toy.split.train[:-8], valid=toy.split.valid[:-8])
        blanked = toy.targets.clone()
        blanked[torch.cat([toy.split.train[-8:], toy.split.valid[-8:]])] = blank
        expected, values = run(toy, split=split), run(toy, split=split, targets=blanked)
        for name in expected:
            assert values[name] | {"seconds": 0} == expected[name] | {"seconds": 0}


def test_a_class_that_only_validation_has_is_unlikely_and_not_impossible(genres):
    train = genres.split.train[genres.targets[genres.split.train] != 3]
    values = run(genres, split=Split(train=train, valid=genres.split.valid))
    for metrics in values.values():
        assert np.isfinite(metrics["log_loss"])
        assert metrics["segment_accuracy"] <= 0.75


def test_band_statistics_are_mean_and_deviation_over_time_in_blocks(genres, monkeypatch):
    module = import_module("fourier.training.baselines")  # the function has the same name
    monkeypatch.setattr(module, "BLOCK_VALUES", 7 * 96)
    x = genres.features.numpy().astype(np.float64)
    expected = np.concatenate([x.mean(2), x.std(2)], axis=1)
    np.testing.assert_allclose(band_statistics(genres.features), expected, atol=1e-5)


def test_a_silent_band_does_no_harm(genres):
    features = genres.features.clone()
    features[:, 5] = -80.0
    assert run(genres, features=features)["logistic"]["segment_accuracy"] > 0.9
