"""The formulas against SciPy, scikit-learn and the written-out definition."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from fourier.training import metrics

TOLERANCE = 1e-10
CASES = {
    "noise": lambda rng: (rng.normal(size=500), rng.normal(size=500)),
    "close": lambda rng: _close(rng, 1.0, 0.0),
    "shifted and scaled": lambda rng: _close(rng, 3.0, -2.0),
    "inverted": lambda rng: _close(rng, -1.0, 0.0),
    "two clips": lambda rng: (rng.normal(size=2), rng.normal(size=2)),
    "small values": lambda rng: tuple(1e-6 * v for v in _close(rng, 1.0, 0.0)),
    "far from zero": lambda rng: tuple(1e3 + v for v in _close(rng, 1.0, 0.0)),
}


def _close(rng, scale, offset):
    y = rng.uniform(-1, 1, 300)
    return scale * y + offset + 0.3 * rng.normal(size=300), y


@pytest.fixture(params=CASES)
def pair(request):
    return CASES[request.param](np.random.default_rng(3))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (metrics.rmse, sklearn.metrics.root_mean_squared_error),
        (metrics.mae, sklearn.metrics.mean_absolute_error),
        (metrics.r2, lambda x, y: sklearn.metrics.r2_score(y, x)),
        (metrics.pearson_r, lambda x, y: scipy.stats.pearsonr(x, y).statistic),
    ],
    ids=["rmse", "mae", "r2", "r"],
)
def test_regression_metrics_equal_the_reference(ours, theirs, pair):
    x, y = pair
    assert ours(x, y) == pytest.approx(theirs(x, y), rel=TOLERANCE, abs=TOLERANCE)


def test_ccc_equals_lins_definition_written_out(pair):
    x, y = (list(map(float, side)) for side in pair)
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    var_x = sum((a - mean_x) ** 2 for a in x) / n
    var_y = sum((b - mean_y) ** 2 for b in y) / n
    cov = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / n
    expected = 2 * cov / (var_x + var_y + (mean_x - mean_y) ** 2)
    assert metrics.ccc(x, y) == pytest.approx(expected, abs=TOLERANCE)


def test_ccc_is_r_times_the_cost_of_offset_and_scale(pair):
    x, y = pair
    ratio = np.std(x) / np.std(y)
    offset = (np.mean(x) - np.mean(y)) / np.sqrt(np.std(x) * np.std(y))
    bias = 2 / (ratio + 1 / ratio + offset**2)
    assert metrics.ccc(x, y) == pytest.approx(metrics.pearson_r(x, y) * bias, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("prediction", "target", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([3, 2, 1], [1, 2, 3], -1.0),
        ([2, 3, 4], [1, 2, 3], 4 / 7),  # variance 2/3 on both sides, means 1 apart
    ],
)
def test_ccc_of_textbook_cases(prediction, target, expected):
    assert metrics.ccc(prediction, target) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9, -1 / 3])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_something_constant_has_no_correlation(constant, size):
    flat, other = np.full(size, constant), np.random.default_rng(0).normal(size=size)
    for x, y in [(flat, other), (other, flat), (flat, flat)]:
        assert metrics.pearson_r(x, y) == 0
        assert metrics.ccc(x, y) == 0
    assert metrics.r2(flat, flat) == 1
    assert metrics.r2(flat + 1, flat) == 0


def test_predicting_the_mean_explains_nothing():
    y = np.random.default_rng(0).normal(size=50)
    assert metrics.r2(np.full(50, y.mean()), y) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_classification_metrics_equal_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, 200)
    logits = rng.normal(size=(200, 10)) + 2 * np.eye(10)[labels]
    guessed = logits.argmax(1)
    probabilities = np.exp(metrics.log_softmax(logits))
    table = {
        metrics.accuracy(guessed, labels): sklearn.metrics.accuracy_score(labels, guessed),
        metrics.macro_f1(guessed, labels): sklearn.metrics.f1_score(
            labels, guessed, average="macro"
        ),
        metrics.log_loss(metrics.log_softmax(logits), labels): sklearn.metrics.log_loss(
            labels, probabilities
        ),
    }
    for ours, theirs in table.items():
        assert ours == pytest.approx(theirs, abs=TOLERANCE)


def test_macro_f1_leaves_out_classes_that_do_not_occur():
    guessed, labels = np.array([0, 0, 5, 7]), np.array([0, 5, 5, 5])
    theirs = sklearn.metrics.f1_score(labels, guessed, average="macro", zero_division=0)
    assert metrics.macro_f1(guessed, labels) == pytest.approx(theirs, abs=TOLERANCE)


def test_log_loss_stays_finite_for_a_sure_mistake():
    logits = np.array([[1e4, 0.0]])
    assert metrics.log_loss(metrics.log_softmax(logits), [1]) == pytest.approx(1e4)


def test_a_tracks_vote_is_the_mean_of_its_segments_probabilities():
    tracks = np.array(["b", "a", "b", "b"])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.4, 0.6]])
    votes, labels = metrics.average_by_track(probabilities, [0, 1, 0, 0], tracks)
    np.testing.assert_allclose(votes, [[0.2, 0.8], [1.7 / 3, 1.3 / 3]])
    assert labels.tolist() == [1, 0]
    # Two of b's three segments lean to class 1, yet the mean of the probabilities does not.
    assert votes.argmax(1).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])], ids=["none", "uneven", "2-d"]
)
def test_anything_but_two_equal_vectors_is_refused(x, y):
    with pytest.raises(ValueError, match="two vectors of the same length"):
        metrics.ccc(x, y)
