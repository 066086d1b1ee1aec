"""``fourier report``: real studies, and whether the page says what they say."""

import contextlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from fourier.cli.main import main
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.report.write import default_page
from fourier.search.sweep import Plan, Space, Sweep, best_trials
from fourier.search.watch import Watcher
from fourier.tracking import Tracker
from fourier.training import Experiment

NASTY = "<script>alert('x')</script> & \"q\" | `tick` [a](b) ![i](j)"
TRIALS, EPOCHS = 12, 2


def suggest(trial):
    return TrialConfig(
        spectrogram=SpectrogramConfig(
            n_mels=trial.suggest_categorical("n_mels", [12, 16]),
            n_fft=512,
            hop_length=512,
            fmax=8000,
            normalization=trial.suggest_categorical("normalization", ["unit", "standardize"]),
        ),
        model=MLPConfig(hidden=(8,)),
        training=TrainingConfig(
            loss="cross_entropy", lr=trial.suggest_float("lr", 1e-6, 3e-2, log=True), batch_size=8
        ),
    )


SPACE = Space(
    suggest, first=[{"n_mels": 12, "normalization": "standardize", "lr": 1e-2}], epochs=EPOCHS
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def sweep(root, cache, name="s", protocol="track", trials=TRIALS, folds=0):
    experiment = Experiment.open(
        load_corpus(root),
        protocol=protocol,
        objective=None,
        cache=cache,
        device=torch.device("cpu"),
        folds=folds,
        jobs=1,
    )
    plan = Plan(study=name, pruner="none", epochs=EPOCHS)
    opened = Sweep.open(experiment, SPACE, plan, Watcher())
    opened.run(trials)
    opened.finish()
    return opened


def report(name="s", *words):
    assert main(["report", name, "--output", "r.html", *words]) == 0
    return Path("r.html").read_text(), Path("r.md").read_text()


class Reader(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.style, self._in = [], [], [], "", ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._in = tag

    def handle_endtag(self, _tag):
        self._in = ""

    def handle_data(self, data):
        if self._in == "style":
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer"),
    *("h1", "h2", "p", "div", "pre", "code", "figure", "figcaption"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "line", "rect", "circle", "path", "text"),
}


def check_self_contained(page):
    reader = Reader(page)
    assert set(reader.tags) <= ALLOWED
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name, value)
        assert name not in ("src", "href", "xlink:href", "srcset", "action", "style"), (tag, name)
    assert any("default-src 'none'" in (value or "") for _, _, value in reader.attributes)
    assert not re.search(r"url\(|@import|expression", reader.style)
    assert "http://" not in page
    assert "https://" not in page
    return reader


def rows_of(markdown, title):
    """The cells of the first table under a heading."""
    part = markdown[markdown.index(f"## {title}") :].split("\n## ")[0]
    lines = [each for each in part.split("\n") if each.startswith("|")]
    table = [[cell.strip() for cell in each.strip("|").split(" | ")] for each in lines]
    return table[0], table[2:]


@pytest.fixture(scope="module")
def swept_once(tmp_path_factory, empty_tracking_database, tiny_gtzan, cache):
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(empty_tracking_database, folder / "mlflow.db")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return folder, sweep(tiny_gtzan, cache)


@pytest.fixture
def swept(swept_once, tmp_path, monkeypatch):
    """A study of twelve trials in a working directory of the test's own."""
    folder, opened = swept_once
    for part in folder.glob("mlflow.db*"):  # its write-ahead log holds the latest
        shutil.copy(part, tmp_path)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(folder / "mlruns" / "studies.journal", tmp_path / "mlruns")
    monkeypatch.chdir(tmp_path)
    return opened


def test_the_page_holds_everything_itself_and_its_figures_are_the_studys(swept, tiny_gtzan, cache):
    page, markdown = report()
    reader = check_self_contained(page)
    best = best_trials(swept.shared, 8)
    columns, rows = rows_of(markdown, "How it was found")
    assert columns[1:5] == ["track accuracy", "track f1", "segment accuracy", "log loss"]
    names = [column.replace(" ", "_") for column in columns[1:5]]
    for trial, row in zip(best, rows, strict=False):
        assert row[0] == f"{trial.number:04d}"
        assert row[1:5] == [f"{trial.user_attrs['metrics'][name]:.3f}" for name in names]
    floors = {row[-1]: row[1] for row in rows if row[0] == "baseline"}
    assert floors == {k: f"{v['track_accuracy']:.3f}" for k, v in swept.baselines.items()}
    value = f"{best[0].user_attrs['metrics']['track_accuracy']:.3f}"
    assert f"{value} track accuracy: the best of {TRIALS} trials" in reader.text
    digest = swept.experiment.corpus.digest
    for fact in ("which network hear genre best", "12 trials: 12 complete", digest):
        assert fact in reader.text
    # Every trial is a dot, and says its figure.
    for trial in swept.shared.trials:
        figure = trial.user_attrs["metrics"]["track_accuracy"]
        said = f"trial {trial.number}: track_accuracy {figure:.3f}"
        assert said in reader.text


def test_what_is_missing_is_said_with_what_to_type(swept):
    page, _ = report()
    text = Reader(page).text
    run = best_trials(swept.shared, 1)[0].user_attrs["run_id"]
    assert f"fourier evaluate {run} --data DIR --folds 5 --seeds 3" in text
    assert f"fourier evaluate {run} --data DIR --folds 5 --seeds 3 --leaky" in text
    assert "fourier promote gtzan --study s --data DIR" in text
    assert f"fourier reproduce {run} --data DIR" in text
    assert "Closed. No trial" in text
    assert "Energy is not told by this device." in text


def test_an_evaluation_becomes_the_headline_with_its_own_floor(swept, tiny_gtzan, cache):
    run = best_trials(swept.shared, 1)[0].user_attrs["run_id"]
    words = ["--data", str(tiny_gtzan), "--cache", str(cache), "--device", "cpu", "--jobs", "1"]
    words += ["--folds", "2", "--seeds", "2"]
    assert main(["evaluate", run, *words]) == 0
    assert main(["evaluate", run, *words, "--leaky"]) == 0
    tracker = Tracker.connect()
    found = tracker.find_runs(swept.record.experiment_id, {"fourier.kind": "evaluation"})
    leaky, honest = sorted(found, key=lambda each: "fourier.leaky" not in each.data.tags)
    page, markdown = report()
    text = check_self_contained(page).text
    means = {
        name: f"{each.data.metrics['mean/track_accuracy']:.3f} ± "
        f"{each.data.metrics['std/track_accuracy']:.3f}"
        for name, each in (("honest", honest), ("leaky", leaky))
    }
    head = markdown[: markdown.index("## How it was found")]
    assert f"**{means['honest']}** track accuracy: 2 folds × 2 seeds" in head
    gain = leaky.data.metrics["mean/track_accuracy"] - honest.data.metrics["mean/track_accuracy"]
    assert f"{means['leaky']} on the same clips" in text
    assert f"The difference, {gain:+.3f}" in text
    floor = honest.data.metrics["baseline/logistic/track_accuracy"]
    assert f"(logistic, {floor:.3f})" in text
    _, rows = rows_of(markdown, "How much is the seed")
    assert [row[1] for row in rows] == [means["honest"]]  # a leaky figure is none to go by


def test_both_files_are_artifacts_of_the_studys_run(swept):
    page, markdown = report()
    run = swept.record.parent.id
    tracker = Tracker.connect()
    assert tracker.read_artifact(run, "report.html") == page
    assert tracker.read_artifact(run, "report.md") == markdown
    assert tracker.read_artifact(run, "no such file") is None


def test_a_name_that_is_meant_to_do_harm_is_shown_and_does_none(workplace, tiny_gtzan, cache):
    swept = sweep(tiny_gtzan, cache, NASTY, trials=2)
    Tracker.connect().client.set_tag(swept.record.parent.id, "fourier.command", f"x.py {NASTY}")
    page, markdown = report(NASTY)
    reader = check_self_contained(page)
    assert NASTY in reader.text.replace("  ", " ")
    outside = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    for mark in ("<script", "[a](b)", "![i]"):
        assert re.search(r"(?<!\\)" + re.escape(mark), outside) is None
    assert main(["report", NASTY]) == 0
    (written,) = [path for path in Path().glob("*.html") if path.name != "r.html"]
    assert re.fullmatch(r"[\w.+-]+\.html", written.name)


def test_energy_is_told_where_the_device_tells(swept):
    from dataclasses import replace

    from fourier.report.facts import cost_section
    from fourier.report.findings import gather

    findings = gather(Tracker.connect(), "s", None)
    lines = [replace(each, joules=1500.0, energy_source="NVML") for each in findings.trials]
    text, table, *_ = cost_section(replace(findings, trials=lines))
    assert "Energy as told by NVML." in text.words
    assert list(table.rows[1]) == ["energy", "1.50 kJ", "1.50 kJ", "18.00 kJ"]


def test_a_leaky_study_is_marked_so_and_named_beside_an_honest_one(workplace, tiny_gtzan, cache):
    sweep(tiny_gtzan, cache, "honest", trials=2)
    leaky = sweep(tiny_gtzan, cache, "leaky", protocol="segment", trials=2)
    page, _ = report("leaky")
    assert "Leaky split: under protocol segment" in Reader(page).text
    text = Reader(report("honest")[0]).text
    assert "Leaky split" not in text
    best = best_trials(leaky.shared, 1)[0].user_attrs["metrics"]["track_accuracy"]
    assert f"Study leaky, under segment, found {best:.3f}" in text


def test_a_study_by_folds_says_so(workplace, tiny_gtzan, cache):
    sweep(tiny_gtzan, cache, trials=2, folds=2)
    text = Reader(report()[0]).text
    assert "Each was trained on 2 folds" in text
    assert "on the same 2 folds" in text
    assert "2 folds of 15 tracks; 3 test tracks stay closed" in text


def test_a_regression_is_told_in_its_own_figures(workplace, tiny_deam, cache):
    def moods(trial):
        config = suggest(trial)
        training = TrainingConfig(loss="mse", lr=config.training.lr, batch_size=8)
        return TrialConfig(spectrogram=config.spectrogram, model=config.model, training=training)

    experiment = Experiment.open(
        load_corpus(tiny_deam),
        protocol="track",
        objective="rmse",
        cache=cache,
        device=torch.device("cpu"),
        jobs=1,
    )
    plan = Plan(study="s", pruner="none", epochs=EPOCHS)
    opened = Sweep.open(experiment, Space(moods, SPACE.first, EPOCHS), plan, Watcher())
    opened.run(3)
    opened.finish()
    page, markdown = report()
    text = check_self_contained(page).text
    assert "valence and arousal best?" in text
    assert "rmse: less is better" in text
    assert "annotated arousal" in text
    _, rows = rows_of(markdown, "How it was found")
    values = [float(row[1]) for row in rows if row[0] != "baseline"]
    assert values == sorted(values)


WRONG = {
    "an unknown study": (["nothing"], "there is no study 'nothing'; there are: s"),
    "a folder that cannot be": (["s", "--output", "/proc/no/r.html"], "another with --output"),
}


@pytest.mark.parametrize(("words", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(words, text, workplace, tiny_gtzan, cache, capsys):
    sweep(tiny_gtzan, cache, trials=1)
    assert main(["report", *words]) == 1
    err = capsys.readouterr().err
    assert text in err
    assert err.count("\n") == 1


def test_a_study_without_a_figure_is_one_line(workplace, tiny_gtzan, cache, capsys):
    sweep(tiny_gtzan, cache, trials=0)
    assert main(["report", "s"]) == 1
    assert (
        "no trial of study 's' has come to a figure; run its sweep first" in capsys.readouterr().err
    )


NAMES = {
    "gtzan-track": "gtzan-track.html",
    "a b": r"a_b-\w{16}.html",
    "../../etc": r"_\.+_etc-\w{16}.html",
}


@pytest.mark.parametrize(("study", "file"), NAMES.items())
def test_a_page_lies_in_the_folder_and_is_called_like_its_study(study, file):
    assert re.fullmatch(file, str(default_page(study)))
    assert default_page("x" * 300).name.startswith("x" * 80)
    assert len(default_page("x" * 300).name) < 120
