"""Any labelled folder: ``audio/`` and a ``labels.csv`` that says what is in it.

Two shapes. ``file,label`` is a classification: any set of names, clips of 3 s from each file's
start on. ``file,valence,arousal`` (or one of the two) is a regression, clips of 5 s; with ``start``
and ``end`` the values are of stretches, and a clip's target is their mean over its time. Two more
columns may say more: ``group`` (files that must stay together, an artist's say) and ``split``.
What does not fit is an error that names the row; a file without a row, a row without its file, and
what is too short for a clip are left out and listed. Not here: how a table is split
(`fourier.corpora.splits`).
"""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fourier.corpora.corpus import Corpus, left_out_frame
from fourier.corpora.layout import find_files
from fourier.corpora.stretches import Stretch, cut_stretches
from fourier.corpora.table import Table, open_table, read_number, short
from fourier.errors import CorpusError

AUDIO, LABELS = "audio", "labels.csv"
DIMENSIONS = ("valence", "arousal")
OPTIONAL = ("group", "split")
PARTS = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
    "": "unused",
}
TAKEN = re.compile(r"deam|gtzan|.*-demo")
"""Names of other corpora: their models and studies must not be taken for this one's."""

LEAST_CLIP_SECONDS, MOST_CLIP_SECONDS = 0.5, 60.0
MOST_ROWS = 1_000_000
"""More is a mistake, or somebody's attack."""

MISSING_SECONDS = 0.01
"""What encoders and resamplers may take from a file's end."""


@dataclass(frozen=True)
class _Kind:
    """What differs between the two shapes."""

    name: str
    sample_rate: int
    clip_seconds: float


CLASSIFICATION = _Kind("classification", 22_050, 3.0)
REGRESSION = _Kind("regression", 44_100, 5.0)
KINDS = (CLASSIFICATION.name, REGRESSION.name)


@dataclass
class _File:
    """One file with all its rows."""

    line: int
    group: str
    split: str
    label: str
    stretches: list[Stretch]


def has_folder(root: Path) -> bool:
    """Whether a folder holds ``audio/`` and ``labels.csv``."""
    return (root / LABELS).is_file() and (root / AUDIO).is_dir()


def folder_kind(root: Path) -> str:
    """``classification`` or ``regression``, as the columns of ``labels.csv`` say.

    Raises:
        CorpusError: there is no such file, or its columns say neither.
    """
    with _labels(root) as table:
        return _kind_of(table).name


def load_folder(root: Path, clip_seconds: float | None = None) -> Corpus:
    """Read a labelled folder.

    Args:
        root: the folder with ``audio/`` and ``labels.csv``; the corpus gets its name.
        clip_seconds: length of a clip; None is 3 s for classes and 5 s for numbers.

    Raises:
        CorpusError: a file is missing, or a row cannot be read; the message names it.
        ValueError: the length is out of bounds.
    """
    if clip_seconds is not None and not LEAST_CLIP_SECONDS <= clip_seconds <= MOST_CLIP_SECONDS:
        raise ValueError(
            f"`{LEAST_CLIP_SECONDS} <= clip_seconds <= {MOST_CLIP_SECONDS}` must hold, but got "
            f"{clip_seconds}"
        )
    with _labels(root) as table:
        kind = _kind_of(table)
        dimensions = tuple(name for name in DIMENSIONS if name in table.columns)
        files, left_out = _files(root, table, dimensions)
    length = clip_seconds or kind.clip_seconds
    classes = tuple(sorted({file.label for file in files.values()})) if not dimensions else ()
    if len(classes) == 1:
        raise CorpusError(f"{table.path} has the one label {classes[0]!r}; add a second")
    clips = _clips(root, files, left_out, length, dimensions, classes)
    given = tuple(name for name in OPTIONAL if name in table.columns)
    tracks = {
        "path": [f"{AUDIO}/{name}" for name in files],
        "group": [file.group or name for name, file in files.items()],
    }
    if "split" in given:
        tracks["split"] = [file.split for file in files.values()]
    return Corpus(
        name=_name(root),
        task=kind.name,
        root=root,
        sample_rate=kind.sample_rate,
        clip_seconds=length,
        tracks=pd.DataFrame(tracks, index=pd.Index(list(files), name="track", dtype="str")),
        clips=clips,
        targets=dimensions or ("label",),
        classes=classes,
        left_out=left_out_frame(left_out),
        default_protocol="split" if "split" in given else "group",
        missing_samples=round(MISSING_SECONDS * kind.sample_rate),
        given=given,
    )


@contextmanager
def _labels(root: Path) -> Iterator[Table]:
    for place in (root / LABELS, root / AUDIO):
        if not place.exists():
            raise CorpusError(
                f"there is no {place}; put the files in {AUDIO}/ and what is said of them in "
                f"{LABELS}, with the columns file,label or file,valence,arousal"
            )
    with open_table(root / LABELS) as table:
        yield table


def _kind_of(table: Table) -> _Kind:
    """The shape that the columns say; an unknown one is more likely a slip than a remark."""
    numbers = [name for name in DIMENSIONS if name in table.columns]
    if ("label" in table.columns) == bool(numbers):
        found = "both label and " + " and ".join(numbers) if numbers else ", ".join(table.columns)
        raise CorpusError(
            f"{table.path} must have either `label` or {' and '.join(DIMENSIONS)}, but has "
            f"{found}; mend its first row"
        )
    known = ("file", *(("start", "end", *DIMENSIONS) if numbers else ("label",)), *OPTIONAL)
    for name in table.columns:
        if name not in known:
            raise CorpusError(
                f"{table.path} has the column `{name}`, which is none of {', '.join(known)}; "
                "rename it or take it out"
            )
    missing = {"file"} - table.columns.keys()
    if ("start" in table.columns) != ("end" in table.columns):
        missing |= {"start", "end"} - table.columns.keys()
    if missing:
        raise CorpusError(f"{table.path} has no column `{missing.pop()}`; add it")
    return REGRESSION if numbers else CLASSIFICATION


def _name(root: Path) -> str:
    """The folder's name, as far as experiments and models can be called so."""
    name = re.sub(r"[^\w.-]+", "-", root.resolve().name).strip("-.") or "folder"
    return f"{name}-folder" if TAKEN.fullmatch(name) else name


def _files(
    root: Path, table: Table, dimensions: tuple[str, ...]
) -> tuple[dict[str, _File], list[tuple[str, str]]]:
    """Files that are there and have rows, by name; and what is there without the other."""
    audio = root / AUDIO
    there = {path.relative_to(audio).as_posix() for path in find_files(audio, Path.is_file)}
    files: dict[str, _File] = {}
    left_out: list[tuple[str, str]] = []
    for number, (line, cells) in enumerate(table.rows):
        if number == MOST_ROWS:
            raise CorpusError(f"{table.path} has more than {MOST_ROWS:,} rows; make it shorter")
        row = {name: cells[place] for name, place in table.columns.items()}
        file = _file_of(row, table.path, line, dimensions)
        name = PurePosixPath(row["file"]).as_posix()
        if name not in there:
            left_out.append((f"{LABELS}, row {line}", f"there is no {AUDIO}/{name}"))
        elif name not in files:
            files[name] = file
        else:
            _join(files[name], file, table, name)
    if not files:
        raise CorpusError(
            f"no row of {table.path} names a file in {audio}; `file` is a path below that folder, "
            "such as song.mp3"
        )
    for name, file in files.items():
        _require_apart(table.path, name, file.stretches)
    silent = sorted(there - files.keys())
    left_out += [(f"{AUDIO}/{name}", f"it has no row in {LABELS}") for name in silent]
    return dict(sorted(files.items())), left_out


def _file_of(row: dict[str, str], path: Path, line: int, dimensions: tuple[str, ...]) -> _File:
    if not row["file"]:
        raise _wrong(path, line, "it has no `file`")
    split = row.get("split", "").lower()
    if split not in PARTS:
        raise _wrong(path, line, f"`split` must be train, valid, test or empty, not {short(split)}")
    if not dimensions and not row["label"]:
        raise _wrong(path, line, "it has no `label`")
    values = tuple(_number(row, name, path, line, -1.0, 1.0) for name in dimensions)
    start, end = 0.0, np.inf
    if "start" in row:
        start, end = (_number(row, name, path, line, 0.0, 1e6) for name in ("start", "end"))
        if end <= start:
            raise _wrong(path, line, f"`start < end` must hold, but they are {start} and {end}")
    stretch = Stretch(line, start, end, values)
    return _File(line, row.get("group", ""), PARTS[split], row.get("label", ""), [stretch])


def _number(
    row: dict[str, str], name: str, path: Path, line: int, low: float, high: float
) -> float:
    value = read_number(row[name])
    if value is None:
        raise _wrong(path, line, f"`{name}` must be a number, but is {short(row[name])}")
    if not low <= value <= high:
        raise _wrong(path, line, f"`{name}` must be from {low:g} to {high:g}, but is {value:g}")
    return value


def _join(file: _File, other: _File, table: Table, name: str) -> None:
    """Another row of a file: another stretch of it, and nothing else may differ."""
    if "start" not in table.columns:
        text = f"{name} has a row already, {file.line}"
        raise _wrong(table.path, other.line, text)
    for column in OPTIONAL:
        if getattr(file, column) != getattr(other, column):
            text = f"{name} has another `{column}` than in row {file.line}"
            raise _wrong(table.path, other.line, text)
    file.stretches += other.stretches


def _require_apart(path: Path, name: str, stretches: list[Stretch]) -> None:
    """Raise CorpusError if two rows speak of the same time of a file."""
    ordered = sorted(stretches, key=lambda stretch: stretch.start)
    for before, after in pairwise(ordered):
        if after.start < before.end:
            first, second = sorted((before, after), key=lambda stretch: stretch.line)
            text = f"it says of {name} what row {first.line} says, from {second.start:g} s on"
            raise _wrong(path, second.line, text)


def _wrong(path: Path, line: int, what: str) -> CorpusError:
    return CorpusError(f"{path}, row {line}: {what}; mend it")


def _clips(
    root: Path,
    files: dict[str, _File],
    left_out: list[tuple[str, str]],
    length: float,
    dimensions: tuple[str, ...],
    classes: tuple[str, ...],
) -> pd.DataFrame:
    """One row for each clip, in the files' order."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        lengths = list(pool.map(lambda name: _seconds(root / AUDIO / name), files))
    rows: list[tuple[object, ...]] = []
    for (name, file), seconds in zip(files.items(), lengths, strict=True):
        if np.isinf(file.stretches[0].end):  # of the whole file
            # One at least, so that decoding says why a file that is too short is left out.
            count = max(1, int((seconds + MISSING_SECONDS) / length))
            said = file.stretches[0].values or (classes.index(file.label),)
            rows += [(name, i * length, *said) for i in range(count)]
        else:
            for line, start, values in cut_stretches(file.stretches, length):
                if values:
                    rows.append((name, start, *values))
                else:
                    reason = f"{name} is labelled for less than a clip of {length:g} s"
                    left_out.append((f"{LABELS}, row {line}", reason))
    return pd.DataFrame(rows, columns=["track", "start", *(dimensions or ("label",))])


def _seconds(path: Path) -> float:
    """Length as the header says; 0 where it says nothing: decoding believes the samples alone."""
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError):
        return 0.0
