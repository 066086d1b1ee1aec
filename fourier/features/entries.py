"""Feature tensors on the disk: ``<digest>.npy`` beside a manifest, within a budget.

The .npy is an ordinary one, float16, for `numpy.load` and anybody's tools; every byte of it is
checked when it is loaded. Not here: what is computed and when (`fourier.features.store`).
"""

import io
import math
import os
import time
import zlib
from collections.abc import Iterable, Iterator
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

# Raise it when the same settings give other features.
FORMAT = 2
BLOCK_BYTES = 1 << 24
READERS = 4

Shape = tuple[int, int, int]
Features = npt.NDArray[np.float16]


def write_entry(
    path: Path, shape: Shape, parts: Iterable[Features], config: SpectrogramConfig
) -> None:
    """Write features as they come, whole or not at all.

    Args:
        path: the .npy.
        shape: [clips, bands, frames] of all parts together.
        parts: [some clips, bands, frames] each.
        config: is written into the manifest, for people.

    Raises:
        OSError: the disk is full, or writing is not permitted.
    """
    header = io.BytesIO()
    description = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    with written_whole(path) as file:
        writer = _BlockWriter(file)
        writer.write(header.getvalue())
        for part in parts:
            writer.write(np.ascontiguousarray(part, dtype="<f2").data.cast("B"))
        file.flush()
        checksums = writer.finish()
    fields = {
        "format": FORMAT,
        "shape": list(shape),
        "size": writer.size,
        "checksums": checksums,
        "config": config.to_dict(),
    }
    write_manifest(manifest_path(path), fields)


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
        offset = size - 2 * math.prod(shape)
        loaded = None
        if device.type != "cpu":
            loaded = torch.empty(shape, dtype=torch.float16, device=device)
        reader = _BlockReader(file, offset, loaded)
        list(pool.map(reader.read, range(len(fields["checksums"])), fields["checksums"]))
        return _mapped(file, offset, shape) if loaded is None else loaded


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


class _BlockWriter:
    """Writes bytes and takes a CRC-32 of each block of the file."""

    def __init__(self, file: IO[bytes]) -> None:
        self.size = 0
        self._file = file
        self._checksums: list[int] = [0]

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        view = memoryview(data)
        while view:
            room = BLOCK_BYTES * len(self._checksums) - self.size
            if not room:
                self._checksums.append(0)
                continue
            self._checksums[-1] = zlib.crc32(view[:room], self._checksums[-1])
            self.size += len(view[:room])
            view = view[room:]

    def finish(self) -> list[int]:
        return self._checksums


class _BlockReader:
    """Reads single blocks of a file, checks them and puts their numbers in place."""

    def __init__(self, file: IO[bytes], offset: int, target: Tensor | None) -> None:
        self._file = file
        self._offset = offset
        self._flat = None if target is None else target.view(-1)

    def read(self, block: int, checksum: int) -> None:
        start = block * BLOCK_BYTES
        data = os.pread(self._file.fileno(), BLOCK_BYTES, start)
        if zlib.crc32(data) != checksum:
            raise DamagedEntryError(f"its block {block} is not what was written")
        if self._flat is not None:
            skip = max(0, self._offset - start)
            numbers = torch.frombuffer(bytearray(data[skip:]), dtype=torch.float16)
            first = (start + skip - self._offset) // 2
            self._flat[first : first + len(numbers)].copy_(numbers)
