"""Feature tensors on the disk: ``<digest>.npy`` beside a manifest, within a budget.

The .npy is an ordinary one, float16, for `numpy.load` and anybody's tools; every byte of it is
checked when it is loaded. Not here: what is computed and when (`fourier.features.store`).
"""

import io
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fourier.config import SpectrogramConfig
from fourier.features.cache import (
    DamagedEntryError,
    locked,
    locked_if_free,
    read_manifest,
    write_manifest,
    written_whole,
)
from fourier.features.clips import write_at

# Raise it when the same settings give other features, or are written otherwise.
FORMAT = 4
BYTES_AT_ONCE = 1 << 24
READERS = 4

Shape = tuple[int, int, int]
Features = npt.NDArray[np.float16]
Put = Callable[[int, Features], None]
"""Called with the number of a clip and features from there on, [some clips, bands, frames]."""


def write_entry(
    path: Path, shape: Shape, fill: Callable[[Put], None], config: SpectrogramConfig
) -> None:
    """Write features as they come, whole or not at all.

    Args:
        path: the .npy.
        shape: [clips, bands, frames].
        fill: puts every clip once, in any order and from any thread.
        config: is written into the manifest, for people.

    Raises:
        OSError: the disk is full, or writing is not permitted.
    """
    header, checksums = _header(shape), [0] * shape[0]
    row = 2 * math.prod(shape[1:])
    with written_whole(path) as file:
        file.write(header)
        file.flush()

        def put(start: int, features: Features) -> None:
            for number, clip in enumerate(np.ascontiguousarray(features, dtype="<f2"), start):
                checksums[number] = zlib.crc32(clip.data)
                write_at(file.fileno(), clip.data, len(header) + row * number)

        fill(put)
    fields = {
        "format": FORMAT,
        "shape": list(shape),
        "size": len(header) + row * shape[0],
        "checksums": checksums,
        "config": config.to_dict(),
    }
    write_manifest(manifest_path(path), fields)


def _header(shape: Shape) -> bytes:
    """What an .npy of this shape begins with."""
    header = io.BytesIO()
    description = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def load_entry(path: Path, shape: Shape, device: torch.device) -> Tensor | None:
    """Read and check an entry.

    Args:
        path: the .npy.
        shape: [clips, bands, frames] that it must have.
        device: where it is wanted.

    Returns:
        The features, float16; on a CPU over a private memory map, which an eviction does not take
        away. None where there is no entry.

    Raises:
        DamagedEntryError: it is not what was written.
    """
    fields = read_manifest(manifest_path(path))
    if fields is None or fields["format"] != FORMAT:
        return None
    if fields["shape"] != list(shape):
        raise DamagedEntryError(f"it has the shape {fields['shape']} instead of {list(shape)}")
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DamagedEntryError("its features are missing") from None
    with file, ThreadPoolExecutor(READERS) as pool:
        size = os.fstat(file.fileno()).st_size
        if size != fields["size"]:
            raise DamagedEntryError(f"it has {size} bytes instead of {fields['size']}")
        header = _header(shape)
        if os.pread(file.fileno(), len(header), 0) != header:
            raise DamagedEntryError("its header is not what was written")
        loaded = None
        if device.type != "cpu":
            loaded = torch.empty(shape, dtype=torch.float16, device=device)
        reader = _ClipReader(file, len(header), shape, fields["checksums"], loaded)
        list(pool.map(reader.read, range(0, shape[0], reader.at_once)))
        return _mapped(file, len(header), shape) if loaded is None else loaded


def map_entry(path: Path, shape: Shape) -> Tensor:
    """An entry that was just written, as `load_entry` gives it on a CPU."""
    with path.open("rb") as file:
        return _mapped(file, os.fstat(file.fileno()).st_size - 2 * math.prod(shape), shape)


def _mapped(file: IO[bytes], offset: int, shape: Shape) -> Tensor:
    return torch.from_numpy(np.memmap(file, np.float16, "c", offset=offset, shape=shape))


def touch_entry(path: Path) -> None:
    """Record that an entry was used now; not where it is gone, or may only be read."""
    now = time.time_ns()  # the kernel's own stamp is up to 10 ms old: too coarse for an order
    with suppress(OSError):
        os.utime(manifest_path(path), ns=(now, now))


def evict_entries(folder: Path, budget: int, keep: Path) -> None:
    """Remove the least recently used entries until the rest take at most the budget.

    A process that has an entry open or mapped keeps it, as POSIX does with a file without a name;
    one that is being made is left alone.

    Args:
        folder: of all features; entries lie one level below.
        budget: bytes.
        keep: the entry just written, which stays even if it is larger than the budget.
    """
    with locked(folder / "eviction"):
        for leftover in folder.glob("*/.*.tmp"):
            key = leftover.name.removeprefix(".").partition(".")[0]
            with locked_if_free(leftover.with_name(f"{key}.npy")):
                pass  # taking the lock removes it
        total = 0
        for _, size, path in sorted(_entries(folder, keep), reverse=True):
            total += size
            if total > budget and path != keep:
                with locked_if_free(path) as free:
                    if free:
                        manifest_path(path).unlink(missing_ok=True)
                        path.unlink(missing_ok=True)


def manifest_path(path: Path) -> Path:
    """The JSON beside the .npy."""
    return path.with_suffix(".json")


def _entries(folder: Path, newest: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of last use in ns, bytes, path) of each entry."""
    for path in folder.glob("*/*.npy"):
        with suppress(FileNotFoundError):  # another process removed it just now
            status = path.stat()
            used = math.inf if path == newest else float(status.st_mtime_ns)
            with suppress(FileNotFoundError):  # one without a manifest is as old as its features
                used = max(used, manifest_path(path).stat().st_mtime_ns)
            yield used, status.st_size, path


class _ClipReader:
    """Reads some clips of a file, checks them and puts their numbers in place.

    Attributes:
        at_once: how many clips `read` reads.
    """

    def __init__(
        self,
        file: IO[bytes],
        offset: int,
        shape: Shape,
        checksums: Sequence[int],
        target: Tensor | None,
    ) -> None:
        self._file, self._offset, self._checksums = file, offset, checksums
        self._row = 2 * math.prod(shape[1:])
        self._shape, self._target = shape[1:], target
        self.at_once = max(1, BYTES_AT_ONCE // max(1, self._row))

    def read(self, start: int) -> None:
        checksums = self._checksums[start : start + self.at_once]
        place = self._offset + self._row * start
        data = bytearray(os.pread(self._file.fileno(), self._row * len(checksums), place))
        view = memoryview(data)
        for number, checksum in enumerate(checksums):
            if zlib.crc32(view[self._row * number : self._row * (number + 1)]) != checksum:
                raise DamagedEntryError(f"its clip {start + number} is not what was written")
        if self._target is not None:
            numbers = torch.frombuffer(data, dtype=torch.float16).view(-1, *self._shape)
            self._target[start : start + len(checksums)].copy_(numbers)
