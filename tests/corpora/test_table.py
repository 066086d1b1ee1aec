"""Tables that no DEAM has: each ends in labels or in one clear line, in bounded memory."""

import os
import tracemalloc

import pytest

from fourier.corpora import annotations, load_corpus
from fourier.corpora.annotations import read_samples
from fourier.errors import CorpusError

HEAD = "song_id," + ",".join(f"sample_{15_000 + 500 * i}ms" for i in range(10))
ROW = "2" + ",0.1" * 10


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


REFUSED = {
    "semicolons": (f"{HEAD}\n{ROW}".replace(",", ";"), "has semicolons between its cells; save"),
    "tabs": (f"{HEAD}\n{ROW}".replace(",", "\t"), "has tabs between its cells; save it with com"),
    "a header alone": (HEAD, "has no row; unpack it again"),
    "a column over several lines": (f'"a\nb","a\nb",{HEAD}\n', r"has the column 'a\nb' twice"),
    "an underscore in a number": (f"{HEAD}\n3,0_1" + ",0" * 9, "'0_1' is not a number; mend it"),
    "Arabic digits": (f"{HEAD}\n3,٠" + ",0" * 9, "is not a number; mend it"),
    "a comma for a point": (f"{HEAD}\n" + '3,"0,1"' + ",0" * 9, "'0,1' is not a number; mend it"),
    "a number beyond floats": (f"{HEAD}\n3,1e999" + ",0" * 9, "1e999 lies outside [-1, 1]"),
    "minus infinity": (f"{HEAD}\n3,-inf" + ",0" * 9, "-inf lies outside [-1, 1]; mend it"),
    "a novel in a cell": (f"{HEAD}\n3,{'x' * 5000}" + ",0" * 9, "…' is not a number; mend it"),
    "an id of 400 digits": (f"{HEAD}\n{'9' * 400}" + ",0" * 10, "…' is not an id; mend it"),
    "a negative id": (f"{HEAD}\n-3" + ",0" * 10, "'-3' is not an id; mend it"),
    "an id twice, one with zeros": (f"{HEAD}\n{ROW}\n00{ROW}", "song 2 is there twice"),
    "a row of megabytes": (HEAD + "\n2" + ",0.1" * 400_000, "a row of more than 1,048,576 char"),
    "one row of many lines": (HEAD + "\n2" + ',"\n"' * 400_000, "a row of more than 1,048,576"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_of_annotations_is_one_line(tmp_path, text, words):
    path = write(tmp_path / "arousal.csv", text)
    with pytest.raises(CorpusError) as error:
        read_samples(path)
    assert words in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_further_columns_are_passed_over_and_missing_samples_are_gaps(tmp_path):
    text = (
        "mood,song_id,sample_14500ms,sample_15000ms,sample_15250ms,sample_16500ms,\n,5,9,0.5,9,1,x"
    )
    samples = read_samples(write(tmp_path / "arousal.csv", text))
    assert samples.values.tolist()[0][0::3] == [0.5, 1.0]
    assert str(samples.values.tolist()[0][1:3]) == "[nan, nan]"


def rows(count):
    """A table of this many songs."""
    return HEAD + "\n" + "".join(f"{song}{ROW[1:]}\n" for song in range(count))


def test_rows_take_the_memory_of_their_numbers(tmp_path):
    path = write(tmp_path / "arousal.csv", rows(20_000))
    tracemalloc.start()
    samples = read_samples(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(samples.songs) == 20_000
    assert peak < 5 * samples.values.nbytes + 6_000_000  # ids as text, and the copy of the numbers


@pytest.mark.parametrize(
    ("songs", "half_seconds"), [(1000, 10_000_000), (1_000_000, 10_000)], ids=["songs", "cells"]
)
def test_ten_million_rows_are_given_up_at_the_limit(tmp_path, monkeypatch, songs, half_seconds):
    """The limits are a thousandth of the real ones here, and so is the file."""
    monkeypatch.setattr(annotations, "MOST_SONGS", songs)
    monkeypatch.setattr(annotations, "MOST_SAMPLES", half_seconds)
    path = write(tmp_path / "arousal.csv", rows(10_000))
    with pytest.raises(CorpusError, match=r"row 100[12]: more than .* unpack the table again$"):
        read_samples(path)


def test_a_single_sample_far_away_makes_no_wide_table(tmp_path):
    text = "song_id,sample_999999500ms\n" + "".join(f"{song},0\n" for song in range(100))
    with pytest.raises(CorpusError, match="more than .* half seconds"):
        read_samples(write(tmp_path / "arousal.csv", text))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["arousal.csv", "songs_info.csv", "fourier-demo.json", "2.wav"])
def test_a_pipe_or_a_device_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path, tiny_deam, name):
    for table in ("arousal.csv", "valence.csv"):
        if table != name:
            (tmp_path / table).write_bytes((tiny_deam / table).read_bytes())
    (tmp_path / "MEMD_audio").mkdir()
    for song in (2, 3):
        source = tiny_deam / "MEMD_audio" / f"{song}.wav"
        (tmp_path / "MEMD_audio" / f"{song}.wav").symlink_to(source)
    place = tmp_path / ("MEMD_audio" if name == "2.wav" else ".") / name
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    (tmp_path / "endless.csv").symlink_to("/dev/zero")
    if name == "arousal.csv":
        with pytest.raises(CorpusError, match=r"holds no arousal\.csv"):
            load_corpus(tmp_path, "deam")
        return
    corpus = load_corpus(tmp_path, "deam")
    assert (corpus.name, corpus.tracks.index[-1]) == ("deam", "3")
    if name == "2.wav":
        assert ["MEMD_audio/2.wav", "not a file"] in corpus.left_out.to_numpy().tolist()
