"""A canary in the test part: whatever stands there, no figure of a sweep moves.

Two corpora that differ in their test part alone, in its labels and in its audio, are swept with
the same seed. Every number that a sweep leaves is the same to the last bit, and one planted in the
validation part, to show that the canary would sing, is not.
"""

import contextlib
import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.watch import Watcher
from fourier.tracking import Tracker
from fourier.training import Experiment

PROTOCOL, EPOCHS = "track", 3
TIMES = ("seconds", "time")


def space_for(loss):
    def suggest(trial):
        return TrialConfig(
            spectrogram=SpectrogramConfig(
                n_mels=trial.suggest_categorical("n_mels", [12, 16]),
                n_fft=512,
                hop_length=512,
                fmax=8000,
                reference="full_scale",
                normalization="standardize",
            ),
            model=MLPConfig(hidden=(8,)),
            training=TrainingConfig(loss=loss, lr=1e-2, batch_size=4, freq_mask=0.3),
        )

    return Space(suggest, first=[{"n_mels": 12}], epochs=EPOCHS)


def open_experiment(corpus, cache, folds):
    return Experiment.open(
        corpus,
        protocol=PROTOCOL,
        objective=None,
        cache=cache,
        device=torch.device("cpu"),
        folds=folds,
        jobs=1,
    )


def figures_of(experiment, folder, database):
    """All that a sweep of two trials leaves, but for times and what the corpus is called by."""
    folder.mkdir(parents=True)
    shutil.copy(database, folder / "mlflow.db")
    loss = "mse" if experiment.task.name == "deam" else "cross_entropy"
    with contextlib.chdir(folder):
        plan = Plan(study="canary", pruner="none", epochs=EPOCHS)
        sweep = Sweep.open(experiment, space_for(loss), plan, Watcher())
        sweep.run(2)
        sweep.finish()
        tracker = Tracker.connect(f"sqlite:///{folder}/mlflow.db")
        figures = {"trials": [(t.params, t.value) for t in sweep.shared.trials]}
        for run in tracker.find_runs(sweep.record.experiment_id, {}):
            for name in run.data.metrics:
                if not any(word in name for word in TIMES):
                    curve = tracker.client.get_metric_history(run.info.run_id, name)
                    points = [(point.step, point.value) for point in curve]
                    figures[run.info.run_name, name] = points
            path = folder / run.info.artifact_uri / "predictions.csv"
            if path.exists():
                figures[run.info.run_name, "predictions"] = path.read_text()
    return figures


def songs_of(experiment, part):
    return sorted(set(experiment.tracks[(experiment.parts == part).to_numpy()]))


def plant(root, folder, songs):
    """The same DEAM with other labels and other audio for some songs."""
    shutil.copytree(root, folder)
    rng = np.random.default_rng(99)
    for name in ("valence", "arousal"):
        table = pd.read_csv(folder / f"{name}.csv")
        chosen = table["song_id"].astype(str).isin(songs)
        shape = table.loc[chosen].iloc[:, 1:].shape
        table.loc[chosen, table.columns[1:]] = rng.choice([-1.0, 1.0], shape)
        table.to_csv(folder / f"{name}.csv", index=False)
    for song in songs:
        path = folder / "MEMD_audio" / f"{song}.wav"
        samples, rate = soundfile.read(path)
        soundfile.write(path, rng.uniform(-1, 1, len(samples)), rate)
    return folder


@pytest.mark.parametrize("folds", [0, 2])
def test_a_canary_in_the_test_part_of_a_corpus_moves_no_figure_of_a_sweep(
    folds, tiny_deam, tmp_path, empty_tracking_database
):
    def figures(root, name):
        experiment = open_experiment(load_corpus(root), tmp_path / f"cache-{name}", folds)
        return figures_of(experiment, tmp_path / name, empty_tracking_database)

    clean = open_experiment(load_corpus(tiny_deam), tmp_path / "cache-clean", folds)
    expected = figures(tiny_deam, "clean")
    assert ("baseline ridge", "best/ccc") in expected
    assert ("trial 0001", "predictions") in expected
    sung = plant(tiny_deam, tmp_path / "test-planted", songs_of(clean, "test"))
    assert figures(sung, "test") == expected
    heard = plant(tiny_deam, tmp_path / "valid-planted", songs_of(clean, "valid")[:1])
    assert figures(heard, "valid") != expected


@pytest.mark.parametrize("folds", [0, 2])
def test_a_canary_in_the_test_labels_of_a_classification_moves_no_figure_of_a_sweep(
    folds, tiny_gtzan, tmp_path, empty_tracking_database
):
    """Planted in the decoded table: in the folders a label is where a file lies, and its name."""
    experiment = open_experiment(load_corpus(tiny_gtzan), tmp_path / "cache", folds)

    def figures(part, name):
        clips = experiment.clips.copy()
        chosen = (experiment.parts == part).to_numpy()
        clips.loc[chosen, "label"] = (clips.loc[chosen, "label"] + 1) % 3
        planted = dataclasses.replace(
            experiment, pcm=dataclasses.replace(experiment.pcm, clips=clips)
        )
        return figures_of(planted, tmp_path / name, empty_tracking_database)

    expected = figures("no part", "clean")
    assert ("baseline logistic", "best/log_loss") in expected
    assert figures("test", "test") == expected
    assert figures("valid", "valid") != expected


@pytest.mark.parametrize("folds", [0, 2])
def test_the_test_labels_are_blank_for_whatever_trains(folds, tiny_gtzan, tiny_deam, tmp_path):
    for root, blank in ((tiny_gtzan, -1), (tiny_deam, np.nan)):
        experiment = open_experiment(load_corpus(root), tmp_path / "cache", folds)
        each = [experiment, *(experiment.fold(number) for number in range(folds))]
        for one in each:
            test = (one.parts == "test").to_numpy()
            assert test.any()
            np.testing.assert_array_equal(one.targets.numpy()[test], blank)
