"""Unpack a tar or zip that a stranger packed: nothing lands outside the folder, or nothing at all.

Only plain files and folders are unpacked, as new files with ordinary permissions. Not here: where
the archive comes from and whether it is the right one (`fourier.corpora.download`).
"""

import bz2
import errno
import gzip
import lzma
import math
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from fourier.errors import DownloadError
from fourier.shown import one_line

MOST_BYTES = 16 * 2**30
MOST_MEMBERS = 100_000
MOST_HEADER_BYTES = 2**20
"""What a tar may say of one member; `tarfile` would keep all of it in memory."""
BLOCK_BYTES = 2**20
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,  # of tarfile and zipfile, about numbers and names that are none
    OverflowError,
    NotImplementedError,
    MemoryError,
    struct.error,
)
"""What the standard library raises over bytes that are no archive, or not a whole one."""
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT)


class BadArchiveError(DownloadError):
    """The archive itself is at fault: damaged, hostile, or of an unknown kind."""


@dataclass(frozen=True)
class _Member:
    """A plain file in an archive, or a folder if ``open`` is None."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None


def extract(
    archive: Path,
    folder: Path,
    *,
    most_bytes: int = MOST_BYTES,
    most_members: int = MOST_MEMBERS,
) -> None:
    """Unpack an archive into a new folder, whole or not at all.

    What macOS adds (``__MACOSX/``, ``._name``, ``.DS_Store``) is left out.

    Args:
        archive: a tar (plain or compressed) or zip, told by its content.
        folder: must not exist, or be empty.
        most_bytes: of all files together, unpacked.
        most_members: files and folders in the archive.

    Raises:
        BadArchiveError: the archive is damaged, holds a link, a device, a name that leads outside
            the folder, the same name twice, or more than it may.
        DownloadError: the folder is not empty or cannot be written, or the disk is full.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DownloadError(f"{folder} is there already: move it away or name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _no_place(archive, folder, error) from error
    try:
        content = room / "content"
        content.mkdir()
        _unpack(archive, content, most_bytes, most_members)
        content.replace(folder)
    except DAMAGE as error:
        reason = one_line(error) or type(error).__name__
        raise _refusal(archive, f"it is damaged ({reason})") from error
    except OSError as error:
        if error.errno in DISK_TROUBLE:
            raise _no_place(archive, folder, error) from error
        raise _refusal(archive, f"it is damaged ({error.strerror or error})") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _no_place(archive: Path, folder: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"{archive.name} cannot be unpacked to {folder} ({error.strerror or error}): "
        "free some space or name another folder"
    )


def _refusal(archive: Path, reason: str) -> BadArchiveError:
    return BadArchiveError(f"{archive.name} was not unpacked: {reason}; get the archive anew")


def _unpack(archive: Path, into: Path, most_bytes: int, most_members: int) -> None:
    members = _zip_members(archive) if _is_zip(archive) else _tar_members(archive, most_bytes)
    room_left = most_bytes
    for number, member in enumerate(members, start=1):
        if number > most_members:
            raise _refusal(archive, f"it holds more than {most_members:,} files")
        if member.size > room_left:  # also of what is passed over: that takes time, too
            raise _refusal(archive, f"it unpacks to more than {most_bytes:,} bytes")
        path = _place(archive, member.name)
        if _is_of_macos(path):
            continue
        try:
            if member.open is None:
                (into / path).mkdir(parents=True, exist_ok=True)
                continue
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            room_left -= _copy(member.open, into / path, room_left)
        except (FileExistsError, NotADirectoryError) as error:
            raise _refusal(archive, f"it holds {member.name!r} twice") from error
        if room_left < 0:
            raise _refusal(archive, f"it unpacks to more than {most_bytes:,} bytes")


def _copy(open_member: Callable[[], IO[bytes]], target: Path, most_bytes: int) -> int:
    """Write a new file; stops soon after the limit. Returns the bytes written."""
    written = 0
    with open_member() as content, target.open("xb") as file:
        while written <= most_bytes and (block := content.read(BLOCK_BYTES)):
            written += file.write(block)
    return written


def _place(archive: Path, name: str) -> Path:
    """Where a member goes below the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise _refusal(archive, f"its member {name!r} would land outside the folder")
    return Path(*path.parts)


def _is_of_macos(path: Path) -> bool:
    name = path.name
    return "__MACOSX" in path.parts or name.startswith("._") or name == ".DS_Store"


def _is_zip(archive: Path) -> bool:
    """Told by how it begins; `tarfile.is_tarfile` would read as much as a hostile header asks."""
    with archive.open("rb") as file:
        return file.read(2) == b"PK"


class _Rationed:
    """A tar's bytes, unpacked, of which only so many may be read at a time.

    Long names, and lists of holes, stand between members, are as long as the archive likes, and
    are read at once. Only what `tarfile` calls is here.
    """

    def __init__(self, archive: Path, content: IO[bytes]) -> None:
        self.left: float = MOST_HEADER_BYTES
        self._archive = archive
        self._content = content

    def read(self, size: int = -1) -> bytes:
        self.left -= size if size >= 0 else math.inf
        if self.left < 0:
            raise _refusal(
                self._archive, f"it describes a file in over {MOST_HEADER_BYTES:,} bytes"
            )
        return self._content.read(size)

    def seek(self, place: int) -> int:
        return self._content.seek(place)

    def tell(self) -> int:
        return self._content.tell()


def _tar_members(archive: Path, most_bytes: int) -> Iterator[_Member]:
    with _unpacked(archive) as content:
        rationed = _Rationed(archive, content)
        with tarfile.open(fileobj=cast(IO[bytes], rationed), mode="r:") as tar:
            while True:
                rationed.left = MOST_HEADER_BYTES
                info = tar.next()
                if info is None:
                    break
                rationed.left = math.inf  # whoever copies a member does so in blocks
                if info.isdir():
                    yield _Member(info.name, 0, None)
                elif info.isfile():
                    yield _Member(info.name, info.size, _opener(tar, info))
                else:
                    raise _refusal(archive, f"its member {info.name!r} is a link or a device")
        rest = most_bytes
        while block := content.read(BLOCK_BYTES):  # a compressed stream ends with its checksum
            rest -= len(block)
            if rest < 0:
                raise _refusal(archive, f"it unpacks to more than {most_bytes:,} bytes")


def _unpacked(archive: Path) -> IO[bytes]:
    """The bytes of a tar, whatever it was compressed with."""
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(archive))
    if start.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(archive))
    if start == b"\xfd7zXZ\0":
        return cast(IO[bytes], lzma.open(archive))
    return archive.open("rb")


def _opener(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def open_member() -> IO[bytes]:
        content = tar.extractfile(info)
        if content is None:  # cannot be: it is a plain file
            raise tarfile.ReadError(f"{info.name} has no content")
        return content

    return open_member


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(archive, f"its member {info.filename!r} is a link or a device")
            if not info.filename or info.flag_bits & 1 or info.compress_type not in ZIP_METHODS:
                raise _refusal(archive, f"its member {info.filename!r} is encrypted or odd")
            if info.is_dir():
                yield _Member(info.filename, 0, None)
            else:
                yield _Member(info.filename, info.file_size, _zip_opener(packed, info))


def _zip_opener(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: packed.open(info)
