import dataclasses
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from fourier.corpora import assign_parts, load_corpus, load_deam
from fourier.errors import CorpusError
from fourier.features.pcm import open_pcm

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


@pytest.mark.parametrize(
    ("first", "end", "reason"),
    [(10, 20, "a gap in the annotation"), (11, 20, "annotated in part"), (0, 10, None)],
)
def test_a_gap_amid_a_song_is_counted_also_where_it_takes_a_whole_clip(
    first, end, reason, tmp_path
):
    gap = [0.1] * 61
    gap[first:end] = [np.nan] * (end - first)
    start = 15.0 + first // 10 * 5
    corpus = load_deam(write_deam(tmp_path, wide({3: gap})))
    assert start not in corpus.clips["start"].tolist()
    reason = reason or "a gap in the annotation"
    assert corpus.left_out.to_numpy().tolist() == [[f"3 @ {start} s", reason]]


def test_where_one_dimension_ends_earlier_the_clips_that_it_lacks_are_counted(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}), wide({3: [0.1] * 41}))
    corpus = load_deam(root)
    assert corpus.clips["start"].tolist() == [15, 20, 25, 30]
    assert corpus.left_out["item"].tolist() == ["3 @ 35.0 s", "3 @ 40.0 s"]


def test_a_song_without_a_whole_clip_is_no_track(tmp_path):
    corpus = load_deam(write_deam(tmp_path, wide({2: [], 3: [0.1] * 5, 4: [0.1] * 61})))
    assert corpus.tracks.index.tolist() == ["4"]
    assert corpus.left_out.to_numpy().tolist() == [
        ["2", "no annotation"],
        ["3 @ 15.0 s", "annotated in part"],
    ]
    with pytest.raises(CorpusError, match="no clip that is annotated whole; unpack"):
        load_deam(write_deam(tmp_path / "none", wide({3: [0.1] * 5})))


LAYOUTS = {
    "the zips as they unpack": {},
    "side by side": {"tables": ".", "songs": "MEMD_audio"},
    "audio and tables together": {"tables": ".", "songs": "."},
    "in a folder of a name with brackets": {
        "tables": f"DEAM [1802] (full release)/{ZIPPED}/{DYNAMIC}",
        "songs": "DEAM [1802] (full release)/DEAM_audio/MEMD_audio",
    },
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


def test_folders_behind_links_are_found_and_loops_do_no_harm(tmp_path):
    write_deam(tmp_path / "disk", wide({3: [0.1] * 61}))
    root = tmp_path / "data"
    root.mkdir()
    for name in ("DEAM_audio", "DEAM_Annotations"):
        (root / name).symlink_to(tmp_path / "disk" / name)
    (root / "again").symlink_to(root)
    corpus = load_deam(root)
    assert (len(corpus.clips), len(corpus.left_out)) == (6, 0)
    assert corpus.digest == load_deam(tmp_path / "disk").digest


def test_two_corpora_side_by_side_are_not_mixed(tmp_path):
    write_deam(tmp_path / "a", wide({3: [0.1] * 61}))
    write_deam(tmp_path / "b", wide({5: [0.2] * 61}))
    with pytest.raises(CorpusError, match=r"valence\.csv differ; name the folder"):
        load_deam(tmp_path)


def test_copies_of_the_tables_do_no_harm_and_the_released_ones_win(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}))
    write_deam(root, wide({3: [0.9] * 61}), tables="edited", audio=[])
    write_deam(root / "copy", wide({3: [0.1] * 61}), audio=[])
    np.testing.assert_allclose(load_deam(root).clips["arousal"], 0.1)


def test_a_song_in_two_files_counts_once(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}))
    (root / "DEAM_audio/MEMD_audio/3.wav").write_bytes(b"song 3 again")
    corpus = load_deam(root)
    assert corpus.tracks["path"].tolist() == ["DEAM_audio/MEMD_audio/3.mp3"]
    assert corpus.left_out.to_numpy().tolist() == [
        ["DEAM_audio/MEMD_audio/3.wav", "another file of the same song is used"]
    ]


def test_numbered_files_of_other_collections_are_no_songs_of_deam(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61, 7: [0.1] * 61}), audio=[3])
    (root / "fma").mkdir()
    (root / "fma" / "000007.mp3").write_bytes(b"not song 7")
    corpus = load_deam(root)
    assert corpus.tracks.index.tolist() == ["3"]
    assert corpus.left_out.to_numpy().tolist() == [["7", "no audio"]]


def test_audio_that_cannot_be_read_is_left_to_decoding_and_is_not_fatal(tmp_path):
    corpus = load_deam(write_deam(tmp_path, wide({3: [0.1] * 61, 5: [0.1] * 61})))
    (tmp_path / "DEAM_audio/MEMD_audio/5.mp3").unlink()
    assert len(corpus.digest) == 16
    (tmp_path / "DEAM_audio/MEMD_audio/5.mp3").symlink_to("/nowhere")
    assert ["DEAM_audio/MEMD_audio/5.mp3", "not a file"] in load_deam(
        tmp_path
    ).left_out.to_numpy().tolist()


def test_a_byte_of_audio_or_a_label_makes_another_corpus(tmp_path):
    table = wide({3: [0.1] * 61})
    usual = load_deam(write_deam(tmp_path / "a", table)).digest
    changed = write_deam(tmp_path / "b", table)
    (changed / "DEAM_audio/MEMD_audio/3.mp3").write_bytes(b"song 4")
    assert load_deam(changed).digest != usual
    assert load_deam(write_deam(tmp_path / "c", wide({3: [0.2] * 61}))).digest != usual


def test_the_digest_knows_which_audio_is_which_song_and_not_the_order_of_clips(tmp_path):
    table = wide({3: [0.1] * 61, 5: [0.1] * 61})
    usual = load_deam(write_deam(tmp_path / "a", table))
    swapped = write_deam(tmp_path / "b", table)
    for song, other in ((3, 5), (5, 3)):
        (swapped / f"DEAM_audio/MEMD_audio/{song}.mp3").write_bytes(f"song {other}".encode())
    assert load_deam(swapped).digest != usual.digest
    shuffled = usual.clips.sample(frac=1, random_state=0, ignore_index=True)
    assert dataclasses.replace(usual, clips=shuffled).digest == usual.digest
    for change in ({"sample_rate": 22_050}, {"clip_seconds": 4.0}, {"missing_samples": 9}):
        assert dataclasses.replace(usual, **change).digest != usual.digest


def test_of_a_song_in_two_folders_the_nearer_file_is_used(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}), tables=".", songs="z/MEMD_audio")
    write_deam(root / "a/b/c", wide({3: [0.1] * 61}), tables=".", songs="MEMD_audio")
    assert load_deam(root).tracks["path"].tolist() == ["z/MEMD_audio/3.mp3"]


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


def test_artists_group_songs_whatever_tabs_and_quotes_stand_around_them(tmp_path):
    root = write_deam(tmp_path, wide({i: [0.1] * 61 for i in (2, 3, 4, 5)}))
    (root / "songs_info.csv").write_text(
        '"song_id","file_name","Artist","Genre"\n'
        '2,"\t2.mp3","Kevin MacLeod\t","\tBlues"\n'
        '3,"\t3.mp3","\t""Kevin MacLeod""","\tRock\t"\n'
        '5,"\t5.mp3","\t","\tRock\t"\n'
    )
    corpus = load_deam(root)
    assert corpus.tracks["group"].to_dict() == {
        "2": "Kevin MacLeod",
        "3": "Kevin MacLeod",
        "4": "4",
        "5": "5",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; unpack"),
        ("song_id,Artist\n3,Björk\n".encode("latin-1"), "cannot be read as a table"),
        (b"id,Artist\n3,x\n", "no column `song_id`"),
        (b"song_id,Who\n3,x\n", "no column `Artist`"),
    ],
    ids=["empty", "not UTF-8", "no id", "no artist"],
)
def test_artists_that_cannot_be_read_are_an_error_and_not_unknown(content, words, tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}))
    (root / "songs_info.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=words):
        load_deam(root)


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
    "an id twice": (pd.concat([wide({3: [0.1] * 61})] * 2), "row 3: song 3 is there twice"),
    "an id that is none": (_cell(1, "song_id", "three"), "row 3: `song_id` 'three' is not an id"),
    "text in a cell": (_cell(1, "sample_15500ms", "loud"), "row 3, `sample_15500ms`: 'loud' is"),
    "a label outside": (
        _cell(0, "sample_16000ms", 1.5),
        "row 2, `sample_16000ms`: 1.5 lies outside",
    ),
    "an infinity": (_cell(0, "sample_16000ms", "inf"), "lies outside [-1, 1]"),
    "a column twice": (
        wide({3: [0.1] * 61}).assign(x=0.1).rename(columns={"x": "sample_15000ms"}),
        "the column `sample_15000ms` twice",
    ),
}


@pytest.mark.parametrize(
    ("last_row", "words"),
    [
        ("5" + ",0.1" * 62, r"row 3: 63 cells under 62 columns; mend it"),
        ('5,"' + "0" * 200_000, "cannot be read as a table: field larger than field limit"),
    ],
    ids=["a row too long", "a quote left open"],
)
def test_rows_that_do_not_fit_the_header_are_refused(last_row, words, tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}))
    path = next(root.rglob("arousal.csv"))
    path.write_text(path.read_text() + last_row)
    with pytest.raises(CorpusError, match=words):
        load_deam(root)


def test_short_rows_empty_lines_and_ids_from_spreadsheets_are_read(tmp_path):
    root = write_deam(tmp_path, wide({3: [0.1] * 61}), audio=[3, 5])
    for path in root.rglob("*.csv"):
        path.write_text(path.read_text() + "\n 5.0" + ", 0.2" * 10 + ",NA\n\n")
    clips = load_deam(root).clips
    assert clips[clips["track"] == "5"][["start", "arousal"]].round(9).to_numpy().tolist() == [
        [15, 0.2]
    ]


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
    assert re.search(r"; (mend it|remove one|unpack)", str(error.value))


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
    assert corpus.clips["start"].unique().tolist() == [15, 20, 25, 30, 35, 40]
    assert corpus.clips[["valence", "arousal"]].abs().max().max() < 1


@pytest.mark.realdata
def test_the_real_labels_are_means_of_the_files_cells(real_data):
    corpus = load_corpus(real_data / "deam-mini")
    for name in ("valence", "arousal"):
        table = pd.read_csv(next((real_data / "deam-mini").rglob(f"{name}.csv")), index_col=0)
        cells = table.loc[17, [f"sample_{20000 + 500 * i}ms" for i in range(10)]]
        clip = corpus.clips.query("track == '17' and start == 20")
        assert clip[name].item() == pytest.approx(cells.mean())


@pytest.mark.realdata
def test_a_corpus_of_odd_files_never_crashes(real_data, tmp_path, own_cache):
    paths = sorted((real_data / "odd-audio").iterdir())
    root = write_deam(tmp_path, wide({i: [0.1] * 61 for i in range(len(paths) + 1)}), audio=[])
    for i, path in enumerate(paths):
        shutil.copy(path, root / "DEAM_audio/MEMD_audio" / f"{i}{path.suffix}")
    whole = root / "DEAM_audio/MEMD_audio" / f"{len(paths)}.mp3"  # the odd ones end too early
    shutil.copy(real_data / "deam-mini/DEAM_audio/MEMD_audio/3.mp3", whole)
    corpus = load_corpus(root)
    assert len(corpus.tracks) == len(paths) + 1
    store = open_pcm(corpus, own_cache, jobs=1)
    used = set(store.clips["track"])
    listed = {item.split(" @ ")[0] for item in store.left_out["item"]}
    assert whole.stem in used
    assert used | listed == set(corpus.tracks.index)
