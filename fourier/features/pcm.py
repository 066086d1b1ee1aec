"""The PCM store: every clip of a corpus as 16-bit samples in one memory map, decoded once.

An entry is a file of samples and a manifest with its size, time and checksums. It is there whole or
not at all. Opening compares size and time and, where the time differs, all checksums; each row is
checked again when this process first reads it, unless it was decoded a moment ago. Not here:
decoding one file (`fourier.features.decode`), and features.
"""

import math
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NoReturn

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd

from fourier.corpora.corpus import LEFT_OUT_COLUMNS, Corpus
from fourier.digest import digest_of
from fourier.errors import CacheError, NothingLeftError
from fourier.features.cache import (
    CacheWarning,
    DamagedEntryError,
    cache_errors,
    locked,
    read_manifest,
    write_manifest,
    written_whole,
)
from fourier.features.clips import CutClips, TrackClips, cut_track, write_at

FORMAT = 1
# Starting a process costs about as long as decoding a quarter of an hour of mp3.
SECONDS_PER_PROCESS = 900.0

Progress = Callable[[int, int], None]
Fields = dict[str, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class PcmStore:
    """The decoded clips of a corpus.

    Attributes:
        path: the file of samples.
        clips: the rows of `Corpus.clips` that decoded whole, by track and start; row i is clip i.
        left_out: the corpus's own and those that did not decode; columns ``item``, ``reason``.
        sample_rate: Hz.
        samples: in each clip.
        checksums: CRC-32 of each clip's bytes, [clips].
        digest: identity of the samples: rate, length and content, in this order.
    """

    path: Path
    clips: pd.DataFrame
    left_out: pd.DataFrame
    sample_rate: int
    samples: int
    checksums: npt.NDArray[np.uint32]
    digest: str

    @cached_property
    def audio(self) -> np.memmap:
        """All samples, int16 [clips, samples], mapped read-only."""
        shape = (len(self.clips), self.samples)
        with cache_errors(self.path.parent):
            return np.memmap(self.path, np.int16, "r", shape=shape)

    def read(self, start: int, stop: int) -> npt.NDArray[np.int16]:
        """Copy clips ``start`` to ``stop`` to memory, [stop - start, samples].

        Raises:
            CacheError: a clip is not what was written; the next `open_pcm` decodes anew.
        """
        shape = (stop - start, self.samples)
        # Read, not mapped: the pages of a map would stay with the process, a whole corpus of them.
        with cache_errors(self.path.parent):
            offset = 2 * start * self.samples
            rows = np.fromfile(self.path, np.int16, math.prod(shape), offset=offset)
        if rows.size < math.prod(shape):
            self._give_up(start + rows.size // self.samples)
        rows = rows.reshape(shape)
        for row in np.flatnonzero(~self._seen[start:stop]):
            if zlib.crc32(rows[row].data) != self.checksums[start + row]:
                self._give_up(start + int(row))
        self._seen[start:stop] = True
        return rows

    def _give_up(self, clip: int) -> NoReturn:
        _manifest_path(self.path).unlink(missing_ok=True)
        raise CacheError(
            f"{self.path} is damaged at clip {clip}; run the same command again to decode it anew"
        )

    @cached_property
    def _seen(self) -> npt.NDArray[np.bool_]:
        return np.zeros(len(self.clips), bool)


def open_pcm(
    corpus: Corpus, cache: Path, *, jobs: int = -1, progress: Progress | None = None
) -> PcmStore:
    """Decode a corpus, or find what was decoded before; once per machine, whoever asks.

    Args:
        corpus: its clips are taken in the order of track and start.
        cache: folder for the store, ``<cache>/pcm/<corpus digest>/``.
        jobs: processes that decode; -1 for all cores, 1 for this process alone. Little audio is
            decoded by fewer, because a process takes time to start.
        progress: called with (files done, files).

    Raises:
        NothingLeftError: no clip is left.
        CacheError: the cache cannot be written.
        ValueError: ``jobs`` is 0.
    """
    if jobs == 0:
        raise ValueError("`jobs` must be a number of processes or -1, but got 0")
    clips = corpus.clips.sort_values(["track", "start"], kind="stable").reset_index(drop=True)
    path = cache / "pcm" / corpus.digest / "clips.int16"
    with cache_errors(cache):
        fields, fresh = _load_if_untouched(path), False
        if fields is None:
            with locked(path):
                fields = _load_or_warn(path)
                if fields is None:
                    fields, fresh = _build(corpus, clips, path, jobs, progress), True
    decoded = pd.DataFrame(fields["left_out"], columns=LEFT_OUT_COLUMNS, dtype="str")
    store = PcmStore(
        path=path,
        clips=clips.take(fields["rows"]).reset_index(drop=True),
        left_out=pd.concat([corpus.left_out, decoded], ignore_index=True),
        sample_rate=corpus.sample_rate,
        samples=corpus.samples_per_clip,
        checksums=np.array(fields["checksums"], np.uint32),
        digest=str(fields["digest"]),
    )
    store._seen.fill(fresh)  # what was written a moment ago need not be checked
    return store


def _manifest_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _load_if_untouched(path: Path) -> Fields | None:
    """The manifest, if nothing at all speaks against it."""
    try:
        fields = _load(path)
    except DamagedEntryError:
        return None
    return fields if fields and path.stat().st_mtime_ns == fields["modified_ns"] else None


def _load_or_warn(path: Path) -> Fields | None:
    """The manifest, checked against every clip if the samples were touched, copied or changed."""
    try:
        fields = _load(path)
        modified = path.stat().st_mtime_ns if fields else None
        if fields and modified != fields["modified_ns"]:
            _check_clips(path, fields)
            write_manifest(_manifest_path(path), {**fields, "modified_ns": modified})
    except DamagedEntryError as damage:
        warnings.warn(f"decoding anew: {path} is damaged ({damage})", CacheWarning, stacklevel=3)
        return None
    return fields


def _load(path: Path) -> Fields | None:
    """The manifest, if the samples have the size that it says; None where there is none."""
    fields = read_manifest(_manifest_path(path))
    if fields is None or fields["format"] != FORMAT:
        return None
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise DamagedEntryError("its samples are missing") from None
    if size != fields["size"]:
        raise DamagedEntryError(f"it has {size} bytes instead of {fields['size']}")
    return fields


def _check_clips(path: Path, fields: Fields) -> None:
    checksums = fields["checksums"]
    with path.open("rb") as file:
        for clip, checksum in enumerate(checksums):
            if zlib.crc32(file.read(fields["size"] // len(checksums))) != checksum:
                raise DamagedEntryError(f"clip {clip} is not what was written")


def _build(
    corpus: Corpus, clips: pd.DataFrame, path: Path, jobs: int, progress: Progress | None
) -> Fields:
    """Decode everything to a file beside, close the gaps, and give both files their names."""
    row_bytes = corpus.samples_per_clip * 2
    _require_space(path.parent, len(clips) * row_bytes)
    with written_whole(path) as file:
        file.truncate(len(clips) * row_bytes)
        cut = _decode_all(corpus, clips, Path(file.name), jobs, progress)
        rows = sorted(cut.checksums)
        if not rows:
            raise NothingLeftError(_nothing_left(corpus, cut), cut.left_out)
        _close_gaps(file, rows, row_bytes)
        status = os.fstat(file.fileno())
    checksums = [cut.checksums[row] for row in rows]
    content = {"rate": corpus.sample_rate, "samples": corpus.samples_per_clip, "clips": checksums}
    fields = {
        "format": FORMAT,
        "size": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "rows": rows,
        "checksums": checksums,
        "left_out": [list(pair) for pair in cut.left_out],
        "digest": digest_of(content),
    }
    write_manifest(_manifest_path(path), fields)
    return fields


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CacheError(
            f"the decoded clips take {needed / 1e9:.1f} GB and {folder} has {free / 1e9:.1f} GB "
            "free: free some space there, or name another folder by --cache or FOURIER_CACHE"
        )


def _decode_all(
    corpus: Corpus, clips: pd.DataFrame, store: Path, jobs: int, progress: Progress | None
) -> CutClips:
    """All tracks' rows written to the store."""
    tracks = list(_by_track(corpus, clips))
    seconds = len(clips) * corpus.clip_seconds
    processes = min(joblib.effective_n_jobs(jobs), 1 + int(seconds / SECONDS_PER_PROCESS))
    task = joblib.delayed(cut_track)
    shape = (corpus.sample_rate, corpus.samples_per_clip, corpus.missing_samples)
    everything = CutClips()
    try:
        cuts = joblib.Parallel(processes, backend="loky", return_as="generator")(
            task(wanted, store, *shape) for wanted in tracks
        )
        for done, cut in enumerate(cuts, 1):
            everything.checksums |= cut.checksums
            everything.left_out += cut.left_out
            if progress:
                progress(done, len(tracks))
    except BrokenProcessPool:
        raise CacheError(
            "a decoding process was killed, perhaps for lack of memory: run the same command "
            "again with fewer other programs running"
        ) from None
    return everything


def _by_track(corpus: Corpus, clips: pd.DataFrame) -> Iterator[TrackClips]:
    starts, paths = clips["start"].to_numpy(), corpus.tracks["path"]
    for track, rows in clips.groupby("track", sort=False).indices.items():
        yield TrackClips(
            track=str(track),
            path=corpus.root / str(paths.at[track]),
            starts=tuple(float(start) for start in starts[rows]),
            rows=tuple(int(row) for row in rows),
        )


def _close_gaps(file: IO[bytes], rows: list[int], row_bytes: int) -> None:
    """Move the rows that were written together, front to back, and cut the file behind them."""
    for place, row in enumerate(rows):
        if place != row:
            data = os.pread(file.fileno(), row_bytes, row * row_bytes)
            write_at(file.fileno(), memoryview(data), place * row_bytes)
    file.truncate(len(rows) * row_bytes)


def _nothing_left(corpus: Corpus, cut: CutClips) -> str:
    if not cut.left_out:
        return f"{corpus.root} holds no clip; check it with `fourier check {corpus.root}`"
    item, reason = cut.left_out[0]
    return (
        f"no clip of {corpus.root} can be decoded ({item}: {reason}); see them all with "
        f"`fourier check {corpus.root}`"
    )
