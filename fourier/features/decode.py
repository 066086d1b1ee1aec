"""One audio file to mono samples: libsndfile reads, soxr resamples, and only what is asked for.

What a file says of its own length is not believed; the samples that come out are what there is.
Not here: which parts are wanted (`fourier.features.pcm`), 16-bit storage, and formats that
libsndfile does not know (AAC).
"""

import ctypes
import math
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from fourier.errors import AudioError

Samples = npt.NDArray[np.float32]

BLOCK_VALUES = 1 << 16
# Of memory that is asked for at once, and taken by the system as it is written.
PART_FRAMES = 1 << 24
SLOWEST_HZ, FASTEST_HZ = 1_000, 1_000_000

# libsndfile's seek is exact for PCM and FLAC. An mp3 frame may borrow bits from up to 511 bytes
# before it, at low bit rates more frames than libmpg123 goes back by itself (measured: errors up
# to 0.06 in the first 0.05 s, none from 0.1 s on); Opus needs 80 ms to converge.
PREROLL_SECONDS = {"MP3": 0.5, "OGG": 0.5}
# The samples next to a cut, which the resampler's filter still feels.
RESAMPLER_SECONDS = 0.1

_C_STDERR_LOCK = threading.Lock()


class _Stream(sf.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that is read from one place on.

    After every read a seekable `SoundFile` seeks to where it is already, and libmpg123 then loses
    the bits that the next mp3 frame borrows (errors up to 0.04 at each block's beginning).
    """

    def seekable(self) -> bool:
        return False


def decode(
    path: Path, sample_rate: int, start: float = 0.0, seconds: float | None = None
) -> Samples:
    """Read a part of an audio file, its channels averaged, at a given sample rate.

    Args:
        path: a wav, au, aiff, flac, ogg or mp3 file, recognised by content, not by its name.
        sample_rate: of the result, Hz; other rates are resampled (soxr, high quality).
        start: where the part begins, seconds.
        seconds: how long it is; None for all the rest.

    Returns:
        [samples] float32 within [-1, 1]: what decoding the whole file gives, cut (mp3 to within
        float rounding). Shorter than asked where the audio ends or a damaged spot begins.

    Raises:
        AudioError: nothing can be read there, or samples are not numbers; the message is a short
            reason without the file's name.
        ValueError: ``start`` is negative, or ``sample_rate`` or ``seconds`` is not positive.
    """
    if not (start >= 0 and sample_rate > 0 and (seconds is None or seconds > 0)):
        got = (start, sample_rate, seconds)
        raise ValueError(
            f"`start >= 0`, `sample_rate > 0` and `seconds > 0` must hold, but got {got}"
        )
    with _opened(path) as file, _c_stderr_muted():
        first = _first_frame(file, sample_rate, start)
        samples = _read_mono(file, _frames_wanted(file, sample_rate, first, start, seconds))
        native = file.samplerate
    if not len(samples):
        raise AudioError(f"the audio ends before {start:.2f} s" if first else "no audio in it")
    if native != sample_rate:
        samples = soxr.resample(samples, native, sample_rate, quality="HQ")
    skip = round(start * sample_rate) - first * sample_rate // native
    samples = samples[skip : None if seconds is None else skip + round(seconds * sample_rate)]
    if not len(samples):
        raise AudioError(f"the audio ends before {start:.2f} s")
    return np.clip(samples, -1.0, 1.0, out=samples)


def stream(path: Path, sample_rate: int, seconds: float = 30.0) -> Iterator[Samples]:
    """Read a whole file of any length in bounded memory.

    Args:
        path: as for `decode`.
        sample_rate: of the result, Hz.
        seconds: about how much is read at a time.

    Yields:
        [samples] float32 within [-1, 1], at least one of them not empty; together what `decode`
        gives for the file (resampled audio to within float rounding).

    Raises:
        AudioError: there is no audio in it, or, perhaps after the first parts, samples are not
            numbers; the message is a short reason without the file's name.
    """
    with _opened(path) as file:
        native, ended, heard = file.samplerate, False, False
        resample = soxr.ResampleStream(native, sample_rate, 1, quality="HQ").resample_chunk
        frames = math.ceil(seconds * native)
        while not ended:
            with _c_stderr_muted():  # not across the yield: whoever listens may decode too
                samples = _read_mono(file, frames)
            ended = len(samples) < frames
            if native != sample_rate:
                samples = resample(samples, last=ended)
            if len(samples):
                heard = True
                yield np.clip(samples, -1.0, 1.0, out=samples)
        if not heard:
            raise AudioError("no audio in it")


@contextmanager
def _opened(path: Path) -> Iterator[_Stream]:
    """The file opened by libsndfile and standing at its beginning; every failure an AudioError."""
    try:
        # Without O_NONBLOCK a named pipe would keep us waiting for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise AudioError("no such file") from None
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})") from None
    try:
        _require_content(os.fstat(descriptor))
        try:
            with _c_stderr_muted():
                opened = _Stream(descriptor, closefd=False)
            with opened as file:
                _require_plausible(file)
                yield file
        except sf.LibsndfileError as error:
            raise AudioError(_reason(error)) from None
    finally:
        os.close(descriptor)


def _require_content(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise AudioError("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise AudioError("not a regular file")
    if status.st_size == 0:
        raise AudioError("an empty file")


def _require_plausible(file: _Stream) -> None:
    if not SLOWEST_HZ <= file.samplerate <= FASTEST_HZ:
        raise AudioError(f"claims a sample rate of {file.samplerate} Hz")


def _reason(error: sf.LibsndfileError) -> str:
    """What libsndfile says, or better words where those mislead."""
    words = error.error_string.strip().rstrip(".").removeprefix("Error : ")
    if "Format not recognised" in words:
        return "not an audio format that libsndfile knows"
    if "not a regular file" in words:  # what it says when libmpg123 finds no frame
        return "no mp3 frames found in it"
    return f"does not decode ({words})"


def _first_frame(file: _Stream, sample_rate: int, start: float) -> int:
    """Go to where reading begins: early enough for codec and resampler, on both rates' grid."""
    native: int = file.samplerate
    early = PREROLL_SECONDS.get(file.format, 0.0)
    early += RESAMPLER_SECONDS if native != sample_rate else 0.0
    grid = native // math.gcd(native, sample_rate)
    first = max(0, int((start - early) * native) // grid * grid)
    if first and first >= file.frames:
        raise AudioError(f"the audio ends before {start:.2f} s")
    if not sf.SoundFile.seekable(file):
        return 0
    return int(file.seek(first))


def _frames_wanted(
    file: _Stream, sample_rate: int, first: int, start: float, seconds: float | None
) -> float:
    if seconds is None:
        return math.inf
    late = RESAMPLER_SECONDS if file.samplerate != sample_rate else 0.0
    # One frame more than the clock says: `start` and `seconds` are each rounded to a sample.
    end = math.ceil((start + seconds + late) * float(file.samplerate)) + 1
    return end - first


def _read_mono(file: _Stream, frames: float) -> Samples:
    """Up to so many frames from here on, channels averaged, part by part: headers may lie."""
    parts = [np.empty(0, np.float32)]
    while frames > 0:
        part = np.empty(int(min(frames, PART_FRAMES)), np.float32)
        count = _read_part(file, part)
        parts.append(part[:count])
        frames -= count
        if count < len(part):
            break
    return parts[1] if len(parts) == 2 else np.concatenate(parts)


def _read_part(file: _Stream, mono: Samples) -> int:
    """Fill it from here on, block by block; how many frames of it are now audio."""
    at_once = max(1, BLOCK_VALUES // file.channels)
    block = np.empty((at_once, file.channels), np.float32)
    weights = np.full(file.channels, 1 / file.channels, np.float32)
    for start in range(0, len(mono), at_once):
        part = mono[start : start + at_once]
        wanted = part[:, None] if len(weights) == 1 else block[: len(part)]
        count = _fill(file, wanted)
        if len(weights) > 1:
            np.matmul(wanted[:count], weights, out=part[:count])
        if not np.isfinite(part[:count]).all():
            raise AudioError("holds samples that are not numbers (NaN or infinity)")
        if count < len(part):
            return start + count
    return len(mono)


def _fill(file: _Stream, block: Samples) -> int:
    """Read into the block; how many frames of it are now audio.

    Where the decoder gives up (a damaged spot, junk behind the last mp3 frame), the frames before
    it have been written: NaN marks the rest.
    """
    block.fill(np.nan)
    try:
        return len(file.read(out=block))
    except sf.LibsndfileError:
        unwritten = np.isnan(block[:, 0])
        return int(unwritten.argmax()) if unwritten.any() else len(block)


@contextmanager
def _c_stderr_muted() -> Iterator[None]:
    """Keep libmpg123 from printing its notes; Python's own stderr is not touched.

    The GNU C library lets a program set the variable ``stderr``; elsewhere nothing is done. The
    lock makes threads decode one after the other: processes are this room's way to be fast.
    """
    name = "CS_GNU_LIBC_VERSION"
    if name not in os.confstr_names or not os.confstr(name):
        yield
        return
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fclose.argtypes = [ctypes.c_void_p]
    with _C_STDERR_LOCK:
        variable = ctypes.c_void_p.in_dll(libc, "stderr")
        before, nowhere = variable.value, libc.fopen(b"/dev/null", b"w")
        variable.value = nowhere
        try:
            yield
        finally:
            variable.value = before
            libc.fclose(nowhere)
