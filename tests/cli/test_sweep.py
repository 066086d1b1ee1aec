"""The experiments as their users run them: real processes, real studies, real runs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from safetensors.torch import load_file

from fourier.config import TrialConfig
from fourier.search.storage import open_storage
from fourier.tracking import Tracker

PROJECT = Path(__file__).parents[2]
GTZAN = PROJECT / "experiments" / "sweep_gtzan.py"
DEAM = PROJECT / "experiments" / "sweep_deam.py"
FEW_EPOCHS = ["--epochs", "2", "--device", "cpu"]


def start(script, *words):
    command = [sys.executable, str(script), *map(str, words)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def sweep_process(script, *words):
    process = start(script, *words)
    out, err = process.communicate(timeout=280)
    return process.returncode, out, err


def runs_of(experiment, **tags):
    tracker = Tracker.connect()
    found = tracker.client.get_experiment_by_name(experiment)
    if found is None:
        return []
    tags = {f"fourier.{key}": value for key, value in tags.items()}
    return tracker.find_runs(found.experiment_id, tags)


def study_of(name):
    return optuna.load_study(study_name=name, storage=open_storage(None))


def artifacts_of(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_a_sweep_leaves_a_parent_and_exactly_its_trials_and_goes_on_where_it_ended(
    sweep, workplace, tiny_gtzan
):
    words = ["--data", tiny_gtzan, "--protocol", "track", *FEW_EPOCHS]
    code, out, err = sweep(GTZAN, "--trials", 2, *words)
    assert (code, err) == (0, "")
    first = {run.info.run_id for run in runs_of("gtzan", kind="trial")}
    assert len(first) == 2

    code, out, _ = sweep(GTZAN, "--trials", 2, *words)  # the same command again adds nothing
    assert code == 0
    assert "2 of 2 trials done" in out
    assert {run.info.run_id for run in runs_of("gtzan", kind="trial")} == first

    code, out, _ = sweep(GTZAN, "--trials", 3, *words)  # a higher total adds the difference
    assert code == 0
    trials = runs_of("gtzan", kind="trial")
    assert len(trials) == 3
    assert first < {run.info.run_id for run in trials}
    (parent,) = runs_of("gtzan", kind="study")
    assert parent.info.status == "FINISHED"
    check_parent(parent)
    for run in trials:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        check_trial(run)
    check_baselines(runs_of("gtzan", kind="baseline"), {"majority", "logistic"})
    assert "majority" in out
    assert "http://127.0.0.1:5000/#/experiments/" in out


def check_trial(run):
    """Everything that a finished trial's run holds, the same as its trial says."""
    assert run.info.status == "FINISHED"
    folder = artifacts_of(run)
    stored = json.loads((folder / "config.json").read_text())
    config = TrialConfig.from_dict(stored["trial"])
    assert run.data.params["spectrogram.n_mels"] == str(config.spectrogram.n_mels)
    assert run.data.params["model.name"] == config.model.name
    assert config.training.epochs == 2
    (trial,) = [
        t for t in study_of("gtzan-track").trials if t.user_attrs["run_id"] == run.info.run_id
    ]
    assert run.data.tags["fourier.trial"] == str(trial.number)
    assert run.data.metrics["best/objective"] == trial.value
    curve = Tracker.connect().client.get_metric_history(run.info.run_id, "val/track_accuracy")
    assert [point.step for point in curve] == list(range(len(trial.intermediate_values)))
    assert run.data.metrics["best/track_accuracy"] == max(point.value for point in curve)
    assert load_file(folder / "weights.safetensors")
    predictions = pd.read_csv(folder / "predictions.csv")
    right = (predictions["label"] == predictions["predicted"]).mean()
    assert run.data.metrics["best/segment_accuracy"] == pytest.approx(right)
    assert (folder / "trial.png").read_bytes().startswith(b"\x89PNG")


def check_parent(parent):
    folder = artifacts_of(parent)
    table = pd.read_csv(folder / "trials.csv")
    assert table["trial"].tolist() == [0, 1, 2]
    assert "--trials 2" in parent.data.tags["fourier.command"]
    assert parent.data.tags["fourier.protocol"] == "track"
    assert parent.data.metrics["trials"] == 3
    assert parent.data.metrics["best/objective"] == table["objective"].max()
    assert set(pd.read_csv(folder / "baselines.csv")["baseline"]) == {"majority", "logistic"}


def check_baselines(runs, names):
    assert {run.info.run_name.removeprefix("baseline ") for run in runs} == names
    for run in runs:
        assert 0 <= run.data.metrics["best/track_accuracy"] <= 1


def test_a_study_by_folds_is_another_study_and_the_same_command_goes_on_with_it(
    sweep, workplace, tiny_deam
):
    words = ["--data", tiny_deam, "--protocol", "track", "--trials", 2, *FEW_EPOCHS]
    assert sweep(DEAM, *words, "--folds", 2)[0] == 0
    code, out, err = sweep(DEAM, *words, "--folds", 2)
    assert (code, err) == (0, "")
    assert "2 of 2 trials done" in out
    assert "2 folds of 8 tracks; 2 test tracks stay closed" in out
    (parent,) = runs_of("deam", kind="study")
    assert parent.info.run_name == "deam-track-2fold"
    assert parent.data.tags["fourier.folds"] == parent.data.params["folds"] == "2"
    trials = runs_of("deam", kind="trial")
    assert len(trials) == 2
    for run in trials:
        table = pd.read_csv(artifacts_of(run) / "predictions.csv")
        assert set(table["fold"]) == set(range(int(run.data.metrics["folds"])))
        assert not (artifacts_of(run) / "weights.safetensors").exists()
        assert (artifacts_of(run) / "trial.png").read_bytes().startswith(b"\x89PNG")
    assert sweep(DEAM, *words)[0] == 0  # without folds it is a study of its own
    assert len(runs_of("deam", kind="study")) == 2


def test_the_first_trial_is_the_genre_notebooks_network(sweep, workplace, tiny_gtzan):
    sweep(GTZAN, "--data", tiny_gtzan, "--protocol", "track", "--trials", 1, *FEW_EPOCHS)
    (run,) = runs_of("gtzan", kind="trial")
    config = TrialConfig.from_dict(
        json.loads((artifacts_of(run) / "config.json").read_text())["trial"]
    )
    assert (config.spectrogram.kind, config.spectrogram.n_mfcc) == ("mfcc", 13)
    assert config.model.hidden == (512, 256, 64)
    assert (config.training.lr, config.training.weight_decay) == (1e-4, 0)


def test_two_workers_share_a_study_and_leave_each_trial_once(workplace, tiny_deam):
    code, out, err = sweep_process(
        DEAM, "--data", tiny_deam, "--trials", 4, "--workers", 2, "--protocol", "track", *FEW_EPOCHS
    )
    assert code == 0, err
    study = study_of("deam-track")
    assert [trial.state.is_finished() for trial in study.trials] == [True] * 4
    assert sorted(trial.user_attrs["claim"]["slot"] for trial in study.trials) == [0, 1, 2, 3]
    assert len({trial.user_attrs["claim"]["owner"]["pid"] for trial in study.trials}) == 2
    runs = runs_of("deam", kind="trial")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert sorted(run.data.tags["fourier.trial"] for run in runs) == ["0", "1", "2", "3"]
    assert out.count("trial 000") >= 4


SPACE_OF_ONES_OWN = """
from fourier.cli.sweep import sweep_command
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.search.sweep import Space

def suggest(trial):
    fmax = trial.suggest_categorical("fmax", [8000, 20000])
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=16, fmax=fmax, n_fft=512),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(loss="cross_entropy", lr=1e-5, patience=0),
    )

space = Space(suggest, first=[{"fmax": 8000}, {"fmax": 20000}], epochs=EPOCHS)
raise SystemExit(sweep_command("gtzan", lambda: space, "Mine."))
"""


def write_space(folder, epochs):
    path = folder / "mine.py"
    path.write_text(SPACE_OF_ONES_OWN.replace("EPOCHS", str(epochs)))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_trial_cleanly_and_the_same_command_goes_on(number, workplace, tiny_gtzan):
    script = write_space(workplace, 10_000)
    process = start(script, "--trials", 1, "--data", tiny_gtzan, "--protocol", "track")
    deadline = time.monotonic() + 100
    while not runs_of("gtzan", kind="trial") and time.monotonic() < deadline:
        time.sleep(0.5)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    (trial,) = study_of("gtzan-track").trials
    assert trial.state == TrialState.FAIL
    assert "interrupted" in trial.user_attrs["lost"]
    (run,) = runs_of("gtzan", kind="trial")
    assert run.info.status == "KILLED"


def test_a_demo_corpus_is_made_when_none_is_named_and_never_passes_for_the_real_one(
    sweep, workplace
):
    code, out, err = sweep(GTZAN, "--trials", 1, "--epochs", 1, "--device", "cpu")
    assert code == 0, err
    assert out.startswith("Demo corpus")
    assert runs_of("gtzan") == []
    (run,) = runs_of("gtzan-demo", kind="trial")
    assert run.data.tags["fourier.demo"] == "true"
    assert study_of("gtzan-demo").user_attrs["setting"]["corpus"] == "gtzan-demo"


def test_a_dry_run_shows_the_plan_and_leaves_nothing_behind(sweep, workplace, tiny_deam, own_cache):
    before = sorted(path for folder in (workplace, own_cache) for path in folder.rglob("*"))
    code, out, err = sweep(DEAM, "--data", tiny_deam, "--protocol", "track", "--dry-run")
    assert code == 0, err
    assert "20 of 5 s from 10 tracks" in out
    assert "A dry run leaves nothing behind" in out
    after = sorted(path for folder in (workplace, own_cache) for path in folder.rglob("*"))
    assert after == before


WRONG = {
    "a missing folder": (["--data", "nowhere"], 1, "there is no folder nowhere"),
    "an empty folder": (["--data", "empty"], 1, "holds no genres/"),
    "no such device": (["--data", "TINY", "--device", "cuda:7"], 1, "use --device cpu"),
    "no device at all": (["--data", "TINY", "--device", "abacus"], 1, "is no device"),
    "a protocol of no task": (["--data", "TINY", "--protocol", "random"], 1, "must be one of"),
    "a storage that is away": (
        ["--data", "TINY", "--protocol", "track", "--storage", "postgresql://a:pw@127.0.0.1:1/x"],
        1,
        "--storage",
    ),
    "a metric of another task": (["--data", "TINY", "--objective", "ccc"], 2, "track_accuracy"),
    "no trials": (["--trials", "0"], 2, "--trials must be greater than 0"),
    "an unknown option": (["--speed", "9"], 2, "--speed"),
    "one fold": (["--folds", "1"], 2, "--folds must be 2 or greater"),
    "a pruner by epochs for folds": (["--folds", "3", "--pruner", "median"], 2, "--pruner median"),
    "a pruner by folds without": (["--pruner", "wilcoxon"], 2, "--pruner wilcoxon"),
    "more folds than tracks": (
        ["--data", "TINY", "--protocol", "track", "--folds", "99"],
        1,
        "ask for fewer folds",
    ),
    "no number": (["--trials", "many"], 2, "many"),
}


@pytest.mark.parametrize(("words", "code", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_half_written(
    sweep, words, code, text, workplace, tiny_gtzan
):
    (workplace / "empty").mkdir()
    words = [str(tiny_gtzan) if word == "TINY" else word for word in words]
    status, _, err = sweep(GTZAN, *words)
    assert status == code, err
    assert text in err
    assert "Traceback" not in err
    if code == 1:
        assert err.count("\n") == 1
    assert runs_of("gtzan") == []


def test_trials_of_another_corpus_are_not_mixed_into_a_study(
    sweep, workplace, tiny_gtzan, tmp_path
):
    words = ["--study", "mine", "--protocol", "track", *FEW_EPOCHS, "--trials", 1]
    assert sweep(GTZAN, "--data", tiny_gtzan, *words)[0] == 0
    code, _, err = sweep(GTZAN, "--data", tiny_gtzan, *words, "--seed", 1)
    assert code == 1
    assert "study 'mine' was begun with seed 0, not 1" in err


def test_a_space_of_ones_own_takes_a_few_lines_and_a_trial_that_fails_is_one_failed_trial(
    sweep, workplace, tiny_gtzan
):
    script = write_space(workplace, 1)
    code, out, err = sweep(
        script, "--data", tiny_gtzan, "--protocol", "track", "--trials", 3, "--device", "cpu"
    )
    assert code == 0, err
    assert "`fmax <= sample_rate / 2` must hold, but got (20000.0, 22050)" in out
    states = {run.data.tags["fourier.trial"]: run for run in runs_of("gtzan", kind="trial")}
    assert states["0"].info.status == "FINISHED"
    assert states["1"].info.status == "FAILED"
    assert "must hold" in states["1"].data.tags["fourier.reason"]
    text = (artifacts_of(states["1"]) / "traceback.txt").read_text()
    assert "spectrogram.py" in text
    assert study_of("gtzan-track").trials[1].state == TrialState.FAIL
