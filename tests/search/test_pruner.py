"""The median pruner of a study, beside Optuna's own."""

import math

import numpy as np
import optuna
import pytest

from fourier.search.pruner import make_pruner

EPOCHS, WARM_UP, STARTUP = 9, 3, 10


def decisions(study, pruner, curve):
    """What a pruner says of a trial after each of its epochs."""
    trial = study.ask()
    said = []
    for epoch, value in enumerate(curve):
        trial.report(value, epoch)
        said.append(pruner.prune(study, study.trials[trial.number]))
    study.tell(trial, curve[-1] if math.isfinite(curve[-1]) else 0.0)
    return said


@pytest.mark.filterwarnings("ignore:All-NaN")  # of Optuna's own
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_median_pruner_comes_to_what_optunas_own_comes_to(direction):
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction=direction)
    ours = make_pruner("median", EPOCHS)
    theirs = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARM_UP)
    seen = []
    for number in range(40):
        curve = rng.normal(size=rng.integers(1, EPOCHS + 1)).cumsum().tolist()
        if number % 7 == 3:
            curve[0] = math.nan
        if number % 11 == 5:
            curve = [math.nan] * EPOCHS
        trials = len(study.trials)
        said = decisions(study, ours, curve)
        again = optuna.create_study(direction=direction)
        again.add_trials(study.trials[:trials])
        assert said == decisions(again, theirs, curve), number
        seen += said
    assert 20 < sum(seen) < len(seen) / 2
