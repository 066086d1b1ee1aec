"""One contract for every corpus, and how a corpus is found and named."""

import json
import shutil

import pandas as pd
import pytest

from fourier.corpora import PROTOCOLS, assign_parts, load_corpus, write_demo
from fourier.errors import CorpusError

TASKS = {
    "deam": "deam",
    "gtzan": "gtzan",
    "deam-demo": "deam",
    "gtzan-demo": "gtzan",
    "my-sounds": "classification",
    "moods": "regression",
}


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """A folder as `fourier demo DIR` leaves it, as small as its splits allow."""
    folder = tmp_path_factory.mktemp("demos")
    write_demo(folder, deam_songs=5, gtzan_tracks_per_genre=1)
    return folder


@pytest.fixture(scope="module")
def folders(tiny_deam, tiny_gtzan, demos, labelled_sounds, labelled_moods):
    return {
        "my-sounds": labelled_sounds,
        "moods": labelled_moods,
        "deam": tiny_deam,
        "gtzan": tiny_gtzan,
        "deam-demo": demos / "deam",
        "gtzan-demo": demos / "gtzan",
    }


@pytest.fixture(scope="module", params=[*TASKS])
def corpus(request, folders):
    return load_corpus(folders[request.param])


def test_names_and_tasks_are_known(corpus, folders):
    assert load_corpus(folders[corpus.name], corpus.task).name == corpus.name
    assert corpus.task == TASKS[corpus.name]


def test_tracks_have_unique_ids_paths_to_files_and_groups(corpus):
    assert corpus.tracks.index.name == "track"
    assert corpus.tracks.index.is_unique
    assert corpus.tracks.columns.tolist() in (["path", "group"], ["path", "group", "split"])
    assert all((corpus.root / path).is_file() for path in corpus.tracks["path"])
    assert (corpus.tracks["group"].str.len() > 0).all()


def test_clips_are_numbered_labelled_and_lie_in_tracks(corpus):
    clips = corpus.clips
    assert clips.columns.tolist() == ["track", "start", *corpus.targets]
    pd.testing.assert_index_equal(clips.index, pd.RangeIndex(len(clips)))
    assert set(clips["track"]) == set(corpus.tracks.index)
    assert not clips.duplicated(["track", "start"]).any()
    assert not clips.isna().any().any()
    assert clips["start"].dtype == float
    if corpus.classes:
        assert set(clips["label"]) == set(range(len(corpus.classes)))
    else:
        assert clips[list(corpus.targets)].abs().to_numpy().max() <= 1


def test_clips_of_a_track_do_not_overlap(corpus):
    gaps = corpus.clips.groupby("track")["start"].diff().dropna()
    assert (gaps >= corpus.clip_seconds).all()


def test_a_clip_is_a_whole_number_of_samples(corpus):
    assert corpus.samples_per_clip == corpus.sample_rate * corpus.clip_seconds


def test_the_digest_is_of_the_content_and_not_of_the_place(corpus, tmp_path):
    copy = shutil.copytree(corpus.root, tmp_path / "elsewhere" / corpus.root.name)
    assert load_corpus(copy).digest == corpus.digest
    assert len(corpus.digest) == 16
    path = copy / corpus.tracks["path"].iloc[-1]
    path.write_bytes(path.read_bytes() + b"\0")
    assert load_corpus(copy).digest != corpus.digest


def test_the_default_protocol_is_one_for_its_task(corpus):
    usual = {"deam": "mediaeval2015", "gtzan": "fault-filtered"}
    usual |= {"my-sounds": "group", "moods": "split"}
    assert corpus.default_protocol == usual.get(corpus.name, "track")
    assert corpus.task in PROTOCOLS[corpus.default_protocol].tasks
    parts = assign_parts(corpus, corpus.clips, "track")
    pd.testing.assert_index_equal(parts.index, corpus.clips.index)


@pytest.mark.parametrize("task", ["deam", "gtzan"])
@pytest.mark.parametrize("place", [".", "{task}", "in"])
def test_a_demo_corpus_never_passes_for_a_real_one(task, place, demos):
    inside = {"deam": "deam", "gtzan": "gtzan/genres_original"}[task]
    root = demos / (inside if place == "in" else place.format(task=task))
    corpus = load_corpus(root, task)
    assert (corpus.name, corpus.default_protocol) == (f"{task}-demo", "track")


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", json.dumps({"corpus": "gtzan-demo"})])
def test_a_marker_that_is_none_is_an_error_and_not_a_real_corpus(content, tiny_deam, tmp_path):
    copy = shutil.copytree(tiny_deam, tmp_path / "deam")
    (copy / "fourier-demo.json").write_text(content)
    with pytest.raises(CorpusError, match=r"does not name a deam corpus; .*`fourier demo`"):
        load_corpus(copy)


def test_a_folder_with_both_corpora_needs_to_be_told_which(demos):
    with pytest.raises(CorpusError, match="both DEAM and GTZAN; name the folder of one"):
        load_corpus(demos)


def test_an_unknown_task_names_those_there_are(demos):
    with pytest.raises(
        ValueError, match="`task` must be one of 'gtzan', 'deam', 'class.*got 'mood'"
    ):
        load_corpus(demos, "mood")
