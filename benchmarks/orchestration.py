"""What Optuna, MLflow and everything else around a model cost, beside Optuna's own MLflow callback.

The model is a stand-in whose epoch is 20 ms of sleep, or with ``--computing`` as many products of
matrices in one thread as take 20 ms when nothing else runs; everything around it is real: the
search space of `experiments/sweep_deam.py`, TPE, the median pruner, the journal, the runs in
SQLite, the artifacts of a trial (weights, predictions, config). The callback beside it is
`MLflowCallback` of optuna-integration on the same journal and kind of store, with Optuna's default
TPE and pruner. It logs the parameters, two curves with `mlflow.log_metric` and the value, and keeps
no artifacts. The picture of a trial is timed apart.

``--growth`` asks whether trial 1,000 costs more than trial 100: two studies, one that has a hundred
trials and one that has a thousand, run trials in turn. Its model sleeps.
"""

import contextlib
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from measure import median, median_ratio, warm_pages
from results import Row, parser, publish

from fourier.config import SpectrogramConfig, TrialConfig
from fourier.corpora import Corpus
from fourier.search import artifacts
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.watch import Outcome, Watcher
from fourier.tracking import Tracker
from fourier.training import Result, make_task
from fourier.training.experiment import Experiment

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
EPOCH_SECONDS = 0.020
EPOCHS = 10
TRIAL_MS, EPOCH_MS, LESS_THAN_CALLBACK, GROWTH = 40.0, 1.0, 3.0, 1.2
SONGS, CLIPS_PER_SONG, WEIGHTS = 48, 6, 250_000
MATRIX = 512

Spend = Callable[[float], None]


def sleep(seconds: float) -> None:
    """Let the processor rest, as where another machine computes."""
    time.sleep(seconds)


def computer() -> Spend:
    """Multiply matrices in one thread: as many as took so long when nothing else ran.

    The work is the same in every epoch, so what others take of the processor costs time.
    """
    matrix = torch.ones(MATRIX, MATRIX)

    def seconds_of_one() -> float:
        began = time.perf_counter()
        torch.mm(matrix, matrix)
        return time.perf_counter() - began

    one = median([seconds_of_one() for _ in range(500)][100:])

    def compute(seconds: float) -> None:
        for _ in range(round(seconds / one)):
            torch.mm(matrix, matrix)

    return compute


@dataclass(frozen=True)
class StandIn(Experiment):
    """An experiment that learns nothing, in 20 ms an epoch, and says how long it was kept waiting.

    Its weights lie ready: taking the memory for them is the model's affair.

    Attributes:
        spend: spends so many seconds of an epoch.
        epoch_seconds: how long an epoch takes; may be changed, it is a list of one.
        reports: seconds that each call of ``report`` took.
    """

    spend: Spend = sleep
    epoch_seconds: list[float] = field(default_factory=lambda: [EPOCH_SECONDS])
    weights: dict[str, torch.Tensor] = field(
        default_factory=lambda: {"weights": torch.zeros(WEIGHTS), "bias": torch.zeros(2)}
    )
    reports: list[float] = field(default_factory=list)

    def run(self, config: TrialConfig, report: Any = None) -> Result:
        """Wait as long as the model would take, and come to a value that its settings decide."""
        started = time.perf_counter()
        truth = self.targets[self.split.valid]
        predictions = (truth * 0.5).numpy()
        figures = self.task.evaluate(predictions, truth, self.tracks[self.split.valid.numpy()])
        history: list[dict[str, float]] = []
        for epoch in range(config.training.epochs):
            begins = time.perf_counter()
            # All alike until the last epoch, so that the pruner is asked and stops nobody.
            last = epoch + 1 == config.training.epochs
            objective = 0.5 + quality(config) if last else 0.01 * epoch
            metrics = {**figures, "objective": objective, self.task.objective: objective}
            metrics |= {"train_loss": 1 / (1 + epoch), "lr": 1e-3, "epoch_seconds": 0.02}
            history.append(metrics)
            self.spend(max(0.0, self.epoch_seconds[0] - (time.perf_counter() - begins)))
            if report is not None:
                began = time.perf_counter()
                report(epoch, metrics)
                self.reports.append(time.perf_counter() - began)
        seconds = time.perf_counter() - started
        best = len(history) - 1
        rows = self.split.valid.numpy()
        return Result(
            history[best], best, len(history), history, self.weights, predictions, seconds, rows
        )

    def baselines(self, spectrogram: SpectrogramConfig) -> dict[str, dict[str, float]]:
        """There is no audio to measure them on."""
        del spectrogram
        return {}


def quality(config: TrialConfig) -> float:
    """A smooth landscape with the usual valleys, so that TPE has something to follow."""
    distance = abs(np.log10(config.training.lr) + 3) + abs(config.spectrogram.n_mels - 96) / 64
    return float(0.3 - 0.1 * distance - 0.05 * config.training.mixup)


def stand_in(folder: Path, spend: Spend) -> StandIn:
    """A stand-in on as many songs and clips as the demo corpus has, without their audio."""
    names = [f"{i:03d}" for i in range(SONGS)]
    rng = np.random.default_rng(0)
    clips = pd.DataFrame(
        {
            "track": np.repeat(names, CLIPS_PER_SONG),
            "start": np.tile(15.0 + 5.0 * np.arange(CLIPS_PER_SONG), SONGS),
            "valence": rng.uniform(-1, 1, SONGS * CLIPS_PER_SONG),
            "arousal": rng.uniform(-1, 1, SONGS * CLIPS_PER_SONG),
        }
    )
    tracks = pd.DataFrame({"path": names, "group": names}, index=pd.Index(names, name="track"))
    corpus = Corpus(
        name="deam-demo",
        task="deam",
        root=folder,
        sample_rate=44_100,
        clip_seconds=5.0,
        tracks=tracks,
        clips=clips,
        targets=("valence", "arousal"),
        classes=(),
        left_out=pd.DataFrame(columns=["item", "reason"]),
        default_protocol="track",
    )
    parts = pd.Series(np.repeat(["train", "valid", "test"], [29 * 6, 9 * 6, 10 * 6]))
    task = make_task(corpus, None)
    no_audio, no_store = _NoAudio(clips), _NoStore()
    return StandIn(corpus, no_audio, "track", parts, task, no_store, spend=spend)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _NoAudio:
    """What an `Experiment` reads of a PCM store besides samples."""

    clips: pd.DataFrame
    left_out: tuple[()] = ()


class _NoStore:
    """What a study's tags read of a feature store."""

    device = torch.device("cpu")


def deam_space() -> Space:
    """The space that a person searches, from its script."""
    sys.path.insert(0, str(EXPERIMENTS))
    import sweep_deam

    return sweep_deam.space()


class Stopwatch(Watcher):
    """Keeps how long each trial took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def trial_ends(self, outcome: Outcome) -> None:
        """Keep one trial's seconds."""
        if outcome.state == "failed":
            raise SystemExit(f"a trial failed: {outcome.reason}")
        self.seconds.append(outcome.seconds)


class Project:
    """One study of the stand-in by the project's own path, run block by block."""

    def __init__(self, folder: Path, spend: Spend) -> None:
        folder.mkdir(parents=True)
        self.experiment = stand_in(folder, spend)
        plan = Plan(study="deam-demo", storage=str(folder / "studies.journal"), epochs=EPOCHS)
        with contextlib.chdir(folder):
            self.sweep = Sweep.open(self.experiment, deam_space(), plan, Stopwatch())
        self.trials = 0

    def run(self, count: int) -> None:
        """Run this many further trials."""
        self.trials += count
        self.sweep.run(self.trials)


class Callback:
    """The same study with Optuna's `optimize` and optuna-integration's `MLflowCallback`."""

    def __init__(self, folder: Path, spend: Spend) -> None:
        import mlflow
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna_integration.mlflow import MLflowCallback

        folder.mkdir(parents=True)
        Tracker.connect(f"sqlite:///{folder}/mlflow.db")  # its tables are made beforehand, as ours
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings(), contextlib.chdir(folder):
            warnings.simplefilter("ignore")
            storage = JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
            self.study = optuna.create_study(
                storage=storage, study_name="callback", direction="maximize"
            )
            self.callback = MLflowCallback(f"sqlite:///{folder}/mlflow.db", metric_name="objective")
            tracked = self.callback.track_in_mlflow()
        self.experiment, self.folder = stand_in(folder, spend), folder
        space = deam_space()

        def objective(trial: optuna.Trial) -> float:
            config = with_epochs(space.suggest(trial))

            def report(epoch: int, metrics: Mapping[str, float]) -> bool:
                mlflow.log_metric("train_loss", metrics["train_loss"], step=epoch)
                mlflow.log_metric("objective_curve", metrics["objective"], step=epoch)
                trial.report(metrics["objective"], epoch)
                return trial.should_prune()

            return self.experiment.run(config, report).metrics["objective"]

        self.objective = tracked(objective)

    def run(self, count: int) -> None:
        """Run this many further trials."""
        with warnings.catch_warnings(), contextlib.chdir(self.folder):
            warnings.simplefilter("ignore")
            self.study.optimize(self.objective, count, callbacks=[self.callback])


class Bare:
    """The same loop with neither."""

    def __init__(self, folder: Path, spend: Spend) -> None:
        self.experiment = stand_in(folder, spend)
        self.config = with_epochs(deam_space().start())

    def run(self, count: int) -> None:
        """Run this many trials."""
        for _ in range(count):
            self.experiment.run(self.config)


def with_epochs(config: TrialConfig) -> TrialConfig:
    """The configuration with the benchmark's epochs."""
    import dataclasses

    return dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=EPOCHS))


@contextlib.contextmanager
def without_pictures() -> Iterator[None]:
    """No trial draws its picture."""
    original = artifacts.draw_trial
    artifacts.draw_trial = lambda *_, **__: None
    try:
        yield
    finally:
        artifacts.draw_trial = original


def milliseconds(work: Callable[[int], None], count: int) -> float:
    """Milliseconds that one of so many trials takes."""
    began = time.perf_counter()
    work(count)
    return (time.perf_counter() - began) / count * 1000


def compare(
    folder: Path, spend: Spend, blocks: int, block: int
) -> tuple[list[Row], dict[str, Any]]:
    """Bare loop, project and callback, a block of trials each in turn."""
    bare, project = Bare(folder, spend), Project(folder / "a", spend)
    callback = Callback(folder / "b", spend)
    taken: dict[str, list[float]] = {"bare": [], "project": [], "pictured": [], "callback": []}
    for _ in range(blocks):
        warm_pages()
        taken["bare"].append(milliseconds(bare.run, block))
        warm_pages()
        with without_pictures():
            taken["project"].append(milliseconds(project.run, block))
        warm_pages()
        taken["callback"].append(milliseconds(callback.run, block))
        epochs = len(project.experiment.reports)
        taken["pictured"].append(milliseconds(project.run, max(1, block // 5)))
        del project.experiment.reports[epochs:]
    epoch = 1000 * sum(project.experiment.reports) / len(project.experiment.reports)
    ours = [whole - loop for whole, loop in zip(taken["project"], taken["bare"], strict=True)]
    pictures = [
        whole - without for whole, without in zip(taken["pictured"], taken["project"], strict=True)
    ]
    theirs = [whole - loop for whole, loop in zip(taken["callback"], taken["bare"], strict=True)]
    trial = median(ours) - EPOCHS * epoch
    less = median_ratio(theirs, ours)
    rows = [
        Row(
            what=f"on top of {EPOCHS} epochs of 20 ms, for each trial",
            project=f"{trial:.1f} ms",
            required=f"<= {TRIAL_MS:.0f} ms",
            reached=trial <= TRIAL_MS,
        ),
        Row(
            what="on top of an epoch",
            project=f"{epoch:.2f} ms",
            required=f"<= {EPOCH_MS:.0f} ms",
            reached=epoch <= EPOCH_MS,
        ),
        Row(
            what="both, for a trial with its artifacts",
            project=f"{median(ours):.1f} ms",
            peer=f"MLflowCallback, no artifacts: {median(theirs):.1f} ms",
            ratio=f"{less:.1f}x",
            required=f">= {LESS_THAN_CALLBACK:.0f}x less",
            reached=less >= LESS_THAN_CALLBACK,
        ),
        Row(what="the picture of a trial, apart", project=f"{median(pictures):.1f} ms"),
    ]
    return rows, taken | {"epoch_ms": epoch, "trials": blocks * block}


def grow(folder: Path, early: int, late: int, window: int) -> tuple[list[Row], dict[str, Any]]:
    """Trials around ``early`` of one study and ``late`` of another, in turn."""
    young, old = Project(folder / "young", sleep), Project(folder / "old", sleep)
    for project, until in ((young, early), (old, late)):
        project.experiment.epoch_seconds[0] = 0.0
        project.run(until - window // 2)
        project.experiment.epoch_seconds[0] = EPOCH_SECONDS
    bare = Bare(folder, sleep)
    taken: dict[str, list[float]] = {"bare": [], "young": [], "old": []}
    for _ in range(window):
        warm_pages()
        for name, way in (("bare", bare), ("young", young), ("old", old)):
            taken[name].append(milliseconds(way.run, 1))
    whole = median_ratio(taken["old"], taken["young"])
    on_top = {
        name: median([a - b for a, b in zip(taken[name], taken["bare"], strict=True)])
        for name in ("young", "old")
    }
    rows = [
        Row(
            what=f"trial {late:,} beside trial {early:,}",
            project=f"{median(taken['old']):.0f} ms",
            peer=f"{median(taken['young']):.0f} ms",
            ratio=f"{whole:.2f}x",
            required=f"<= {GROWTH}x",
            reached=whole <= GROWTH,
        ),
        Row(
            what="of that on top of the bare loop, picture included",
            project=f"{on_top['old']:.0f} ms",
            peer=f"{on_top['young']:.0f} ms",
            ratio=f"{on_top['old'] / on_top['young']:.2f}x",
        ),
    ]
    return rows, taken


def main() -> None:
    """Measure, print and publish."""
    options = parser(__doc__)
    options.add_argument("--computing", action="store_true", help="a model that computes")
    options.add_argument("--growth", action="store_true", help="trial 1,000 beside trial 100")
    arguments = options.parse_args()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory(prefix="fourier-bench-") as scratch:
        folder = Path(scratch)
        if arguments.growth:
            early, late, window = (4, 8, 2) if arguments.small else (100, 1000, 60)
            rows, raw = grow(folder, early, late, window)
            publish(
                "orchestration-growth",
                "Does a study slow down as it grows?",
                rows,
                arguments,
                **raw,
            )
        else:
            blocks, block = (1, 3) if arguments.small else (12, 25)
            torch.set_num_threads(1)
            spend = computer() if arguments.computing else sleep
            rows, raw = compare(folder, spend, blocks, block)
            name = "orchestration-computing" if arguments.computing else "orchestration"
            how = "computes" if arguments.computing else "sleeps"
            title = f"What everything around a model costs that {how}"
            publish(name, title, rows, arguments, **raw)


if __name__ == "__main__":
    main()
