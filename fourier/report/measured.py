"""What runs beside a study say of its settings: evaluations, confirmations, the test part.

Not here: measuring anything.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from fourier.corpora import PROTOCOLS
from fourier.tracking import Tracker


@dataclass(frozen=True)
class Measured:
    """A setting trained again with new seeds.

    Attributes:
        trial: whose setting it is.
        kind: ``evaluation`` (by folds) or ``confirmation`` (of a promotion, one split).
        protocol: how it was split.
        leaky: whether that inflates.
        folds: how many; 0 for one split.
        seeds: how many.
        mean: of each metric over the seeds.
        std: the same; empty with one seed.
        run_id: where it stands.
        floor: baselines on the same folds, metrics by name; empty where they were not measured.
    """

    trial: int
    kind: str
    protocol: str
    leaky: bool
    folds: int
    seeds: int
    mean: Mapping[str, float]
    std: Mapping[str, float]
    run_id: str
    floor: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tested:
    """What the test part said, to a promotion.

    Attributes:
        trial: whose setting was promoted.
        value: of the objective, on test tracks.
        low: lower end of the 95 % interval.
        high: upper end.
        tracks: how many.
        opened: when, ISO 8601.
        decision: what followed.
        run_id: of the promotion.
    """

    trial: int
    value: float
    low: float
    high: float
    tracks: int
    opened: str
    decision: str
    run_id: str


@dataclass(frozen=True)
class _Run:
    """What is read of a run."""

    id: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def find_evaluations(tracker: Tracker, experiment: str, study: str) -> list[Measured]:
    """What `fourier evaluate` measured of a study's trials, the latest first."""
    return [
        Measured(
            trial=int(run.tags.get("fourier.trial", -1)),
            kind="evaluation",
            protocol=run.tags["fourier.protocol"],
            leaky=run.tags.get("fourier.leaky") == "true",
            folds=int(run.tags["fourier.folds"]),
            seeds=int(run.tags["fourier.seeds"]),
            mean=_prefixed(run.metrics, "mean/"),
            std=_prefixed(run.metrics, "std/"),
            run_id=run.id,
            floor=_floor(_prefixed(run.metrics, "baseline/")),
        )
        for run in _runs(tracker, experiment, "evaluation", study)
        if run.tags.get("fourier.state") == "complete"
    ]


def find_confirmations(
    tracker: Tracker, experiment: str, study: str, protocol: str
) -> list[Measured]:
    """What promotions trained again of a study's trials, the latest first."""
    found: list[Measured] = []
    for run in _runs(tracker, experiment, "promotion", study):
        text = tracker.read_artifact(run.id, "confirmation.csv")
        rows = [] if text is None else pd.read_csv(io.StringIO(text)).to_dict("records")
        found += [
            Measured(
                trial=int(row["trial"]),
                kind="confirmation",
                protocol=protocol,
                leaky=is_leaky(protocol),
                folds=0,
                seeds=int(row["seeds"]) - int(row["diverged"]),
                mean=_suffixed(row, "_mean"),
                std=_suffixed(row, "_std"),
                run_id=run.id,
            )
            for row in rows
        ]
    return found


def find_tests(tracker: Tracker, experiment: str, study: str, objective: str) -> list[Tested]:
    """What promotions saw of the test part, the latest first."""
    name = f"test/{objective}"
    return [
        Tested(
            trial=int(run.tags["fourier.trial"]),
            value=run.metrics[name],
            low=run.metrics[f"{name}_low"],
            high=run.metrics[f"{name}_high"],
            tracks=int(run.metrics["test/tracks"]),
            opened=run.tags["fourier.test_opened"],
            decision=run.tags.get("fourier.decision", ""),
            run_id=run.id,
        )
        for run in _runs(tracker, experiment, "promotion", study)
        if {name, f"{name}_low", f"{name}_high"} <= set(run.metrics)
    ]


def is_leaky(protocol: str) -> bool:
    """Whether a protocol inflates every figure; an unknown one does not."""
    return protocol in PROTOCOLS and PROTOCOLS[protocol].leaky


def _runs(tracker: Tracker, experiment: str, kind: str, study: str) -> list[_Run]:
    """By the study's name, which may hold any character and so stands in no query."""
    found = tracker.find_runs(experiment, {"fourier.kind": kind})
    runs = [_Run(each.info.run_id, each.data.tags, each.data.metrics) for each in found]
    return [run for run in runs[::-1] if run.tags.get("fourier.study") == study]


def _prefixed(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    chosen = {name: value for name, value in metrics.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in chosen.items()}


def _floor(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Metrics by baseline, of ``NAME/METRIC``."""
    found: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        method, _, name = key.partition("/")
        found.setdefault(method, {})[name] = value
    return found


def _suffixed(row: Mapping[object, object], suffix: str) -> dict[str, float]:
    chosen = {str(name): value for name, value in row.items() if str(name).endswith(suffix)}
    numbers = {name: float(str(value)) for name, value in chosen.items()}
    return {name.removesuffix(suffix): x for name, x in numbers.items() if x == x}  # noqa: PLR0124
