"""Copies on several sides of a split are leaks; they end an experiment unless they are allowed."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile
import torch

from fourier.corpora import Corpus, assign_parts, load_corpus
from fourier.errors import LeakError
from fourier.features.copies import Copy
from fourier.training import Experiment
from fourier.training.leaks import find_leaks

SIDES = {
    "one side": ({"a": ["train"], "b": ["train"]}, False),
    "train and valid": ({"a": ["train"], "b": ["valid"]}, True),
    "train and test": ({"a": ["test"], "b": ["train"]}, True),
    "valid and test": ({"a": ["valid"], "b": ["test"]}, True),
    "one is unused": ({"a": ["train"], "b": ["unused"]}, False),
    "a few clips unused": ({"a": ["train", "unused"], "b": ["train"]}, False),
    "no clip left": ({"a": ["train"]}, False),
    "both on both sides": ({"a": ["train", "test"], "b": ["test", "train"]}, True),
    "folds": ({"a": ["0"], "b": ["3"]}, True),
}


@pytest.mark.parametrize(("sides", "leaks"), SIDES.values(), ids=SIDES)
def test_a_copy_leaks_where_its_tracks_are_not_all_on_one_side(
    sides: dict[str, list[str]], leaks: bool
) -> None:
    rows = [(track, side) for track, each in sides.items() for side in each for _ in range(2)]
    clips = pd.DataFrame(rows, columns=["track", "side"])
    found = find_leaks([Copy(first="a", second="b")], clips["track"], clips["side"])
    assert len(found) == leaks


def test_a_leak_says_where_and_why() -> None:
    copy = Copy(first="a", second="b", seconds=28.4, shift=0.31, bit_error=0.084)
    sides = pd.Series(["train", "valid", "test"])
    (leak,) = find_leaks([copy], pd.Series(["a", "b", "b"]), sides)
    assert str(leak) == (
        "a (train) and b (test+valid): the same 28 s, 0.3 s apart (8% of bits differ)"
    )
    assert leak.to_dict()["second_sides"] == ["test", "valid"]


@pytest.fixture
def with_copy(tiny_gtzan: Path, tmp_path: Path) -> Path:
    """A training track, 9 dB quieter, in place of a test track."""
    root = tmp_path / "gtzan"
    shutil.copytree(tiny_gtzan, root)
    corpus = load_corpus(root)
    parts = assign_parts(corpus, corpus.clips, "track")
    tracks = [corpus.clips.loc[parts == part, "track"].iloc[0] for part in ("train", "test")]
    mine, theirs = (root / corpus.tracks.at[track, "path"] for track in tracks)
    wave, rate = soundfile.read(mine)
    soundfile.write(theirs, wave * 10 ** (-9 / 20), rate)
    return root


def open_experiment(corpus: Corpus, cache: Path, protocol: str, **options: bool) -> Experiment:
    return Experiment.open(
        corpus,
        protocol=protocol,
        objective=None,
        cache=cache,
        device=torch.device("cpu"),
        jobs=1,
        **options,
    )


def test_a_copy_across_sides_ends_it_unless_that_is_allowed(
    with_copy: Path, own_cache: Path
) -> None:
    corpus = load_corpus(with_copy)
    with pytest.raises(LeakError, match=r"\(train\) and .*\(test\).*--allow-leaks$"):
        open_experiment(corpus, own_cache, "track")
    allowed = open_experiment(corpus, own_cache, "track", allow_leaks=True)
    (leak,) = allowed.leaks
    assert (leak.first, leak.second) == (("train",), ("test",))
    described = allowed.describe_leaks()
    assert (described["leaky"], described["tracks"]) == (False, 18)
    assert len(described["across_sides"]) == len(described["copies"]) == 1


def test_a_protocol_that_leaks_by_itself_says_so_and_goes_on(
    with_copy: Path, own_cache: Path
) -> None:
    experiment = open_experiment(load_corpus(with_copy), own_cache, "segment")
    assert experiment.describe_leaks()["leaky"] is True
    assert len(experiment.copies) == 1


def test_the_labels_of_the_test_part_play_no_role(with_copy: Path, own_cache: Path) -> None:
    """The same copies are found whatever the labels say."""
    corpus = load_corpus(with_copy)
    before = open_experiment(corpus, own_cache / "1", "track", allow_leaks=True)
    corpus.clips["label"] = 0
    corpus.__dict__.pop("digest")
    after = open_experiment(corpus, own_cache / "2", "track", allow_leaks=True)
    assert after.copies == before.copies
