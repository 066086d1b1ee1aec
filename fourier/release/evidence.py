"""What a promotion leaves in its run: tables, pictures, figures, the decision and its reason.

The run also holds what a trial's does, so that the released network can be looked at, compared and
trained again in the same way. Not here: what goes to the registry.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fourier.release.card import Facts, write_card
from fourier.release.confirm import (
    Attempt,
    Confirmed,
    attempts_table,
    confirmation_table,
)
from fourier.release.heldout import HeldOut
from fourier.release.pictures import draw_confirmation, draw_test
from fourier.release.statistics import Comparison, Interval
from fourier.search.artifacts import write_artifacts
from fourier.search.points import best_points, curve_points
from fourier.tracking import TrackedRun, scratch_folder, write_checksums
from fourier.training import Experiment

Answers = npt.NDArray[np.float32]


def log_curves(run: TrackedRun, released: Attempt) -> None:
    """Parameters, curves and best values of the released network, under a trial's names."""
    result = released.network
    run.log_params(released.config.to_flat())
    for epoch, metrics in enumerate(result.history):
        run.log(curve_points(metrics), step=epoch)
    best = best_points(result.metrics) | {"best/epoch": result.best_epoch}
    run.log(best | {"time/seconds": result.seconds})
    run.flush()


def write_evidence(
    run: TrackedRun,
    facts: Facts,
    confirmed: Sequence[Confirmed],
    held_out: HeldOut,
    answers: Answers,
    theirs: Answers | None,
    moves: bool,
) -> None:
    """Write everything that led to the decision to the promotion's run.

    Args:
        run: of the promotion.
        facts: what the card tells.
        confirmed: all candidates.
        held_out: the test part.
        answers: of the new model for it.
        theirs: of the champion; None if there is none.
        moves: the decision.
    """
    experiment, task = facts.experiment, facts.experiment.task
    names = list(dict.fromkeys((task.objective, *task.display)))
    with scratch_folder() as folder:
        title = f"released: {facts.released.config.describe()}"
        write_artifacts(folder, title, experiment, facts.released.config, facts.released.network)
        confirmation_table(confirmed, names).to_csv(folder / "confirmation.csv", index=False)
        attempts_table(confirmed).to_csv(folder / "seeds.csv", index=False)
        draw_confirmation(folder / "confirmation.png", confirmed, facts.winner, task.objective)
        _write_test(folder, facts, held_out, answers, theirs)
        decision = describe_decision(facts, moves)
        (folder / "leaks.json").write_text(json.dumps(experiment.describe_leaks(), indent=2) + "\n")
        (folder / "decision.json").write_text(json.dumps(decision, indent=2) + "\n")
        (folder / "card.md").write_text(write_card(facts))
        write_checksums(folder)
        run.log_folder(folder)
    run.log(_metrics(facts.comparison, confirmed, task.objective))
    run.flush()
    run.set_tags(
        {
            "fourier.decision": facts.decision,
            "fourier.moves": str(moves).lower(),
            "mlflow.note.content": write_card(facts, full=False),
        }
    )


def describe_decision(facts: Facts, moves: bool) -> dict[str, Any]:
    """The decision, its reason, and what it rests on, as plain data."""
    comparison = facts.comparison
    return {
        "moves": moves,
        "reason": facts.decision,
        "metric": comparison.metric,
        "gain": comparison.gain.__dict__ if comparison.gain else None,
        "tracks": comparison.tracks,
        "resamples": comparison.resamples,
        "winner": {name: each.__dict__ for name, each in comparison.winner.items()},
        "champion": {name: each.__dict__ for name, each in comparison.champion.items()},
        "compared_with": facts.champion or None,
        "test_opened": facts.opened,
        "opened_before": facts.openings,
        "trial": facts.winner.candidate.trial,
        "seed": facts.released.config.training.seed,
    }


def _write_test(
    folder: Path, facts: Facts, held_out: HeldOut, answers: Answers, theirs: Answers | None
) -> None:
    """Predictions and pictures of the test part."""
    corpus = facts.experiment.corpus
    table = predictions_table(facts.experiment, held_out, answers)
    table.to_csv(folder / "test_predictions.csv", index=False)
    shown = {"test": (facts.model, answers)}
    if theirs is not None:
        shown["test_champion"] = (facts.champion, theirs)
        table = predictions_table(facts.experiment, held_out, theirs)
        table.to_csv(folder / "test_champion_predictions.csv", index=False)
    for stem, (title, given) in shown.items():
        draw_test(
            folder / f"{stem}.png",
            f"{title} on {facts.comparison.tracks} test tracks",
            given,
            held_out.targets,
            targets=corpus.targets,
            classes=corpus.classes,
        )


def predictions_table(experiment: Experiment, held_out: HeldOut, answers: Answers) -> pd.DataFrame:
    """A row for each test clip: track, start, what is true and what was answered."""
    corpus = experiment.corpus
    frame = experiment.clips.iloc[held_out.rows][["track", "start"]].reset_index(drop=True)
    if not corpus.classes:
        for i, name in enumerate(corpus.targets):
            frame[name], frame[f"predicted_{name}"] = held_out.targets[:, i], answers[:, i]
        return frame
    classes = np.asarray(corpus.classes)
    frame["label"] = classes[held_out.targets.astype(int)]
    frame["predicted"] = classes[answers.argmax(axis=1)]
    columns = [f"p_{name}" for name in classes]
    return frame.assign(**dict(zip(columns, answers.T, strict=True)))


def _metrics(
    comparison: Comparison, confirmed: Sequence[Confirmed], objective: str
) -> dict[str, float]:
    values: dict[str, float] = {"test/tracks": comparison.tracks}
    for prefix, figures in (("test", comparison.winner), ("test_champion", comparison.champion)):
        for name, each in figures.items():
            values |= _interval_metrics(f"{prefix}/{name}", each)
    if comparison.gain is not None:
        values |= _interval_metrics(f"gain/{comparison.metric}", comparison.gain)
    for one in confirmed:
        name = f"confirm/trial_{one.candidate.trial:04d}/{objective}"
        values |= {f"{name}_mean": one.mean(objective), f"{name}_std": one.std(objective)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _interval_metrics(name: str, each: Interval) -> dict[str, float]:
    return {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
