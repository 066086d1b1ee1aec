"""Which settings mattered: found where there is something, and not where there is nothing."""

import numpy as np
import optuna
import pytest

from fourier.search.importance import LEAST_TRIALS, find_importances


def trials_of(value, count=40, seed=0, sampler=None):
    """Trials of a space with an architecture, a setting that only one has, and two numbers."""
    rng = np.random.default_rng(seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=sampler or optuna.samplers.RandomSampler(seed=seed)
    )
    for _ in range(count):
        trial = study.ask()
        trial.suggest_categorical("model", ["mlp", "cnn", "crnn"])
        if trial.params["model"] == "crnn":
            trial.suggest_categorical("crnn.hidden", [32, 64])
        trial.suggest_float("lr", 1e-4, 1e-2, log=True)
        trial.suggest_float("dropout", 0.0, 0.5)
        study.tell(trial, value(trial.params, rng))
    return study.trials


def by_model(params, rng):
    return {"mlp": 0.5, "cnn": 0.7, "crnn": 0.75}[params["model"]] + 0.01 * rng.normal()


def test_the_setting_that_decides_is_first_and_sure_and_the_others_are_nothing():
    found = find_importances(trials_of(by_model))
    first, *others = found.shares
    assert first == "model"
    assert found.shares["model"].is_sure
    assert found.shares["model"].value == pytest.approx(1, abs=0.25)
    assert all(abs(found.shares[name].value) < 0.05 for name in others)
    assert found.explained.value > 0.7
    assert found.trials == 40


def test_it_is_found_also_after_the_search_has_turned_to_it():
    """Where the best tenth is like all the others, which is what PED-ANOVA compares."""
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=8)
    found = find_importances(trials_of(by_model, sampler=sampler))
    assert next(iter(found.shares)) == "model"
    assert found.shares["model"].is_sure


def test_two_settings_share_the_differences_as_they_make_them():
    def both(params, rng):
        return 3 * params["dropout"] + (params["model"] == "crnn") + 0.01 * rng.normal()

    found = find_importances(trials_of(both, count=80))
    variances = {"dropout": 9 * 0.25 / 12, "model": 2 / 9}
    for name, variance in variances.items():
        share = variance / sum(variances.values())
        assert found.shares[name].low < share < found.shares[name].high


def test_where_values_are_chance_nothing_is_sure():
    sure = 0
    for seed in range(3):
        found = find_importances(trials_of(lambda _, rng: rng.normal(), seed=seed))
        assert found.explained.low < 0.1
        sure += sum(share.is_sure for share in found.shares.values())
    assert sure <= 1


def test_a_setting_of_one_architecture_does_not_stand_for_the_architecture():
    found = find_importances(trials_of(by_model))
    assert abs(found.shares["crnn.hidden"].value) < 0.05


@pytest.mark.parametrize(
    "trials",
    [trials_of(by_model, count=LEAST_TRIALS - 1), trials_of(lambda *_: 0.5), []],
    ids=["few", "all alike", "none"],
)
def test_too_little_tells_nothing(trials):
    assert find_importances(trials) is None


def test_the_same_trials_tell_the_same():
    trials = trials_of(by_model, count=15)
    assert find_importances(trials) == find_importances(trials)


def test_failed_trials_do_not_count_and_pruned_ones_do():
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials_of(by_model, count=12))
    failed, pruned = study.ask(), study.ask()
    failed.suggest_float("lr", 1e-4, 1e-2, log=True)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    pruned.suggest_float("lr", 1e-4, 1e-2, log=True)
    pruned.report(0.4, 0)
    study.tell(pruned, state=optuna.trial.TrialState.PRUNED)
    assert find_importances(study.trials).trials == 13
