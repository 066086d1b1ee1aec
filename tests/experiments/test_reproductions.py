"""The documents' experiments as their users run them, on corpora of seconds."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import torch
from optuna.trial import FixedTrial

from fourier.cli.announce import left_out_lines
from fourier.cli.reproduction import ended, mean_and_std
from fourier.config import TrialConfig
from fourier.corpora import load_gtzan
from fourier.corpora.corpus import left_out_frame
from fourier.errors import CorpusError
from fourier.features.spectrogram import Spectrogram
from fourier.models import build_model
from fourier.tracking import Tracker

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
QUICK = ["--device", "cpu", "--jobs", "1"]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def reproduce(monkeypatch, capsys, workplace):
    """Runs an experiment in this process; exit code, output, errors."""

    def run(name, *words):
        script = EXPERIMENTS / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words), *QUICK])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(script), run_name="__main__")
        return end.value.code, *capsys.readouterr()

    return run


def parts_of_script(name):
    return runpy.run_path(str(EXPERIMENTS / f"{name}.py"))


def runs_of(experiment):
    """The parent and its children by name."""
    tracker = Tracker.connect()
    found = tracker.client.get_experiment_by_name(experiment)
    if found is None:
        return None, {}
    runs = tracker.find_runs(found.experiment_id, {})
    (parent,) = [run for run in runs if run.data.tags["fourier.kind"] == "reproduction"]
    children = {run.info.run_name: run for run in runs if run is not parent}
    for run in children.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"
    assert parent.info.status == "FINISHED"
    return parent, children


def artifacts_of(run):
    return Path(run.info.artifact_uri.removeprefix("file://"))


def test_the_genre_notebook_runs_under_both_splits_and_the_inflation_is_the_headline(
    reproduce, tiny_gtzan, tmp_path
):
    data = tmp_path / "with a bad file"
    shutil.copytree(tiny_gtzan, data)
    (data / "genres" / "rock" / "rock.00099.wav").write_bytes(b"RIFF no music")
    code, out, err = reproduce("genre_notebook", "--data", data, "--seeds", 2, "--epochs", 3)
    assert (code, err) == (0, "")
    assert "left out  rock.00099: " in out

    parent, children = runs_of("genre-notebook")
    leaky = {f"random segments (leaky), seed {seed}" for seed in (0, 1)}
    assert set(children) == leaky | {f"by track, seed {seed}" for seed in (0, 1)}
    for name, run in children.items():
        assert run.data.tags.get("fourier.leaky") == ("true" if name in leaky else None)
        stored = json.loads((artifacts_of(run) / "config.json").read_text())
        config = TrialConfig.from_dict(stored["trial"])
        assert (config.training.epochs, config.spectrogram.n_mfcc) == (3, 13)
        assert str(config.training.seed) == run.data.tags["fourier.seed"] == name[-1]
        curve = Tracker.connect().client.get_metric_history(run.info.run_id, "val/segment_accuracy")
        assert [point.step for point in curve] == [0, 1, 2]
        assert run.data.metrics["final/segment_accuracy"] == curve[-1].value

    table = pd.read_csv(artifacts_of(parent) / "results.csv")
    assert table["leaky"].tolist() == [True, True, False, False]
    means = table.groupby("split")["segment_accuracy"].mean()
    inflation = means["random-segments"] - means["random-tracks"]
    assert parent.data.metrics["inflation"] == pytest.approx(inflation)
    assert f"Inflation by the leaky split: {inflation:.3f}" in out
    left_out = pd.read_csv(artifacts_of(parent) / "left_out.csv")
    assert "rock.00099" in left_out["item"].tolist()
    assert (artifacts_of(parent) / "inflation.png").read_bytes().startswith(b"\x89PNG")


def test_the_notebooks_network_features_and_optimizer_are_its_own():
    notebook = parts_of_script("genre_notebook")["NOTEBOOK"]
    heard = Spectrogram(notebook.spectrogram, 22_050)
    frames = heard.frames(66_150)
    network = build_model(notebook.model, bands=13, frames=frames, outputs=10)
    shapes = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
    assert shapes == [(512, 1690), (256, 512), (64, 256), (10, 64)]
    assert sum(p.numel() for p in network.parameters()) == 1_014_218

    rng = np.random.default_rng(0)
    wave = (0.2 * rng.standard_normal(66_150) * np.linspace(0, 1, 66_150)).astype(np.float32)
    theirs = librosa.feature.mfcc(y=wave, sr=22_050, n_fft=2048, n_mfcc=13, hop_length=512)
    ours = heard(torch.from_numpy(wave)[None])[0].numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)

    training = notebook.training
    plain = (training.weight_decay, training.schedule, training.clip_norm, training.patience)
    assert (training.lr, training.batch_size, training.epochs) == (1e-4, 32, 50)
    assert plain == (0.0, "constant", 0.0, 0)
    assert training.mixup == training.freq_mask == training.label_smoothing == 0


@pytest.mark.parametrize(
    ("script", "sweep", "name"),
    [("genre_notebook", "sweep_gtzan", "NOTEBOOK"), ("deam_first_cnn", "sweep_deam", "FIRST")],
)
def test_a_sweep_begins_with_the_documents_features_and_network(script, sweep, name):
    config = parts_of_script(script)[name]
    space = parts_of_script(sweep)["space"]()
    first = space.suggest(FixedTrial(dict(space.first[0])))
    assert (config.spectrogram, config.model) == (first.spectrogram, first.model)


def test_the_notebooks_split_mixes_tracks_and_the_other_does_not(tiny_gtzan):
    corpus, splits = load_gtzan(tiny_gtzan), parts_of_script("genre_notebook")["SPLITS"]
    clips = corpus.clips[corpus.clips["start"] < 6].reset_index(drop=True)
    shared = {}
    for name, split in splits.items():
        parts = split(corpus, clips, 0)
        assert (parts == "valid").mean() == pytest.approx(0.3, abs=0.05)
        assert set(parts) == {"train", "valid"}
        assert parts.equals(split(corpus, clips, 0))
        assert not parts.equals(split(corpus, clips, 1))
        sides = clips.groupby("track")["start"].size().index
        by_part = [set(clips["track"][parts == part]) for part in ("train", "valid")]
        shared[name] = len(by_part[0] & by_part[1])
        assert by_part[0] | by_part[1] == set(sides)
    assert shared["random-tracks"] == 0
    assert shared["random-segments"] > 4
    held_out = clips["label"][splits["random-tracks"](corpus, clips, 0) == "valid"]
    assert set(held_out) == {0, 1, 2}  # of each genre its share


def test_too_few_tracks_to_hold_out_are_said_in_a_line(tiny_gtzan):
    corpus = load_gtzan(tiny_gtzan)
    clips = corpus.clips[corpus.clips["track"].isin(["blues.00000", "metal.00000", "rock.00000"])]
    with pytest.raises(CorpusError, match="too few tracks to hold out 30 % of every genre"):
        parts_of_script("genre_notebook")["random_tracks"](corpus, clips, 0)


def test_a_network_from_scratch_learns_to_add_and_hears_genre_beside_torch(reproduce, tiny_gtzan):
    code, out, err = reproduce("from_scratch", "--data", tiny_gtzan, "--seeds", 1, "--epochs", 12)
    assert (code, err) == (0, "")
    parent, children = runs_of("from-scratch")
    assert set(children) == {
        "NumPy adds, seed 0",
        "NumPy hears genre, seed 0",
        "PyTorch hears genre, seed 0",
    }
    errors = Tracker.connect().client.get_metric_history(
        children["NumPy adds, seed 0"].info.run_id, "train/error"
    )
    assert [point.step for point in errors] == list(range(12))
    assert errors[0].value > errors[-1].value
    for name in ("NumPy hears genre, seed 0", "PyTorch hears genre, seed 0"):
        assert children[name].data.tags["fourier.protocol"] == "track"
        assert children[name].data.metrics["final/segment_accuracy"] == 1.0  # three pure tones
    for picture in ("mel.png", "learning.png"):
        assert (artifacts_of(parent) / picture).read_bytes().startswith(b"\x89PNG")
    assert "believes that 0.3 + 0.1 is" in out


def test_the_first_deam_network_runs_by_song_with_both_references(reproduce, tiny_deam):
    code, out, err = reproduce("deam_first_cnn", "--data", tiny_deam, "--seeds", 1, "--epochs", 2)
    assert (code, err) == (0, "")
    parent, children = runs_of("deam-first-cnn")
    references = {name: run.data.params["spectrogram.reference"] for name, run in children.items()}
    assert references == {
        "against the clip's peak, seed 0": "clip_peak",
        "against full scale, seed 0": "full_scale",
    }
    for run in children.values():
        assert run.data.params["model.name"] == "two_conv"
        assert run.data.params["training.loss"] == "mse"
        assert run.data.tags["fourier.protocol"] == "mediaeval2015"
    table = pd.read_csv(artifacts_of(parent) / "results.csv")
    methods = ["mean", "linear", "two_conv", "linear", "two_conv"]
    assert table["method"].tolist() == methods
    squares = (table["rmse_valence"] ** 2 + table["rmse_arousal"] ** 2) / 2
    np.testing.assert_allclose(table["mse"], squares)
    assert parent.data.metrics["mean/mse"] == pytest.approx(squares[0])
    assert parent.data.metrics["two_conv/full_scale/mse"] == pytest.approx(squares[4])
    assert f"{squares[0]:.4f}" in out
    assert (artifacts_of(parent) / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_whole_files_are_listed_before_clips_and_many_of_one_reason_in_one_line():
    rows = [(f"a{i} @ 3.0 s", "ends early") for i in range(9)] + [("b.wav", "no audio")]
    left_out = left_out_frame(rows)
    assert left_out_lines(left_out) == [
        "b.wav: no audio",
        "a0 @ 3.0 s, a1 @ 3.0 s, a2 @ 3.0 s, a3 @ 3.0 s, a4 @ 3.0 s and 4 more: ends early",
    ]
    many = left_out_frame([(f"{i}.wav", f"reason {i}") for i in range(12)])
    assert len(left_out_lines(many)) == 11
    assert left_out_lines(many)[-1].startswith("for 2 more reasons")
    assert left_out_lines(left_out_frame([])) == []


WRONG = {
    "a missing folder": (["--data", "nowhere"], 1, "there is no folder nowhere"),
    "no such device": (["--device", "abacus"], 1, "is no device"),
    "no seeds": (["--seeds", "0"], 2, "--seeds must be 1 to 1000, but got 0"),
    "no epochs": (["--epochs", "0"], 2, "--epochs must be 1 to"),
    "an unknown option": (["--speed", "9"], 2, "--speed"),
}


@pytest.mark.parametrize("script", ["genre_notebook", "from_scratch", "deam_first_cnn"])
@pytest.mark.parametrize(("words", "code", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_a_line_and_leaves_no_run(
    script, words, code, text, monkeypatch, capsys, workplace
):
    monkeypatch.setattr(sys, "argv", [script, *words])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXPERIMENTS / f"{script}.py"), run_name="__main__")
    err = capsys.readouterr().err
    assert end.value.code == code, err
    assert text in err
    if code == 1:
        assert err.count("\n") == 1
    assert runs_of(script.replace("_", "-")) == (None, {})


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED"), (CorpusError, "FAILED")],
)
def test_a_run_ends_as_what_it_came_to_and_the_error_goes_on(error, status, workplace):
    tracker = Tracker.connect()
    run = tracker.open_run(tracker.open_experiment("any", {}), "one", {})
    with pytest.raises(error), ended(run):
        raise error
    assert tracker.client.get_run(run.id).info.status == status


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.5], "0.500"), ([0.0, 1.0], "0.500 ± 0.707"), ([0.25, 0.25, 0.25], "0.250 ± 0.000")],
)
def test_a_figure_over_seeds_has_the_samples_deviation(values, text):
    assert mean_and_std(values) == text
