"""Runs that are not as their trials are, put right: what a process leaves that died in between.

The study is what is true, because a trial is told to it only when all files of it are written
(`fourier.search.trial`). So a run of a finished trial gets that trial's status, its values where
they differ, and what its curves lack from its ``history.csv``; and a run that no trial owns is
``KILLED``. Not here: finding the trials whose process is gone (`fourier.search.study`).
"""

import csv
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

from optuna.trial import FrozenTrial

from fourier.errors import TrackingAwayError
from fourier.search import owner
from fourier.search.points import best_points, curve_points, of_curves
from fourier.search.record import StudyRecord, write_text
from fourier.search.storage import storage_errors
from fourier.search.study import Claim
from fourier.tracking import KEY_TAG, TrackedRun

STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}

IN_HAND = timedelta(seconds=20)
"""For how long after its trial a run is left to the process that ran it, while that lives.

It ends it as soon as its next network learns. One on another host is not known to have died, and
a container that is started again is another host.
"""


def mend(record: StudyRecord) -> int:
    """Fail or free the trials whose process is gone, and put right what runs say of theirs.

    Returns:
        How many trials and runs there were to be put right.
    """
    lost = record.shared.bury_the_dead(lambda claim: give_run(record, claim))
    return len(lost) + close_orphans(record)


def close_orphans(record: StudyRecord) -> int:
    """Put right the runs of a study that are not as their trials are.

    One process at a time, because two that find the same points missing would both write them.

    Returns:
        How many there were.
    """
    mine = {"mlflow.parentRunId": record.parent.id, "fourier.kind": "trial"}
    with record.shared.lock:
        # Read before the runs, so that what is delivered meanwhile is not missing in them.
        waiting = {name for kept in record.tracker.kept() for name in kept.runs}
        runs = record.tracker.find_runs(record.experiment_id, mine)
        # Read after them, so that every run that somebody has just begun has its trial here.
        trials = {str(t.number): t for t in record.shared.study.get_trials(deepcopy=False)}
        return sum(
            _put_right(record, run, trials.get(run.data.tags["fourier.trial"]))
            for run in runs
            if not waiting & _names(run)  # what is missing in it is on its way
        )


def give_run(record: StudyRecord, claim: Claim) -> None:
    """Give a trial a run that is to fail and died before it had one."""
    mine = {"mlflow.parentRunId": record.parent.id, "fourier.trial": str(claim.trial.number)}
    try:
        left = record.tracker.find_runs(record.experiment_id, mine)
    except TrackingAwayError:  # one that is there all the same will be nobody's
        left = []
    if left:
        with storage_errors():
            claim.trial.set_user_attr("run_id", left[0].info.run_id)
    else:
        record.open_trial(claim, None)
        record.tracker.settle()


def _put_right(record: StudyRecord, run: Any, trial: FrozenTrial | None) -> bool:
    """Bring one run to what its trial is, or end it as nobody's; returns whether it was not so."""
    orphan = TrackedRun(record.tracker, run.info.run_id)
    if _is_owned(run, trial):
        if trial is None or not trial.state.is_finished() or _is_in_hand(trial):
            return False
        return _make_equal(record, orphan, run, trial)
    if run.info.status == "KILLED":
        return False
    # Perhaps of a trial that the study has lost to damage.
    orphan.end("KILLED", {"fourier.state": "interrupted"})
    return True


def _is_owned(run: Any, trial: FrozenTrial | None) -> bool:
    """Whether a run is that of a trial that counts, or is about to be."""
    if trial is None or "lost" in trial.user_attrs:
        return False
    return trial.user_attrs.get("run_id", run.info.run_id) in _names(run)


def _is_in_hand(trial: FrozenTrial) -> bool:
    """Whether another process that lives has just finished a trial, and is about to end its run."""
    claim = trial.user_attrs.get("claim")
    if claim is None or trial.datetime_complete is None:
        return False
    if abs(datetime.now() - trial.datetime_complete) > IN_HAND:  # Optuna's clock has no zone
        return False
    return not owner.is_this_process(claim["owner"]) and not owner.is_gone(claim["owner"])


def _names(run: Any) -> set[str]:
    """What a run is called: MLflow's id, and the key that it had while MLflow was away."""
    return {run.info.run_id, run.data.tags.get(KEY_TAG, "")}


def _make_equal(record: StudyRecord, orphan: TrackedRun, run: Any, trial: FrozenTrial) -> bool:
    """Bring a run to what its finished trial is; returns whether there was anything to be done."""
    state, status = STATES[trial.state.name], STATUS[trial.state.name]
    points = {} if state == "failed" else _points(trial)
    wrong = {name: value for name, value in points.items() if run.data.metrics.get(name) != value}
    if not wrong and run.info.status == status:
        return False
    tags = {"fourier.state": state}
    if state == "failed":
        tags["fourier.reason"] = trial.user_attrs.get("reason", "")
    if "stood" in trial.user_attrs:
        write_text(orphan, "traceback.txt", trial.user_attrs["stood"])
    orphan.keep(wrong)
    if points:
        _complete_curves(record, orphan)
    orphan.end(status, tags)
    return True


def _points(trial: FrozenTrial) -> dict[str, float]:
    """What a trial that came to a value says of it, by the names of its run's metrics."""
    attrs = trial.user_attrs
    points = best_points(attrs.get("metrics", {}))
    points |= attrs.get("points", {})
    if "energy" in attrs:
        points["energy/joules"] = attrs["energy"]["joules"]
    return points


def _complete_curves(record: StudyRecord, orphan: TrackedRun) -> None:
    """Give the curves of a run the points that its ``history.csv`` has besides theirs.

    A file that is damaged gives none: the power may have gone before all of it was on the disk.
    """
    if record.experiment.folds:  # there the file holds means over folds
        return
    text = record.tracker.read_sound_artifact(orphan.id, "history.csv")
    if text is None:
        return
    lengths: dict[str, int] = {}
    for epoch, row in enumerate(csv.DictReader(StringIO(text))):  # whose floats are exact
        metrics = {name: float(number or "nan") for name, number in row.items()}
        for name, value in curve_points(of_curves(metrics, record.experiment.task)).items():
            if name not in lengths:
                lengths[name] = record.tracker.length_of_curve(orphan.id, name)
            if epoch >= lengths[name]:
                orphan.keep({name: value}, step=epoch)
