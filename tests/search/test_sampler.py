import warnings

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from fourier.search import sampler
from fourier.search.sampler import make_sampler, remembered

SPACE = {
    "x": optuna.distributions.FloatDistribution(0, 1),
    "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
}


def past(count, direction="maximize"):
    """A study of so many trials, the best of which were the first ten."""
    study = optuna.create_study(direction=direction)
    sign = 1 if direction == "maximize" else -1
    for i in range(count):
        state = TrialState.PRUNED if i % 3 == 2 else TrialState.COMPLETE
        params = {"x": (i * 0.37) % 1, "kind": "ab"[i % 2]}
        value = sign * (1.0 if i < 10 else 0.5 / (1 + i))
        study.add_trial(
            create_trial(
                params=params,
                distributions=SPACE,
                value=value if state == TrialState.COMPLETE else None,
                state=state,
                intermediate_values={0: value},
            )
        )
    return study


def drawn(study, chosen):
    study.sampler = chosen
    trial = study.ask()
    return trial.suggest_float("x", 0, 1), trial.suggest_categorical("kind", ["a", "b"])


def plain_tpe(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.samplers.TPESampler(seed=seed, group=True, multivariate=True)


@pytest.mark.parametrize("count", [0, 9, 60, sampler.REMEMBERED])
def test_as_long_as_all_trials_are_remembered_it_is_optunas_tpe_to_the_bit(count):
    assert drawn(past(count), make_sampler("tpe", 7)) == drawn(past(count), plain_tpe(7))


def test_it_is_so_while_other_workers_run_trials():
    def with_others(chosen):
        study = past(60)
        study.sampler = optuna.samplers.RandomSampler(seed=1)
        for _ in range(2):
            other = study.ask()
            other.suggest_float("x", 0, 1)
            other.suggest_categorical("kind", ["a", "b"])
        return drawn(study, chosen)

    assert with_others(make_sampler("tpe", 7)) == with_others(plain_tpe(7))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_beyond_that_the_best_and_the_latest_are_remembered(direction):
    study = past(500, direction)
    running = study.ask().number
    kept = [trial.number for trial in remembered(study)]
    best = {i for i in range(10) if i % 3 != 2}
    assert best <= set(kept)
    assert running in kept
    assert len(kept) == sampler.REMEMBERED
    assert kept == sorted(kept)
    latest = [number for number in kept if number >= 400]
    assert latest == list(range(400, 501))


def test_a_long_study_is_still_learned_from():
    study = optuna.create_study(direction="maximize")
    for i in range(260):
        study.sampler = make_sampler("tpe", i)
        trial = study.ask()
        study.tell(trial, -((trial.suggest_float("x", 0, 1) - 0.3) ** 2))
    late = [trial.params["x"] for trial in study.trials[-30:]]
    assert sum(abs(x - 0.3) < 0.1 for x in late) > 20


def test_the_past_that_is_shown_is_not_the_study_that_is_written():
    study = past(300)
    drawn(study, make_sampler("tpe", 0))
    assert len(study.trials) == 301
