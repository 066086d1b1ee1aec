"""What an experiment trains on and how that is split, each in a line that people read."""

from typing import TYPE_CHECKING

from fourier.corpora import PROTOCOLS

if TYPE_CHECKING:
    from fourier.training.experiment import Experiment

PARTS = ("train", "valid", "test")


def clips_fact(experiment: "Experiment") -> str:
    """How many clips of which length, from how many tracks."""
    corpus, clips = experiment.corpus, experiment.clips
    hours = len(clips) * corpus.clip_seconds / 3600
    tracks = clips["track"].nunique()
    return f"{len(clips)} of {corpus.clip_seconds:g} s from {tracks} tracks, {hours:.2f} h"


def split_fact(experiment: "Experiment") -> str:
    """How many tracks are in which part, or in folds."""
    counts = experiment.clips.groupby(experiment.parts.to_numpy())["track"].nunique().to_dict()
    leaky = "  (leaky: tracks stand on both sides)" if PROTOCOLS[experiment.protocol].leaky else ""
    if experiment.fold_of is not None:
        seen = int(experiment.clips.loc[experiment.fold_of >= 0, "track"].nunique())
        closed = f"; {counts['test']} test tracks stay closed" if "test" in counts else ""
        return f"{experiment.protocol}: {experiment.folds} folds of {seen} tracks{closed}{leaky}"
    sizes = " / ".join(f"{counts.get(part, 0)} {part}" for part in PARTS)
    return f"{experiment.protocol}: {sizes} tracks{leaky}"
