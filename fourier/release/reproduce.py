"""A run's ``config.json`` trained again, and its metrics held against what it came to.

On the same device and with as many threads training gives the same bits, so anything beyond
rounding is a difference. A trial that was stopped early is stopped after the same epoch. Not here:
what is printed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fourier.corpora import Corpus
from fourier.errors import ReleaseError
from fourier.release.plan import require_corpus
from fourier.release.registry import registry_errors
from fourier.release.runs import RunConfig, damaged_files, read_config
from fourier.search.points import OF_LEARNING
from fourier.search.watch import Watcher
from fourier.tracking import Tracker
from fourier.training import Experiment

BEST = "best/"
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""Metrics that are closer than this are the same."""


@dataclass(frozen=True)
class StoredRun:
    """A run that can be trained again.

    Attributes:
        id: MLflow's.
        config: what was trained, on what.
        metrics: of its best epoch, by plain names, the epoch itself as ``epoch``.
        epochs: how many ran, over all folds.
        device: where it was trained; empty if that is not known.
        damaged: its files that are not what was written; reasons by name.
    """

    id: str
    config: RunConfig
    metrics: Mapping[str, float]
    epochs: int
    device: str
    damaged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reproduction:
    """Stored and new metrics side by side.

    Attributes:
        stored: as in the run.
        again: as they came out now.
        was_on: the device of then.
        is_on: the device of now.
    """

    stored: Mapping[str, float]
    again: Mapping[str, float]
    was_on: str
    is_on: str

    @property
    def different(self) -> list[str]:
        """The metrics that differ, or that only one side has."""
        names = sorted(self.stored.keys() | self.again.keys())
        return [name for name in names if not self._agree(name)]

    def _agree(self, name: str) -> bool:
        if name not in self.stored or name not in self.again:
            return False
        return math.isclose(self.stored[name], self.again[name], rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def find_run(tracker: Tracker, run_id: str) -> StoredRun:
    """Read what is needed to train a run again.

    Raises:
        ReleaseError: there is no such run, or it did not get as far as a result.
        ConfigError: its ``config.json`` does not describe an experiment.
    """
    config = read_config(tracker, run_id)
    with registry_errors(tracker, f"run {run_id} cannot be read"):
        data = tracker.client.get_run(run_id).data
        epochs = len(tracker.client.get_metric_history(run_id, "val/objective"))
        epochs *= int(
            data.metrics.get("folds", 1)
        )  # a trial may have been given up before the last
    metrics = {
        name.removeprefix(BEST): value
        for name, value in data.metrics.items()
        if name.startswith(BEST) and name.removeprefix(BEST) not in OF_LEARNING
    }
    if not metrics or not epochs:
        raise ReleaseError(
            f"run {run_id} has no result to compare with; name a finished trial (if its sweep was "
            "killed at its end, start that again: it puts the run right)"
        )
    device, damaged = data.tags.get("fourier.device", ""), damaged_files(tracker, run_id)
    return StoredRun(run_id, config, metrics, epochs, device, damaged)


def open_experiment_of(
    stored: StoredRun,
    corpus: Corpus,
    cache: Path,
    device: torch.device,
    watcher: Watcher,
    jobs: int = -1,
    *,
    allow_leaks: bool = False,
) -> Experiment:
    """The experiment of a run, on a corpus that must be the same.

    Raises:
        ReleaseError: the corpus is another.
        LeakError: copies of one recording stand on several sides, and that is not allowed.
    """
    config = stored.config
    require_corpus(corpus, config.corpus, config.corpus_digest, f"run {stored.id}")
    return Experiment.open(
        corpus,
        protocol=config.protocol,
        objective=config.objective,
        cache=cache,
        device=device,
        folds=config.folds,
        jobs=jobs,
        stage=watcher.stage,
        allow_leaks=allow_leaks,
    )


def reproduce(stored: StoredRun, experiment: Experiment, watcher: Watcher) -> Reproduction:
    """Train a run again.

    Args:
        stored: from `find_run`.
        experiment: from `open_experiment_of`.
        watcher: is told of every epoch, and may raise to stop.
    """
    trial = stored.config.trial

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        watcher.epoch_ends(0, epoch, stored.epochs, metrics)
        return epoch + 1 >= stored.epochs

    watcher.trial_begins(0, trial)
    result = experiment.run(trial, report)
    again = {name: value for name, value in result.metrics.items() if name not in OF_LEARNING}
    again["epoch"] = float(result.best_epoch)
    return Reproduction(stored.metrics, again, stored.device, str(experiment.store.device))
