"""Trials that go wrong by themselves: each is one failed trial, and the others are unharmed."""

import contextlib

import optuna
import pytest
from consistency import slot

from fourier.search.storage import open_storage
from fourier.search.study import DEATHS
from fourier.tracking import Tracker

TRIALS = 10
WRONG = {
    1: ("NotANumber", "TrainingDiverged: the loss became nan in epoch 0"),
    2: ("NoMemoryOnce", ""),
    3: ("NoMemory", "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB"),
    4: ("Bug", "RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    6: ("Slow", "TooLong: no end after 4 s"),
    7: ("NoMemoryLater", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
    8: ("Infinite", "TrainingDiverged: the loss became nan in epoch 0"),
}


def trials_in(folder):
    with contextlib.chdir(folder):
        study = optuna.load_study(study_name="s", storage=open_storage(None))
        return sorted((t for t in study.trials if "lost" not in t.user_attrs), key=slot)


def text_of(trial, name="traceback.txt"):
    return Tracker.connect().read_artifact(trial.user_attrs["run_id"], name)


@pytest.mark.slow
def test_each_trial_that_goes_wrong_is_one_failed_trial_and_the_others_are_unharmed(
    run, workplace, tiny_gtzan
):
    import dying

    well, ill = workplace / "well", workplace / "ill"
    for folder in (well, ill):
        folder.mkdir()
        (folder / "mlflow.db").write_bytes((workplace / "mlflow.db").read_bytes())
    options = {"total": TRIALS, "epochs": 4, "sampler": "random", "seconds": 4}
    assert run(dying.start, well, tiny_gtzan, **options) == 0
    wrong = {place: kind for place, (kind, _) in WRONG.items()}
    assert run(dying.start, ill, tiny_gtzan, wrong=wrong, **options) == 0
    assert run(dying.check, ill, TRIALS) == 0
    for one, other in zip(trials_in(well), trials_in(ill), strict=True):
        reason = WRONG.get(slot(other), ("", ""))[1]
        if reason:
            assert other.user_attrs["reason"].startswith(reason)
            with contextlib.chdir(ill):
                assert "Traceback (most recent call last)" in text_of(other)
        else:
            assert (other.params, other.value) == (one.params, one.value)


@pytest.mark.slow
def test_a_trial_that_hangs_is_ended_with_its_process_and_fails_at_the_next_start(
    run, workplace, tiny_gtzan
):
    import dying

    options = {"total": 3, "seconds": 3, "wrong": {1: "Hung"}}
    assert run(dying.start, workplace, tiny_gtzan, **options) == 1
    assert run(dying.start, workplace, tiny_gtzan, **options) == 0
    assert run(dying.check, workplace, 3) == 0
    fine, hung, other = trials_in(workplace)
    assert (fine.state.name, hung.state.name, other.state.name) == ("COMPLETE", "FAIL", "COMPLETE")
    assert hung.user_attrs["reason"].startswith("no end after 3 s")
    assert "in forward" in text_of(hung)
    assert list((workplace / "mlruns").glob(".*.hung")) == []


@pytest.mark.slow
def test_a_slot_whose_process_dies_before_it_has_a_run_is_in_the_end_a_failed_trial_with_one(
    run, killed, workplace, tiny_gtzan
):
    import dying

    point = ("optuna.trial:Trial.set_user_attr", "after", "claim")
    for _ in range(DEATHS):
        assert run(dying.start, workplace, tiny_gtzan, point, total=2) == killed
    assert run(dying.start, workplace, tiny_gtzan, total=2) == 0
    assert run(dying.check, workplace, 2) == 0
    failed, fine = trials_in(workplace)
    assert f"died {DEATHS} times" in failed.user_attrs["reason"]
    assert fine.state.name == "COMPLETE"
