"""DEAM's dynamic annotations: a wide table of 2 Hz samples to labelled clips.

`arousal.csv` and `valence.csv` have a row for each song and a column for each half second,
``sample_15000ms`` on, padded with NaN behind the end of the song. The static, song-level files are
not read: for ids up to 1000 their valence and arousal means are swapped.
"""

import math
import re
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fourier.corpora.table import Table, open_table, read_number, short
from fourier.errors import CorpusError

FIRST_SECOND = 15.0
"""Annotators had fifteen seconds to settle; nothing before is annotated."""

SAMPLES_PER_SECOND = 2
TARGETS = ("valence", "arousal")

NOTHING = ("", "NA")
"""What stands in a cell without an annotation, besides NaN."""

MOST_SONGS = 1_000_000
MOST_SAMPLES = 25_000_000
"""Of all songs together; the release has 2.2 million. More is a mistake, or somebody's attack."""

_SAMPLE = re.compile(r"sample_([1-9][0-9]{4,8})ms")
_ID = re.compile(r"0*([0-9]{1,15})(\.0*)?")  # spreadsheets make 17.0 of 17


@dataclass(frozen=True)
class Samples:
    """One dimension's annotations.

    Attributes:
        path: the file that they were read from.
        songs: ids, in the file's order.
        values: [songs, half seconds from second 15 on], NaN where there is none.
    """

    path: Path
    songs: tuple[str, ...]
    values: np.ndarray


def read_samples(path: Path) -> Samples:
    """Read one dimension's file.

    Raises:
        CorpusError: a column is missing, an id stands twice, a cell is no number, or a label lies
            outside [-1, 1].
    """
    with open_table(path) as table:
        song_cell = table.position("song_id")
        times = _sample_times(table)
        cells_of_samples = [table.position(f"sample_{time}ms") for time in times]
        places = [(time - int(FIRST_SECOND * 1000)) // 500 for time in times]
        songs: dict[str, None] = {}
        numbers = array("d")
        for line, cells in table.rows:
            _add_song(path, line, cells[song_cell], songs)
            if len(songs) > MOST_SONGS or len(songs) * (max(places) + 1) > MOST_SAMPLES:
                raise CorpusError(
                    f"{path}, row {line}: more than {MOST_SONGS:,} songs or {MOST_SAMPLES:,} "
                    "half seconds of them; unpack the table again"
                )
            for time, cell in zip(times, cells_of_samples, strict=True):
                numbers.append(_number(path, line, time, cells[cell]))
    if not songs:
        raise CorpusError(f"{path} has no row; unpack it again")
    values = np.full((len(songs), max(places) + 1), np.nan)
    values[:, places] = np.array(numbers).reshape(len(songs), len(times))
    return Samples(path, tuple(songs), values)


def songs_in_all(dimensions: dict[str, Samples]) -> tuple[list[str], list[tuple[str, str]]]:
    """Songs that every dimension has, in the order of their ids; (song, reason) for the others."""
    ids = {name: set(samples.songs) for name, samples in dimensions.items()}
    anywhere = set.union(*ids.values())
    missing = [
        (song, f"no {name} annotation")
        for name in ids
        for song in sorted(anywhere - ids[name], key=int)
    ]
    return sorted(set.intersection(*ids.values()), key=int), missing


def label_clips(
    dimensions: dict[str, Samples], songs: list[str], clip_seconds: float
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Cut annotations into clips, back to back from second 15 on.

    The label of a clip is the mean of its samples; a clip of five seconds has ten. Where a song's
    annotations end its clips end; a clip before that which lacks a sample is left out.

    Args:
        dimensions: samples of ``valence`` and ``arousal``.
        songs: ids that every dimension has.
        clip_seconds: length of a clip.

    Returns:
        Clips with columns track, start, valence, arousal; and (item, reason) for clips that are
        not annotated whole and for songs that are not annotated at all.
    """
    per_clip = round(clip_seconds * SAMPLES_PER_SECOND)
    blocks = [_by_clip(dimensions[name], songs, per_clip) for name in TARGETS]
    count = max(block.shape[1] for block in blocks)
    stack = np.stack([_widen(block, count) for block in blocks])  # [dimensions, songs, clips, 10]
    known = ~np.isnan(stack)
    whole = known.all(axis=(0, 3))
    # A song annotated up to second 45.0 has its last sample there; that one begins no clip.
    begun = known[..., 1:].any(axis=(0, 3))
    reached = np.logical_or.accumulate(begun[:, ::-1], axis=1)[:, ::-1]
    left_out = [(songs[i], "no annotation") for i in np.flatnonzero(~reached.any(axis=1))]
    for song, clip in np.argwhere(reached & ~whole):
        start = FIRST_SECOND + clip * clip_seconds
        reason = "annotated in part" if known[:, song, clip].any() else "a gap in the annotation"
        left_out.append((f"{songs[song]} @ {start:.1f} s", reason))
    rows, clips = np.nonzero(whole)
    means = stack[:, rows, clips].mean(axis=2)
    labels = dict(zip(TARGETS, means, strict=True))
    starts = FIRST_SECOND + clips * clip_seconds
    return pd.DataFrame({"track": [songs[i] for i in rows], "start": starts, **labels}), left_out


def _sample_times(table: Table) -> list[int]:
    """Milliseconds of the sample columns, in the file's order."""
    times = [int(match[1]) for match in map(_SAMPLE.fullmatch, table.columns) if match]
    times = [time for time in times if time >= FIRST_SECOND * 1000 and time % 500 == 0]
    if not times:
        raise CorpusError(f"{table.path} has no columns `sample_15000ms`, …; unpack it again")
    return times


def _add_song(path: Path, line: int, cell: str, songs: dict[str, None]) -> None:
    match = _ID.fullmatch(cell)
    if not match:
        raise CorpusError(f"{path}, row {line}: `song_id` {short(cell)} is not an id; mend it")
    song = str(int(match[1]))
    if song in songs:
        raise CorpusError(f"{path}, row {line}: song {song} is there twice; remove one")
    songs[song] = None


def _number(path: Path, line: int, time: int, cell: str) -> float:
    if cell in NOTHING:
        return math.nan
    number = read_number(cell)
    if number is None or abs(number) > 1:
        fault = "is not a number" if number is None else "lies outside [-1, 1]"
        shown = short(cell) if number is None else cell
        raise CorpusError(f"{path}, row {line}, `sample_{time}ms`: {shown} {fault}; mend it")
    return number


def _by_clip(samples: Samples, songs: list[str], per_clip: int) -> np.ndarray:
    """Samples of some songs as [songs, clips, samples of a clip]; a started last clip is padded."""
    position = {song: row for row, song in enumerate(samples.songs)}
    values = samples.values[[position[song] for song in songs]]
    missing = -values.shape[1] % per_clip
    values = np.pad(values, [(0, 0), (0, missing)], constant_values=np.nan)
    return values.reshape(len(songs), -1, per_clip)


def _widen(block: np.ndarray, clips: int) -> np.ndarray:
    padding = [(0, 0), (0, clips - block.shape[1]), (0, 0)]
    return np.pad(block, padding, constant_values=np.nan)
