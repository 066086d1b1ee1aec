"""A study whose MLflow goes away in the middle of a trial: what joins its trials and runs."""

import pytest
import torch

from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.errors import ReleaseError, TrackingAwayError, TrackingError
from fourier.release.confirm import find_candidates
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.watch import Watcher
from fourier.search.workers import WORKER_VARIABLE
from fourier.tracking import SPOOL, Tracker, look
from fourier.tracking.spool import LINES
from fourier.training import Experiment


def suggest(trial):
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=8, n_fft=512, hop_length=512, fmax=8000),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(lr=trial.suggest_float("lr", 1e-4, 1e-2), patience=0),
    )


SPACE = Space(suggest, first=[{"lr": 1e-3}], epochs=2)


class Stopper(Watcher):
    """Stops the server in the middle of the trial at a slot, when its run is made."""

    def __init__(self, server, slot):
        self.server, self.slot, self.tracker = server, slot, None

    def epoch_ends(self, slot, epoch, epochs, metrics):
        if slot == self.slot and epoch == 0:
            self.tracker.settle()
            self.server.stop()


@pytest.fixture
def reopen(server, tiny_gtzan, own_cache, tmp_path, monkeypatch):
    """Opens the study as the sweep's next start does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    for name in ("FIRST_SECONDS", "FLUSH_SECONDS"):
        monkeypatch.setattr(f"fourier.tracking.runs.{name}", 0.0)
    experiment = Experiment.open(
        load_corpus(tiny_gtzan, "gtzan"),
        protocol="track",
        objective=None,
        cache=own_cache,
        device=torch.device("cpu"),
        jobs=1,
    )
    plan = Plan(study=tmp_path.name, pruner="none", epochs=2)

    def opened(watcher=None):
        sweep = Sweep.open(experiment, SPACE, plan, watcher or Watcher())
        if watcher:
            watcher.tracker = sweep.record.tracker
        return sweep

    return opened


def runs_of(sweep):
    mine = {"mlflow.parentRunId": sweep.record.parent.id, "fourier.kind": "trial"}
    found = Tracker.connect().find_runs(sweep.record.experiment_id, mine)
    return {int(run.data.tags["fourier.trial"]): run for run in found}


def check_join(sweep, trials):
    """Every trial has its one run, with the same value, and is found by what the trial calls it."""
    runs, tracker = runs_of(sweep), Tracker.connect()
    assert sorted(runs) == list(range(trials))
    for trial in sweep.shared.finished:
        run = runs[trial.number]
        assert tracker.id_of(trial.user_attrs["run_id"]) == run.info.run_id
        assert run.data.metrics["best/objective"] == trial.value
        assert run.info.status == "FINISHED"
        points = tracker.client.get_metric_history(run.info.run_id, "train/loss")
        assert [point.step for point in points] == [0, 1]
    candidates = find_candidates(tracker, sweep.shared, trials)
    assert {candidate.run_id for candidate in candidates} <= {r.info.run_id for r in runs.values()}


def test_trials_and_runs_are_joined_again_when_the_server_is_back(reopen, server):
    sweep = reopen(Stopper(server, 1))
    sweep.run(3)
    sweep.finish()
    (kept,) = sweep.record.tracker.kept()
    assert len(kept.runs) == 3  # the second trial's, the third's, and the study's
    server.start()
    with pytest.raises(ReleaseError, match="`fourier sync`"):
        find_candidates(Tracker.connect(), sweep.shared, 3)
    sweep = reopen()  # delivers first
    assert look(SPOOL) == []
    check_join(sweep, 3)
    parent = Tracker.connect().client.get_run(sweep.record.parent.id)
    assert parent.info.status == "RUNNING"  # as of now, and not as the first start left it
    assert parent.data.metrics["trials"] == 3
    sweep.finish()
    assert Tracker.connect().client.get_run(parent.info.run_id).info.status == "FINISHED"


class Refuser(Watcher):
    """Has MLflow refuse a write in the background, in the middle of the trial at a slot."""

    def __init__(self, slot):
        self.slot, self.tracker = slot, None

    def epoch_ends(self, slot, epoch, epochs, metrics):
        if slot == self.slot and epoch == 0:
            self.tracker.courier.send(self.refuse)

    @staticmethod
    def refuse():
        raise TrackingError("MLflow has no place for it")


def test_a_write_that_is_refused_in_the_background_ends_the_sweep_with_its_own_words(reopen):
    sweep = reopen(Refuser(1))
    with pytest.raises(TrackingError, match="no place for it"):
        sweep.run(3)
    runs = runs_of(sweep)
    assert [runs[number].info.status for number in sorted(runs)] == ["FINISHED", "KILLED"]
    assert len(sweep.shared.finished) == 1
    sweep = reopen()
    sweep.run(3)
    assert len(sweep.shared.finished) == 3


def test_a_trial_that_ended_while_the_server_was_away_counts_though_its_process_died_before_the_end(
    reopen, server
):
    sweep = reopen()
    sweep.run(1)
    server.stop()
    sweep.run(2)
    sweep.record.tracker.close()
    (kept,) = look(SPOOL)
    lines = (kept.folder / LINES).read_bytes().splitlines(keepends=True)
    assert b'"kind":"end"' in lines[-1]
    (kept.folder / LINES).write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    server.start()
    check_join(reopen(), 2)


def test_a_worker_joins_a_study_while_the_server_is_away_and_a_new_start_does_not(
    reopen, server, monkeypatch
):
    reopen().run(1)
    server.stop()
    with pytest.raises(TrackingAwayError, match="no MLflow server answers"):
        reopen()
    monkeypatch.setenv(WORKER_VARIABLE, "1")
    worker = reopen()
    worker.run(2)
    worker.record.tracker.close()
    monkeypatch.delenv(WORKER_VARIABLE)
    server.start()
    check_join(reopen(), 2)
