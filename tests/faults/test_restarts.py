"""A sweep that was killed and started again, beside one that was left alone."""

import contextlib

import numpy as np
import optuna
import pytest
from consistency import slot

from fourier.search.storage import open_storage

EPOCHS, TRIALS, KILLS = 6, 14, 5
SOMEWHERE = (
    ("optuna.trial:Trial.report", "after", "", range(1, 2 * EPOCHS)),
    ("optuna.study:Study.ask", "after", "", range(1, 4)),
    ("optuna.study:Study.tell", "before", "", range(2, 5)),
    ("optuna.study:Study.tell", "after", "", range(2, 5)),
    ("fourier.tracking.runs:TrackedRun.log_folder", "after", "", range(1, 4)),
)


def history_in(folder):
    """What counts of a study: every trial's parameters, curve, state and value."""
    with contextlib.chdir(folder):
        study = optuna.load_study(study_name="s", storage=open_storage(None))
        counted = [trial for trial in study.trials if "lost" not in trial.user_attrs]
        return [
            (slot(trial), trial.params, trial.intermediate_values, trial.state, trial.value)
            for trial in sorted(counted, key=slot)
        ], len(study.trials)


@pytest.mark.slow
@pytest.mark.parametrize(("pruner", "seed"), [("none", 0), ("median", 1), ("hyperband", 2)])
def test_five_kills_at_random_points_change_no_trial(
    pruner, seed, run, killed, workplace, tiny_gtzan
):
    import dying

    rng = np.random.default_rng(seed)
    alone, torn = workplace / "alone", workplace / "torn"
    for folder in (alone, torn):
        folder.mkdir()
        (folder / "mlflow.db").write_bytes((workplace / "mlflow.db").read_bytes())
    options = {"total": TRIALS, "pruner": pruner, "epochs": EPOCHS}
    assert run(dying.start, alone, tiny_gtzan, **options) == 0
    for _ in range(KILLS):
        *point, counts = SOMEWHERE[rng.integers(len(SOMEWHERE))]
        point.append(int(rng.choice(counts)))
        assert run(dying.start, torn, tiny_gtzan, point, **options) == killed
    assert run(dying.start, torn, tiny_gtzan, **options) == 0
    assert run(dying.check, torn, TRIALS) == 0
    (one, trials), (other, more) = history_in(alone), history_in(torn)
    assert other == one
    assert more > trials == TRIALS
    pruned = [entry for entry in one if entry[3] == optuna.trial.TrialState.PRUNED]
    assert bool(pruned) == (pruner != "none")
