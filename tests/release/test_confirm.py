import numpy as np
import pytest

from fourier.errors import ReleaseError
from fourier.release.confirm import (
    Attempt,
    Audience,
    Candidate,
    Confirmed,
    attempts_table,
    confirm,
    confirmation_table,
    find_candidates,
    pick_winner,
    seed_of,
    with_seed,
)
from fourier.search.storage import open_storage
from fourier.search.study import find_study
from fourier.tracking import Tracker
from fourier.training import Result

from .studies import open_experiment, run_sweep, space_of


def attempt_of(value, seed=0):
    """A training that came to this objective; one that diverged for None."""
    config = with_seed(space_of(1e-3).start(), seed)
    if value is None:
        return Attempt(config, None, "the loss became nan in epoch 1")
    metrics = {"objective": value, "ccc": value}
    result = Result(metrics, 0, 1, [metrics], {}, np.zeros((1, 2), np.float32), 0.1, np.arange(1))
    return Attempt(config, result)


def confirmed_of(values, trial=0, direction="maximize"):
    candidate = Candidate(trial, "run", space_of(1e-3).start(), 0.0)
    attempts = [attempt_of(value, seed) for seed, value in enumerate(values)]
    return Confirmed(candidate, attempts, direction)


WINNERS = {
    "the better mean beats the better seed": ([[0.9, 0.1, 0.1], [0.5, 0.5, 0.4]], "maximize", 1),
    "small is good where it shall be": ([[0.9, 0.1, 0.1], [0.5, 0.5, 0.4]], "minimize", 0),
    "of equals the first": ([[0.5, 0.5], [0.4, 0.6]], "maximize", 0),
    "a setting that diverges cannot win": ([[0.9, None], [0.5, 0.4]], "maximize", 1),
}


@pytest.mark.parametrize(("values", "direction", "winner"), WINNERS.values(), ids=WINNERS)
def test_the_winner_is_the_best_on_average(values, direction, winner):
    each = [confirmed_of(of, trial, direction) for trial, of in enumerate(values)]
    assert pick_winner(each) is each[winner]


def test_when_all_diverge_nobody_wins_and_the_reason_is_said():
    with pytest.raises(ReleaseError, match=r"nan in epoch 1.*--top"):
        pick_winner([confirmed_of([0.5, None]), confirmed_of([None, None])])


MEDIANS = {
    "the middle": ([0.3, 0.9, 0.5], "maximize", 0.5),
    "the middle, minimised": ([0.3, 0.9, 0.5], "minimize", 0.5),
    "the worse of two in the middle": ([0.3, 0.9, 0.5, 0.6], "maximize", 0.5),
    "the worse of two in the middle, minimised": ([0.3, 0.9, 0.5, 0.6], "minimize", 0.6),
    "the only one": ([0.3], "maximize", 0.3),
}


@pytest.mark.parametrize(("values", "direction", "median"), MEDIANS.values(), ids=MEDIANS)
def test_the_released_network_is_the_median_seeds(values, direction, median):
    assert confirmed_of(values, 0, direction).median.network.metrics["ccc"] == median


def test_spread_is_the_samples_and_unknown_for_one_seed():
    each = confirmed_of([0.1, 0.3, 0.8])
    assert each.mean("ccc") == pytest.approx(0.4)
    assert each.std("ccc") == pytest.approx(np.std([0.1, 0.3, 0.8], ddof=1))
    assert np.isnan(confirmed_of([0.1]).std("ccc"))


def test_tables_have_a_line_for_each_candidate_and_each_training():
    each = [confirmed_of([0.1, 0.3], 4), confirmed_of([0.2, None], 9)]
    table = confirmation_table(each, ["ccc"])
    assert table["trial"].tolist() == [4, 9]
    assert table["ccc_mean"].tolist() == pytest.approx([0.2, 0.2])
    assert table["diverged"].tolist() == [0, 1]
    trainings = attempts_table(each)
    assert trainings["trial"].tolist() == [4, 4, 9, 9]
    assert trainings["reason"].tolist()[-1] == "the loss became nan in epoch 1"


def test_candidates_are_the_best_trials_with_different_settings(swept):
    shared = find_study("gtzan", open_storage(None))
    found = find_candidates(Tracker.connect(), shared, 9)
    assert len(shared.trials) == 4  # the first and the last share their settings
    assert len(found) == 3
    assert {each.config.spectrogram.n_mels for each in found} == {12, 16, 20}
    values = [each.objective for each in found]
    assert values == sorted(values, reverse=True)
    assert values[0] == shared.study.best_value
    assert find_candidates(Tracker.connect(), shared, 2) == found[:2]


def test_a_study_without_a_finished_trial_has_no_candidate(workplace, small_gtzan, tmp_path):
    experiment = open_experiment(small_gtzan, tmp_path / "cache")
    sweep = run_sweep(experiment, "fails", loss="mse", trials=1)  # no loss of this task
    with pytest.raises(ReleaseError, match="'fails' has no finished trial.*run its sweep"):
        find_candidates(Tracker.connect(), sweep.shared, 3)


class Listener(Audience):
    def __init__(self):
        self.attempts = []

    def attempt_ends(self, candidate, index, attempt):
        self.attempts.append((candidate.trial, index, attempt))


def test_each_candidate_is_trained_with_as_many_new_seeds_and_the_same_again(swept):
    shared = find_study("gtzan", open_storage(None))
    candidates = find_candidates(Tracker.connect(), shared, 2)
    experiment = open_experiment(swept.data, swept.cache)
    listener = Listener()
    first = confirm(experiment, shared.setting, candidates, 2, listener)
    again = confirm(experiment, shared.setting, candidates, 2, Audience())
    heard = [(trial, index) for trial, index, _ in listener.attempts]
    assert heard == [(each.trial, index) for each in candidates for index in (0, 1)]
    seeds = [attempt.config.training.seed for _, _, attempt in listener.attempts]
    assert seeds == [seed_of(shared.setting, each.trial, i) for each in candidates for i in (0, 1)]
    used = {shared.setting.seed_of(slot) for slot in range(4)}
    assert len({*seeds, *used}) == len(seeds) + len(used)
    for one, other, candidate in zip(first, again, candidates, strict=True):
        assert one.mean("objective") == other.mean("objective")
        assert {with_seed(a.config, 0) for a in one.attempts} == {with_seed(candidate.config, 0)}


def test_what_the_audience_raises_stops_the_training(swept):
    class Impatient(Audience):
        def epoch_ends(self, *_):
            raise KeyboardInterrupt

    shared = find_study("gtzan", open_storage(None))
    candidates = find_candidates(Tracker.connect(), shared, 1)
    experiment = open_experiment(swept.data, swept.cache)
    with pytest.raises(KeyboardInterrupt):
        confirm(experiment, shared.setting, candidates, 1, Impatient())
