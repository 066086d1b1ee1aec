"""Cross-validation: what is held out, what it may decide, and what the folds come to together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.errors import CorpusError
from fourier.training import Experiment
from fourier.training.folds import BLOCKS, block_scores, fold_config, spread_over_folds

EPOCHS = 4
FOLDS = 3


def config(task, **training):
    loss = "cross_entropy" if task == "gtzan" else "mse+ccc"
    settings = {"epochs": EPOCHS, "lr": 1e-2, "batch_size": 4, "loss": loss} | training
    return TrialConfig(
        spectrogram=SpectrogramConfig(
            n_mels=16, n_fft=512, hop_length=512, fmax=8000, normalization="standardize"
        ),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(**settings),
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory, tiny_gtzan, tiny_deam):
    cache = tmp_path_factory.mktemp("cache")

    def opens(task, protocol="track", folds=FOLDS):
        return Experiment.open(
            load_corpus({"gtzan": tiny_gtzan, "deam": tiny_deam}[task], task),
            protocol=protocol,
            objective=None,
            cache=cache,
            device=torch.device("cpu"),
            folds=folds,
            jobs=1,
        )

    return opens


@pytest.mark.parametrize("task", ["gtzan", "deam"])
def test_every_clip_outside_the_test_part_is_held_out_once_and_no_track_stands_on_both_sides(
    task, opened
):
    experiment = opened(task)
    held_out = []
    for number in range(FOLDS):
        split = experiment.fold(number).split
        train, valid = split.train.numpy(), split.valid.numpy()
        held_out += valid.tolist()
        seen = sorted([*train, *valid])
        assert seen == np.flatnonzero(experiment.parts != "test").tolist()
        assert not set(experiment.tracks[train]) & set(experiment.tracks[valid])
    assert sorted(held_out) == np.flatnonzero(experiment.parts != "test").tolist()
    assert (experiment.parts == "test").any()


def test_crossval_holds_out_every_clip_once_and_is_nothing_without_folds(opened):
    experiment = opened("gtzan", "crossval")
    held_out = [experiment.fold(number).split.valid.numpy() for number in range(FOLDS)]
    assert sorted(np.concatenate(held_out)) == list(range(len(experiment.clips)))
    assert (experiment.targets >= 0).all()
    with pytest.raises(CorpusError, match="protocol crossval is one of folds alone; add --folds 5"):
        opened("gtzan", "crossval", folds=0)


def test_folds_of_the_leaky_protocol_leak_as_it_does(opened):
    experiment = opened("gtzan", "segment")
    split = experiment.fold(0).split
    assert set(experiment.tracks[split.train]) & set(experiment.tracks[split.valid])


@pytest.mark.parametrize("task", ["gtzan", "deam"])
def test_figures_are_of_all_held_out_clips_together_and_the_spread_is_that_of_the_folds(
    task, opened
):
    experiment = opened(task)
    result = experiment.run(config(task))
    assert len(result.folds) == FOLDS
    rows = np.flatnonzero(experiment.parts != "test")
    assert np.array_equal(result.rows, rows)
    truth = experiment.clips.iloc[rows][list(experiment.task.targets)].to_numpy()
    truth = truth[:, 0] if task == "gtzan" else truth
    expected = experiment.task.evaluate(result.predictions, truth, experiment.tracks[rows])
    assert {name: result.metrics[name] for name in expected} == pytest.approx(expected)
    for number, fold in enumerate(result.folds):
        valid = experiment.fold(number).split.valid.numpy()
        assert np.array_equal(result.predictions[np.isin(rows, valid)], fold.predictions)
    name = experiment.task.objective
    each = [fold.metrics[name] for fold in result.folds]
    assert spread_over_folds(result, [name])[name] == pytest.approx(
        (np.mean(each), np.std(each, ddof=1))
    )
    table = experiment.predictions(result)
    assert table["fold"].tolist() == experiment.fold_of[rows].tolist()
    assert table["track"].tolist() == experiment.tracks[rows].tolist()


def test_what_is_held_out_in_a_fold_chooses_no_epoch_and_ends_no_training(opened):
    """With the held-out labels turned round the very same network is kept."""
    fold = opened("gtzan").fold(1)
    valid = fold.split.valid
    turned = replace(fold)
    turned.__dict__["targets"] = fold.targets.clone()
    turned.targets[valid] = (fold.targets[valid] + 1) % 3
    impatient = config("gtzan", patience=1)
    honest, blind = fold.run(impatient), turned.run(impatient)
    assert (honest.best_epoch, blind.best_epoch) == (EPOCHS - 1, EPOCHS - 1)
    assert np.array_equal(honest.predictions, blind.predictions)
    assert all(torch.equal(honest.state[name], blind.state[name]) for name in honest.state)
    assert honest.metrics["track_accuracy"] != blind.metrics["track_accuracy"]
    choosing = replace(fold, valid_chooses=True)
    assert choosing.run(impatient).epochs < EPOCHS  # and without that rule they would


def test_a_folds_normalization_is_of_its_training_clips_alone(opened):
    experiment = opened("gtzan")
    fold = experiment.fold(0)
    features = experiment.store.get(config("gtzan").spectrogram)
    kept = features[fold.split.train].double().mean(dim=(0, 2))
    state = fold.run(config("gtzan", epochs=1)).state
    assert torch.allclose(state["0.shift"][:, 0].double(), kept, atol=1e-3)
    other = experiment.fold(1).run(config("gtzan", epochs=1)).state
    assert not torch.allclose(state["0.shift"], other["0.shift"], atol=1e-3)


def test_each_fold_has_a_seed_of_its_own_that_follows_from_the_trials():
    seeds = {fold_config(config("gtzan", seed=s), k).training.seed for s in (0, 1) for k in (0, 1)}
    assert len(seeds) == 4
    assert fold_config(config("gtzan"), 1) == fold_config(config("gtzan"), 1)


def test_reports_count_on_over_the_folds_and_may_end_them(opened):
    epochs = []

    def report(epoch, metrics):
        epochs.append(epoch)
        return epoch + 1 == 2 * EPOCHS

    result = opened("gtzan").run(config("gtzan"), report)
    assert epochs == list(range(2 * EPOCHS))
    assert len(result.folds) == 2


def test_a_judge_is_given_the_folds_so_far_and_may_end_them(opened):
    seen = []

    def judge(results):
        seen.append(len(results))
        return len(results) == 2

    experiment = opened("gtzan")
    result = experiment.run(config("gtzan"), judge=judge)
    assert seen == [1, 2]
    assert set(experiment.fold_of[result.rows]) == {0, 1}


def test_block_scores_of_an_accuracy_are_the_accuracies_of_the_blocks(opened):
    experiment = opened("gtzan")
    result = experiment.run(config("gtzan", epochs=1)).folds[0]
    tracks, labels = experiment.tracks[result.rows], experiment.targets.numpy()[result.rows]
    guesses = np.random.default_rng(0).normal(size=(len(labels), 3)).astype(np.float32)
    metrics = experiment.task.evaluate(guesses, labels, tracks)
    assert 0 < metrics["track_accuracy"] < 1
    result = replace(result, predictions=guesses, metrics=metrics)
    scores = block_scores(experiment, result)
    assert len(scores) == len(set(tracks)) <= BLOCKS
    for name, score in zip(np.unique(tracks), scores, strict=True):
        mine = tracks == name
        votes = torch.softmax(torch.from_numpy(result.predictions[mine]).double(), 1).mean(0)
        assert score == pytest.approx(float(votes.argmax() == labels[mine][0]))
    assert np.mean(scores) == pytest.approx(result.metrics["track_accuracy"])


def test_block_scores_of_a_concordance_are_close_to_it_and_comparable(opened):
    experiment = opened("deam", folds=2)
    result = experiment.run(config("deam", epochs=1)).folds[0]
    perfect = replace(result, predictions=experiment.targets.numpy()[result.rows])
    truth, tracks = perfect.predictions, experiment.tracks[result.rows]
    perfect = replace(perfect, metrics=experiment.task.evaluate(truth, truth, tracks))
    assert block_scores(experiment, perfect) == pytest.approx([1.0] * len(set(tracks)))
    worse = block_scores(experiment, result)
    assert len(worse) == len(set(tracks))
    assert np.mean(worse) < 1


def test_many_tracks_are_dealt_out_to_twenty_blocks(opened):
    experiment = opened("gtzan")
    result = experiment.run(config("gtzan", epochs=1)).folds[0]
    rows = np.flatnonzero(experiment.parts != "test")
    many = replace(experiment)
    many.__dict__["tracks"] = np.array([f"t{i:03d}" for i in range(len(experiment.clips))])
    guesses = np.eye(3, dtype=np.float32)[rows % 3]
    metrics = many.task.evaluate(guesses, many.targets.numpy()[rows], many.tracks[rows])
    scores = block_scores(many, replace(result, rows=rows, predictions=guesses, metrics=metrics))
    assert len(scores) == BLOCKS < len(rows)
    assert np.mean(scores) == pytest.approx(metrics["track_accuracy"], abs=0.03)


def test_the_floor_is_measured_on_the_same_folds(opened):
    experiment = opened("gtzan")
    spectrogram = config("gtzan").spectrogram
    pooled = experiment.baselines(spectrogram)
    each = [experiment.fold(k).baselines(spectrogram) for k in range(FOLDS)]
    sizes = [len(experiment.fold(k).split.valid) for k in range(FOLDS)]
    for name in ("majority", "logistic"):
        accuracies = [fold[name]["segment_accuracy"] for fold in each]
        assert pooled[name]["segment_accuracy"] == pytest.approx(
            np.average(accuracies, weights=sizes)
        )


def test_a_runs_description_tells_folds_apart_and_says_nothing_where_there_are_none(opened):
    assert opened("gtzan").describe()["folds"] == FOLDS
    assert "folds" not in opened("gtzan", folds=0).describe()
