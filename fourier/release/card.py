"""The model card: what a version is, what it can do, and what it cannot. Markdown.

It is the version's description in MLflow's UI, so it fits the 5,000 characters that the registry's
databases hold. Not here: where the figures come from.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import fourier
from fourier.corpora import PROTOCOLS
from fourier.release.confirm import Attempt, Confirmed
from fourier.release.statistics import Comparison, Interval
from fourier.training import Experiment

CARD_CHARS = 5000
"""What a version's description can hold in MLflow's databases."""
CODE_CHARS = 110
"""What a line of code can hold before a page of MLflow's hides the rest."""
PARTS = ("train", "valid", "test")
LIMITS = {
    "deam": (
        "DEAM is royalty-free music of mostly Western popular genres, rated by crowd workers in "
        "45-second excerpts. Values are their mean; people differ from it, and so may you.",
        "Emotion is what listeners say they perceive in the music, not what anybody feels.",
        "Not for judging people, nor for decisions about them.",
    ),
    "gtzan": (
        "It always answers with one of its genres, also for speech, silence or music of another.",
        "GTZAN's labels are one person's from 2002; it holds repetitions and mislabelled tracks "
        "(Sturm 2013), and its artists are not known to the split.",
        "Probabilities are as calibrated as the picture in the promotion's run shows, not more.",
    ),
    "classification": (
        "It always answers with one of its classes, also for what is none of them.",
        "Probabilities are as calibrated as the picture in the promotion's run shows, not more.",
    ),
    "regression": ("Values are as whoever labelled the folder meant them; others may differ.",),
}


@dataclass(frozen=True, eq=False)
class Facts:
    """What a card tells.

    Attributes:
        model: name of the registered model.
        experiment: corpus, split and task.
        study: name of the study.
        study_run: its run.
        promotion_run: the run that this promotion leaves.
        winner: the setting that won, with all its seeds.
        released: which of its networks is released.
        comparison: figures on the test part.
        opened: when that was opened.
        openings: how often it had been opened before.
        champion: who was measured beside it; empty if nobody.
        decision: what followed, in a sentence.
        baselines: validation metrics of what a network must beat.
    """

    model: str
    experiment: Experiment
    study: str
    study_run: str
    promotion_run: str
    winner: Confirmed
    released: Attempt
    comparison: Comparison
    opened: str
    openings: int
    champion: str
    decision: str
    baselines: Mapping[str, Mapping[str, float]]


def write_card(facts: Facts, *, full: bool = True) -> str:
    """The card as Markdown.

    Args:
        facts: what to tell.
        full: whether length does not matter; else settings, and then baselines, give way to
            `CARD_CHARS`.
    """
    sections = {
        "head": _head(facts),
        "figures": _figures(facts),
        "validation": _validation(facts, baselines=True),
        "data": _data(facts),
        "settings": _settings(facts),
        "lineage": _lineage(facts),
        "limits": _limits(facts),
    }
    shorter = {
        "settings": "## Settings\n\nIn `config.json` of the promotion's run.\n",
        "validation": _validation(facts, baselines=False),
    }
    for name, text in {} if full else shorter.items():
        if len("\n".join(sections.values())) > CARD_CHARS:
            sections[name] = text
    card = "\n".join(sections.values())
    return card if full or len(card) <= CARD_CHARS else card[: CARD_CHARS - 2] + "…\n"


def _head(facts: Facts) -> str:
    corpus = facts.experiment.corpus
    answer = (
        f"probabilities of {len(corpus.classes)} classes ({', '.join(corpus.classes)})"
        if corpus.classes
        else f"{' and '.join(corpus.targets)}, each from -1 to 1"
    )
    lines = [
        f"# {facts.model}",
        "",
        f"From {corpus.clip_seconds:g} s of mono audio at {corpus.sample_rate} Hz to {answer}.",
    ]
    warning = _warning(facts.experiment)
    if warning:
        lines += ["", f"> **{warning}**"]
    lines += ["", f"**Decision:** {facts.decision}", ""]
    return "\n".join(lines)


def _warning(experiment: Experiment) -> str:
    if experiment.corpus.name.endswith("-demo"):
        return "Trained on synthesised demo music: its figures say nothing about real music."
    if PROTOCOLS[experiment.protocol].leaky:
        return "Leaky split: clips of one track on both sides, so every figure is inflated."
    return ""


def _figures(facts: Facts) -> str:
    task, comparison = facts.experiment.task, facts.comparison
    shown = list(dict.fromkeys((task.objective, *task.display)))
    columns = ["metric", "this model", *([facts.champion] if comparison.champion else [])]
    models = [comparison.winner, *([comparison.champion] if comparison.champion else [])]
    rows = [[name, *(str(model[name]) for model in models)] for name in shown]
    times = {0: "for the first time", 1: "for the second time"}.get(
        facts.openings, f"as {facts.openings} times before"
    )
    gain = "" if comparison.gain is None else f" Gain: {_signed(comparison.gain)}."
    return "\n".join(
        [
            "## Figures on the test part",
            "",
            _table(columns, rows),
            "",
            f"{comparison.tracks} tracks, with 95 % intervals from {comparison.resamples:,} "
            f"paired draws of tracks.{gain} Opened {facts.opened}, {times}.",
            "",
        ]
    )


def _validation(facts: Facts, *, baselines: bool) -> str:
    task, winner = facts.experiment.task, facts.winner
    shown = list(dict.fromkeys((task.objective, *task.display)))
    released = facts.released.network.metrics
    rows = [
        [f"mean ± std of {len(winner.results)} seeds", *(spread(winner, name) for name in shown)],
        ["released: the median seed", *(f"{released[name]:.3f}" for name in shown)],
    ]
    if baselines:
        rows += [
            [f"baseline: {name}", *(f"{metrics[key]:.3f}" for key in shown)]
            for name, metrics in facts.baselines.items()
        ]
    table = _table(["validation part", *shown], rows)
    return f"## Figures on the validation part\n\n{table}\n"


def _data(facts: Facts) -> str:
    experiment = facts.experiment
    corpus, protocol = experiment.corpus, PROTOCOLS[experiment.protocol]
    by_part = experiment.clips.groupby(experiment.parts.to_numpy())["track"]
    tracks, clips = by_part.nunique().to_dict(), by_part.size().to_dict()
    counts = ", ".join(
        f"{part} {tracks[part]} tracks ({clips[part]} clips)" for part in PARTS if part in tracks
    )
    return (
        f"## Data and protocol\n\n{corpus.name}, digest `{corpus.digest}`. "
        f"Protocol `{protocol.name}`: {protocol.description}. {counts}; "
        f"{len(experiment.pcm.left_out)} files or clips left out.\n"
    )


def _settings(facts: Facts) -> str:
    text = json.dumps(facts.released.config.to_dict(), indent=None)
    text = textwrap.fill(text, CODE_CHARS, break_long_words=False, break_on_hyphens=False)
    return f"## Settings\n\n{facts.released.config.describe()}\n\n```json\n{text}\n```\n"


def _lineage(facts: Facts) -> str:
    candidate, training = facts.winner.candidate, facts.released.config.training
    return (
        f"## Lineage\n\nStudy `{facts.study}` (run `{facts.study_run}`), trial "
        f"{candidate.trial} (run `{candidate.run_id}`), trained again with seed {training.seed} "
        f"in promotion `{facts.promotion_run}`, by fourier {fourier.__version__}. "
        f"`fourier reproduce {facts.promotion_run}` trains it again.\n"
    )


def _limits(facts: Facts) -> str:
    general = (
        "Figures hold for music like the corpus's. The intervals tell of other tracks of its kind, "
        "not of other corpora, nor of training anew."
    )
    limits = [*LIMITS.get(facts.experiment.task.name, ()), general]
    leaks = len(facts.experiment.leaks)
    if leaks:
        limits.append(
            f"Pairs of tracks with the same audio on different sides of the split: {leaks}. The "
            "figures are better than they would be without them."
        )
    return "## Limits of use\n\n" + "\n".join(f"- {line}" for line in limits) + "\n"


def spread(confirmed: Confirmed, metric: str) -> str:
    """Mean ± standard deviation of a validation metric over the seeds."""
    std = confirmed.std(metric)
    deviation = "" if std != std else f" ± {std:.3f}"  # noqa: PLR0124  NaN with one seed
    return f"{confirmed.mean(metric):.3f}{deviation}"


def _signed(gain: Interval) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """MLflow's pages leave no room between columns, so each but the first brings its own."""
    lines = ["| " + " | &ensp;".join(line) + " |" for line in (columns, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(columns), *lines[1:]])
