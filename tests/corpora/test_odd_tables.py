"""Tables as people save them and as they break: the same corpus, or one line that says where."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import soundfile

from fourier.cli.main import main
from fourier.corpora import folder as module
from fourier.corpora import load_corpus
from fourier.errors import CorpusError

HEAD = "song_id," + ",".join(f"sample_{15_000 + 500 * i}ms" for i in range(11))
TABLES = {
    # where the table lies, and its rows; the last cell of the second row is a number
    "deam": ("arousal.csv", [HEAD, *(f"{song}{',0.125' * 11}" for song in range(2, 12))]),
    "numbers": ("labels.csv", ["file,valence", *(f"{i}.wav,0.125" for i in range(10))]),
    "names": ("labels.csv", ["file,label", *(f"{i}.wav,{'ab'[i % 2]}" for i in range(10))]),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_deam):
    """A corpus of each kind, whose table is still to be written."""
    root = tmp_path_factory.mktemp("odd tables")
    shutil.copytree(tiny_deam, root / "deam")
    (root / "deam" / "valence.csv").write_text("\n".join(TABLES["deam"][1]))
    for kind in ("numbers", "names"):
        (root / kind / "audio").mkdir(parents=True)
        for number in range(10):
            noise = np.random.default_rng(number).uniform(-0.5, 0.5, 8000 * 6)
            soundfile.write(root / kind / "audio" / f"{number}.wav", noise, 8000)
    return root


def write(folders, kind, change=lambda data: data):
    name, rows = TABLES[kind]
    (folders / kind / name).write_bytes(change("\n".join(rows).encode()))
    return folders / kind


def with_cell(data, text):
    """The last cell of the second row is this."""
    rows = data.split(b"\n")
    rows[1] = rows[1][: rows[1].rindex(b",") + 1] + text.encode()
    return b"\n".join(rows)


SAME = {
    "a byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "Windows' line ends": lambda data: data.replace(b"\n", b"\r\n"),
    "an old Mac's line ends": lambda data: data.replace(b"\n", b"\r"),
    "an empty line between": lambda data: data.replace(b"\n", b"\n\n"),
    "blanks around cells": lambda data: data.replace(b",", b" , "),
    "quotes around cells": lambda data: b"\n".join(
        b",".join(b'"%s"' % each for each in row.split(b",")) for row in data.split(b"\n")
    ),
    "a last line end": lambda data: data + b"\n",
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_a_table_is_the_same_however_it_was_saved(folders, kind, change):
    plain = load_corpus(write(folders, kind)).digest
    assert load_corpus(write(folders, kind, change)).digest == plain


REFUSED = {
    "semicolons": (lambda data: data.replace(b",", b";"), "has semicolons between its cells"),
    "tabs": (lambda data: data.replace(b",", b"\t"), "has tabs between its cells"),
    "nothing": (lambda _: b"", "is empty"),
    "a header alone": (lambda data: data.split(b"\n")[0], ""),
    "no first column": (lambda data: b"\n".join(r.partition(b",")[2] for r in data.split()), ""),
    "a column twice": (lambda data: data.replace(b",", b",other,other,", 1), "twice"),
    "a row twice": (lambda data: data + b"\n" + data.split(b"\n")[1], "row 12: "),
    "a cell too many": (lambda data: data + b",1,2,3", "cells under"),
    "UTF-16": (lambda data: data.decode().encode("utf-16"), "cannot be read as a table"),
    "Latin-1": (lambda data: data + "\né".encode("latin-1"), "cannot be read as a table"),
    "a picture": (lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ""),
    "a quote that never ends": (
        lambda data: data + b'\n"' + b"x,\n" * 600_000,
        "cannot be read as a table",
    ),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_such_table_is_one_line(folders, kind, change, words, capsys):
    root = write(folders, kind, change)
    assert main(["check", str(root), "--jobs", "1"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1
    assert len(err) < 600


@pytest.mark.parametrize("kind", ["deam", "numbers"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("loud", "number"),
        ("0,1", "cells under"),
        ('"0,1"', "number"),
        ("1_0", "number"),
        ("٠", "number"),
        ("0x1", "number"),
        ("--1", "number"),
        ("x" * 5000, "number"),
        ("inf", "inf"),
        ("-inf", "inf"),
        ("1e999", "-1"),
        ("1.0000001", "-1"),
        ("-7", "-1"),
    ],
)
def test_a_cell_that_is_no_label_is_one_line_that_names_its_row(folders, kind, text, words, capsys):
    root = write(folders, kind, lambda data: with_cell(data, text))
    assert main(["check", str(root), "--jobs", "1"]) == 1
    err = capsys.readouterr().err
    assert ", row 2" in err
    assert words in err
    assert err.count("\n") == 1
    assert len(err) < 600


def test_many_stretches_of_a_file_are_compared_in_a_moment_and_named_by_row(folders):
    rows = [f"{i % 10}.wav,{i // 10},{i // 10 + 1},0" for i in range(100_000)]
    rows[77_777] = "7.wav,7776.5,7777.5,0"
    path = folders / "numbers" / "labels.csv"
    path.write_text("\n".join(["file,start,end,valence", *rows]))
    with pytest.raises(CorpusError, match=r"row 77779: it says of 7\.wav what row 77769 says, "):
        load_corpus(folders / "numbers")


def test_more_rows_than_any_folder_has_are_given_up(folders, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 9)
    with pytest.raises(CorpusError, match="has more than 9 rows"):
        load_corpus(write(folders, "names"))


READ = """
    import resource, sys
    from pathlib import Path
    from fourier.corpora import load_corpus
    from fourier.errors import CorpusError

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load_corpus(Path(sys.argv[1]))
    except CorpusError as error:
        print(error)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_ten_million_rows_are_given_up_in_bounded_memory(folders, kind):
    name, rows = TABLES[kind]
    with (folders / kind / name).open("w") as file:
        file.write(rows[0].partition(",sample_15500ms")[0] + "\n")
        if kind == "deam":
            for first in range(0, 10_000_000, 100_000):
                file.writelines(f"{song},0.1\n" for song in range(first, first + 100_000))
        else:
            for _ in range(100):
                file.write("gone.wav,0\n" * 100_000)
    command = [sys.executable, "-c", textwrap.dedent(READ), folders / kind]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    (folders / kind / name).unlink()
    assert ran.returncode == 0, ran.stderr
    message, mebibytes = ran.stdout.splitlines()
    assert "more than 1,000,000 " in message
    assert int(mebibytes) < 600
