"""DEAM's dynamic annotations: a wide table of 2 Hz samples to labelled clips.

`arousal.csv` and `valence.csv` have a row for each song and a column for each half second,
``sample_15000ms`` on, padded with NaN behind the end of the song. The static, song-level files are
not read: for ids up to 1000 their valence and arousal means are swapped.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fourier.errors import CorpusError

FIRST_SECOND = 15.0
"""Annotators had fifteen seconds to settle; nothing before is annotated."""

SAMPLES_PER_SECOND = 2
TARGETS = ("valence", "arousal")

_SAMPLE = re.compile(r"sample_(\d+)ms")


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
    try:
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(f"{path} cannot be read as a table: {reason}; unpack it again") from None
    table.columns = table.columns.str.strip()
    times = _sample_times(path, table.columns)
    songs = _song_ids(path, table["song_id"])
    columns = [f"sample_{time}ms" for time in times]
    values = np.full((len(songs), (max(times) - int(FIRST_SECOND * 1000)) // 500 + 1), np.nan)
    numbers = _numbers(path, table[columns], songs)
    values[:, [(time - int(FIRST_SECOND * 1000)) // 500 for time in times]] = numbers
    return Samples(path, tuple(songs), values)


def label_clips(
    dimensions: dict[str, Samples], clip_seconds: float
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Cut annotations into clips, back to back from second 15 on.

    The label of a clip is the mean of its samples; a clip of five seconds has ten.

    Args:
        dimensions: samples of ``valence`` and ``arousal``.
        clip_seconds: length of a clip.

    Returns:
        Clips with columns track, start, valence, arousal; and (item, reason) for songs with one
        dimension only and for clips that are annotated in part.
    """
    left_out: list[tuple[str, str]] = []
    songs = _songs_in_all(dimensions, left_out)
    per_clip = round(clip_seconds * SAMPLES_PER_SECOND)
    blocks = [_by_clip(dimensions[name], songs, per_clip) for name in TARGETS]
    count = max(block.shape[1] for block in blocks)
    stack = np.stack([_widen(block, count) for block in blocks])  # [dimensions, songs, clips, 10]
    known = ~np.isnan(stack)
    whole = known.all(axis=(0, 3))
    # A song annotated up to second 45.0 has its last sample there; that one begins no clip.
    begun = known[..., 1:].any(axis=(0, 3))
    for song, clip in np.argwhere(begun & ~whole):
        start = FIRST_SECOND + clip * clip_seconds
        left_out.append((f"{songs[song]} @ {start:.1f} s", "annotated in part"))
    rows, clips = np.nonzero(whole)
    means = stack[:, rows, clips].mean(axis=2)
    labels = dict(zip(TARGETS, means, strict=True))
    starts = FIRST_SECOND + clips * clip_seconds
    return pd.DataFrame({"track": [songs[i] for i in rows], "start": starts, **labels}), left_out


def _sample_times(path: Path, columns: "pd.Index[str]") -> list[int]:
    """Milliseconds of the sample columns, in the file's order."""
    if "song_id" not in columns:
        raise CorpusError(f"{path} has no column `song_id`; unpack the annotations again")
    repeated = columns[columns.duplicated() | columns.str.fullmatch(r"(song_id|sample_\d+ms)\.\d+")]
    if len(repeated):
        raise CorpusError(f"{path} has the column `{repeated[0]}` twice; remove one")
    times = [int(match[1]) for match in map(_SAMPLE.fullmatch, columns) if match]
    times = [time for time in times if time >= FIRST_SECOND * 1000 and time % 500 == 0]
    if not times:
        raise CorpusError(
            f"{path} has no columns `sample_15000ms`, …; unpack the annotations again"
        )
    return times


def _song_ids(path: Path, column: "pd.Series[str]") -> list[str]:
    numbers = pd.to_numeric(column, errors="coerce")
    for row in np.flatnonzero(~(np.isfinite(numbers) & (numbers % 1 == 0) & (numbers >= 0))):
        raise CorpusError(f"{path}, row {row + 2}: `song_id` {column.iloc[row]!r} is not an id")
    songs = [str(int(number)) for number in numbers]
    if len(set(songs)) < len(songs):
        song = next(song for song in songs if songs.count(song) > 1)
        raise CorpusError(f"{path} has song {song} twice; remove one of its rows")
    return songs


def _numbers(path: Path, cells: pd.DataFrame, songs: list[str]) -> np.ndarray:
    numbers: np.ndarray = cells.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    wrong = np.isnan(numbers) & cells.notna().to_numpy()
    outside = np.abs(numbers) > 1
    for problem, mask in (("is not a number", wrong), ("lies outside [-1, 1]", outside)):
        for row, column in np.argwhere(mask):
            cell, name = cells.iat[row, column], cells.columns[column]
            raise CorpusError(f"{path}, song {songs[row]}, `{name}`: {cell!r} {problem}; mend it")
    return numbers


def _songs_in_all(dimensions: dict[str, Samples], left_out: list[tuple[str, str]]) -> list[str]:
    """Songs that every dimension has, in the order of their ids."""
    ids = {name: set(samples.songs) for name, samples in dimensions.items()}
    for name, others in ((name, set().union(*ids.values()) - ids[name]) for name in ids):
        left_out += [(song, f"no {name} annotation") for song in sorted(others, key=int)]
    return sorted(set.intersection(*ids.values()), key=int)


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
