"""Which tracks are for training, which for validation, and which stay closed.

By a published list, or by a hash of a group's id: never by a shuffle, so the same clip of a corpus
is on the same side on every machine and in every run, whatever else could be decoded there.
Everything is by group (the artist where known, else the track) except `segment`, which leaks and
says so. Adding tracks to a corpus makes another corpus: the published lists and test sets stay,
the parts by hash may take other tracks.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import pandas as pd

from fourier.corpora.corpus import Corpus
from fourier.corpora.folder import KINDS
from fourier.errors import CorpusError

Part = Literal["train", "valid", "test", "unused"]

TRAIN_SHARE, VALID_SHARE = 0.6, 0.2
"""The rest is the test part."""

SEEN = ("train", "valid")
"""What a sweep sees, and needs some of."""


@dataclass(frozen=True)
class Protocol:
    """A named way to split a corpus.

    Attributes:
        name: as it is typed.
        tasks: which tasks it is for.
        description: what it does, in a few words.
        assign: gives each clip its part.
        leaky: whether clips of one track stand on both sides, which inflates every figure.
        folds_only: whether it has no parts of its own: no test part, and training and validation
            only by folds of everything.
    """

    name: str
    tasks: tuple[str, ...]
    description: str
    assign: Callable[[Corpus, pd.DataFrame], np.ndarray]
    leaky: bool = False
    folds_only: bool = False


def assign_parts(corpus: Corpus, clips: pd.DataFrame, protocol: str) -> pd.Series:
    """Give each clip its part under a protocol.

    Args:
        corpus: the corpus.
        clips: its clips, or those that could be decoded.
        protocol: a name in `PROTOCOLS`.

    Returns:
        ``train``, ``valid``, ``test`` or ``unused``, aligned with the clips.

    Raises:
        CorpusError: the protocol is unknown or not for this task, or leaves nothing to train or
            validate on.
    """
    usable = [entry for entry in PROTOCOLS.values() if corpus.task in entry.tasks]
    chosen = next((entry for entry in usable if entry.name == protocol), None)
    if chosen is None:
        names = ", ".join(entry.name for entry in usable)
        raise CorpusError(f"`--protocol` must be one of {names} for {corpus.task}, not {protocol}")
    parts = chosen.assign(corpus, clips)
    for part in SEEN:
        if part not in parts:
            working = [
                entry.name
                for entry in usable
                if not (entry.leaky or entry.folds_only)
                and set(SEEN) <= set(entry.assign(corpus, clips))
            ]
            cure = f"try --protocol {' or '.join(working)}" if working else "add more tracks"
            raise CorpusError(
                f"protocol {protocol} leaves no {part} clips of {corpus.root}; {cure}"
            )
    return pd.Series(parts, index=clips.index, dtype="str")


def hash_share(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    text = "\x1f".join(map(str, words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def spread(groups: pd.Series, classes: pd.Series) -> pd.Series:
    """Give each group a place in [0, 1), evenly within each class.

    A plain hash would often leave a part of a small corpus empty, or a class out of it. So the
    groups of a class are ranked by their hash, and rank r of n is put at (r + u) / n, where u is a
    hash of the class (systematic sampling, Madow & Madow 1944). Every stretch of [0, 1) then holds
    its share of the class to within one group, so with five groups no fifth is empty; and the odd
    groups fall differently in different classes, where rounding would give all of them to one part.

    Args:
        groups: group of each row.
        classes: class of each row; a group that stands in several is ranked in its first.

    Returns:
        Places, indexed by group.
    """
    frame = pd.DataFrame({"group": groups, "class": classes}).drop_duplicates("group")
    places: dict[str, float] = {}
    for label, members in frame.groupby("class")["group"]:
        ranked = sorted(members, key=lambda group: (hash_share("group", group), group))
        offset = hash_share("class", label)
        for rank, group in enumerate(ranked):
            places[group] = (rank + offset) / len(ranked)
    return pd.Series(places, dtype=float)


def assign_folds(
    corpus: Corpus, clips: pd.DataFrame, protocol: str, folds: int, *, leaky: bool = False
) -> pd.Series:
    """Give each clip outside the test part one of several folds, by group.

    Args:
        corpus: the corpus.
        clips: its clips, or those that could be decoded.
        protocol: decides what is test or unused, and what a group is.
        folds: how many, 2 or more.
        leaky: take every segment for a group of its own, as a leaky protocol always does.

    Returns:
        Fold of each clip, 0 to ``folds - 1``; -1 for test and unused clips.
    """
    if folds < 2:
        raise ValueError(f"`folds >= 2` must hold, but got {folds}")
    everything = assign_parts(corpus, corpus.clips, protocol).isin(SEEN)
    seen = assign_parts(corpus, clips, protocol).isin(SEEN)
    by = _tracks if protocol == "track" else _groups
    if leaky or PROTOCOLS[protocol].leaky:
        by = _segments
    places = spread(by(corpus, corpus.clips)[everything], _classes(corpus)[everything])
    fold = (by(corpus, clips)[seen].map(places) * folds).astype(int).clip(upper=folds - 1)
    if fold.nunique() < folds:
        raise CorpusError(
            f"{folds} folds of the {by(corpus, clips)[seen].nunique()} groups of {corpus.root} "
            "would leave some empty; ask for fewer folds or add more tracks"
        )
    return fold.reindex(clips.index, fill_value=-1)


def _tracks(_corpus: Corpus, clips: pd.DataFrame) -> pd.Series:
    return clips["track"]


def _segments(_corpus: Corpus, clips: pd.DataFrame) -> pd.Series:
    return clips["track"] + " @ " + clips["start"].astype(str)


def _groups(corpus: Corpus, clips: pd.DataFrame) -> pd.Series:
    return clips["track"].map(corpus.tracks["group"])


def _classes(corpus: Corpus) -> pd.Series:
    """The class of each clip of the corpus; all the same for a regression."""
    if corpus.classes:
        return corpus.clips["label"].astype("str")
    return pd.Series("", index=corpus.clips.index, dtype="str")


def _by_place(places: pd.Series, train: float, valid: float) -> np.ndarray:
    edges = [places < train, places < train + valid]
    return np.select(edges, ["train", "valid"], "test")


def _by_track(corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    places = spread(corpus.clips["track"], _classes(corpus))
    return _by_place(clips["track"].map(places), TRAIN_SHARE, VALID_SHARE)


def _without_test(corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    """By group, everything: which side is which does not matter, since folds take both."""
    places = spread(_groups(corpus, corpus.clips), _classes(corpus))
    return np.where(_groups(corpus, clips).map(places) < 1 - VALID_SHARE, "train", "valid")


def _by_artist(corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    places = spread(_groups(corpus, corpus.clips), _classes(corpus))
    return _by_place(_groups(corpus, clips).map(places), TRAIN_SHARE, VALID_SHARE)


def _by_segment(_corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    """The genre notebook's way: every segment for itself."""
    pairs = zip(clips["track"], clips["start"], strict=True)
    places = pd.Series([hash_share("segment", track, start) for track, start in pairs])
    return _by_place(places, TRAIN_SHARE, VALID_SHARE)


def _mediaeval2015(corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    """The benchmark's test set is the 58 full-length songs; the others are ours to split."""
    open_clips = ~_is_full_length(corpus.clips)
    places = spread(_groups(corpus, corpus.clips)[open_clips], _classes(corpus)[open_clips])
    known = np.where(_groups(corpus, clips).map(places) < 0.8, "train", "valid")
    return np.where(_is_full_length(clips), "test", known)


def _as_given(corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    """The labels' own split; where they name no validation part, a fifth of the training groups."""
    if "split" not in corpus.tracks:
        return np.full(len(clips), "unused")
    given = corpus.clips["track"].map(corpus.tracks["split"])
    mine = clips["track"].map(corpus.tracks["split"]).to_numpy(dtype=str)
    if "valid" in set(given):
        return mine
    train = given == "train"
    places = spread(_groups(corpus, corpus.clips)[train], _classes(corpus)[train])
    held = (_groups(corpus, clips).map(places) >= 0.8).to_numpy()
    return np.where((mine == "train") & held, "valid", mine)


def _is_full_length(clips: pd.DataFrame) -> pd.Series:
    return pd.to_numeric(clips["track"], errors="coerce").between(2001, 2058)


def _emomusic(_corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    table = _published_emomusic()
    return clips["track"].map(table).fillna("unused").to_numpy(dtype=str)


def _fault_filtered(_corpus: Corpus, clips: pd.DataFrame) -> np.ndarray:
    return clips["track"].map(_published_fault_filtered()).fillna("unused").to_numpy(dtype=str)


@cache
def _published_emomusic() -> dict[str, str]:
    with _published("emomusic_504_115_125.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=str)
    return dict(zip(table["song_id"], table["split"], strict=True))


@cache
def _published_fault_filtered() -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in ("train", "valid", "test"):
        text = _published(f"gtzan_fault_filtered_{part}.txt").read_text(encoding="utf-8")
        parts |= dict.fromkeys(text.split(), part)
    return parts


def _published(name: str) -> "resources.abc.Traversable":
    return resources.files("fourier.corpora").joinpath("published", name)


PROTOCOLS = {
    entry.name: entry
    for entry in (
        Protocol(
            "fault-filtered",
            ("gtzan",),
            "443/197/290 tracks without repetitions and distortions (Kereliuk et al. 2015)",
            _fault_filtered,
        ),
        Protocol(
            "mediaeval2015",
            ("deam",),
            "test is songs 2001 to 2058; the others 80/20 by artist",
            _mediaeval2015,
        ),
        Protocol("emomusic", ("deam",), "504/115/125 songs of the 2013 set, published", _emomusic),
        Protocol("artist", ("deam",), "60/20/20 by artist, by hash", _by_artist),
        Protocol(
            "split",
            KINDS,
            "as the column `split` says; without a valid part, a fifth of the training groups",
            _as_given,
        ),
        Protocol("group", KINDS, "60/20/20 by the column `group`, by hash", _by_artist),
        Protocol("track", ("deam", "gtzan", *KINDS), "60/20/20 by track, by hash", _by_track),
        Protocol(
            "segment",
            ("deam", "gtzan", *KINDS),
            "60/20/20 of segments, one track on several sides; to show how much that inflates",
            _by_segment,
            leaky=True,
        ),
        Protocol(
            "crossval",
            ("deam", "gtzan", *KINDS),
            "folds by group of everything, with no test part; to estimate, not to choose",
            _without_test,
            folds_only=True,
        ),
    )
}
