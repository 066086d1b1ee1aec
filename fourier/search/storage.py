"""Where studies are kept: a journal file, or any database that Optuna takes.

Not here: the studies themselves (`fourier.search.study`).
"""

import contextlib
import fcntl
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock  # the type that `lock_obj` takes
from optuna.storages.journal._storage import JournalOperation
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from fourier.digest import digest_of
from fourier.errors import StudyError
from fourier.features.cache import default_cache
from fourier.tracking import without_password

RESULTS = Path("mlruns")
"""Where studies and artifacts lie, under the working directory, as MLflow has it."""

CHECKSUM = b"crc32"
READ_BYTES = 1 << 16

UNTIL_THE_TRIAL_ENDS = frozenset(
    {
        JournalOperation.CREATE_TRIAL,
        JournalOperation.SET_TRIAL_PARAM,
        JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE,
        JournalOperation.SET_TRIAL_USER_ATTR,
        JournalOperation.SET_TRIAL_SYSTEM_ATTR,
    }
)
"""What the journal need not have on the disk itself before its trial ends."""


class _Journal(JournalFileBackend):
    """Optuna's journal file, forced to the disk when a trial ends and not with every word of it.

    A trial is some forty lines, and forcing each takes as long as a short epoch. What is written
    survives the death of its process at once; it survives a loss of power with the next line that
    is forced, which takes along all lines before it. So a trial that has ended stays, and one
    that was running when the power went would have been begun anew in any case.

    Each line begins with a checksum of the rest of it, which Optuna passes over.
    """

    def __init__(self, path: Path, lock: "_JournalLock") -> None:
        super().__init__(str(path), lock_obj=lock)
        self._journal, self._between = path, lock
        self._starts = {0: 0}  # where the lines that were read begin

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Read the entries from this number on, each checked.

        Raises:
            StudyError: a line is not what was written.
        """
        number = log_number_from if log_number_from in self._starts else 0
        try:
            for line in _lines_from(self._journal, self._starts[number]):
                if number >= log_number_from:
                    yield _entry(self._journal, number, line)
                number += 1
                self._starts[number] = self._starts[number - 1] + len(line)
        except OSError as error:
            raise StorageInternalError(f"{self._journal}: {error.strerror or error}") from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append one line for each entry."""
        lines = b"".join(map(_line, logs))
        try:
            with self._between.held():
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                file = os.open(self._journal, flags, 0o666)
                try:
                    self._append(file, lines)
                    if any(log["op_code"] not in UNTIL_THE_TRIAL_ENDS for log in logs):
                        os.fsync(file)
                finally:
                    os.close(file)
        except OSError as error:
            raise StorageInternalError(f"{self._journal}: {error.strerror or error}") from error

    @staticmethod
    def _append(file: int, lines: bytes) -> None:
        """Append all bytes, or none: a full disk takes some of them before it refuses."""
        end, left = os.lseek(file, 0, os.SEEK_END), memoryview(lines)
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            os.ftruncate(file, end)  # else the next line is appended to half a line
            raise


def _lines_from(path: Path, start: int) -> Iterator[bytes]:
    """The whole lines of a file from a place on, with their ends.

    Read as the system has it: twice an epoch there is nothing new or one line, and Python's
    buffered file would take longer to make than that to read.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        torn = b""
        while block := os.pread(file, READ_BYTES, start):
            start += len(block)
            *lines, torn = (torn + block).split(b"\n")  # the last one, somebody is writing
            for line in lines:
                yield line + b"\n"
    finally:
        os.close(file)


def _line(log: dict[str, Any]) -> bytes:
    """An entry as one line of the journal."""
    rest = json.dumps(log, separators=(",", ":"))[1:].encode() + b"\n"
    return b'{"%s":%d,%s' % (CHECKSUM, zlib.crc32(rest), rest)


def _entry(journal: Path, number: int, line: bytes) -> dict[str, Any]:
    """What a line says, if it is what was written; Optuna itself writes lines without checksum."""
    sealed = re.match(rb'{"%s":([0-9]+),' % CHECKSUM, line)
    try:
        if sealed and zlib.crc32(line[sealed.end() :]) != int(sealed[1]):
            raise ValueError("its checksum is another")
        if not sealed and not line.startswith(b'{"op_code":'):
            raise ValueError("it is no entry")
        return dict(json.loads(line))
    except ValueError as error:
        raise StudyError(
            f"{journal} is damaged in line {number + 1} ({error}); put it back from a copy, or "
            "name another with --storage"
        ) from error


class _JournalLock(BaseJournalFileLock):
    """A lock that the kernel lets go when its holder dies.

    Optuna's own is a link that a killed worker leaves behind, and the others wait 30 s for it.
    Whoever holds it is one thread: the storage sees to that.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}.lock")
        self._file = -1

    def acquire(self) -> bool:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        os.close(self._file)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what a storage raises that breaks in mid-sweep into one line."""
    try:
        yield
    except (StorageInternalError, UpdateFinishedTrialError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
        text = without_password(str(cause).strip()) or type(error).__name__
        raise StudyError(
            f"the studies' storage did not take what was written: {text.splitlines()[0]}; mend "
            "what --storage names, then the same command goes on"
        ) from error


def open_storage(url: str | None) -> BaseStorage:
    """Open where studies are kept.

    Args:
        url: an SQLAlchemy address (``sqlite:///studies.db``, ``postgresql://…``) or the path of a
            journal file; None is ``mlruns/studies.journal``.

    Raises:
        StudyError: the storage does not answer, or cannot be written.
    """
    if url is not None and "://" in url:
        return _open_database(url)
    path = Path(url) if url else RESULTS / "studies.journal"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _JournalLock(path)
        with lock.held():
            _drop_torn_tail(path)
        return JournalStorage(_Journal(path, lock))
    except (OSError, ValueError, KeyError) as error:
        raise StudyError(
            f"{path} cannot be used to keep studies: {error}; name another with --storage"
        ) from error


def study_lock(name: str, url: str | None) -> FileLock:
    """What is held while a trial of a study is claimed, on this machine.

    Beside the journal that all share; for a database in the user's cache folder, under the
    database's name, so that processes in several working directories find the same.

    Raises:
        StudyError: its folder cannot be written.
    """
    folder, key = _lock_place(url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".study-{digest_of([*key, name] if key else name)}.lock"
        path.touch()
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be written ({error.strerror or error}), and workers keep out of one "
            "another's way there; mend its permissions or work in another folder"
        ) from error
    return FileLock(path)


def _lock_place(url: str | None) -> tuple[Path, list[str]]:
    """The folder of a storage's locks, and what tells it from others that have theirs there."""
    if url is None or "://" not in url:
        return (Path(url).parent if url else RESULTS), []
    try:
        address = make_url(url)
        port = str(address.port or "")
    except (SQLAlchemyError, ValueError):  # no address: whoever opens the storage says so
        return RESULTS, []
    kind, database = address.get_backend_name(), address.database or ""
    if kind == "sqlite":  # a path, which means another file in another folder
        database = str(Path(database.removeprefix("file:")).resolve())
    return default_cache() / "locks", [kind, address.host or "", port, database]


def _drop_torn_tail(path: Path) -> None:
    """Cut off a last line without its end: a write that the disk or the power did not finish.

    A file that is no journal is somebody else's and left as it is.

    Whoever wrote it was never told that it is there, so nothing that counted is lost; left alone,
    the next line would be appended to it and no study in the file could be read again.
    """
    if not path.exists():
        return
    with path.open("rb+") as file:
        beginning = file.read(4096)
        if beginning and not (beginning.startswith(b"{") and b'"op_code"' in beginning):
            raise StudyError(f"{path} is no journal of studies; name another file with --storage")
        size = file.seek(0, os.SEEK_END)
        end, block = size, 4096
        while end > 0:
            start = max(0, end - block)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def _open_database(url: str) -> BaseStorage:
    shown = without_password(url)
    advice = "check the address given to --storage, or leave it out to use a local journal"
    try:
        return RDBStorage(url)
    except ImportError as error:
        raise StudyError(
            f"{shown} needs a driver that is not installed: {error}; {advice}"
        ) from None
    except (
        SQLAlchemyError,
        ValueError,
        OSError,
        RuntimeError,
    ) as error:  # the last: others' tables
        reason = without_password(str(error).strip().splitlines()[0])
        raise StudyError(f"the storage {shown} does not answer: {reason}; {advice}") from None
