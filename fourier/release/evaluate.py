"""One configuration measured in earnest: k folds by group, several seeds, mean ± std.

The figures that a log is made of. A sweep's best value is the luckiest of many, and one split of
few tracks moves in large steps; here every track outside the test part is predicted once with each
seed, and the held-out tracks choose no epoch. Under another protocol than the run's own the same
figures show what that protocol inflates. Not here: choosing between configurations, and the test
part, which stays closed (both `fourier.release.promote`).
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from fourier.config import TrialConfig
from fourier.corpora import PROTOCOLS
from fourier.errors import ReleaseError
from fourier.release.registry import registry_errors
from fourier.release.runs import RunConfig, read_config
from fourier.search.command import environment_tags
from fourier.search.watch import Watcher
from fourier.tracking import TrackedRun, Tracker, scratch_folder, write_checksums
from fourier.training import Experiment, Result, TrainingDiverged

KIND = "evaluation"
COPIED_TAGS = ("mlflow.parentRunId", "fourier.study", "fourier.trial")
"""What an evaluation takes over from the run that it evaluates, so that it stands beside it."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The run whose configuration is measured.

    Attributes:
        id: MLflow's.
        config: what was trained, on what.
        experiment_id: MLflow's experiment that it is in.
        tags: those of its tags that an evaluation carries too.
    """

    id: str
    config: RunConfig
    experiment_id: str
    tags: Mapping[str, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What came of it.

    Attributes:
        run: where it is written.
        seeds: the seeds.
        results: of all folds together, one for each seed.
        baselines: what a network must beat on the same folds, metrics by name.
    """

    run: TrackedRun
    seeds: Sequence[int]
    results: Sequence[Result]
    baselines: Mapping[str, Mapping[str, float]]

    def values(self, metric: str) -> list[float]:
        """A metric with each seed."""
        return [result.metrics[metric] for result in self.results]

    def mean(self, metric: str) -> float:
        """Mean of a metric over the seeds."""
        return float(np.mean(self.values(metric)))

    def std(self, metric: str) -> float:
        """Standard deviation over the seeds (n - 1); NaN below two."""
        values = self.values(metric)
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def find_source(tracker: Tracker, run_id: str) -> Source:
    """Read what is needed to measure a run's configuration.

    Raises:
        ReleaseError: there is no such run, or it has no ``config.json``.
        ConfigError: that does not describe an experiment.
    """
    config = read_config(tracker, run_id)
    with registry_errors(tracker, f"run {run_id} cannot be read"):
        run = tracker.client.get_run(run_id)
    tags = {name: run.data.tags[name] for name in COPIED_TAGS if name in run.data.tags}
    return Source(run_id, config, run.info.experiment_id, tags)


def evaluate(
    tracker: Tracker,
    source: Source,
    experiment: Experiment,
    seeds: int,
    watcher: Watcher,
    seed_ends: Callable[[int, Result], None],
    *,
    leaky: bool = False,
) -> Evaluation:
    """Train a run's configuration on every fold with every seed, as one run beside it.

    Args:
        tracker: where runs are written.
        source: from `find_source`.
        experiment: its corpus with folds; they are made to leak if that is what is asked.
        seeds: how many, 0 to seeds - 1.
        leaky: whether folds are of segments rather than groups.
        watcher: is told of every epoch, and may raise to stop.
        seed_ends: is told of every seed.

    Raises:
        ReleaseError: a training diverged.
    """
    experiment = experiment.leaking() if leaky else experiment
    tags = _tags(source, experiment, seeds) | ({"fourier.leaky": "true"} if leaky else {})
    run = tracker.open_run(source.experiment_id, KIND, tags)
    results: list[Result] = []
    try:
        run.log_params(source.config.trial.to_flat() | {"folds": experiment.folds, "seeds": seeds})
        for seed in range(seeds):
            result = _train(experiment, _with_seed(source.config.trial, seed), seed, watcher)
            run.log({f"seeds/{name}": value for name, value in _shown(experiment, result)}, seed)
            seed_ends(seed, result)
            results.append(result)
        baselines = experiment.baselines(source.config.trial.spectrogram)
        evaluation = Evaluation(run, range(seeds), results, baselines)
        _write(evaluation, source, experiment)
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        run.break_off(status, {"fourier.state": "failed"})
        raise
    run.end()
    return evaluation


def evaluation_table(evaluation: Evaluation) -> pd.DataFrame:
    """A row for each seed and fold, and one for all folds of a seed together."""
    rows: list[dict[str, object]] = []
    for seed, result in zip(evaluation.seeds, evaluation.results, strict=True):
        for number, fold in enumerate(result.folds):
            rows.append({"seed": seed, "fold": str(number), **fold.metrics})
        rows.append({"seed": seed, "fold": "all", **result.metrics})
    return pd.DataFrame(rows)


def _with_seed(config: TrialConfig, seed: int) -> TrialConfig:
    """Without early stopping: the held-out tracks end nothing."""
    training = dataclasses.replace(config.training, seed=seed, patience=0)
    return dataclasses.replace(config, training=training)


def _train(experiment: Experiment, config: TrialConfig, seed: int, watcher: Watcher) -> Result:
    total = experiment.folds * config.training.epochs

    def report(epoch: int, metrics: Mapping[str, float]) -> None:
        watcher.epoch_ends(seed, epoch, total, metrics)

    watcher.trial_begins(seed, config)
    try:
        return experiment.run(config, report)
    except TrainingDiverged as error:
        raise ReleaseError(
            f"with seed {seed} {error}, so there is no mean to give; evaluate another run"
        ) from error


def _shown(experiment: Experiment, result: Result) -> list[tuple[str, float]]:
    names = dict.fromkeys((*experiment.task.metric_names, "objective"))
    return [(name, result.metrics[name]) for name in names]


def _tags(source: Source, experiment: Experiment, seeds: int) -> dict[str, str]:
    corpus, protocol = experiment.corpus, PROTOCOLS[experiment.protocol]
    tags = environment_tags() | {
        "fourier.kind": KIND,
        "fourier.of_run": source.id,
        "fourier.task": experiment.task.name,
        "fourier.corpus": corpus.name,
        "fourier.corpus_digest": corpus.digest,
        "fourier.protocol": protocol.name,
        "fourier.folds": str(experiment.folds),
        "fourier.seeds": str(seeds),
        "fourier.digest": _with_seed(source.config.trial, 0).digest,
        "fourier.device": str(experiment.store.device),
    }
    tags |= {"fourier.leaky": "true"} if protocol.leaky else {}
    tags |= {"fourier.demo": "true"} if corpus.is_demo else {}
    return tags | dict(source.tags)


def _write(evaluation: Evaluation, source: Source, experiment: Experiment) -> None:
    """Mean and std over the seeds, all figures as a table, all predictions."""
    run, names = evaluation.run, (*experiment.task.metric_names, "objective")
    run.log({f"mean/{name}": evaluation.mean(name) for name in names})
    if len(evaluation.seeds) > 1:
        run.log({f"std/{name}": evaluation.std(name) for name in names})
    for method, metrics in evaluation.baselines.items():
        run.log({f"baseline/{method}/{name}": metrics[name] for name in names})
    run.log({"time/seconds": sum(result.seconds for result in evaluation.results)})
    frames = [
        experiment.predictions(result).assign(seed=seed)
        for seed, result in zip(evaluation.seeds, evaluation.results, strict=True)
    ]
    with scratch_folder() as folder:
        config = _with_seed(source.config.trial, 0)
        description = experiment.describe() | {"trial": config.to_dict()}
        (folder / "config.json").write_text(json.dumps(description, indent=2) + "\n")
        evaluation_table(evaluation).to_csv(folder / "evaluation.csv", index=False)
        pd.concat(frames).to_csv(folder / "predictions.csv", index=False)
        write_checksums(folder)
        run.log_folder(folder)
    run.set_tags({"fourier.state": "complete"})
