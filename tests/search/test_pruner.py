"""The median pruner beside Optuna's own, and what it takes from other workers."""

import math

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from fourier.search.pruner import make_pruner

EPOCHS = 9


def learn(study, pruner, curve):
    """One trial; after which epoch it was given up, None if it got to its end."""
    trial = study.ask()
    for epoch, value in enumerate(curve):
        if value is None:
            continue
        trial.report(value, epoch)
        kept = study._storage.get_trial(trial._trial_id)
        if pruner.prune(study, kept):
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, 1.0)
    return None


def curves(count, direction):
    """Noisy curves in steps that often tie; some epochs are left out, some are not a number."""
    rng = np.random.default_rng(3)
    rise = np.linspace(0, 1, EPOCHS) * (1 if direction == "maximize" else -1)
    values = np.round(rise + rng.normal(0, 0.4, (count, EPOCHS)), 1)
    values[rng.random(values.shape) < 0.03] = math.nan
    values[12] = math.nan
    left_out = rng.random(values.shape) < 0.1
    return np.where(left_out, None, values.astype(object)).tolist()


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_a_trial_without_a_number_is_given_up_even_where_nobody_has_one():
    ours, theirs = optuna.create_study(), optuna.create_study()
    pruner = make_pruner("median", EPOCHS)
    peer = optuna.pruners.MedianPruner(n_startup_trials=10, n_warmup_steps=EPOCHS // 3)
    for _ in range(10):
        for study in (ours, theirs):
            learn(study, optuna.pruners.NopPruner(), [math.nan] * EPOCHS)
    assert learn(ours, pruner, [math.nan] * EPOCHS) == EPOCHS // 3
    assert learn(theirs, peer, [math.nan] * EPOCHS) == EPOCHS // 3


@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")  # of Optuna's
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_median_pruner_decides_as_optunas(direction):
    ours = optuna.create_study(direction=direction)
    theirs = optuna.create_study(direction=direction)
    pruner = make_pruner("median", EPOCHS)
    peer = optuna.pruners.MedianPruner(n_startup_trials=10, n_warmup_steps=EPOCHS // 3)
    found = [
        (learn(ours, pruner, curve), learn(theirs, peer, curve)) for curve in curves(80, direction)
    ]
    assert [mine for mine, _ in found] == [other for _, other in found]
    given_up = [epoch for epoch, _ in found if epoch is not None]
    assert 15 < len(given_up) < 65
    assert min(given_up) == EPOCHS // 3


def test_a_trial_is_compared_with_those_that_were_complete_when_it_was_first_judged():
    study, pruner = optuna.create_study(direction="maximize"), make_pruner("median", EPOCHS)
    for _ in range(10):
        assert learn(study, pruner, [0.5] * EPOCHS) is None
    trial = study.ask()
    for epoch in range(EPOCHS):
        trial.report(0.6, epoch)
        assert not pruner.prune(study, study._storage.get_trial(trial._trial_id))
        if epoch == EPOCHS // 3:  # meanwhile another worker's trials end
            for _ in range(20):
                learn(study, optuna.pruners.NopPruner(), [0.9] * EPOCHS)
    study.tell(trial, 0.6)
    assert learn(study, pruner, [0.6] * EPOCHS) == EPOCHS // 3
