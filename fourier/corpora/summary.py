"""What a sweep would use of a corpus, in numbers."""

import re
from dataclasses import dataclass

import pandas as pd

from fourier.corpora.corpus import Corpus


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A corpus in numbers.

    Attributes:
        tracks: tracks with at least one clip.
        groups: artists, or tracks where artists are unknown.
        clips: clips.
        hours: their length in all.
        ranges: lowest and highest label of each dimension of a regression.
        classes: clips of each class.
        left_out: how many files or clips by reason, most first.
    """

    tracks: int
    groups: int
    clips: int
    hours: float
    ranges: dict[str, tuple[float, float]]
    classes: dict[str, int]
    left_out: dict[str, int]


def summarise(corpus: Corpus, clips: pd.DataFrame, left_out: pd.DataFrame) -> Summary:
    """Count what is there.

    Args:
        corpus: the corpus.
        clips: its clips that could be decoded.
        left_out: what could not, or was not there to begin with.
    """
    used = clips["track"].drop_duplicates()
    ranges, classes = {}, {}
    if corpus.classes:
        counts = clips["label"].value_counts()
        classes = {name: int(counts.get(i, 0)) for i, name in enumerate(corpus.classes)}
    else:
        for name in corpus.targets:
            ranges[name] = (float(clips[name].min()), float(clips[name].max()))
    return Summary(
        tracks=len(used),
        groups=int(used.map(corpus.tracks["group"]).nunique()),
        clips=len(clips),
        hours=len(clips) * corpus.clip_seconds / 3600,
        ranges=ranges,
        classes=classes,
        left_out=count_reasons(left_out),
    )


def count_reasons(left_out: pd.DataFrame) -> dict[str, int]:
    """How many files or clips were left out by reason, most first.

    "the audio ends at 44.93 s" and "… at 44.62 s" are one reason.
    """
    reasons = left_out["reason"].map(lambda reason: re.sub(r"\d+(\.\d+)?", "…", reason))
    return {str(reason): int(count) for reason, count in reasons.value_counts().items()}
