"""Runs sweeps on a disk that fills up: a tmpfs of its own, which needs ``unshare --mount``.

Prints one JSON line for each case: how the sweep ended on the full disk, what it left, and how the
same command ended when there was space again. Each sweep is a process of its own, forked from this
one, which has loaded what takes seconds to load. Not a test: `test_disk_full.py` reads the lines.
"""

import contextlib
import importlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow.store.tracking.sqlalchemy_store
import optuna.visualization
import sklearn.linear_model
import torch

import fourier.cli.summary
import fourier.features.pcm
import fourier.features.store
import fourier.search.storage
import fourier.search.sweep
import fourier.search.trial
import fourier.tracking.runs
from fourier.search.storage import open_storage
from fourier.search.study import find_study
from fourier.tracking import Tracker, find_damaged

LOADED = (mlflow, optuna, plt, sklearn, fourier.cli.summary)
"""What every sweep would load by itself."""

DISK_BYTES = 24 << 20
FILLER = "filler"


def fill(disk):
    """Leave no byte free."""
    with contextlib.suppress(OSError), (disk / FILLER).open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass


def full_from(disk, owner, name, count=1):
    """The disk is full from the call of this function on that comes as this one."""
    usual, calls = getattr(owner, name), []

    def filling(*arguments, **options):
        calls.append(None)
        if len(calls) == count:
            fill(disk)
        return usual(*arguments, **options)

    setattr(owner, name, filling)


def resident_store():
    """As on a GPU: features are written while the network learns."""
    store = fourier.features.store.FeatureStore
    usual = store.__init__
    store.__init__ = lambda self, *args, **options: usual(self, *args, **options, resident=True)


def background(disk):
    resident_store()
    full_from(disk, fourier.features.store, "write_entry")


CASES = {
    # what lies on the small disk, and when it is full
    "decoding": ("cache", lambda d: full_from(d, fourier.features.pcm, "cut_track", 5)),
    "features": ("cache", lambda d: full_from(d, fourier.features.store, "write_entry")),
    "features in the background": ("cache", background),
    "weights": ("tmp", lambda d: full_from(d, fourier.search.trial, "write_artifacts")),
    "a run's files": ("work", lambda d: full_from(d, fourier.search.trial, "write_checksums")),
    "a run's parameters": (
        "work",
        lambda d: full_from(d, fourier.tracking.runs.TrackedRun, "log_params", 2),
    ),
    "the journal": (
        "studies",
        lambda d: full_from(d, fourier.search.storage._Journal, "append_logs", 12),
    ),
    "the summary": ("tmp", lambda d: full_from(d, fourier.search.sweep, "results_table")),
}


def sweep(script, places, options, prepare=None):
    """Run a sweep in a process of its own; its exit code and what it printed as an error.

    What it had to load is loaded here too, so that the next one need not.
    """
    result = script.with_name("result.json")
    if not os.fork():
        err = io.StringIO()
        code = 99
        try:
            os.environ["TMPDIR"] = str(places["tmp"])
            tempfile.tempdir = None
            os.chdir(places["work"])
            if prepare:
                prepare()
            sys.argv = [str(script), *options]
            with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
                try:
                    runpy.run_path(str(script), run_name="__main__")
                except SystemExit as end:
                    code = end.code
        except Exception:  # noqa: BLE001  whatever it is, the report says so
            err.write(traceback.format_exc())
        finally:
            result.write_text(json.dumps([code, err.getvalue(), list(sys.modules)]))
            os._exit(0)
    os.wait()
    code, text, loaded = json.loads(result.read_text())
    for name in loaded:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    return [code, text]


def look(places, storage):
    """What is there in the end: states of trials, of their runs, damaged files, debris."""
    os.chdir(places["work"])
    shared = find_study("gtzan-track", open_storage(storage))
    tracker = Tracker.connect()
    experiment = tracker.client.get_experiment_by_name("gtzan").experiment_id
    runs = tracker.find_runs(experiment, {"fourier.kind": "trial"})
    by_id = {run.info.run_id: run for run in runs}
    files = {}
    for trial in shared.finished:
        run = by_id[trial.user_attrs["run_id"]]
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        files[trial.number] = [len(list(folder.iterdir())), find_damaged(folder)]
    counted = {trial.user_attrs["run_id"] for trial in shared.finished}
    return {
        "trials": [trial.state.name for trial in shared.trials],
        "runs": [by_id[run_id].info.status for run_id in counted],
        "others": [run.info.status for run in runs if run.info.run_id not in counted],
        "files": list(files.values()),
        "debris": [str(path) for path in places["cache"].rglob("*.tmp")],
    }


def main():
    """Run all cases in a folder: data, an empty tracking database, the script."""
    root, data, database, script = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    disk = root / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(disk)]
    subprocess.run(mount, check=True)
    for name, (what, prepare) in CASES.items():
        places = {}
        for part in ("work", "cache", "tmp", "studies"):
            places[part] = (disk if part == what else root) / name / part
            places[part].mkdir(parents=True)
        shutil.copy(database, places["work"] / "mlflow.db")
        storage = str(places["studies"] / "s.journal")
        options = ["--data", data, "--cache", places["cache"], "--trials", "2", "--jobs", "1"]
        options += ["--protocol", "track", "--pruner", "none", "--storage", storage]
        options = [*map(str, options), "--device", "cpu"]
        code, err = sweep(script, places, options, lambda: prepare(disk))  # noqa: B023
        report = {"case": name, "full": [code, err], "was_full": (disk / FILLER).exists()}
        report["left"] = [str(path) for path in places["cache"].rglob("*.tmp")]
        (disk / FILLER).unlink(missing_ok=True)
        report["again"] = sweep(script, places, options)
        report |= look(places, storage)
        print(json.dumps(report), flush=True)  # noqa: T201
        os.chdir(root)
        for path in disk.iterdir():
            shutil.rmtree(path)


if __name__ == "__main__":
    main()
