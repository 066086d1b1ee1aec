"""What must hold of a study and its runs whatever was killed, once somebody has looked again."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from optuna.trial import TrialState
from safetensors.torch import load_file

from fourier.config import TrialConfig

STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}
STATE = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def check_consistent(study, tracker, *, total=None):
    """Hold every trial against its run and every run against its trial.

    Args:
        study: Optuna's.
        tracker: where its runs are.
        total: trials that it must have, if it is done; None if it is about to go on.

    Returns:
        How many trials and runs were looked at.
    """
    parent = tracker.client.get_run(study.user_attrs["run_id"])
    experiment = parent.info.experiment_id
    studies = tracker.find_runs(experiment, {"fourier.kind": "study"})
    assert [run.info.run_id for run in studies] == [parent.info.run_id]
    mine = {"mlflow.parentRunId": parent.info.run_id, "fourier.kind": "trial"}
    runs = tracker.find_runs(experiment, mine)
    trials = {str(trial.number): trial for trial in study.trials}

    running = {TrialState.RUNNING, TrialState.WAITING}
    assert [t.number for t in study.trials if t.state in running] == []
    assert [run.info.run_name for run in runs if run.info.status == "RUNNING"] == []
    by_trial = {}
    for run in runs:
        by_trial.setdefault(run.data.tags["fourier.trial"], []).append(run)
    assert {number: len(found) for number, found in by_trial.items() if len(found) > 1} == {}
    assert set(by_trial) <= set(trials)

    for number, trial in trials.items():
        run = by_trial.get(number, [None])[0]
        if "claim" not in trial.user_attrs or "lost" in trial.user_attrs:
            check_lost(trial, run)
        else:
            check_finished(trial, run, tracker)
    counted = [t for t in study.trials if "claim" in t.user_attrs and "lost" not in t.user_attrs]
    slots = sorted(trial.user_attrs["claim"]["slot"] for trial in counted)
    assert slots == list(range(len(slots)))
    check_baselines(tracker, experiment, parent)
    if total is not None:
        assert len(slots) == total
        check_parent(parent, counted)
    return len(trials), len(runs)


def check_lost(trial, run):
    """A trial that does not count, and what it left."""
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["lost"]
    if run is not None:
        assert (run.info.status, run.data.tags["fourier.state"]) == ("KILLED", "interrupted")


def check_finished(trial, run, tracker):
    """A trial that counts has one run, which says the same and holds everything."""
    state = trial.state.name
    assert run is not None, f"trial {trial.number} ({state}) has no run"
    assert trial.user_attrs["run_id"] == run.info.run_id
    assert run.info.status == STATUS[state], (trial.number, run.info.status)
    assert run.data.tags["fourier.state"] == STATE[state]
    assert run.info.end_time >= run.info.start_time
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    if trial.state == TrialState.FAIL:
        assert run.data.tags["fourier.reason"] == trial.user_attrs["reason"]
        assert "metrics" not in trial.user_attrs or "best/objective" in run.data.metrics
        return
    metrics = trial.user_attrs["metrics"]
    assert trial.value == metrics["objective"] == run.data.metrics["best/objective"]
    assert all(
        run.data.metrics.get(f"best/{name}", value) == value for name, value in metrics.items()
    )
    points = trial.user_attrs["points"]
    assert {"best/epoch", "time/seconds"} <= set(points)
    assert {name: run.data.metrics.get(name) for name in points} == points
    assert len(tracker.client.get_metric_history(run.info.run_id, "best/epoch")) == 1
    config = TrialConfig.from_dict(trial.user_attrs["config"])
    assert config == TrialConfig.from_dict(
        json.loads((folder / "config.json").read_text())["trial"]
    )
    flat = {name: "" if value is None else str(value) for name, value in config.to_flat().items()}
    assert run.data.params == flat
    assert run.data.tags["fourier.digest"] == config.digest
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == len(trial.intermediate_values)
    for name, column in (("val/objective", "objective"), ("train/loss", "train_loss")):
        curve = tracker.client.get_metric_history(run.info.run_id, name)
        assert [point.step for point in curve] == list(range(len(history)))
        assert [point.value for point in curve] == pytest.approx(list(history[column]), rel=1e-12)
    assert len(pd.read_csv(folder / "predictions.csv")) > 0
    assert load_file(folder / "weights.safetensors")
    assert (folder / "trial.png").read_bytes().endswith(b"IEND\xaeB`\x82")


def check_baselines(tracker, experiment, parent):
    """Each baseline once."""
    mine = {"mlflow.parentRunId": parent.info.run_id, "fourier.kind": "baseline"}
    runs = tracker.find_runs(experiment, mine)
    assert set(Counter(run.info.run_name for run in runs).values()) <= {1}
    assert {run.info.status for run in runs} <= {"FINISHED"}


def check_parent(parent, counted):
    """The study's own run sums up what is there."""
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["trials"] == len(counted)
    complete = [trial.value for trial in counted if trial.state == TrialState.COMPLETE]
    assert parent.data.metrics["best/objective"] == max(complete)
    folder = Path(parent.info.artifact_uri.removeprefix("file://"))
    table = pd.read_csv(folder / "trials.csv")
    assert table["trial"].tolist() == [t.number for t in sorted(counted, key=slot)]
    assert len(complete) < 5 or (folder / "study.html").stat().st_size > 0


def slot(trial):
    """A trial's place among those that count."""
    return trial.user_attrs["claim"]["slot"]


def check_cache(folder):
    """Nothing half-written is left; locks are files that stay, empty, by design."""
    left = [path for path in Path(folder).rglob("*") if path.is_file()]
    assert [path for path in left if path.name.endswith(".tmp")] == []
    assert [path for path in left if path.suffix == ".lock" and path.stat().st_size] == []
