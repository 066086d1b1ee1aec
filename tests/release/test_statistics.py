import numpy as np
import pytest

from fourier.release.statistics import compare, metrics_of_sums, track_sums
from fourier.training import Classification, Regression

REGRESSION = Regression(name="deam", targets=("valence", "arousal"))
GENRES = Classification(name="gtzan", targets=("label",), classes=("a", "b", "c"))
TASKS = {"regression": REGRESSION, "classification": GENRES}


def numbers(seed=0, tracks=25, noise=0.3):
    """Targets of 1 to 4 clips a track, and predictions that are off by some noise."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"t{i}" for i in range(tracks)], rng.integers(1, 5, tracks))
    target = rng.uniform(-1, 1, (len(names), 2)) + 5.0
    return (target + noise * rng.standard_normal(target.shape)).astype(np.float32), target, names


def logits(seed=0, tracks=25, strength=1.0):
    rng = np.random.default_rng(seed)
    names = np.repeat([f"t{i}" for i in range(tracks)], rng.integers(1, 5, tracks))
    by_track = dict(zip(np.unique(names), rng.integers(0, 3, tracks), strict=True))
    labels = np.array([by_track[name] for name in names])
    outputs = rng.standard_normal((len(names), 3)) + strength * np.eye(3)[labels]
    return outputs.astype(np.float32), labels, names


DATA = {"regression": numbers, "classification": logits}


@pytest.mark.parametrize("kind", TASKS)
def test_sums_over_tracks_give_every_metric_that_evaluation_gives(kind):
    task = TASKS[kind]
    outputs, target, tracks = DATA[kind]()
    expected = task.evaluate(outputs, target, tracks)
    found = metrics_of_sums(task, track_sums(task, outputs, target, tracks).sum(axis=0))
    assert set(found) == set(task.metric_names)
    for name, value in found.items():
        assert value == pytest.approx(expected[name], abs=1e-9), name


def take_tracks(chosen, outputs, target, tracks):
    """The clips of the chosen tracks, a track that was chosen twice under two names."""
    rows = [np.flatnonzero(tracks == name) for name in chosen]
    names = np.concatenate([[f"{i}/{name}"] * len(rows[i]) for i, name in enumerate(chosen)])
    rows = np.concatenate(rows)
    return outputs[rows], target[rows], names


@pytest.mark.parametrize("kind", TASKS)
def test_a_draw_is_what_evaluation_gives_for_the_tracks_that_were_drawn(kind):
    task = TASKS[kind]
    outputs, target, tracks = DATA[kind]()
    names = np.unique(tracks)
    sums = track_sums(task, outputs, target, tracks)
    for seed in range(20):
        times = np.random.default_rng(seed).multinomial(len(names), [1 / len(names)] * len(names))
        found = metrics_of_sums(task, times @ sums)
        expected = task.evaluate(*take_tracks(np.repeat(names, times), outputs, target, tracks))
        for name, value in found.items():
            assert value == pytest.approx(expected[name], abs=1e-9), name


@pytest.mark.parametrize("constant", ["prediction", "target"])
def test_something_constant_gives_zero_and_never_nan(constant):
    outputs, target, tracks = numbers()
    if constant == "prediction":
        outputs = np.full_like(outputs, 5.3)
    else:
        target = np.full_like(target, 5.3)
    found = metrics_of_sums(REGRESSION, track_sums(REGRESSION, outputs, target, tracks).sum(axis=0))
    expected = REGRESSION.evaluate(outputs, target, tracks)
    for name in ("ccc", "r_valence", "r2_arousal"):
        assert found[name] == pytest.approx(expected[name], abs=1e-9)


@pytest.mark.parametrize("kind", TASKS)
def test_a_model_gains_nothing_over_itself(kind):
    outputs, target, tracks = DATA[kind]()
    gain = compare(TASKS[kind], outputs, outputs, target, tracks, resamples=200).gain
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


@pytest.mark.parametrize("objective", ["ccc", "rmse", "mae_arousal"])
def test_a_better_model_gains_whichever_way_its_metric_points(objective):
    task = Regression(name="deam", targets=("valence", "arousal"), objective=objective)
    good, target, tracks = numbers(noise=0.1)
    bad = numbers(noise=0.8)[0]
    gain = compare(task, good, bad, target, tracks, resamples=500).gain
    assert 0 < gain.low < gain.value < gain.high
    loss = compare(task, bad, good, target, tracks, resamples=500).gain
    assert (loss.value, loss.low) == (-gain.value, pytest.approx(-gain.high))


def test_the_same_seed_gives_the_same_interval_and_another_another():
    outputs, target, tracks = numbers()
    intervals = [
        compare(REGRESSION, outputs, None, target, tracks, resamples=700, seed=seed).winner["ccc"]
        for seed in (1, 1, 2)
    ]
    assert intervals[0] == intervals[1]
    assert intervals[0] != intervals[2]


def test_the_interval_of_an_accuracy_is_the_binomials():
    tracks = np.array([f"{i:03d}" for i in range(400)])
    labels = np.zeros(400, int)
    outputs = np.tile([0.0, 1.0, 0.0], (400, 1)).astype(np.float32)
    outputs[:300, 0] = 2.0  # three of four are right
    found = compare(GENRES, outputs, None, labels, tracks).winner["track_accuracy"]
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert (found.low, found.high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.004)


def test_tracks_are_drawn_and_not_their_clips():
    """Ten clips that say the same are worth one: the interval does not shrink."""
    outputs, labels, _ = logits(tracks=40)
    outputs, labels = outputs[:40], labels[:40]
    tracks = np.array([f"{i:02d}" for i in range(40)])
    once = compare(GENRES, outputs, None, labels, tracks, seed=3).winner["segment_accuracy"]
    many = compare(
        GENRES, outputs.repeat(10, 0), None, labels.repeat(10), tracks.repeat(10), seed=3
    ).winner["segment_accuracy"]
    assert (many.low, many.high) == (once.low, once.high)


def test_pairing_narrows_the_gains_interval():
    rng = np.random.default_rng(0)
    outputs, target, tracks = numbers(tracks=60, noise=0.5)
    other = outputs + 0.02 * rng.standard_normal(outputs.shape).astype(np.float32)
    found = compare(REGRESSION, outputs, other, target, tracks, resamples=1000)
    width = found.winner["ccc"].high - found.winner["ccc"].low
    assert found.gain.high - found.gain.low < width / 5
