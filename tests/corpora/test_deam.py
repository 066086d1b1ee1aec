import numpy as np
import pandas as pd
import pytest

from fourier.corpora import assign_parts, load_corpus, load_deam
from fourier.errors import CorpusError

ZIPPED = "DEAM_Annotations/annotations/annotations averaged per song"
DYNAMIC = "dynamic (per second annotations)"


def wide(values: dict[int, list[float]], samples: int = 61) -> pd.DataFrame:
    """A table as DEAM has it: a row a song, a column each half second from 15 s on."""
    columns = [f"sample_{15000 + 500 * i}ms" for i in range(samples)]
    rows = [[*row, *[np.nan] * (samples - len(row))] for row in values.values()]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(0, "song_id", list(values))
    return table


def write_deam(
    root,
    arousal,
    valence=None,
    *,
    audio=None,
    tables=f"{ZIPPED}/{DYNAMIC}",
    songs="DEAM_audio/MEMD_audio",
):
    """A DEAM folder with audio files that are never opened here."""
    valence = arousal if valence is None else valence
    for folder in (root / tables, root / songs):
        folder.mkdir(parents=True, exist_ok=True)
    arousal.to_csv(root / tables / "arousal.csv", index=False)
    valence.to_csv(root / tables / "valence.csv", index=False)
    for song in arousal["song_id"] if audio is None else audio:
        (root / songs / f"{song}.mp3").write_bytes(f"song {song}".encode())
    return root


def test_a_clips_label_is_the_mean_of_its_ten_samples(tmp_path):
    ramp = [i / 100 for i in range(61)]
    corpus = load_deam(write_deam(tmp_path, wide({3: ramp}), wide({3: [-x for x in ramp]})))
    assert corpus.clips["start"].tolist() == [15, 20, 25, 30, 35, 40]
    expected = [np.mean(ramp[10 * i : 10 * i + 10]) for i in range(6)]
    np.testing.assert_allclose(corpus.clips["arousal"], expected)
    np.testing.assert_allclose(corpus.clips["valence"], np.negative(expected))
    assert corpus.targets == ("valence", "arousal")


def test_a_45_second_song_gives_six_clips_and_nothing_is_left_out(tmp_path):
    padded = wide({3: [0.1] * 61}, samples=1224)  # as in the full release
    corpus = load_deam(write_deam(tmp_path, padded))
    assert len(corpus.clips) == 6
    assert len(corpus.left_out) == 0


def test_a_full_length_song_gives_as_many_clips_as_its_annotations_cover(tmp_path):
    table = wide({2001: [0.0] * 1224, 2002: [0.0] * 407}, samples=1224)  # to 626.5 s
    corpus = load_deam(write_deam(tmp_path, table))
    assert corpus.clips.groupby("track").size().to_dict() == {"2001": 122, "2002": 40}
    assert corpus.left_out["item"].tolist() == ["2001 @ 625.0 s", "2002 @ 215.0 s"]


def test_a_clip_that_is_annotated_in_part_is_left_out_and_counted(tmp_path):
    gap = [0.1] * 61
    gap[14] = np.nan
    corpus = load_deam(write_deam(tmp_path, wide({3: [0.1] * 61}), wide({3: gap})))
    assert corpus.clips["start"].tolist() == [15, 25, 30, 35, 40]
    assert corpus.left_out.to_numpy().tolist() == [["3 @ 20.0 s", "annotated in part"]]


LAYOUTS = {
    "the zips as they unpack": {},
    "side by side": {"tables": ".", "songs": "MEMD_audio"},
    "audio and tables together": {"tables": ".", "songs": "."},
    "one folder deeper": {"tables": f"deam/{ZIPPED}/{DYNAMIC}", "songs": "deam/MEMD_audio"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_the_same_corpus(layout, tmp_path):
    table = wide({3: [0.1] * 61, 5: [0.2] * 61})
    usual = load_deam(write_deam(tmp_path / "a", table))
    other = load_deam(write_deam(tmp_path / "b", table, **layout))
    assert other.digest == usual.digest
    assert len(other.clips) == 12
    assert all((other.root / path).is_file() for path in other.tracks["path"])


def test_a_byte_of_audio_or_a_label_makes_another_corpus(tmp_path):
    table = wide({3: [0.1] * 61})
    usual = load_deam(write_deam(tmp_path / "a", table)).digest
    changed = write_deam(tmp_path / "b", table)
    (changed / "DEAM_audio/MEMD_audio/3.mp3").write_bytes(b"song 4")
    assert load_deam(changed).digest != usual
    assert load_deam(write_deam(tmp_path / "c", wide({3: [0.2] * 61}))).digest != usual


def test_the_static_files_with_their_swapped_means_are_not_read(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}), wide({3: [0.3] * 61}))
    static = root / ZIPPED / "song_level"
    static.mkdir()
    header = "song_id, valence_mean, valence_std, arousal_mean, arousal_std\n"
    (static / "static_annotations_averaged_songs_1_2000.csv").write_text(header + "3,9,0,1,0\n")
    corpus = load_deam(root)
    assert corpus.clips[["valence", "arousal"]].drop_duplicates().to_numpy().round(9).tolist() == [
        [0.3, 0.1]
    ]


def test_columns_go_by_their_names_and_not_by_their_order(tmp_path):
    ramp = wide({3: [i / 100 for i in range(61)]})
    mixed = ramp[[*reversed(ramp.columns)]]
    assert load_deam(write_deam(tmp_path / "a", ramp)).digest == (
        load_deam(write_deam(tmp_path / "b", mixed)).digest
    )


@pytest.mark.parametrize(("encoding", "newline"), [("utf-8-sig", "\n"), ("utf-8", "\r\n")])
def test_a_byte_order_mark_and_windows_lines_do_no_harm(encoding, newline, tmp_path):
    table = wide({3: [0.1] * 61})
    root = write_deam(tmp_path, table)
    for path in root.rglob("*.csv"):
        path.write_bytes(table.to_csv(index=False, lineterminator=newline).encode(encoding))
    assert len(load_deam(root).clips) == 6


def test_artists_group_songs_whatever_tabs_stand_around_them(tmp_path):
    root = write_deam(tmp_path, wide({i: [0.1] * 61 for i in (2, 3, 4)}))
    (root / "songs_info.csv").write_text(
        '"song_id","file_name","Artist","Genre"\n'
        '2,"\t2.mp3","Kevin MacLeod\t","\tBlues"\n'
        '3,"\t3.mp3","\tKevin MacLeod","\tRock\t"\n'
    )
    corpus = load_deam(root)
    assert corpus.tracks["group"].to_dict() == {
        "2": "Kevin MacLeod",
        "3": "Kevin MacLeod",
        "4": "4",
    }


def test_what_has_no_partner_is_left_out_with_its_reason(tmp_path):
    arousal, valence = (
        wide({i: [0.1] * 61 for i in (2, 3, 4)}),
        wide({2: [0.1] * 61, 3: [0.1] * 61}),
    )
    corpus = load_deam(write_deam(tmp_path, arousal, valence, audio=[2, 4, 9]))
    assert corpus.tracks.index.tolist() == ["2"]
    assert sorted(corpus.left_out.to_numpy().tolist()) == [
        ["3", "no audio"],
        ["4", "no valence annotation"],
        ["9", "no annotation"],
    ]


def _cell(row, column, value):
    table = wide({3: [0.1] * 61, 5: [0.1] * 61}).astype(object)
    table.loc[row, column] = value
    return table


BROKEN = {
    "no id column": (wide({3: [0.1] * 61}).rename(columns={"song_id": "id"}), "`song_id`"),
    "no sample column": (pd.DataFrame({"song_id": [3]}), "`sample_15000ms`"),
    "an id twice": (pd.concat([wide({3: [0.1] * 61})] * 2), "song 3 twice"),
    "an id that is none": (_cell(0, "song_id", "three"), "'three' is not an id"),
    "text in a cell": (_cell(1, "sample_15500ms", "loud"), "song 5, `sample_15500ms`: 'loud'"),
    "a label outside": (_cell(0, "sample_16000ms", 1.5), "song 3, `sample_16000ms`"),
    "an infinity": (_cell(0, "sample_16000ms", "inf"), "lies outside [-1, 1]"),
    "a column twice": (
        wide({3: [0.1] * 61}).assign(x=0.1).rename(columns={"x": "sample_15000ms"}),
        "`sample_15000ms.1` twice",
    ),
}


@pytest.mark.parametrize(("table", "words"), BROKEN.values(), ids=BROKEN)
def test_a_table_that_is_not_one_is_refused_by_file_row_and_column(table, words, tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61, 5: [0.1] * 61}))
    path = next(root.rglob("arousal.csv"))
    table.to_csv(path, index=False)
    with pytest.raises(CorpusError) as error:
        load_deam(root)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_an_empty_and_an_audioless_folder_are_one_line_each(tmp_path):
    with pytest.raises(CorpusError, match="there is no folder .* `fourier demo DIR`"):
        load_corpus(tmp_path / "nowhere", "deam")
    with pytest.raises(CorpusError, match=r"holds no (valence|arousal)\.csv"):
        load_corpus(tmp_path, "deam")
    with pytest.raises(CorpusError, match="holds neither DEAM"):
        load_corpus(tmp_path)
    with pytest.raises(
        CorpusError, match="annotations of 1 songs and audio of 0, but of none both"
    ):
        load_corpus(write_deam(tmp_path, wide({3: [0.1] * 61}), audio=[]))


def test_mediaeval2015_tests_on_the_full_length_songs_and_on_no_other(tmp_path):
    ids = [*range(2, 12), *range(2000, 2004), 2058]
    corpus = load_deam(write_deam(tmp_path, wide({i: [0.1] * 61 for i in ids})))
    assert corpus.default_protocol == "mediaeval2015"
    parts = assign_parts(corpus, corpus.clips, "mediaeval2015")
    tested = corpus.clips.loc[parts == "test", "track"].astype(int)
    assert set(tested) == {2001, 2002, 2003, 2058}


@pytest.mark.realdata
def test_the_real_songs_give_forty_two_clips(real_data):
    corpus = load_corpus(real_data / "deam-mini")
    assert (corpus.name, len(corpus.tracks), len(corpus.clips)) == ("deam", 7, 42)
    assert corpus.left_out["reason"].value_counts().to_dict() == {"no audio": 737}
    assert corpus.tracks.loc["3", "group"] == "Kevin MacLeod"
    assert corpus.clips[["valence", "arousal"]].abs().max().max() < 1
