"""Labelled folders: what their tables may say, and how slips in them are named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from fourier.corpora import Corpus, assign_folds, assign_parts, load_corpus
from fourier.corpora.folder import folder_kind, load_folder
from fourier.corpora.stretches import Stretch, cut_stretches
from fourier.errors import CorpusError
from fourier.features.pcm import open_pcm

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """A folder with these lines as labels.csv, and files of so many seconds."""

    def make(lines: str, files: dict[str, float] | None = None, name: str = "mine") -> Path:
        root = tmp_path / name
        for file, seconds in (files or {"a.wav": 7.0, "b.wav": 3.0, "c.wav": 12.0}).items():
            path = root / "audio" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(len(file)).uniform(-0.5, 0.5, round(seconds * 22_050))
            soundfile.write(path, noise, 22_050)
        (root / "labels.csv").write_text(lines.replace(" ", "\n") + "\n")
        return root

    return make


def clips_of(corpus: Corpus) -> list[tuple[object, ...]]:
    return [tuple(row) for row in corpus.clips.itertuples(index=False)]


def test_labels_are_any_names_and_clips_fill_each_file(make_folder: MakeFolder) -> None:
    corpus = load_folder(make_folder("label,file dub,c.wav Ämbient,a.wav dub,b.wav"))
    assert corpus.classes == ("dub", "Ämbient")
    assert (corpus.task, corpus.sample_rate, corpus.clip_seconds) == ("classification", 22_050, 3)
    assert clips_of(corpus) == [
        *(("a.wav", start, 1) for start in (0.0, 3.0)),
        ("b.wav", 0.0, 0),
        *(("c.wav", start, 0) for start in (0.0, 3.0, 6.0, 9.0)),
    ]
    assert corpus.tracks["group"].tolist() == ["a.wav", "b.wav", "c.wav"]
    assert not len(corpus.left_out)


@pytest.mark.parametrize(("clip_seconds", "starts"), [(5.0, [0.0, 5.0]), (2.5, [0, 2.5, 5, 7.5])])
def test_values_of_a_whole_file_hold_for_all_its_clips(
    make_folder: MakeFolder, clip_seconds: float, starts: list[float]
) -> None:
    root = make_folder("file,arousal,valence c.wav,-0.5,0.25", {"c.wav": 12.0})
    corpus = load_folder(root, clip_seconds)
    assert corpus.targets == ("valence", "arousal")
    assert (corpus.task, corpus.sample_rate) == ("regression", 44_100)
    assert clips_of(corpus)[: len(starts)] == [("c.wav", start, 0.25, -0.5) for start in starts]


def test_one_dimension_is_enough(make_folder: MakeFolder) -> None:
    corpus = load_folder(make_folder("file,arousal c.wav,0.5"))
    assert (corpus.targets, corpus.classes) == (("arousal",), ())


STRETCHES = {
    "one": ([(2, 12, 0.5)], [(2, 0.5), (7, 0.5)]),
    "two in a row are averaged by time": ([(0, 7, 0.0), (7, 10, 1.0)], [(0, 0.0), (5, 0.6)]),
    "twice a second": ([(i / 2, i / 2 + 0.5, i / 10) for i in range(10)], [(0, 0.45)]),
    "a gap begins anew": ([(0, 6, 0.1), (7, 12, 0.2)], [(0, 0.1), (7, 0.2)]),
    "in any order": ([(5, 10, 0.2), (0, 5, 0.1)], [(0, 0.1), (5, 0.2)]),
    "too short": ([(0, 4.9, 0.1)], []),
    "too short apart": ([(0, 3, 0.1), (4, 7, 0.2)], []),
}


@pytest.mark.parametrize(("said", "cut"), STRETCHES.values(), ids=STRETCHES)
def test_a_clip_is_labelled_by_the_mean_over_its_time(
    said: list[tuple[float, float, float]], cut: list[tuple[float, float]]
) -> None:
    stretches = [Stretch(2 + i, start, end, (value,)) for i, (start, end, value) in enumerate(said)]
    found = [(start, values[0]) for _, start, values in cut_stretches(stretches, 5.0) if values]
    assert found == [(start, pytest.approx(value)) for start, value in cut]


def test_what_is_left_out_is_named_with_its_row(make_folder: MakeFolder, own_cache: Path) -> None:
    files = {"a.wav": 6.0, "short.wav": 2.0, "deep/er.wav": 3.0, "new.wav": 3.0}
    root = make_folder("file,label a.wav,x gone.wav,y short.wav,y deep/er.wav,y", files)
    (root / "audio" / "broken.wav").write_text("no audio")
    (root / "labels.csv").write_text((root / "labels.csv").read_text() + "broken.wav,x\n")
    left_out = open_pcm(load_corpus(root), own_cache, jobs=1).left_out
    assert dict(left_out.to_numpy().tolist()) == {
        "labels.csv, row 3": "there is no audio/gone.wav",
        "audio/new.wav": "it has no row in labels.csv",
        "short.wav @ 0.0 s": "the audio ends at 2.00 s",
        "broken.wav": left_out.set_index("item").at["broken.wav", "reason"],
    }


def test_a_stretch_that_is_too_short_is_named_with_its_row(make_folder: MakeFolder) -> None:
    corpus = load_folder(make_folder("file,start,end,arousal c.wav,0,5,0.5 c.wav,6,8,0.1"))
    ((item, reason),) = corpus.left_out[corpus.left_out["item"].str.contains("row")].to_numpy()
    assert (item, reason) == ("labels.csv, row 3", "c.wav is labelled for less than a clip of 5 s")


SLIPS = {
    "file,label,mood a.wav,x,y": "has the column `mood`, which is none of file, label, group",
    "file,label,valence a.wav,x,0": "must have either `label` or valence and arousal, but has both",
    "file,genre a.wav,x": "must have either `label` or .*, but has file, genre",
    "label x": "has no column `file`",
    "file,start,valence a.wav,0,0": "has no column `end`",
    "file,label a.wav,x b.wav,x": "has the one label 'x'",
    "file,label a.wav,x b.wav,": "row 3: it has no `label`",
    "file,label ,x b.wav,y": "row 2: it has no `file`",
    "file,label a.wav,x b.wav,y a.wav,y": "row 4: a.wav has a row already, 2",
    "file,label gone.wav,x": "no row .* names a file in ",
    "file,label ../labels.csv,x": "no row .* names a file in ",
    "file,label,split a.wav,x,train b.wav,y,later": "row 3: `split` must be train, valid, test or",
    "file,arousal a.wav,loud": "row 2: `arousal` must be a number, but is 'loud'",
    "file,arousal a.wav,nan": "row 2: `arousal` must be from -1 to 1, but is nan",
    "file,arousal a.wav,7": "row 2: `arousal` must be from -1 to 1, but is 7",
    "file,start,end,arousal a.wav,5,5,0": "row 2: `start < end` must hold",
    "file,start,end,arousal a.wav,-1,5,0": "row 2: `start` must be from 0",
    "file,start,end,arousal a.wav,0,5,0 a.wav,4,9,0": "row 3: it says of a.wav what row 2 says",
    "file,start,end,arousal,split a.wav,0,5,0,train a.wav,5,9,0,test": "row 3: .* another `split`",
    "file,start,end,arousal,group a.wav,0,5,0,x a.wav,5,9,0,y": "row 3: .* another `group`",
}


@pytest.mark.parametrize(("lines", "message"), SLIPS.items())
def test_a_slip_is_one_line_that_names_its_row(
    make_folder: MakeFolder, lines: str, message: str
) -> None:
    with pytest.raises(CorpusError, match=message) as error:
        load_corpus(make_folder(lines))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("missing", ["audio", "labels.csv"])
def test_a_half_of_a_labelled_folder_is_named(make_folder: MakeFolder, missing: str) -> None:
    root = make_folder("file,label a.wav,x b.wav,y")
    path = root / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for load in (load_folder, folder_kind):
        with pytest.raises(CorpusError, match=rf"there is no .*{missing}; put the files in audio/"):
            load(root)


@pytest.mark.parametrize("clip_seconds", [0.0, -1.0, 0.4, 61.0, float("nan")])
def test_a_clip_has_a_sound_length(make_folder: MakeFolder, clip_seconds: float) -> None:
    with pytest.raises(ValueError, match=r"`0.5 <= clip_seconds <= 60.0` must hold"):
        load_folder(make_folder("file,label a.wav,x b.wav,y"), clip_seconds)


def test_only_a_labelled_folder_is_told_its_clips(tiny_gtzan: Path) -> None:
    with pytest.raises(ValueError, match="`clip_seconds` is for labelled folders"):
        load_corpus(tiny_gtzan, clip_seconds=2.0)


NAMES = {"my sounds (new)": "my-sounds-new", "gtzan": "gtzan-folder", "x-demo": "x-demo-folder"}


@pytest.mark.parametrize(("folder", "name"), NAMES.items())
def test_a_folder_gives_its_name_and_never_that_of_another_corpus(
    make_folder: MakeFolder, folder: str, name: str
) -> None:
    corpus = load_corpus(make_folder("file,label a.wav,x b.wav,y", name=folder))
    assert corpus.name == name
    assert not corpus.is_demo


def test_a_folder_passes_for_the_corpus_of_its_kind_only(
    labelled_sounds: Path, labelled_moods: Path
) -> None:
    assert load_corpus(labelled_sounds, "gtzan").task == "classification"
    assert load_corpus(labelled_moods, "deam").task == "regression"
    for root, task in ((labelled_sounds, "deam"), (labelled_moods, "classification")):
        with pytest.raises(CorpusError, match="type `fourier sweep --data"):
            load_corpus(root, task)


def test_folders_of_genres_in_audio_do_not_make_it_gtzan(make_folder: MakeFolder) -> None:
    files = {"blues/a.wav": 3.0, "rock/b.wav": 3.0}
    corpus = load_corpus(make_folder("file,label blues/a.wav,old rock/b.wav,new", files))
    assert corpus.classes == ("new", "old")


def many(columns: str, row: Callable[[int], str]) -> tuple[str, dict[str, float]]:
    files = {f"{i}.wav": 3.0 for i in range(20)}
    return " ".join([columns, *(f"{i}.wav,{row(i)}" for i in range(20))]), files


def parts_by_track(corpus: Corpus, protocol: str) -> pd.Series:
    return assign_parts(corpus, corpus.clips, protocol).groupby(corpus.clips["track"]).agg(set)


def test_groups_stay_together(make_folder: MakeFolder) -> None:
    lines, files = many("file,label,group", lambda i: f"{'xy'[i % 2]},artist{i // 4}")
    corpus = load_corpus(make_folder(lines, files))
    assert corpus.default_protocol == "group"
    parts = assign_parts(corpus, corpus.clips, "group")
    groups = corpus.clips["track"].map(corpus.tracks["group"])
    assert parts.groupby(groups).nunique().max() == 1
    assert set(parts) == {"train", "valid", "test"}
    folds = assign_folds(corpus, corpus.clips, "group", 3)
    assert folds.groupby(groups).nunique().max() == 1


def test_the_split_column_decides(make_folder: MakeFolder) -> None:
    split = ("train", "Val", "test", "", "validation")
    lines, files = many("file,label,split", lambda i: f"{'xy'[i % 2]},{split[i % 5]}")
    corpus = load_corpus(make_folder(lines, files))
    assert corpus.default_protocol == "split"
    parts = parts_by_track(corpus, "split")
    named = ("train", "valid", "test", "unused", "valid")
    assert parts.to_dict() == {f"{i}.wav": {named[i % 5]} for i in range(20)}


def test_a_split_without_validation_takes_a_fifth_of_the_training_groups(
    make_folder: MakeFolder,
) -> None:
    lines, files = many(
        "file,label,split", lambda i: f"{'xy'[i % 2]},{'train' if i < 15 else 'test'}"
    )
    parts = parts_by_track(load_corpus(make_folder(lines, files)), "split")
    assert all((parts[f"{i}.wav"] == {"test"}) == (i >= 15) for i in range(20))
    assert 2 <= sum(part == {"valid"} for part in parts) <= 4


def test_what_is_for_testing_stays_so_though_its_group_is_in_training_too(
    make_folder: MakeFolder,
) -> None:
    lines, files = many(
        "file,label,group,split", lambda i: f"{'xy'[i % 2]},g{i // 2},{PAIR[i % 2]}"
    )
    parts = parts_by_track(load_corpus(make_folder(lines, files)), "split")
    assert all(parts[f"{i}.wav"] == {"test"} for i in range(1, 20, 2))


PAIR = ("train", "test")


def test_a_split_that_nobody_gave_names_the_others(make_folder: MakeFolder) -> None:
    lines, files = many("file,label", lambda i: "xy"[i % 2])
    corpus = load_corpus(make_folder(lines, files))
    with pytest.raises(
        CorpusError, match="leaves no train clips .*; try --protocol group or track"
    ):
        assign_parts(corpus, corpus.clips, "split")


@pytest.mark.parametrize("columns", ["file,label,group", "file,label,split"])
def test_another_group_or_split_is_another_corpus(make_folder: MakeFolder, columns: str) -> None:
    lines, files = many(columns, lambda i: f"{'xy'[i % 2]},{('train', 'valid')[i % 2]}")
    digest = load_corpus(make_folder(lines, files)).digest
    again = load_corpus(make_folder(lines.replace("3.wav,y,valid", "3.wav,y,test"), files)).digest
    assert digest != again
    assert load_corpus(make_folder(lines, files)).digest == digest
