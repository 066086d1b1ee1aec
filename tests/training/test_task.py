"""The two tasks: their losses, metrics, objectives, and how a corpus poses them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from fourier.config import TrainingConfig
from fourier.training import Classification, Regression, make_task, metrics

MOODS = Regression(name="deam", targets=("valence", "arousal"))
GENRES = Classification(name="gtzan", targets=("label",), classes=("blues", "disco", "jazz"))
REGRESSION_METRICS = [
    *(f"{m}_valence" for m in ("rmse", "mae", "r", "r2", "ccc")),
    *(f"{m}_arousal" for m in ("rmse", "mae", "r", "r2", "ccc")),
    *("rmse", "mae", "ccc"),
]
GENRE_METRICS = ["segment_accuracy", "segment_f1", "track_accuracy", "track_f1", "log_loss"]


def moods(clips=40, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.uniform(-1, 1, (clips, 2)).astype(np.float32)
    prediction = (target + rng.normal(size=(clips, 2)) * [0.1, 0.5]).astype(np.float32)
    return prediction, target, np.array([f"{i // 4}" for i in range(clips)])


def genres(clips=60, seed=0, certainty=1.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) // 5 % 3
    logits = (rng.normal(size=(clips, 3)) + certainty * np.eye(3)[labels]).astype(np.float32)
    return logits, labels, np.array([f"{i // 5}" for i in range(clips)])


def test_regression_reports_each_dimension_and_the_means():
    prediction, target, tracks = moods()
    values = MOODS.evaluate(prediction, target, tracks)
    assert list(values) == [*REGRESSION_METRICS, "objective"]
    assert values["ccc_arousal"] == metrics.ccc(prediction[:, 1], target[:, 1])
    assert values["rmse_valence"] == metrics.rmse(prediction[:, 0], target[:, 0])
    assert values["ccc"] == (values["ccc_valence"] + values["ccc_arousal"]) / 2
    assert values["objective"] == values["ccc"]


def test_classification_reports_segments_and_tracks():
    logits, labels, tracks = genres()
    values = GENRES.evaluate(logits, labels, tracks)
    assert list(values) == [*GENRE_METRICS, "objective"]
    assert values["segment_accuracy"] == np.mean(logits.argmax(1) == labels)
    votes = torch.softmax(torch.from_numpy(logits).double(), 1).reshape(12, 5, 3).mean(1)
    assert values["track_accuracy"] == np.mean(votes.argmax(1).numpy() == labels[::5])
    expected = functional.cross_entropy(torch.from_numpy(logits).double(), torch.tensor(labels))
    assert values["log_loss"] == pytest.approx(expected.item(), abs=1e-10)
    assert values["track_accuracy"] > values["segment_accuracy"]


def test_one_segment_that_is_sure_of_a_mistake_does_not_outvote_its_track():
    logits = np.array([[2.0, 0, 0], [2.0, 0, 0], [-40, 0, 0]], dtype=np.float32)
    values = GENRES.evaluate(logits, np.zeros(3, dtype=np.int64), np.array(["a"] * 3))
    assert values["track_accuracy"] == 1  # the mean of log-probabilities or logits says otherwise


@pytest.mark.parametrize("task", [MOODS, GENRES], ids=lambda task: task.name)
def test_tensors_and_arrays_are_measured_alike(task):
    prediction, target, tracks = moods() if task is MOODS else genres()
    as_tensors = task.evaluate(torch.from_numpy(prediction), torch.from_numpy(target), tracks)
    assert as_tensors == task.evaluate(prediction, target, tracks)


@pytest.mark.parametrize("task", [MOODS, GENRES], ids=lambda task: task.name)
def test_every_metric_is_finite_for_a_constant_prediction(task):
    prediction, target, tracks = moods() if task is MOODS else genres()
    values = task.evaluate(np.zeros_like(prediction), target, tracks)
    assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize(
    ("task", "name"),
    [(MOODS, name) for name in REGRESSION_METRICS] + [(GENRES, name) for name in GENRE_METRICS],
)
def test_any_metric_can_be_the_objective_and_errors_are_minimised(task, name):
    chosen = type(task)(name=task.name, targets=task.targets, classes=task.classes, objective=name)
    falls = name.split("_")[0] in ("rmse", "mae") or name == "log_loss"
    assert chosen.direction == ("minimize" if falls else "maximize")
    assert chosen.improves(0.1, 0.2) is falls
    assert chosen.improves(0.2, 0.1) is not falls
    assert not chosen.improves(0.2, 0.2)
    assert chosen.improves(1e30 if falls else -1e30, chosen.worst)
    values = chosen.evaluate(*(moods() if task is MOODS else genres()))
    if not name.endswith("accuracy"):
        assert values["objective"] == values[name]


def test_an_unknown_objective_is_refused_with_the_legal_ones():
    with pytest.raises(ValueError, match="one of segment_accuracy, .*, log_loss, but got 'ccc'"):
        Classification(name="gtzan", targets=("label",), classes=("a", "b"), objective="ccc")


@pytest.mark.parametrize(("name", "units"), [("track_accuracy", 12), ("segment_accuracy", 60)])
def test_log_loss_breaks_ties_and_never_outweighs_one_hit(name, units):
    task = Classification(name="gtzan", targets=("label",), classes=GENRES.classes, objective=name)
    _, labels, tracks = genres()
    sure, unsure = 8.0 * np.eye(3)[labels], 0.1 * np.eye(3)[labels]
    better, worse = task.evaluate(sure, labels, tracks), task.evaluate(unsure, labels, tracks)
    assert better[name] == worse[name] == 1
    assert better["objective"] > worse["objective"] > 1
    # The best log-loss with one unit less, against the worst with all units right.
    fallen = sure.copy()
    fallen[: 60 // units] = 8.0 * np.eye(3)[(labels[: 60 // units] + 1) % 3]
    one_less = task.evaluate(fallen, labels, tracks)
    assert one_less[name] == pytest.approx(1 - 1 / units)
    assert one_less["objective"] < worse["objective"]
    assert better["objective"] - 1 < 1 / units


@pytest.mark.parametrize(
    ("task", "losses", "wrong"),
    [
        (MOODS, ("mse", "ccc", "mse+ccc"), "cross_entropy"),
        (GENRES, ("cross_entropy",), "mse"),
    ],
    ids=["deam", "gtzan"],
)
def test_a_loss_of_the_other_task_is_refused_with_the_legal_ones(task, losses, wrong):
    assert task.losses == losses
    with pytest.raises(ValueError, match="must be one of 'mse', 'ccc'|'cross_entropy', but"):
        task.loss(torch.zeros(2, task.outputs), torch.zeros(2), TrainingConfig(loss=wrong))


def test_regression_losses_are_what_they_are_called():
    prediction, target = (torch.from_numpy(side) for side in moods()[:2])
    values = {
        name: MOODS.loss(prediction, target, TrainingConfig(loss=name)).item()
        for name in MOODS.losses
    }
    measured = MOODS.evaluate(prediction, target, moods()[2])
    assert values["ccc"] == pytest.approx(1 - measured["ccc"], abs=1e-5)
    assert values["mse"] == pytest.approx(
        (measured["rmse_valence"] ** 2 + measured["rmse_arousal"] ** 2) / 2, rel=1e-5
    )
    assert values["mse+ccc"] == pytest.approx(values["mse"] + values["ccc"], rel=1e-6)


def test_label_smoothing_spreads_the_target_over_all_classes():
    logits, labels, _ = genres()
    logits, labels = torch.from_numpy(logits), torch.from_numpy(labels)
    smooth = 0.7 * functional.one_hot(labels, 3) + 0.3 / 3
    expected = -(smooth * logits.log_softmax(1)).sum(1).mean()
    config = TrainingConfig(label_smoothing=0.3)
    torch.testing.assert_close(GENRES.loss(logits, labels, config), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixable_targets_cost_the_same_and_average_between_clips(smoothing):
    logits, labels, _ = genres()
    logits, labels = torch.from_numpy(logits), torch.from_numpy(labels)
    config = TrainingConfig(label_smoothing=smoothing)
    hard, soft = GENRES.prepare(labels), GENRES.prepare(labels, mixable=True)
    torch.testing.assert_close(GENRES.loss(logits, hard, config), GENRES.loss(logits, soft, config))
    mixed = GENRES.loss(logits, torch.lerp(soft.roll(1, 0), soft, 0.3), config)
    apart = 0.3 * GENRES.loss(logits, soft, config) + 0.7 * GENRES.loss(
        logits, soft.roll(1, 0), config
    )
    torch.testing.assert_close(mixed, apart)


@pytest.mark.parametrize(
    ("name", "targets", "classes", "kind", "outputs", "objective"),
    [
        ("deam", ("valence", "arousal"), (), Regression, 2, "ccc"),
        ("gtzan", ("label",), ("blues", "disco", "jazz"), Classification, 3, "track_accuracy"),
    ],
)
def test_a_corpus_poses_its_task(name, targets, classes, kind, outputs, objective):
    from fourier.corpora import Corpus

    corpus = Corpus(
        name=f"{name}-demo",
        task=name,
        root=Path(),
        sample_rate=22050,
        clip_seconds=3.0,
        tracks=pd.DataFrame(),
        clips=pd.DataFrame(),
        targets=targets,
        classes=classes,
        left_out=pd.DataFrame(),
        default_protocol="track",
    )
    task = make_task(corpus)
    assert isinstance(task, kind)
    assert (task.name, task.outputs, task.objective) == (name, outputs, objective)
    assert task.direction == "maximize"
    assert set(task.display) <= set(task.metric_names)
    other = task.metric_names[0]
    assert make_task(corpus, other).objective == other
