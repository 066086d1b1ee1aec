"""Trials by folds: real studies over a small corpus, and when one of them is given up."""

import dataclasses

import numpy as np
import optuna
import pytest
import soundfile
import torch
from optuna.trial import TrialState

from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.search.pruner import make_pruner
from fourier.search.study import Setting
from fourier.search.sweep import Plan, Space, Sweep, best_trials
from fourier.search.watch import Watcher
from fourier.tracking import Tracker
from fourier.training import Experiment
from fourier.training.folds import BLOCKS

FOLDS, EPOCHS = 3, 8
GOOD, FAIR, BAD = 1e-2, 9e-3, 1e-7


def suggest(trial):
    return TrialConfig(
        spectrogram=SpectrogramConfig(
            n_mels=12, n_fft=512, hop_length=512, fmax=8000, normalization="standardize"
        ),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(
            loss="cross_entropy",
            lr=trial.suggest_categorical("lr", [GOOD, FAIR, BAD]),
            schedule="constant",
            batch_size=4,
            patience=2,
        ),
    )


SPACE = Space(suggest, first=[{"lr": lr} for lr in (GOOD, BAD, FAIR)], epochs=EPOCHS)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Sixteen tracks of one segment in each of three genres that any network can tell apart."""
    root = tmp_path_factory.mktemp("tones")
    time = np.arange(round(3.1 * 22_050)) / 22_050
    rng = np.random.default_rng(0)
    for genre, frequency in (("blues", 110.0), ("metal", 880.0), ("rock", 3520.0)):
        (root / "genres" / genre).mkdir(parents=True)
        for i in range(16):
            tone = 0.3 * np.sin(2 * np.pi * frequency * rng.uniform(0.9, 1.1) * time)
            noise = 0.05 * rng.standard_normal(len(time))
            soundfile.write(root / "genres" / genre / f"{genre}.{i:05d}.wav", tone + noise, 22_050)
    return root


@pytest.fixture
def experiment(tones, tmp_path):
    return Experiment.open(
        load_corpus(tones),
        protocol="track",
        objective=None,
        cache=tmp_path / "cache",
        device=torch.device("cpu"),
        folds=FOLDS,
        jobs=1,
    )


class Listener(Watcher):
    def __init__(self):
        self.epochs, self.outcomes = [], []

    def epoch_ends(self, slot, epoch, epochs, metrics):
        self.epochs.append((slot, epoch, epochs, metrics["objective"] > 0))

    def trial_ends(self, outcome):
        self.outcomes.append(outcome)


def run_sweep(experiment, pruner, trials=3, watcher=None):
    plan = Plan(study="folds", pruner=pruner, epochs=EPOCHS)
    sweep = Sweep.open(experiment, SPACE, plan, watcher or Watcher())
    sweep.run(trials)
    sweep.finish()
    return sweep


def test_a_setting_that_is_clearly_worse_is_given_up_between_folds_and_a_like_one_never(
    workplace, experiment
):
    listener = Listener()
    sweep = run_sweep(experiment, "wilcoxon", watcher=listener)
    good, bad, fair = sweep.shared.trials
    assert (good.state, bad.state, fair.state) == (
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.COMPLETE,
    )
    runs = {
        int(run.data.tags["fourier.trial"]): run
        for run in Tracker.connect().find_runs(
            sweep.record.experiment_id, {"fourier.kind": "trial"}
        )
    }
    folds = [int(runs[number].data.metrics["folds"]) for number in range(3)]
    assert folds[0] == folds[2] == FOLDS
    assert folds[1] < FOLDS
    assert [outcome.state for outcome in listener.outcomes] == ["complete", "pruned", "complete"]
    assert (0, EPOCHS * FOLDS - 1, EPOCHS * FOLDS, True) in listener.epochs
    # Its value is that of the folds it had, the same in study and run, and no block's score.
    assert bad.value == runs[1].data.metrics["best/objective"] == listener.outcomes[1].value
    assert max(bad.intermediate_values) == FOLDS * BLOCKS
    assert {trial.number for trial in best_trials(sweep.shared, 3)} == {good.number, fair.number}
    for number in (0, 2):
        check_run(runs[number], sweep)


def check_run(run, sweep):
    """Curves of each fold and their means, figures over folds, and how far the folds agree."""
    metrics = run.data.metrics
    each = [metrics[f"fold{k}/val/track_accuracy"] for k in range(FOLDS)]
    assert metrics["mean/track_accuracy"] == pytest.approx(np.mean(each))
    assert metrics["std/track_accuracy"] == pytest.approx(np.std(each, ddof=1))
    assert metrics["best/epoch"] == EPOCHS - 1
    client = Tracker.connect().client
    curve = client.get_metric_history(run.info.run_id, "fold1/train/loss")
    assert [point.step for point in curve] == list(range(EPOCHS))
    curve = client.get_metric_history(run.info.run_id, "val/track_accuracy")
    assert curve[-1].value == pytest.approx(np.mean(each))
    assert run.data.tags["fourier.folds"] == str(FOLDS)
    assert run.data.params["training.patience"] == "0"
    trial = sweep.shared.study.trials[int(run.data.tags["fourier.trial"])]
    assert trial.value == metrics["best/objective"]


def test_without_a_pruner_every_trial_has_all_its_folds(workplace, experiment):
    sweep = run_sweep(experiment, "none", trials=2)
    assert [trial.state for trial in sweep.shared.trials] == [TrialState.COMPLETE] * 2
    for trial in sweep.shared.trials:  # the scores of a fold's tracks are that fold's
        metrics = Tracker.connect().client.get_run(trial.user_attrs["run_id"]).data.metrics
        for fold in range(FOLDS):
            steps = range(fold * BLOCKS, (fold + 1) * BLOCKS)
            scores = [v for step, v in trial.intermediate_values.items() if step in steps]
            assert np.mean(scores) == pytest.approx(metrics[f"fold{fold}/val/track_accuracy"])


def test_a_lone_fold_of_few_tracks_is_not_enough_to_give_a_setting_up():
    """Three tracks, all worse: p = 1/8."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner("wilcoxon", 10, 3))
    best = study.ask()
    for step in (0, 1, 2, BLOCKS, BLOCKS + 1, BLOCKS + 2):
        best.report(1.0, step)
    study.tell(best, 1.0)
    trial = study.ask()
    for step in range(3):
        trial.report(0.1 * step, step)
    assert not trial.should_prune()
    for step in range(3):
        trial.report(0.1 * step, BLOCKS + step)
    assert trial.should_prune()


@pytest.mark.parametrize(("name", "folds"), [("median", 5), ("hyperband", 5), ("wilcoxon", 0)])
def test_a_pruner_that_goes_by_epochs_is_none_for_folds_and_the_other_way_round(name, folds):
    with pytest.raises(ValueError, match="`pruner` must be one of wilcoxon, none with folds"):
        make_pruner(name, 30, folds)


def test_wilcoxons_level_is_shared_among_the_looks():
    assert make_pruner("wilcoxon", 30, 5)._p_threshold == pytest.approx(0.05 / 4)
    assert make_pruner("wilcoxon", 30, 2)._p_threshold == pytest.approx(0.05)
    assert isinstance(make_pruner("none", 30, 5), optuna.pruners.NopPruner)


def test_a_study_from_before_there_were_folds_goes_on_as_one_without(workplace, experiment):
    single = dataclasses.replace(experiment, fold_of=None)
    plan = Plan(study="old", pruner="none", epochs=1)
    shared = Sweep.open(single, SPACE, plan, Watcher()).shared
    kept = dict(shared.study.user_attrs["setting"])
    del kept["folds"]
    shared.study.set_user_attr("setting", kept)
    sweep = Sweep.open(single, SPACE, plan, Watcher())
    assert sweep.shared.setting == Setting(**kept)
    assert sweep.shared.setting.folds == 0
