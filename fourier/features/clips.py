"""One track's file to its rows of the PCM store: what each decoding process does.

Kept apart and light, so that these processes start fast: neither torch nor pandas is loaded. Not
here: who decodes what, and what becomes of the rows (`fourier.features.pcm`).
"""

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fourier.errors import AudioError
from fourier.features.decode import decode

FULL_SCALE = 32768
# The GNU C library hands free memory back to the system and gets it anew page by page, which can
# take longer than the work; after a block of this size was freed, it keeps smaller ones.
KEPT_BYTES = 31 * 2**20


@dataclass(frozen=True)
class TrackClips:
    """What is wanted of one file.

    Attributes:
        track: its id.
        path: the file.
        starts: where its clips begin, seconds, ascending.
        rows: their rows in the store.
    """

    track: str
    path: Path
    starts: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass
class CutClips:
    """What came of it.

    Attributes:
        checksums: CRC-32 of each row that was written.
        left_out: (item, reason) of each that was not, or one of the whole track.
    """

    checksums: dict[int, int] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def cut_track(
    wanted: TrackClips, store: Path, sample_rate: int, samples: int, missing: int = 0
) -> CutClips:
    """Decode one file and write its clips into their rows.

    Rows are written, not mapped: a full disk is then an OSError and no killed process.

    Args:
        wanted: which clips of which file.
        store: a file of int16 rows.
        sample_rate: of the store, Hz.
        samples: in a row.
        missing: samples that a clip may lack at its end; silence fills them.

    Returns:
        The rows written, and what is left out: a clip that the audio does not fully cover, or the
        whole track where the file does not decode.

    Raises:
        OSError: the store cannot be written.
    """
    first = wanted.starts[0]
    seconds = wanted.starts[-1] - first + (samples + 1) / sample_rate  # starts are rounded
    cut = CutClips()
    keep_memory()
    try:
        audio = to_int16(decode(wanted.path, sample_rate, first, seconds))
    except AudioError as error:
        cut.left_out.append((wanted.track, str(error)))
        return cut
    end = round(first * sample_rate) + len(audio)
    with store.open("rb+", buffering=0) as file:
        for start, row in zip(wanted.starts, wanted.rows, strict=True):
            offset = round(start * sample_rate) - round(first * sample_rate)
            clip = audio[offset : offset + samples]
            if len(clip) < samples - missing:
                reason = f"the audio ends at {_hundredths(end / sample_rate)} s"
                cut.left_out.append((f"{wanted.track} @ {start:.1f} s", reason))
                continue
            if len(clip) < samples:
                clip = np.pad(clip, (0, samples - len(clip)))
            write_at(file.fileno(), clip.data, row * samples * 2)
            cut.checksums[row] = zlib.crc32(clip.data)
    return cut


def to_int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Samples within [-1, 1] to the nearest of 65,536 steps, without dither; 1.0 is clipped.

    The samples are used up.
    """
    steps = np.multiply(samples, np.float32(FULL_SCALE), out=samples)
    np.rint(steps, out=steps)
    # A quarter of the time that `np.minimum` takes.
    return np.clip(steps, -FULL_SCALE, FULL_SCALE - 1, out=steps).astype(np.int16)


def keep_memory() -> None:
    """Have this process keep what it frees, up to `KEPT_BYTES` at a time, for its next need."""
    np.empty(KEPT_BYTES, np.uint8)


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of it; one call may take only a part."""
    data = data.cast("B")
    while len(data):
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def _hundredths(seconds: float) -> str:
    """Rounded down, so that a clip that misses its end by a hair does not seem to reach it."""
    return f"{int(seconds * 100) / 100:.2f}"
