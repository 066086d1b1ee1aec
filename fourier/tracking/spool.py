"""Writes that wait for MLflow, on the disk: a queue in a folder, one for each process and outage.

``writes.jsonl`` holds a line for each write, forced to the disk before anybody goes on, with its
checksum; ``files/<line>`` the files that a line speaks of; ``done`` how many lines are delivered.
The process that writes holds a lock that the kernel lets go when it dies, so whoever comes next may
deliver what it left. No name in a line is used as a path. Not here: what is in a write, and how it
is delivered.
"""

import contextlib
import fcntl
import json
import os
import shutil
import stat
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from fourier.errors import TrackingError

LINES, FILES, DONE, LOCK = "writes.jsonl", "files", "done", ".lock"


@dataclass(frozen=True)
class Kept:
    """What one spool still holds.

    Attributes:
        folder: where it lies.
        uri: the store that it is for, as it may be shown.
        writes: how many.
        runs: the ids or keys of their runs.
        busy: whether the process that keeps it lives, and will deliver it by itself.
    """

    folder: Path
    uri: str
    writes: int
    runs: frozenset[str]
    busy: bool


class Spool:
    """One queue, held by this process until it is closed or discarded."""

    def __init__(self, folder: Path, file: int) -> None:
        self.folder = folder
        self._file = file
        self._lines = 0

    @classmethod
    def create(cls, root: Path, uri: str) -> "Spool":
        """Begin a queue in a folder of its own.

        Args:
            root: where the folder is made.
            uri: the store that it is for, without a password.

        Raises:
            TrackingError: the disk does not take it.
        """
        with _disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            folder = root.absolute() / f"{time.time_ns():020d}-{os.getpid()}"
            with FileLock(root / LOCK):  # else it could be taken for a dead process's
                folder.mkdir(mode=0o700)
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                file = os.open(folder / LINES, flags, 0o600)
                fcntl.flock(file, fcntl.LOCK_EX)
            spool = cls(folder, file)
            spool._append_line({"uri": uri})
            _force(folder)
            _force(root)
        return spool

    @classmethod
    def claim(cls, root: Path, uri: str) -> list["Spool"]:
        """Take the queues for a store whose processes are gone, the last used last."""
        if not root.is_dir():
            return []
        taken = []
        with _disk_errors(root), FileLock(root / LOCK):
            for folder in _folders(root):
                file = _open_lines(folder)
                if file is None:  # its process died between the folder and the file, or after it
                    shutil.rmtree(folder)
                elif not _is_free(file) or _uri_of(folder) not in (uri, None):
                    os.close(file)
                else:
                    taken.append(cls(folder, file))
        return sorted(taken, key=lambda spool: os.fstat(spool._file).st_mtime_ns)

    def append(self, entry: Mapping[str, Any], files: Path | None = None) -> None:
        """Keep one more write.

        Args:
            entry: plain data.
            files: the folder of the files that it speaks of; they are copied.

        Raises:
            TrackingError: the disk does not take it; then nothing of it is there.
        """
        with _disk_errors(self.folder):
            if files is not None:
                place = self._files_of(self._lines)
                shutil.rmtree(place, ignore_errors=True)
                _copy(files, place)
            self._append_line(entry)

    def pending(self) -> Iterator[tuple[int, dict[str, Any], Path]]:
        """The writes to deliver: number, data, and where the files lie that it speaks of, if any.

        Raises:
            TrackingError: a line was changed.
        """
        done = _done(self.folder)
        for number, entry in enumerate(_read(self.folder)):
            if number > max(done, 0):  # the first says what the queue is for
                yield number, entry, self._files_of(number)

    def count(self) -> int:
        """How many writes are to be delivered."""
        return sum(1 for _ in _pending(self.folder))

    def advance(self, number: int) -> None:
        """Remember that all writes to this one are delivered."""
        with _disk_errors(self.folder):
            new = self.folder / f"{DONE}.new"
            new.write_text(str(number))
            new.replace(self.folder / DONE)

    def discard(self) -> None:
        """Remove the queue; everything in it is delivered."""
        (self.folder / LINES).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Leave the queue to whoever comes next."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _files_of(self, number: int) -> Path:
        return self.folder / FILES / str(number)

    def _append_line(self, entry: Mapping[str, Any]) -> None:
        text = json.dumps(entry, separators=(",", ":")).encode()
        left = memoryview(b"%08x %s\n" % (zlib.crc32(text), text))
        end, lines = os.lseek(self._file, 0, os.SEEK_END), self._lines
        try:
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
            self._lines += 1
        except BaseException:  # else the next line is appended to half a line
            os.ftruncate(self._file, end)
            self._lines = lines
            raise


def look(root: Path) -> list[Kept]:
    """What waits in all queues under a folder; none of them is touched.

    Raises:
        TrackingError: a line was changed.
    """
    found = []
    for folder in _folders(root) if root.is_dir() else ():
        file = _open_lines(folder)
        if file is None:
            continue
        try:
            entries = list(_pending(folder))
            runs = frozenset(str(entry["run"]) for entry in entries if entry.get("run"))
            uri = _uri_of(folder)
            if entries and uri is not None:
                found.append(Kept(folder, uri, len(entries), runs, not _is_free(file)))
        finally:
            os.close(file)
    return found


def _folders(root: Path) -> list[Path]:
    return sorted(each for each in root.iterdir() if each.is_dir() and not each.is_symlink())


def _open_lines(folder: Path) -> int | None:
    try:
        return os.open(folder / LINES, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _is_free(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _uri_of(folder: Path) -> str | None:
    """The store that a queue is for; None if its process died before it could say."""
    return next((str(entry["uri"]) for entry in _read(folder)), None)


def _done(folder: Path) -> int:
    try:
        return int((folder / DONE).read_text())
    except (FileNotFoundError, ValueError):  # the power went: what is delivered again does no harm
        return 0


def _pending(folder: Path) -> Iterator[dict[str, Any]]:
    done = _done(folder)
    return (entry for number, entry in enumerate(_read(folder)) if number > max(done, 0))


def _read(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a queue; a torn last one, of which nobody was told that it is there, is not."""
    with (folder / LINES).open("rb") as file:
        for line in file:
            entry = _parse(line)
            if entry is None:
                if file.read(1):
                    raise TrackingError(
                        f"{folder / LINES} was changed: a line in it does not match its checksum; "
                        f"mend it, or delete {folder} to give up what it holds"
                    )
                return
            yield entry


def _parse(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    entry = json.loads(text)
    return entry if isinstance(entry, dict) else None


def _copy(folder: Path, place: Path) -> None:
    """Copy a folder's files and force them to the disk."""
    shutil.copytree(folder, place)
    for each in (place, *place.rglob("*")):
        _force(each)
    _force(place.parent)


def _force(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def require_plain(place: Path) -> None:
    """Refuse a folder of files that is gone, or holds what a spool never does.

    What a link leads to would be uploaded for everybody to see.

    Raises:
        TrackingError: so it is.
    """
    if not place.is_dir():
        raise TrackingError(f"{place} is gone; delete {place.parents[1]} to give up what it holds")
    for each in (place.parent, place, *place.rglob("*")):
        mode = each.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise TrackingError(f"{each} is neither a file nor a folder; delete it")


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrackingError(
            f"what MLflow shall get later cannot be kept in {folder}: {error.strerror or error}; "
            "make room there, then the same command goes on"
        ) from error
