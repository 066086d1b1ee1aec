from importlib import resources
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


def test_a_split_is_the_same_in_every_process_and_release():
    corpus = make_corpus("deam", range(2, 12), clips_each=1)
    parts = assign_parts(corpus, corpus.clips, "track")
    assert hash_share("group", "17") == 0.3852196010593849
    assert corpus.clips["track"][parts == "valid"].to_list() == ["5", "8"]
    assert corpus.clips["track"][parts == "test"].to_list() == ["4", "11"]


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


@pytest.mark.parametrize(
    ("corpus", "protocol"),
    [
        (corpus, name)
        for corpus in (GTZAN, DEAM)
        for name in PROTOCOLS
        if corpus.task in PROTOCOLS[name].tasks
    ],
    ids=lambda value: value if isinstance(value, str) else value.task,
)
def test_what_does_not_decode_moves_nothing_else(corpus, protocol):
    parts = assign_parts(corpus, corpus.clips, protocol)
    lost = corpus.tracks["group"].map(lambda group: hash_share("group", group) < 0.3)
    tracks = corpus.tracks.index[lost]  # the first in rank, which would pull all others down
    fewer = corpus.clips[~corpus.clips["track"].isin(tracks)].drop(index=[4, 7])
    assert assign_parts(corpus, fewer, protocol).equals(parts.loc[fewer.index])


def test_more_tracks_move_none_under_the_published_lists():
    for corpus, protocol in ((GTZAN, "fault-filtered"), (DEAM, "emomusic")):
        ids = corpus.tracks.index.tolist()
        more = [f"rock.{i:05d}" for i in range(20, 50)] if corpus is GTZAN else range(200, 260)
        larger = make_corpus(corpus.task, [*ids, *more])
        before = assign_parts(corpus, corpus.clips, protocol).to_list()
        after = assign_parts(larger, larger.clips, protocol)[larger.clips["track"].isin(ids)]
        assert after.to_list() == before


def test_more_songs_keep_the_test_songs_of_mediaeval2015():
    larger = make_corpus("deam", [*DEAM.tracks.index, *range(300, 360)])
    parts = assign_parts(larger, larger.clips, "mediaeval2015")
    assert set(larger.clips["track"][parts == "test"]) == {str(i) for i in range(2001, 2011)}


def test_mediaeval2015_validates_on_a_fifth_of_the_groups_that_are_not_tested():
    parts = assign_parts(DEAM, DEAM.clips, "mediaeval2015")
    groups = DEAM.clips["track"].map(DEAM.tracks["group"])[parts != "test"]
    by_group = parts[parts != "test"].groupby(groups).agg(["nunique", "first"])
    assert (by_group["nunique"] == 1).all()
    assert (by_group["first"] == "valid").sum() in (6, 7)  # of 34


REPETITIONS = {
    "jazz": "33 51, 34 53, 35 55, 36 58, 37 60, 38 62, 39 65, 40 67, 42 68, 43 69, 44 70, 45 71",
    "reggae": "3 54, 5 56, 8 57, 10 60, 13 58, 41 69, 73 74, 80 81",
    "disco": "50 51, 50 70, 51 70, 55 60, 55 89, 60 89, 71 74, 98 99",
    "metal": "4 13, 34 94, 40 61",
    "hiphop": "39 45, 76 78",
}


def test_of_the_exact_repetitions_that_sturm_found_fault_filtered_keeps_at_most_one():
    pairs = [
        [f"{genre}.{int(i):05d}" for i in pair.split()]
        for genre, listed in REPETITIONS.items()
        for pair in listed.split(",")
    ]
    tracks = sorted({track for pair in pairs for track in pair} | {"blues.00029", "blues.00000"})
    corpus = make_corpus("gtzan", tracks, clips_each=1)
    parts = assign_parts(corpus, corpus.clips, "fault-filtered")
    kept = set(corpus.clips["track"][parts != "unused"])
    assert not [pair for pair in pairs if kept >= set(pair)]


def test_the_published_songs_for_training_and_validation_share_no_artist():
    text = resources.files("fourier.corpora").joinpath("published", "emomusic_504_115_125.csv")
    with text.open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype=str)
    artists = {part: set(rows["artist"]) for part, rows in table.groupby("split")}
    assert not artists["train"] & artists["valid"]
    assert len(artists["train"] & artists["test"]) == 43


def test_a_protocol_of_another_task_names_those_of_this_one():
    with pytest.raises(
        CorpusError, match=r"fault-filtered, track, segment, crossval for gtzan, not artist"
    ):
        assign_parts(GTZAN, GTZAN.clips, "artist")
    with pytest.raises(CorpusError, match="must be one of"):
        assign_parts(DEAM, DEAM.clips, "random")


@pytest.mark.parametrize(
    ("task", "tracks", "protocol", "words"),
    [
        (
            "gtzan",
            [f"{genre}.{i}" for genre in ("jazz", "rock") for i in range(90_000, 90_006)],
            "fault-filtered",
            r"leaves no train clips of data; try --protocol track$",
        ),
        (
            "deam",
            range(2001, 2011),
            "mediaeval2015",
            r"no train .* try --protocol artist or track$",
        ),
        (
            "deam",
            range(1500, 1510),
            "emomusic",
            r"no train .* try --protocol mediaeval2015 or artist or track$",
        ),
        ("deam", [3], "track", r"leaves no (train|valid) clips of data; add more tracks$"),
    ],
)
def test_a_protocol_that_leaves_nothing_to_train_on_names_those_that_work(
    task, tracks, protocol, words
):
    corpus = make_corpus(task, tracks)
    with pytest.raises(CorpusError, match=words):
        assign_parts(corpus, corpus.clips, protocol)


def test_folds_cover_all_but_the_test_part_and_part_no_track():
    folds = assign_folds(GTZAN, GTZAN.clips, "track", 4)
    parts = assign_parts(GTZAN, GTZAN.clips, "track")
    assert set(folds[parts == "test"]) == {-1}
    assert set(folds[parts != "test"]) == {0, 1, 2, 3}
    assert (folds.groupby(GTZAN.clips["track"]).nunique() == 1).all()
    with pytest.raises(ValueError, match="`folds >= 2` must hold, but got 1"):
        assign_folds(GTZAN, GTZAN.clips, "track", 1)


@pytest.mark.parametrize("corpus", [GTZAN, DEAM], ids=lambda corpus: corpus.task)
def test_crossval_folds_every_track_by_group_and_tests_on_none(corpus):
    assert "test" not in set(assign_parts(corpus, corpus.clips, "crossval"))
    folds = assign_folds(corpus, corpus.clips, "crossval", 5)
    groups = corpus.clips["track"].map(corpus.tracks["group"])
    assert set(folds) == {0, 1, 2, 3, 4}
    assert (folds.groupby(groups).nunique() == 1).all()


def test_folds_are_by_artist_even_in_size_and_mixed_in_class():
    folds = assign_folds(DEAM, DEAM.clips, "mediaeval2015", 5)
    artists = DEAM.clips["track"].map(DEAM.tracks["group"])
    assert (folds[folds >= 0].groupby(artists).nunique() == 1).all()
    assert set(artists[folds >= 0].groupby(folds).nunique()) == {6, 7}
    folds = assign_folds(GTZAN, GTZAN.clips, "track", 4)
    table = pd.crosstab(GTZAN.clips["label"], folds)[[0, 1, 2, 3]] / 3
    assert table.isin([3, 4, 5]).all().all()


def test_folds_stay_where_they_are_when_something_does_not_decode():
    folds = assign_folds(GTZAN, GTZAN.clips, "track", 4)
    lost = GTZAN.clips["track"].map(lambda track: hash_share("lost", track) < 0.3)
    fewer = GTZAN.clips[~lost]
    assert assign_folds(GTZAN, fewer, "track", 4).equals(folds.loc[fewer.index])


def test_more_folds_than_groups_are_an_error():
    with pytest.raises(CorpusError, match=r"40 folds of the \d+ groups .* ask for fewer"):
        assign_folds(DEAM, DEAM.clips, "artist", 40)


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


def test_the_summary_of_a_regression_has_the_range_of_each_dimension():
    labels = np.linspace(-0.5, 0.7, len(DEAM.clips))
    clips = DEAM.clips.assign(valence=labels, arousal=-labels)
    summary = summarise(DEAM, clips, DEAM.left_out)
    assert summary.ranges == {"valence": (-0.5, 0.7), "arousal": (-0.7, 0.5)}
    assert (summary.tracks, summary.groups, summary.classes, summary.left_out) == (110, 37, {}, {})


@pytest.mark.realdata
def test_the_real_tracks_are_split_as_published(real_data):
    corpus = load_corpus(real_data / "gtzan-mini")
    parts = assign_parts(corpus, corpus.clips, "fault-filtered")
    tracks = parts.groupby(corpus.clips["track"]).first().value_counts().to_dict()
    assert tracks == {"train": 23, "valid": 31, "unused": 5, "test": 1}


@pytest.mark.realdata
def test_six_real_tracks_of_a_genre_fill_every_part(real_data):
    corpus = load_corpus(real_data / "gtzan-mini")
    parts = assign_parts(corpus, corpus.clips, "track")
    table = pd.crosstab(corpus.clips["label"], parts.to_numpy()) / 10
    assert (table[["train", "valid", "test"]] >= 1).all().all()
    assert (table["train"].isin([3, 4])).all()


@pytest.mark.realdata
@pytest.mark.parametrize("protocol", ["track", "artist"])
def test_seven_real_songs_fill_every_part(real_data, protocol):
    corpus = load_corpus(real_data / "deam-mini")
    assert set(assign_parts(corpus, corpus.clips, protocol)) == {"train", "valid", "test"}
