"""Which tracks of a PCM store are the same recording, in whole or in part.

Two ways. *Identical*: clips whose samples are all the same, found by their checksums and compared
sample by sample. *Near-identical*: tracks whose fingerprints agree along a stretch, wherever it
lies in either; found by an inverted index of fingerprint words, decided by the share of bits that
differ over the whole overlap. Labels and parts play no role. Computed once for a store and kept
beside it. Not found: other takes, covers and remixes, and a sample inside another piece; silence
and steady tones are copies of nothing unless they are the same to the sample, and silence not even
then. Not here: whether a copy matters (`fourier.training.leaks`).
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from fourier.features.cache import (
    CacheWarning,
    DamagedEntryError,
    cache_errors,
    locked,
    read_manifest,
    write_manifest,
)
from fourier.features.clips import FULL_SCALE
from fourier.features.fingerprint import BITS, FRAME_SECONDS, Fingerprint, fingerprint
from fourier.features.pcm import PcmStore

FORMAT = 1

MOST_DIFFERENT = 0.30
"""Share of bits; re-encoded copies stay below 0.2, two recordings above 0.39."""

LEAST_SECONDS = 3.0
"""Of overlap in which something happens; half of the shorter track where that is less."""

LEAST_FRAMES = 48

SILENT_STEPS = 3
"""A clip whose samples stay within this many of 65,536 steps around zero is silence."""

NEIGHBOURS = 32
"""Occurrences of a word that each one is compared with; keeps a common word from costing more."""

OFFSETS = 8
"""Alignments of two tracks that are tried, the likeliest first."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """Two tracks that hold the same audio.

    Attributes:
        first: a track.
        second: another, later in the store.
        identical_clips: clips of the second that a clip of the first equals in every sample.
        seconds: how long the fingerprints lie over each other; 0 where only samples were compared.
        shift: seconds into the first at which the second's time 0 lies.
        bit_error: share of the fingerprints' bits that differ; 0 where only samples were compared.
    """

    first: str
    second: str
    identical_clips: int = 0
    seconds: float = 0.0
    shift: float = 0.0
    bit_error: float = 0.0

    @property
    def evidence(self) -> str:
        """What speaks for it, in a few words."""
        if self.identical_clips:
            clips = "1 clip" if self.identical_clips == 1 else f"{self.identical_clips} clips"
            return f"{clips} identical in every sample"
        apart = f", {abs(self.shift):.1f} s apart" if abs(self.shift) >= 2 * FRAME_SECONDS else ""
        return f"the same {self.seconds:.0f} s{apart} ({self.bit_error:.0%} of bits differ)"


@dataclass(frozen=True, eq=False)
class _Timeline:
    """A track's fingerprint by its own time; frames that no clip covers do not count."""

    words: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.bool_]


def find_copies(pcm: PcmStore, progress: Progress | None = None) -> tuple[Copy, ...]:
    """Pairs of tracks that hold the same audio, in the order of the store; computed once for it.

    Args:
        pcm: the decoded clips.
        progress: called with (tracks fingerprinted, tracks), if any have to be.

    Raises:
        CacheError: the cache cannot be written, or a clip is not what was written.
    """
    path = pcm.path.with_name("copies.json")
    with cache_errors(path.parent):
        kept = _load(pcm, warn=False)
        if kept is None:
            with locked(path):
                kept = _load(pcm, warn=True)
                if kept is None:
                    kept = _compute(pcm, progress)
                    fields = [asdict(copy) for copy in kept]
                    write_manifest(path, {"format": FORMAT, "pcm": pcm.digest, "copies": fields})
    return kept


def _load(pcm: PcmStore, *, warn: bool) -> tuple[Copy, ...] | None:
    path = pcm.path.with_name("copies.json")
    try:
        fields = read_manifest(path)
    except DamagedEntryError as damage:
        if warn:
            message = f"comparing anew: {path} is damaged ({damage})"
            warnings.warn(message, CacheWarning, stacklevel=4)
        return None
    if fields is None or fields["format"] != FORMAT or fields["pcm"] != pcm.digest:
        return None
    return tuple(Copy(**copy) for copy in fields["copies"])


def _compute(pcm: PcmStore, progress: Progress | None) -> tuple[Copy, ...]:
    rows = pcm.clips.groupby("track", sort=False).indices
    tracks = [str(track) for track in rows]
    timelines = []
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # FFTs let the GIL go
        for timeline in pool.map(lambda mine: _timeline(pcm, np.asarray(mine)), rows.values()):
            timelines.append(timeline)
            if progress:
                progress(len(timelines), len(tracks))
    found = _near_identical(timelines)
    identical = _identical_clips(pcm, tracks)
    return tuple(
        Copy(
            first=tracks[pair[0]],
            second=tracks[pair[1]],
            identical_clips=identical.get(pair, 0),
            **found.get(pair, {}),
        )
        for pair in sorted(found.keys() | identical.keys())
    )


def _identical_clips(pcm: PcmStore, tracks: list[str]) -> dict[tuple[int, int], int]:
    """How many clips of the second track a clip of the first equals, by pair of tracks."""
    number = pcm.clips["track"].map({track: i for i, track in enumerate(tracks)}).to_numpy()
    order = np.argsort(pcm.checksums, kind="stable")
    edges = np.flatnonzero(np.diff(pcm.checksums[order])) + 1
    equal: dict[tuple[int, int], set[int]] = {}
    for rows in np.split(order, edges):
        if len(np.unique(number[rows])) < 2 or _is_silent(pcm, rows[0]):
            continue
        for place, row in enumerate(rows):
            for other in rows[place + 1 : place + 1 + NEIGHBOURS]:
                pair = (int(number[row]), int(number[other]))
                if pair[0] != pair[1] and np.array_equal(pcm.audio[row], pcm.audio[other]):
                    equal.setdefault(pair, set()).add(int(other))
    return {pair: len(clips) for pair, clips in equal.items()}


def _is_silent(pcm: PcmStore, row: int) -> bool:
    clip = pcm.audio[row]
    return bool(max(clip.max(), -int(clip.min())) <= SILENT_STEPS)


def _timeline(pcm: PcmStore, rows: npt.NDArray[np.intp]) -> _Timeline:
    """Fingerprint a track, each stretch of clips that follow on one another as a whole."""
    clip_seconds = pcm.samples / pcm.sample_rate
    starts = pcm.clips["start"].to_numpy()[rows]
    breaks = np.flatnonzero(~np.isclose(np.diff(starts), clip_seconds, atol=1e-6)) + 1
    stretches = [
        (round(starts[stretch[0]] / FRAME_SECONDS), _fingerprint(pcm, rows[stretch]))
        for stretch in np.split(np.arange(len(rows)), breaks)
    ]
    frames = max(place + len(print_.words) for place, print_ in stretches)
    words, counts = np.zeros(frames, np.uint32), np.zeros(frames, np.bool_)
    for place, print_ in stretches:
        words[place : place + len(print_.words)] = print_.words
        counts[place : place + len(print_.words)] = print_.counts
    return _Timeline(words, counts)


def _fingerprint(pcm: PcmStore, rows: npt.NDArray[np.intp]) -> Fingerprint:
    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        for row in rows.tolist():
            yield pcm.read(row, row + 1)[0].astype(np.float32) / FULL_SCALE

    return fingerprint(blocks(), pcm.sample_rate)


def _near_identical(timelines: list[_Timeline]) -> dict[tuple[int, int], dict[str, float]]:
    """The best alignment of every two tracks that agree along one."""
    best: dict[tuple[int, int], dict[str, float]] = {}
    tried: dict[tuple[int, int], int] = {}
    for first, second, offset in _alignments(timelines):
        pair = (first, second)
        tried[pair] = tried.get(pair, 0) + 1
        if tried[pair] > OFFSETS:
            continue
        found = _overlap(timelines[first], timelines[second], offset)
        if found and (pair not in best or found["bit_error"] < best[pair]["bit_error"]):
            best[pair] = found
    return best


def _alignments(timelines: list[_Timeline]) -> Iterator[tuple[int, int, int]]:
    """(first, second, offset in frames) that some word speaks for, those with most words first."""
    words, tracks, frames = _index(timelines)
    span = max((len(line.words) for line in timelines), default=0)
    width = 2 * span + 1
    votes: list[npt.NDArray[np.int64]] = []
    for step in range(1, min(NEIGHBOURS, len(words) - 1) + 1):
        same = np.flatnonzero((words[step:] == words[:-step]) & (tracks[step:] != tracks[:-step]))
        if len(same):
            pair = tracks[same] * len(timelines) + tracks[same + step]
            offset = frames[same] - frames[same + step]
            votes.append(pair * width + offset + span)
    if not votes:
        return
    keys, counts = np.unique(np.concatenate(votes), return_counts=True)
    for key in keys[np.argsort(-counts, kind="stable")].tolist():
        pair, offset = divmod(key, width)
        yield pair // len(timelines), pair % len(timelines), offset - span


def _index(timelines: list[_Timeline]) -> tuple[npt.NDArray[np.int64], ...]:
    """Words that count with their track and frame, equal words together; of a run the first."""
    lengths = [len(line.words) for line in timelines]
    tracks = np.repeat(np.arange(len(lengths)), lengths)
    frames = np.concatenate([np.arange(length) for length in lengths])
    words = np.concatenate([line.words for line in timelines]).astype(np.int64)
    chosen = np.concatenate([line.counts for line in timelines])
    chosen[1:] &= (words[1:] != words[:-1]) | (tracks[1:] != tracks[:-1])
    words, tracks, frames = words[chosen], tracks[chosen], frames[chosen]
    order = np.lexsort((frames, tracks, words))
    return words[order], tracks[order], frames[order]


def _overlap(first: _Timeline, second: _Timeline, offset: int) -> dict[str, float] | None:
    """How two tracks agree where they lie over each other; None if too little or not enough."""
    start, other = max(0, offset), max(0, -offset)
    length = min(len(first.words) - start, len(second.words) - other)
    mine, theirs = slice(start, start + length), slice(other, other + length)
    both = first.counts[mine] & second.counts[theirs]
    frames = int(both.sum())
    shorter = min(int(first.counts.sum()), int(second.counts.sum()))
    if frames < max(LEAST_FRAMES, min(LEAST_SECONDS / FRAME_SECONDS, shorter / 2)):
        return None
    differing = np.bitwise_count((first.words[mine] ^ second.words[theirs])[both])
    bit_error = float(differing.mean()) / BITS
    if bit_error > MOST_DIFFERENT:
        return None
    seconds = frames * FRAME_SECONDS
    return {"seconds": seconds, "shift": offset * FRAME_SECONDS, "bit_error": bit_error}
