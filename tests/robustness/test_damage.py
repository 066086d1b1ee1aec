"""Files that were damaged: made anew or reported in a line, and nothing learns from them."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import optuna
import pytest

from fourier.cli.main import main
from fourier.features.cache import CacheWarning
from fourier.search.storage import open_storage
from fourier.tracking import Tracker
from fourier.tracking.files import CHECKSUMS_FILE, find_damaged, write_checksums

from .conftest import STUDY, write_space


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def cut_a_byte(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


def flip(path, place):
    with path.open("rb+") as file:
        file.seek(int(place * (path.stat().st_size - 1)))
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def flip_early(path):
    flip(path, 0.1)


def flip_late(path):
    flip(path, 0.95)


def zeros(path):
    """What a file system leaves that was not written in time."""
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


def by_damage(*damages):
    return pytest.mark.parametrize("damage", damages, ids=lambda damage: damage.__name__)


def trials():
    return optuna.load_study(study_name=STUDY, storage=open_storage(None)).trials


def figures(trial):
    """What a trial came to, less what a clock measured."""
    return {k: v for k, v in trial.user_attrs["metrics"].items() if "seconds" not in k}


@pytest.fixture(scope="session")
def second_trial(searched_once, tmp_path_factory):
    """What the second trial comes to where nothing was damaged."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copytree(searched_once.folder, root / "work")
    place = type(searched_once)(root / "work", searched_once.data, searched_once.cache)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert place.sweep(2) == 0
        os.chdir(place.folder)
        found = figures(trials()[1])
        os.chdir(before)
    return found


@by_damage(cut, flip_late)
@pytest.mark.parametrize(
    "name", ["pcm/*/clips.int16", "pcm/*/clips.json", "features/*/*.npy", "features/*/*.json"]
)
def test_a_damaged_cache_is_made_anew_and_the_next_trial_comes_to_the_same(
    searched, second_trial, name, damage
):
    (path,) = [path for path in searched.cache.glob(name) if path.name[0] != "."]
    whole = path.read_bytes()
    damage(path)
    with pytest.warns(CacheWarning, match=r"anew: .* is damaged \("):
        assert searched.sweep(2) == 0
    assert figures(trials()[1]) == second_trial
    if path.suffix != ".json":  # that holds the time of writing
        assert path.read_bytes() == whole
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert searched.sweep(2) == 0


def test_what_is_made_anew_is_said_in_one_line(searched, single_threaded):
    (entry,) = searched.cache.glob("features/*/*.npy")
    flip_late(entry)
    command = [sys.executable, write_space(searched.folder), *searched.words(2)]
    ran = subprocess.run(command, env=single_threaded, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith(f"warning: computing anew: {entry} is damaged (")
    assert ran.stderr.count("\n") == 1


@by_damage(flip_early, flip_late)
def test_a_bit_flipped_in_the_journal_is_one_line_wherever_it_is_read(searched, capsys, damage):
    journal = searched.folder / "mlruns" / "studies.journal"
    damage(journal)
    for command in (
        lambda: searched.sweep(2),
        lambda: main(["promote", "gtzan", *searched.options, "--dry-run"]),
        lambda: main(["report", STUDY]),
    ):
        assert command() == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: {journal.relative_to(searched.folder)} is damaged in line ")
        assert err.count("\n") == 1


@by_damage(cut, cut_a_byte, zeros)
def test_a_journal_that_lost_its_end_is_searched_again_from_there(
    searched, second_trial, capsys, monkeypatch, damage
):
    damage(searched.folder / "mlruns" / "studies.journal")
    monkeypatch.setattr("fourier.search.owner.is_gone", lambda _: True)  # it was this process
    assert (searched.sweep(2), capsys.readouterr().err) == (0, "")
    counted = [trial for trial in trials() if "lost" not in trial.user_attrs]
    assert [trial.state.name for trial in counted] == ["COMPLETE"] * 2
    second = next(trial for trial in counted if trial.user_attrs["claim"]["slot"] == 1)
    assert figures(second) == second_trial
    tracker = Tracker.connect()
    experiment = tracker.client.get_experiment_by_name("gtzan").experiment_id
    runs = tracker.find_runs(experiment, {"fourier.kind": "trial"})
    finished = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
    assert sorted(finished) == sorted(trial.user_attrs["run_id"] for trial in counted)
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}


def trial_folder():
    """The first trial's run, and where its files are."""
    run_id = trials()[0].user_attrs["run_id"]
    run = Tracker.connect().client.get_run(run_id)
    return run_id, Path(run.info.artifact_uri.removeprefix("file://"))


@by_damage(cut, empty, flip_early, zeros)
@pytest.mark.parametrize("name", ["config.json", CHECKSUMS_FILE])
def test_a_damaged_configuration_is_one_line_wherever_it_is_read(searched, capsys, name, damage):
    run_id, folder = trial_folder()
    damage(folder / name)
    for words in (
        [["reproduce", run_id]]
        if damage is not flip_early
        else (["reproduce", run_id], ["promote", "gtzan", "--dry-run"], ["evaluate", run_id])
    ):
        assert main([*words, *searched.options]) == 1
        out, err = capsys.readouterr()
        assert err.startswith(f"error: {name} of run {run_id} is damaged ("), out
        assert err.count("\n") == 1


@by_damage(cut, flip_late)
@pytest.mark.parametrize("name", ["weights.safetensors"])
def test_a_damaged_file_of_a_run_is_named_when_the_run_is_trained_again(
    searched, capsys, name, damage
):
    run_id, folder = trial_folder()
    damage(folder / name)
    assert main(["reproduce", run_id, *searched.options]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert f"Damaged: its file {name} (" in out
    assert "every metric is the same" in out


def test_a_run_of_an_older_version_has_no_checksums_and_is_believed(searched, capsys):
    run_id, folder = trial_folder()
    (folder / CHECKSUMS_FILE).unlink()
    assert main(["reproduce", run_id, *searched.options]) == 0
    assert "Damaged" not in capsys.readouterr().out


def test_every_file_of_a_run_is_in_its_checksums(searched):
    _, folder = trial_folder()
    assert find_damaged(folder) == {}
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        flip_late(path)
        assert set(find_damaged(folder)) == {path.name}
        path.write_bytes(whole)
    write_checksums(folder)
    assert find_damaged(folder) == {}


@by_damage(cut, cut_a_byte, empty, flip_early, flip_late, zeros)
def test_a_damaged_program_is_one_line(searched, released, tmp_path, capsys, damage):
    program = shutil.copy(released, tmp_path / "model.pt2")
    damage(program)
    song = next(searched.data.rglob("*.wav"))
    assert main(["predict", str(song), "--model", str(program)]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"error: {program} is ")
    assert err.count("\n") == 1


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """An exported model."""
    from ..cli.conftest import write_model

    return write_model("gtzan", tmp_path_factory.mktemp("released") / "model.pt2")
