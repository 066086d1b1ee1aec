"""Unpack a tar or zip that a stranger packed: nothing lands outside the folder, or nothing at all.

Only plain files and folders are unpacked, as new files with ordinary permissions. Not here: where
the archive comes from and whether it is the right one (`fourier.corpora.download`).
"""

import errno
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from fourier.errors import DownloadError

MOST_BYTES = 16 * 2**30
MOST_MEMBERS = 100_000
BLOCK_BYTES = 2**20
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT)


class BadArchiveError(DownloadError):
    """The archive itself is at fault: damaged, hostile, or of an unknown kind."""


@dataclass(frozen=True)
class _Member:
    """A plain file in an archive, or a folder if ``open`` is None."""

    name: str
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
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise _refusal(archive, f"it is damaged ({error})") from error
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
    members = _tar_members if tarfile.is_tarfile(archive) else _zip_members
    room_left = most_bytes
    for number, member in enumerate(members(archive), start=1):
        if number > most_members:
            raise _refusal(archive, f"it holds more than {most_members:,} files")
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
            raise _refusal(archive, f"it holds {member.name} twice") from error
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


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as tar:
        for info in tar:
            if info.isdir():
                yield _Member(info.name, None)
            elif info.isfile():
                yield _Member(info.name, _opener(tar, info))
            else:
                raise _refusal(archive, f"its member {info.name!r} is a link or a device")
        while tar.fileobj is not None and tar.fileobj.read(BLOCK_BYTES):
            pass  # to the end, where a compressed stream has its checksum


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
            if info.flag_bits & 1 or info.compress_type not in ZIP_METHODS:
                raise _refusal(archive, f"its member {info.filename!r} is encrypted or odd")
            if info.is_dir():
                yield _Member(info.filename, None)
            else:
                yield _Member(info.filename, _zip_opener(packed, info))


def _zip_opener(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: packed.open(info)
