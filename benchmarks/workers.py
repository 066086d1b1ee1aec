"""Trials an hour with one worker and with two, on the same trials.

`python experiments/sweep_deam.py --workers N` itself, on the demo corpus, with the features of all
trials in the cache. Parameters are drawn at random and nobody is pruned, so that the trials are
the same however many run at once. One worker has all cores for its arithmetic, as it has by
default; each of two has its share, as the command sets it. The rate is the trials after each
worker's first one over the time they took, from the study's own time stamps: what a long sweep
comes to, without the start of the processes.
"""

import datetime as dt
import itertools
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import optuna
from measure import alternate, median, median_ratio
from optuna.trial import FrozenTrial
from results import Row, parser, publish

from fourier.corpora import write_demo
from fourier.search.storage import open_storage
from fourier.search.workers import WORKER_VARIABLE

HOUSE = Path(__file__).parents[1]
AT_LEAST = 1.6
ONE_THREAD = "one worker with one thread"


def sweep(folder: Path, words: Sequence[str], workers: int, threads: int | None) -> float:
    """Run a sweep in a new folder and return its trials an hour."""
    folder.mkdir(parents=True)
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("OMP_NUM_THREADS", "MLFLOW_TRACKING_URI", WORKER_VARIABLE)
    }
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    script = str(HOUSE / "experiments" / "sweep_deam.py")
    subprocess.run(  # noqa: S603  our own command
        [sys.executable, script, "--workers", str(workers), *words],
        check=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    storage = open_storage(str(folder / "mlruns" / "studies.journal"))
    study = optuna.load_study(study_name="deam-demo", storage=storage)
    return rate(study.get_trials(deepcopy=False), workers)


def rate(trials: list[FrozenTrial], workers: int) -> float:
    """Trials an hour while all workers were at it and warm.

    The clock starts when the last worker has ended its first trial, and stops when the first one
    begins nothing more; of a trial that lies across a mark its share within counts.
    """
    spans: dict[int, list[tuple[dt.datetime, dt.datetime]]] = defaultdict(list)
    for trial in trials:
        if trial.datetime_start is None or trial.datetime_complete is None:
            raise SystemExit(f"trial {trial.number} did not end")
        process = trial.user_attrs["claim"]["owner"]["pid"]
        spans[process].append((trial.datetime_start, trial.datetime_complete))
    if len(spans) != workers:
        raise SystemExit(f"{len(spans)} processes ran trials, not {workers}")
    begin = max(min(end for _, end in mine) for mine in spans.values())
    stop = min(max(end for _, end in mine) for mine in spans.values())
    if stop <= begin:  # so few trials that one worker had but one
        begin = min(min(first for first, _ in mine) for mine in spans.values())
        stop = max(max(end for _, end in mine) for mine in spans.values())
    done = 0.0
    for mine in spans.values():
        for first, last in mine:
            inside = min(last, stop) - max(first, begin)
            done += max(0.0, inside / (last - first))
    return done / ((stop - begin).total_seconds() / 3600)


def few_songs(folder: Path) -> Path:
    """A demo corpus that shows only that it works."""
    write_demo(folder, "deam", deam_songs=10)
    return folder / "deam"


def main() -> None:
    """Measure, print and publish."""
    arguments = parser(__doc__).parse_args()
    trials, epochs, repeats = (4, 1, 1) if arguments.small else (28, 3, 3)
    with tempfile.TemporaryDirectory(prefix="fourier-bench-") as name:
        words = f"--trials {trials} --epochs {epochs} --device cpu --sampler random --pruner none"
        more = ["--data", str(few_songs(Path(name)))] if arguments.small else []
        count = itertools.count()

        def measure(workers: int, threads: int | None = None) -> float:
            folder = Path(name) / str(next(count))
            return sweep(folder, [*words.split(), *more], workers, threads)

        ways = {"one": lambda: measure(1), "two": lambda: measure(2)}
        if not arguments.small:
            ways[ONE_THREAD] = lambda: measure(1, threads=1)
            measure(2)  # fills the cache with the features of these trials
        taken = alternate(ways, repeats, warm_up=False, prepare=not arguments.small)
    ratio = median_ratio(taken["two"], taken["one"])
    rows = [
        Row(
            what=f"trials an hour, {epochs} epochs each, {os.cpu_count()} cores",
            project=f"two workers: {median(taken['two']):,.0f}",
            peer=f"one worker: {median(taken['one']):,.0f}",
            ratio=f"{ratio:.2f}x",
            required=f">= {AT_LEAST}x",
            reached=ratio >= AT_LEAST,
        )
    ]
    if ONE_THREAD in taken:
        rows.append(
            Row(
                what=f"the same beside {ONE_THREAD}",
                project=f"two workers: {median(taken['two']):,.0f}",
                peer=f"{ONE_THREAD}: {median(taken[ONE_THREAD]):,.0f}",
                ratio=f"{median_ratio(taken['two'], taken[ONE_THREAD]):.2f}x",
            )
        )
    publish("workers", "Trials an hour with two workers", rows, arguments, trials_an_hour=taken)


if __name__ == "__main__":
    main()
