"""Disks that fill up, for real: one line, nothing half-written, and the same command goes on."""

import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from fourier.cli.main import main

from .conftest import write_space

DRIVER = Path(__file__).with_name("small_disk.py")
CASES = {
    "decoding": "the cache {disk}/cache cannot be used (No space left on device): free some space",
    "features": "the cache {disk}/cache cannot be used (No space left on device): free some space",
    "features in the background": "the cache {disk}/cache cannot be used (No space left",
    "weights": "a run's files cannot be put together (",
    "a run's files": "MLflow at ",
    "a run's parameters": "MLflow at ",
    "the journal": "the studies' storage did not take what was written: {disk}/studies/s.journ",
    "the summary": "a run's files cannot be put together (",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory, tiny_gtzan, empty_tracking_database):
    """How each case went."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here, which mounts the small disk")
    trial = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount a tmpfs here")
    root = tmp_path_factory.mktemp("disk")
    script = write_space(root)
    command = [*trial[:3], sys.executable, DRIVER, root, tiny_gtzan, empty_tracking_database]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [*command, script], env=variables, capture_output=True, text=True, check=False
    )
    found = {report["case"]: report for report in map(json.loads, ran.stdout.splitlines())}
    assert (ran.returncode, set(found)) == (0, set(CASES)), ran.stderr
    return root, found


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_disk_that_fills_up_is_one_line_and_the_same_command_goes_on(reports, case):
    root, found = reports
    report = found[case]
    assert report["was_full"]
    code, err = report["full"]
    assert code == 1, err
    assert err.startswith(f"error: {CASES[case].format(disk=root / 'disk' / case)}"), err
    assert err.count("\n") == 1, err
    assert report["left"] == []
    assert report["again"] == [0, ""]
    assert report["trials"] == ["COMPLETE"] * 2
    assert report["runs"] == ["FINISHED"] * 2
    assert set(report["others"]) <= {"KILLED"}
    assert [damaged for _, damaged in report["files"]] == [{}, {}]
    assert len({count for count, _ in report["files"]}) == 1
    assert report["debris"] == []


@contextmanager
def files_of_at_most(size):
    """A disk that is full after so many bytes of a file; where nobody may mount one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_weights_that_do_not_fit_are_one_line_and_the_same_command_goes_on(
    searched, capsys, monkeypatch
):
    from fourier.search import trial

    usual = trial.write_artifacts

    def cramped(*arguments):
        with files_of_at_most(10_000):
            usual(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(trial, "write_artifacts", cramped)
        assert searched.sweep(2) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: a run's files cannot be put together (")
    assert err.count("\n") == 1
    assert (searched.sweep(2), capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("words", [["demo", "made"], ["predict", "SONG", "--out", "out"]])
def test_other_commands_on_a_full_disk_are_one_line(searched, tmp_path, capsys, words):
    if words[0] == "predict":
        from ..cli.conftest import write_model

        song = str(next(searched.data.rglob("*.wav")))
        model = write_model("gtzan", tmp_path / "model.pt2")
        words = ["predict", song, "--out", "out", "--model", str(model)]
    with files_of_at_most(100):
        assert main(words) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("function", ["_export", "write_evidence", "_register"])
def test_a_promotion_on_a_full_disk_is_one_line_and_registers_nothing(
    searched, capsys, monkeypatch, function
):
    from fourier.release import promote

    usual = getattr(promote, function)

    def cramped(*arguments):
        with files_of_at_most(3_000):
            return usual(*arguments)

    words = ["promote", "gtzan", *searched.options, "--top", "1", "--seeds", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(promote, function, cramped)
        assert main([*words, "--yes", "--force"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert main(["models"]) == 0
    assert "fourier-gtzan" not in capsys.readouterr().out
    assert main([*words, "--yes", "--force"]) == 0
