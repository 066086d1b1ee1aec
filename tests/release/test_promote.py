"""Promotions as their users run them: real studies, real registry, the command's own words."""

import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fourier.cli.main import main
from fourier.corpora import load_corpus
from fourier.release.confirm import Audience
from fourier.release.decision import decide
from fourier.release.export import load_program
from fourier.release.heldout import OPENED
from fourier.release.locate import load_predictor
from fourier.release.plan import choose_study, plan_promotion
from fourier.release.promote import promote
from fourier.release.registry import Registry
from fourier.release.statistics import Comparison, Interval
from fourier.tracking import Tracker

from .studies import open_experiment, run_sweep

QUICK = ["--top", "2", "--seeds", "2", "--yes"]
ONE = ["--top", "1", "--seeds", "1", "--yes"]


def versions(model="fourier-gtzan"):
    return Registry.connect(Tracker.connect()).versions(model)


def aliases(model="fourier-gtzan"):
    return {alias: version.number for version in versions(model) for alias in version.aliases}


def promotions():
    tracker = Tracker.connect()
    experiment = tracker.client.get_experiment_by_name("gtzan")
    return tracker.find_runs(experiment.experiment_id, {"fourier.kind": "promotion"})


def study_run(name):
    tracker = Tracker.connect()
    experiment = tracker.client.get_experiment_by_name("gtzan")
    tags = {"fourier.kind": "study", "fourier.study": name}
    (run,) = tracker.find_runs(experiment.experiment_id, tags)
    return run


def everything(folder):
    """What the stores hold, to see that nothing was changed."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = {
            name: database.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608  its own name
            for (name,) in tables
        }
    return rows, (folder / "mlruns" / "studies.journal").read_bytes()


def interval(value, low, high):
    return Interval(value, low, high)


DECISIONS = {
    "nobody reigns": (None, 40, True, "there is no champion yet"),
    "more than noise": (interval(0.1, 0.01, 0.2), 40, True, "lies above zero"),
    "better, but perhaps by chance": (interval(0.1, -0.01, 0.2), 40, False, "does not lie above"),
    "the interval ends at zero": (interval(0.1, 0.0, 0.2), 40, False, "does not lie above"),
    "worse": (interval(-0.1, -0.2, -0.01), 40, False, "does not lie above zero"),
    "too few tracks": (interval(0.1, 0.01, 0.2), 9, True, "too few to trust"),
}


@pytest.mark.parametrize(("gain", "tracks", "moves", "reason"), DECISIONS.values(), ids=DECISIONS)
def test_the_alias_moves_for_a_gain_that_is_more_than_noise(gain, tracks, moves, reason):
    own = {"ccc": interval(0.5, 0.4, 0.6)}
    comparison = Comparison("ccc", own, own if gain else {}, gain, tracks, 100)
    decision = decide(comparison, "fourier-deam version 3" if gain else "")
    assert decision.moves is moves
    assert reason in decision.reason


@pytest.fixture
def promoted(swept, capsys):
    """The study `gtzan` promoted by the command line, and what it said."""
    assert main(["promote", "gtzan", *swept.words, *QUICK]) == 0
    return swept, capsys.readouterr().out


def test_a_promotion_leaves_a_champion_that_says_what_it_is(promoted):
    swept, out = promoted
    assert aliases() == {"champion": 1}
    (version,) = versions()
    (run,) = promotions()
    assert "fourier-gtzan version 1 is champion: there is no champion yet" in out
    assert re.search(r"^ \d{4} .* winner *$", out, re.MULTILINE)
    check_tags(version, run)
    check_evidence(run)
    check_card(version, run)
    check_program(swept, run)
    before = everything(swept.folder)
    assert main(["promote", "gtzan", *swept.words, *QUICK]) == 0
    assert everything(swept.folder) == before


def check_tags(version, run):
    assert run.info.status == "FINISHED"
    assert run.data.tags["fourier.state"] == "champion"
    assert run.data.tags["mlflow.parentRunId"] == study_run("gtzan").info.run_id
    assert version.run_id == run.info.run_id
    assert version.tags["fourier.study"] == "gtzan"
    assert version.tags["fourier.trial"] == run.data.tags["fourier.trial"]
    assert version.tags["fourier.test_tracks"] == "12"
    figure = f"{run.data.metrics['test/track_accuracy']:.3f}"
    assert version.tags["test/track_accuracy"].startswith(figure)
    opened = run.data.tags[OPENED]
    assert version.tags["fourier.test_opened"] == opened
    assert study_run("gtzan").data.tags[OPENED] == opened
    assert OPENED not in study_run("idle").data.tags


def check_evidence(run):
    """The figures follow from the predictions, and the predictions are of the test part alone."""
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    names = {path.name for path in folder.iterdir()}
    assert names >= {"confirmation.csv", "seeds.csv", "card.md", "config.json", "decision.json"}
    for picture in ("confirmation.png", "test.png", "trial.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(folder / "confirmation.csv")
    seeds = pd.read_csv(folder / "seeds.csv")
    assert len(table) == 2
    assert len(seeds) == 4
    means = seeds.groupby("trial")["track_accuracy"].mean()
    assert table["track_accuracy_mean"].tolist() == pytest.approx(means[table["trial"]].tolist())
    test, valid = (pd.read_csv(folder / f"{n}predictions.csv") for n in ("test_", ""))
    assert len(test) == 12
    assert set(test["track"]).isdisjoint(valid["track"])
    right = (test["label"] == test["predicted"]).mean()
    assert run.data.metrics["test/segment_accuracy"] == pytest.approx(right)
    decision = json.loads((folder / "decision.json").read_text())
    assert decision["moves"] is True
    assert decision["winner"]["segment_accuracy"]["value"] == pytest.approx(right)
    assert decision["champion"] == {}


def check_card(version, run):
    client = Tracker.connect().client
    card = client.get_model_version(version.model, str(version.number)).description
    assert len(card) <= 5000
    for text in (
        "# fourier-gtzan",
        "Limits of use",
        "60/20/20 by track",
        run.info.run_id,
        run.data.tags["fourier.trial_run"],
        run.data.tags["fourier.corpus_digest"],
        "for the first time",
        version.tags["test/track_accuracy"],
        "baseline: logistic",
    ):
        assert text in card, text


def check_program(swept, run):
    """The champion hears files as the promotion measured it on the stored clips."""
    predictor = load_predictor("models:/fourier-gtzan@champion", task="gtzan")
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    row = pd.read_csv(folder / "test_predictions.csv").iloc[0]
    corpus = load_corpus(swept.data)
    frame = predictor.predict(corpus.root / corpus.tracks.at[row["track"], "path"])
    columns = [f"p_{name}" for name in corpus.classes]
    measured = row[columns].to_numpy(dtype=float)
    assert frame[columns].to_numpy()[0] == pytest.approx(measured, abs=1e-4)


def test_the_crown_passes_to_the_better_and_back_and_never_to_an_equal(swept, capsys):
    def say(*words):
        assert main([*words]) == 0
        return capsys.readouterr().out

    say("promote", "gtzan", *swept.words, "--study", "idle", *ONE)
    assert aliases() == {"champion": 1}
    out = say("promote", "gtzan", *swept.words, *QUICK)
    assert "opened once before" in out
    assert aliases() == {"champion": 2, "previous": 1}
    first = next(version for version in versions() if version.number == 1)
    second = next(version for version in versions() if version.number == 2)
    assert first.tags["fourier.succeeded_in"] == second.run_id
    assert (
        first.tags["fourier.succeeded/test/track_accuracy"] == first.tags["test/track_accuracy"]
    )  # the same program on the same clips
    assert second.tags["fourier.gain_over"] == "fourier-gtzan version 1"

    out = say("promote", "gtzan", *swept.words, "--study", "idle-too", *ONE)
    assert "version 3 is not champion: fourier-gtzan version 2 stays" in out
    assert aliases() == {"champion": 2, "previous": 1}
    losing = promotions()[-1]
    assert losing.data.metrics["gain/track_accuracy_low"] < 0
    folder = Path(losing.info.artifact_uri.removeprefix("file://"))
    assert json.loads((folder / "decision.json").read_text())["moves"] is False
    assert (folder / "test_champion.png").exists()

    out = say("rollback", "gtzan")
    assert "champion was version 2 and is now version 1" in out
    assert aliases() == {"champion": 1, "previous": 2}
    out = say("models")
    lines = [line.split() for line in out.splitlines() if line.startswith("fourier-gtzan")]
    assert [line[:3] for line in lines] == [
        ["fourier-gtzan", "3", "track_accuracy"],
        ["fourier-gtzan", "2", "previous"],
        ["fourier-gtzan", "1", "champion"],
    ]


def test_a_dry_run_shows_the_plan_and_changes_nothing(swept, capsys):
    before = everything(swept.folder)
    assert main(["promote", "gtzan", *swept.words, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "3 trials with 5 seeds each" in out
    assert "12 tracks, never opened before" in out
    assert "the test part stays closed" in out
    assert everything(swept.folder) == before


def test_a_registration_that_fails_leaves_no_model_and_a_run_that_says_why(swept, capsys):
    with sqlite3.connect(swept.folder / "mlflow.db") as database:
        database.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON registered_model_aliases "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    assert main(["promote", "gtzan", *swept.words, "--study", "idle", *ONE]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "could not be registered" in err
    assert "the disk is full" in err
    assert versions() == []
    (run,) = promotions()
    assert (run.info.status, run.data.tags["fourier.state"]) == ("FAILED", "failed")
    assert "disk is full" in run.data.tags["fourier.reason"]
    assert OPENED in run.data.tags  # it was opened, and that stays on record


def test_an_interruption_while_training_leaves_nothing(swept):
    class Impatient(Audience):
        def attempt_ends(self, *_):
            raise KeyboardInterrupt

    before = everything(swept.folder)
    shared = choose_study("gtzan", "gtzan", None, None)
    experiment = open_experiment(swept.data, swept.cache)
    plan = plan_promotion(Tracker.connect(), shared, experiment, top=1, seeds=1)
    with pytest.raises(KeyboardInterrupt):
        promote(plan, Impatient())
    assert everything(swept.folder) == before


def test_a_promotion_that_was_cut_off_before_its_aliases_is_finished_by_the_next(promoted, capsys):
    swept, _ = promoted
    client = Tracker.connect().client
    client.delete_registered_model_alias("fourier-gtzan", "champion")
    client.delete_model_version_tag("fourier-gtzan", "1", "fourier.settled")
    assert main(["promote", "gtzan", *swept.words, *QUICK]) == 0
    assert "Finished the promotion of fourier-gtzan version 1" in capsys.readouterr().out
    assert aliases() == {"champion": 1}
    assert len(versions()) == 1


def test_the_experiment_still_knows_no_label_of_the_test_part(swept):
    experiment = open_experiment(swept.data, swept.cache)
    hidden = experiment.targets.numpy()[(experiment.parts == "test").to_numpy()]
    assert hidden.tolist() == [-1] * 12


def test_only_the_release_reads_the_labels_of_the_test_part():
    """No other room even asks for the rows of the test part."""
    package = Path(main.__code__.co_filename).parents[1]
    asks = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if '== "test"' in path.read_text() or "open_held_out" in path.read_text()
    }
    assert asks <= {"release"}


WRONG = {
    "no such study": (["--study", "nope"], "no study 'nope'.*gtzan"),
    "no such folder": (["--data", "nowhere"], "there is no folder nowhere"),
    "nobody to be asked": ([], "nobody is there to be asked; add --yes"),
    "no such device": (["--device", "abacus"], "is no device"),
    "another storage": (["--storage", "other.journal"], "no study of gtzan was run"),
}


@pytest.mark.parametrize(("words", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_changes_nothing(words, text, swept, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    before = everything(swept.folder)
    assert main(["promote", "gtzan", *swept.words, *words]) == 1
    check_one_line(capsys.readouterr().err, text)
    assert everything(swept.folder) == before


class Person(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self):
        return True


def test_whoever_is_there_is_asked_and_may_say_no(swept, capsys, monkeypatch):
    before = everything(swept.folder)
    monkeypatch.setattr(sys, "stdin", Person("n\n"))
    assert main(["promote", "gtzan", *swept.words]) == 1
    assert "open the test part and register the winner? [y/N]" in capsys.readouterr().out
    assert everything(swept.folder) == before


def check_one_line(err, text):
    assert err.count("\n") == 1, err
    assert re.search(text, err), err


def test_without_any_sweep_it_says_what_to_type(workplace, capsys):
    assert main(["promote", "gtzan", "--yes"]) == 1
    check_one_line(capsys.readouterr().err, "run `python experiments/sweep_gtzan.py`")
    assert main(["rollback", "gtzan"]) == 1
    check_one_line(capsys.readouterr().err, "fourier-gtzan has no champion.*fourier promote gtzan")
    assert main(["models"]) == 0
    assert "No model is registered yet" in capsys.readouterr().out


def test_the_real_study_is_not_promoted_with_the_demo_corpus(swept, capsys):
    assert main(["promote", "gtzan", "--yes", "--cache", str(swept.cache)]) == 1
    check_one_line(capsys.readouterr().err, "no study was run on gtzan-demo.*gtzan.*--data")


def test_a_study_without_a_finished_trial_is_refused(swept, capsys):
    experiment = open_experiment(swept.data, swept.cache)
    run_sweep(experiment, "fails", loss="mse", trials=1)  # no loss of this task
    before = everything(swept.folder)
    assert main(["promote", "gtzan", *swept.words, "--study", "fails", *ONE]) == 1
    check_one_line(capsys.readouterr().err, "'fails' has no finished trial.*run its sweep first")
    assert everything(swept.folder) == before


def test_a_study_of_the_other_task_is_refused(swept, tiny_deam, capsys):
    before = everything(swept.folder)
    words = ["--data", str(tiny_deam), "--cache", str(swept.cache), "--study", "gtzan"]
    assert main(["promote", "deam", *words, *ONE]) == 1
    check_one_line(capsys.readouterr().err, "'gtzan' is of task gtzan, not deam")
    assert everything(swept.folder) == before


def test_another_corpus_than_the_studys_is_refused_with_both_digests(swept, tiny_gtzan, capsys):
    shared, before = choose_study("gtzan", "gtzan", None, None), everything(swept.folder)
    words = ["--data", str(tiny_gtzan), "--cache", str(swept.cache), *ONE]
    assert main(["promote", "gtzan", *words]) == 1
    err = capsys.readouterr().err
    check_one_line(err, "'gtzan' was made with corpus gtzan")
    assert shared.setting.corpus_digest in err
    assert load_corpus(tiny_gtzan).digest in err
    assert everything(swept.folder) == before


def test_a_small_test_part_is_refused_unless_forced(workplace, tiny_gtzan, tmp_path, capsys):
    experiment = open_experiment(tiny_gtzan, tmp_path / "cache")
    run_sweep(experiment, "gtzan", trials=1)
    words = ["--data", str(tiny_gtzan), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    assert main(["promote", "gtzan", *words, *ONE]) == 1
    check_one_line(capsys.readouterr().err, "leaves 3 test tracks.*10 at least.*--force")
    assert promotions() == []
    assert main(["promote", "gtzan", *words, *ONE, "--force"]) == 0
    assert "too few to trust; --force was given" in capsys.readouterr().out
    assert aliases() == {"champion": 1}


def test_a_study_without_a_test_part_is_refused_even_if_forced(
    workplace, tiny_gtzan, tmp_path, capsys
):
    experiment = open_experiment(tiny_gtzan, tmp_path / "cache", "crossval", folds=2)
    run_sweep(experiment, "gtzan", trials=1)
    words = ["--data", str(tiny_gtzan), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    assert main(["promote", "gtzan", *words, *ONE, "--force"]) == 1
    check_one_line(capsys.readouterr().err, "crossval, which has no test part.*another --protocol")
    assert promotions() == []


def test_a_champion_that_may_know_the_test_part_is_refused_unless_forced(
    workplace, small_gtzan, tiny_gtzan, tmp_path, capsys
):
    for name, root in (("one", tiny_gtzan), ("two", small_gtzan)):
        run_sweep(open_experiment(root, tmp_path / "cache"), name, trials=1)
    words = ["--cache", str(tmp_path / "cache"), "--device", "cpu", *ONE]
    small = ["--data", str(tiny_gtzan), "--study", "one"]
    assert main(["promote", "gtzan", *small, *words, "--force"]) == 0
    capsys.readouterr()
    other = ["--data", str(small_gtzan), "--study", "two"]
    assert main(["promote", "gtzan", *other, *words]) == 1
    err = capsys.readouterr().err
    check_one_line(err, "champion fourier-gtzan version 1 was trained on .*--force")
    assert len(versions()) == 1


def test_a_champion_that_answers_another_question_is_refused(promoted, capsys, tmp_path):
    """Somebody registered a model of two genres under the name of the one with three."""
    swept, _ = promoted
    two = tmp_path / "two"
    shutil.copytree(swept.data, two)
    shutil.rmtree(two / "genres" / "rock")
    experiment = open_experiment(two, tmp_path / "cache")
    run_sweep(experiment, "two", trials=1)
    words = ["--data", str(two), "--study", "two", "--cache", str(tmp_path / "cache"), *ONE]
    assert main(["promote", "gtzan", *words, "--device", "cpu", "--force"]) == 1
    check_one_line(capsys.readouterr().err, "champion fourier-gtzan version 1 cannot be compared")


def test_a_server_that_does_not_answer_is_one_line_within_seconds(swept, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for command in (["promote", "gtzan", *swept.words, *ONE], ["models"], ["rollback", "gtzan"]):
        assert main(command) == 1
        check_one_line(capsys.readouterr().err, "no MLflow server answers at http://127.0.0.1:9")


def test_a_registry_that_does_not_answer_is_one_line_and_changes_nothing(
    swept, monkeypatch, capsys
):
    before = everything(swept.folder)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    song = next(swept.data.rglob("*.wav"))
    for command in (
        ["promote", "gtzan", *swept.words, *ONE],
        ["models"],
        ["rollback", "gtzan"],
        ["predict", str(song), "--task", "gtzan"],
        ["predict", str(song), "--model", "models:/fourier-gtzan/1"],
    ):
        assert main(command) == 1
        check_one_line(capsys.readouterr().err, "127.0.0.1:9.*unset MLFLOW_REGISTRY_URI")
    assert everything(swept.folder) == before


def test_help_answers_without_loading_torch():
    code = "import sys, fourier.cli.main as m; sys.exit(any(x in sys.modules for x in ['torch', "
    code += "'mlflow', 'optuna', 'pandas', 'matplotlib']))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_exported_file_in_the_registry_is_the_program_that_was_measured(promoted):
    from mlflow.artifacts import download_artifacts

    (run,) = promotions()
    path = download_artifacts("models:/fourier-gtzan/1/data/model.pt2")
    program = load_program(Path(path))
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    stored = json.loads((folder / "config.json").read_text())
    assert program.metadata["trial"] == stored["trial"]
    answers = program.predict(np.zeros((3, program.samples), np.float32))
    assert answers.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
