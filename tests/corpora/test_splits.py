from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fourier.corpora import PROTOCOLS, Corpus, assign_folds, assign_parts, load_corpus, summarise
from fourier.corpora.gtzan import GENRES
from fourier.corpora.splits import hash_share, spread
from fourier.errors import CorpusError


def make_corpus(task, tracks, groups=None, clips_each=3):
    """A corpus of names only; splitting opens no audio."""
    ids = [str(track) for track in tracks]
    genres = sorted({track.split(".")[0] for track in ids})
    rows = [(track, 5.0 * i) for track in ids for i in range(clips_each)]
    clips = pd.DataFrame(rows, columns=["track", "start"])
    if task == "gtzan":
        clips["label"] = [genres.index(track.split(".")[0]) for track in clips["track"]]
    return Corpus(
        name=task,
        task=task,
        root=Path("data"),
        sample_rate=22_050,
        clip_seconds=5.0,
        tracks=pd.DataFrame(
            {"path": ids, "group": groups or ids}, index=pd.Index(ids, name="track")
        ),
        clips=clips,
        targets=("label",) if task == "gtzan" else ("valence", "arousal"),
        classes=tuple(genres) if task == "gtzan" else (),
        left_out=pd.DataFrame(columns=["item", "reason"]),
        default_protocol="track",
    )


GTZAN = make_corpus("gtzan", [f"{g}.{i:05d}" for g in ("blues", "jazz", "rock") for i in range(20)])
DEAM = make_corpus(
    "deam",
    [*range(2, 102), *range(2001, 2011)],
    groups=[f"artist {i // 3}" for i in range(110)],
)


@pytest.mark.parametrize(
    ("corpus", "protocol"),
    [
        (GTZAN, "track"),
        (DEAM, "track"),
        (DEAM, "artist"),
        (DEAM, "mediaeval2015"),
        (DEAM, "emomusic"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.task,
)
def test_no_track_stands_on_two_sides(corpus, protocol):
    parts = assign_parts(corpus, corpus.clips, protocol)
    assert (parts.groupby(corpus.clips["track"]).nunique() == 1).all()
    assert {"train", "valid"} <= set(parts)


def test_no_artist_stands_on_two_sides_of_the_artist_protocol():
    parts = assign_parts(DEAM, DEAM.clips, "artist")
    artists = DEAM.clips["track"].map(DEAM.tracks["group"])
    assert (parts.groupby(artists).nunique() == 1).all()


def test_the_segment_protocol_leaks_and_says_so():
    parts = assign_parts(GTZAN, GTZAN.clips, "segment")
    assert (parts.groupby(GTZAN.clips["track"]).nunique() > 1).any()
    assert [entry.name for entry in PROTOCOLS.values() if entry.leaky] == ["segment"]


def test_a_split_depends_on_ids_and_not_on_their_order():
    shuffled = GTZAN.clips.sample(frac=1, random_state=0)
    parts = assign_parts(GTZAN, GTZAN.clips, "track")
    assert assign_parts(GTZAN, shuffled, "track").sort_index().equals(parts)


def test_every_class_has_its_share_of_every_part():
    parts = assign_parts(GTZAN, GTZAN.clips, "track")
    table = pd.crosstab(GTZAN.clips["label"], parts.to_numpy()) / 3
    assert (table["train"].between(11, 13)).all()
    assert (table["valid"].between(3, 5)).all()
    assert (table["test"].between(3, 5)).all()


@pytest.mark.parametrize("count", [5, 7, 12, 50])
@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_even_a_few_tracks_fill_every_part(count, name):
    corpus = make_corpus("deam", [f"{int(hash_share(name, i) * 2000)}{i}" for i in range(count)])
    assert set(assign_parts(corpus, corpus.clips, "track")) == {"train", "valid", "test"}


def test_places_of_a_class_are_spread_evenly():
    groups = pd.Series([f"track {i}" for i in range(40)])
    places = np.sort(spread(groups, pd.Series([1] * 40)).to_numpy())
    np.testing.assert_allclose(np.diff(places), 1 / 40)
    assert 0 <= places[0] < 1 / 40


def test_the_published_lists_have_the_published_sizes():
    tracks = [f"{genre}.{i:05d}" for genre in GENRES for i in range(100)]
    corpus = make_corpus("gtzan", tracks, clips_each=1)
    counts = assign_parts(corpus, corpus.clips, "fault-filtered").value_counts().to_dict()
    assert counts == {"train": 443, "valid": 197, "test": 290, "unused": 70}
    corpus = make_corpus("deam", range(2, 1001), clips_each=1)
    counts = assign_parts(corpus, corpus.clips, "emomusic").value_counts().to_dict()
    assert {part: counts[part] for part in ("train", "valid", "test")} == {
        "train": 504,
        "valid": 115,
        "test": 125,
    }


def test_losing_a_clip_moves_no_other():
    for protocol in ("fault-filtered", "segment"):
        parts = assign_parts(GTZAN, GTZAN.clips, protocol)
        fewer = GTZAN.clips.drop(index=[0, 7, 30])
        assert assign_parts(GTZAN, fewer, protocol).equals(parts.drop(index=[0, 7, 30]))


def test_a_protocol_of_another_task_names_those_of_this_one():
    with pytest.raises(CorpusError, match=r"fault-filtered, track, segment for gtzan, not artist"):
        assign_parts(GTZAN, GTZAN.clips, "artist")
    with pytest.raises(CorpusError, match="must be one of"):
        assign_parts(DEAM, DEAM.clips, "random")


def test_a_protocol_that_leaves_nothing_to_train_on_names_one_that_does():
    corpus = make_corpus("gtzan", ["jazz.90000", "rock.90000"])
    with pytest.raises(CorpusError, match="leaves no train clips .* try --protocol track"):
        assign_parts(corpus, corpus.clips, "fault-filtered")


def test_folds_cover_all_but_the_test_part_and_part_no_track():
    folds = assign_folds(GTZAN, GTZAN.clips, "track", 4)
    parts = assign_parts(GTZAN, GTZAN.clips, "track")
    assert set(folds[parts == "test"]) == {-1}
    assert set(folds[parts != "test"]) == {0, 1, 2, 3}
    assert (folds.groupby(GTZAN.clips["track"]).nunique() == 1).all()
    with pytest.raises(ValueError, match="`folds >= 2` must hold, but got 1"):
        assign_folds(GTZAN, GTZAN.clips, "track", 1)


def test_the_summary_counts_what_is_used_and_joins_like_reasons():
    left_out = pd.DataFrame(
        [
            ("a", "the audio ends at 44.93 s"),
            ("b", "the audio ends at 44.6 s"),
            ("c", "empty file"),
        ],
        columns=["item", "reason"],
    )
    summary = summarise(GTZAN, GTZAN.clips, left_out)
    assert (summary.tracks, summary.groups, summary.clips) == (60, 60, 180)
    assert summary.hours == pytest.approx(180 * 5 / 3600)
    assert summary.classes == {"blues": 60, "jazz": 60, "rock": 60}
    assert summary.left_out == {"the audio ends at … s": 2, "empty file": 1}


@pytest.mark.realdata
def test_the_real_tracks_are_split_as_published(real_data):
    corpus = load_corpus(real_data / "gtzan-mini")
    parts = assign_parts(corpus, corpus.clips, "fault-filtered")
    tracks = parts.groupby(corpus.clips["track"]).first().value_counts().to_dict()
    assert tracks == {"train": 23, "valid": 31, "unused": 5, "test": 1}
