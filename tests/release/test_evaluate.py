"""``fourier evaluate``: what it trains, writes and prints; and runs by folds, reproduced."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fourier.cli.main import main
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.release.reproduce import find_run
from fourier.release.runs import read_config
from fourier.search.storage import open_storage
from fourier.search.study import find_study
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.watch import Watcher
from fourier.tracking import Tracker

from .studies import EPOCHS, open_experiment


def space_by_lr(rates):
    """A study's first trials have these learning rates."""

    def suggest(trial):
        return TrialConfig(
            spectrogram=SpectrogramConfig(
                n_mels=12, n_fft=512, hop_length=512, fmax=8000, normalization="standardize"
            ),
            model=MLPConfig(hidden=(8,)),
            training=TrainingConfig(
                lr=trial.suggest_categorical("lr", rates), schedule="constant", batch_size=8
            ),
        )

    return Space(suggest, first=[{"lr": lr} for lr in rates], epochs=EPOCHS)


def trial_runs(study="gtzan"):
    trials = find_study(study, open_storage(None)).trials
    return [trial.user_attrs["run_id"] for trial in trials]


def evaluations(**tags):
    tracker = Tracker.connect()
    wanted = {"fourier.kind": "evaluation"} | {f"fourier.{k}": v for k, v in tags.items()}
    experiment = tracker.client.get_experiment_by_name("gtzan").experiment_id
    return tracker.find_runs(experiment, wanted)


def artifacts_of(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_an_evaluation_is_what_its_predictions_say_beside_the_trial_that_it_is_of(swept, capsys):
    source = trial_runs()[1]
    assert main(["evaluate", source, *swept.words, "--folds", "3", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    (run,) = evaluations(of_run=source)
    metrics, tags = run.data.metrics, run.data.tags
    predictions = pd.read_csv(artifacts_of(run) / "predictions.csv")
    truth = predictions["label"] == predictions["predicted"]
    each = truth.groupby(predictions["seed"]).mean()
    assert metrics["mean/segment_accuracy"] == pytest.approx(each.mean())
    assert metrics["std/segment_accuracy"] == pytest.approx(each.std())
    assert f"{each.mean():.3f} ± {each.std():.3f}" in out
    # Every track outside the test part, once with each seed, and none of the test part.
    experiment = open_experiment(swept.data, swept.cache)
    seen = experiment.clips["track"][(experiment.parts != "test").to_numpy()]
    for _, part in predictions.groupby("seed"):
        assert sorted(part["track"]) == sorted(seen)
        assert set(part["fold"]) == {0, 1, 2}
    table = pd.read_csv(artifacts_of(run) / "evaluation.csv", dtype={"fold": str})
    assert table["fold"].tolist() == ["0", "1", "2", "all"] * 2
    together = table[table["fold"] == "all"]["segment_accuracy"]
    assert together.to_numpy() == pytest.approx(each.to_numpy())
    assert (tags["fourier.study"], tags["fourier.folds"], tags["fourier.seeds"]) == (
        "gtzan",
        "3",
        "2",
    )
    trial = Tracker.connect().client.get_run(source)
    assert tags["mlflow.parentRunId"] == trial.data.tags["mlflow.parentRunId"]
    assert run.info.status == "FINISHED"
    config = read_config(Tracker.connect(), run.info.run_id)
    assert (config.folds, config.trial.training.patience) == (3, 0)


def test_a_leaky_evaluation_is_of_the_same_clips_in_folds_of_segments_and_marked_so(
    swept, press, capsys
):
    source = trial_runs()[0]
    words = ["--folds", "3", "--seeds", "1"]
    assert main(["evaluate", source, *swept.words, *words]) == 0
    assert main(["evaluate", source, *swept.words, *words, "--leaky"]) == 0
    assert "leaky: folds of segments" in capsys.readouterr().out
    leaky, honest = sorted(evaluations(), key=lambda run: "fourier.leaky" not in run.data.tags)
    assert leaky.data.tags["fourier.leaky"] == "true"
    assert leaky.data.tags["fourier.protocol"] == honest.data.tags["fourier.protocol"] == "track"
    assert "std/track_accuracy" not in leaky.data.metrics
    tables = [pd.read_csv(artifacts_of(run) / "predictions.csv") for run in (leaky, honest)]
    clips = [sorted(zip(table["track"], table["start"], strict=True)) for table in tables]
    assert clips[0] == clips[1]
    # Where tracks have several segments these stand in several folds.
    experiment = press.experiments["gtzan"]
    two = dataclasses.replace(
        experiment, fold_of=(experiment.parts == "valid").astype(int)
    ).leaking()
    assert (two.fold_of.groupby(two.clips["track"]).nunique() > 1).any()
    assert set(two.fold_of[experiment.parts == "test"]) == {-1}


def test_an_evaluation_under_crossval_predicts_every_track_once(swept, capsys):
    source = trial_runs()[0]
    words = ["--protocol", "crossval", "--folds", "3", "--seeds", "1"]
    assert main(["evaluate", source, *swept.words, *words]) == 0
    (run,) = evaluations(of_run=source, protocol="crossval")
    predictions = pd.read_csv(artifacts_of(run) / "predictions.csv")
    everything = open_experiment(swept.data, swept.cache).clips
    assert sorted(predictions["track"]) == sorted(everything["track"])
    tracks = everything["track"].nunique()
    assert f"crossval: 3 folds of {tracks} tracks " in " ".join(capsys.readouterr().out.split())
    assert read_config(Tracker.connect(), run.info.run_id).protocol == "crossval"


def test_an_evaluation_measures_the_floor_on_the_same_folds(swept, capsys):
    assert main(["evaluate", trial_runs()[0], *swept.words, "--folds", "3", "--seeds", "1"]) == 0
    out = capsys.readouterr().out
    (run,) = evaluations()
    experiment = open_experiment(swept.data, swept.cache, folds=3)
    config = read_config(Tracker.connect(), trial_runs()[0]).trial
    for name, metrics in experiment.baselines(config.spectrogram).items():
        value = run.data.metrics[f"baseline/{name}/segment_accuracy"]
        assert value == pytest.approx(metrics["segment_accuracy"])
        (line,) = [line for line in out.splitlines() if line.startswith(f"baseline: {name}")]
        assert f"{metrics['track_accuracy']:.3f}" in line


WRONG = {
    "no such run": (["0" * 32], 1, "there is no run 000"),
    "one fold": (["RUN", "--folds", "1"], 2, "--folds must be 2 or greater, but got 1"),
    "no seed": (["RUN", "--seeds", "0"], 2, "--seeds must be 1 or greater, but got 0"),
    "too many folds": (["RUN", "--folds", "999"], 1, "ask for fewer folds"),
    "no such protocol": (["RUN", "--protocol", "luck"], 1, "must be one of fault-filtered, track"),
}


@pytest.mark.parametrize(("words", "code", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_leaves_no_run(words, code, text, swept, capsys):
    words = [trial_runs()[0] if word == "RUN" else word for word in words]
    try:
        status = main(["evaluate", *words, *swept.words])
    except SystemExit as end:
        status = end.code
    err = capsys.readouterr().err
    assert (status, err.count("\n")) == (code, 1)
    assert text in err
    assert evaluations() == []


@pytest.fixture
def folded(swept):
    """A study by folds, whose second trial was given up after its first fold."""
    experiment = open_experiment(swept.data, swept.cache, folds=3)
    plan = Plan(study="gtzan-3fold", pruner="wilcoxon", epochs=EPOCHS)
    sweep = Sweep.open(experiment, space_by_lr([1e-2, 1e-7]), plan, Watcher())
    sweep.run(2)
    sweep.finish()
    return swept


def test_trials_by_folds_come_to_the_same_again_also_one_that_was_given_up(folded, capsys):
    whole, given_up = trial_runs("gtzan-3fold")
    tracker = Tracker.connect()
    assert find_run(tracker, whole).epochs == 3 * EPOCHS
    assert find_run(tracker, given_up).epochs < 3 * EPOCHS
    for run in (whole, given_up):
        assert main(["reproduce", run, *folded.words]) == 0
        assert "every metric is the same" in capsys.readouterr().out


def test_a_study_by_folds_is_promoted_from_its_own_trials_and_tested_once(folded, capsys):
    words = ["--study", "gtzan-3fold", "--top", "1", "--seeds", "2", "--yes"]
    assert main(["promote", "gtzan", *folded.words, *words]) == 0
    version = Tracker.connect().client.get_model_version("fourier-gtzan", "1")
    run = Tracker.connect().client.get_run(version.run_id)
    table = pd.read_csv(artifacts_of(run) / "test_predictions.csv")
    experiment = open_experiment(folded.data, folded.cache)
    test = experiment.clips["track"][(experiment.parts == "test").to_numpy()]
    assert set(table["track"]) == set(test)
    assert np.isfinite(run.data.metrics["best/track_accuracy"])
    # And the study's report tells of both.
    assert main(["report", "gtzan-3fold"]) == 0
    text = " ".join(Path("gtzan-3fold.md").read_text().replace("\\", "").split())
    metrics = run.data.metrics
    value, low, high = (metrics[f"test/track_accuracy{end}"] for end in ("", "_low", "_high"))
    assert f"track accuracy {value:.3f} [{low:.3f}, {high:.3f}] on 12 tracks" in text
    mean, std = (metrics[f"confirm/trial_0000/track_accuracy_{end}"] for end in ("mean", "std"))
    assert f"{mean:.3f} ± {std:.3f}" in text
    assert "confirmation, track, validation, 2 seeds" in text
