"""Where the cache lies, and the habits of everything in it.

A file appears whole or not at all, one process at a time works on an entry, and a full disk or a
missing permission is one line. Power failure is not guarded against by waiting for the disk: sizes
and checksums tell afterwards. Not here: what is in the entries (`fourier.features.pcm`,
`fourier.features.store`).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from filelock import FileLock, Timeout

from fourier.digest import digest_of
from fourier.errors import CacheError


class CacheWarning(UserWarning):
    """A damaged entry was found in the cache and is made anew."""


class DamagedEntryError(Exception):
    """What lies on the disk is not what was written; the message says how that shows."""


def default_cache() -> Path:
    """The folder for what can be computed again: $FOURIER_CACHE, else the user's cache folder."""
    named = os.environ.get("FOURIER_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("fourier"))


@contextmanager
def cache_errors(cache: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one line that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise CacheError(
            f"the cache {cache} cannot be used ({reason}): free some space there, or name another "
            "folder by --cache or FOURIER_CACHE"
        ) from error


@contextmanager
def locked(entry: Path) -> Iterator[None]:
    """Be the only process that makes this entry; what a killed one left of it is removed."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock_path(entry)):
        _remove_leftovers(entry)
        yield


@contextmanager
def locked_if_free(entry: Path) -> Iterator[bool]:
    """`locked` without waiting: says whether nobody else is making the entry."""
    try:
        with FileLock(_lock_path(entry), timeout=0):
            _remove_leftovers(entry)
            yield True
    except Timeout:
        yield False


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file, open for writing and reading, that takes its name only when all has gone well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb+") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_manifest(path: Path, fields: dict[str, Any]) -> None:
    """Write plain data as JSON, with a digest of itself."""
    text = json.dumps({**fields, "seal": digest_of(fields)})
    with written_whole(path) as file:
        file.write(text.encode())


def read_manifest(path: Path) -> dict[str, Any] | None:
    """What `write_manifest` wrote, or None where there is nothing.

    Raises:
        DamagedEntryError: it is not what was written.
    """
    try:
        fields = json.loads(path.read_bytes())
        sealed = fields.pop("seal")
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):  # not as written
        raise DamagedEntryError("its manifest cannot be read") from None
    if sealed != digest_of(fields):
        raise DamagedEntryError("its manifest was changed")
    return cast(dict[str, Any], fields)


def _lock_path(entry: Path) -> Path:
    return entry.with_name(f".{entry.name}.lock")


def _remove_leftovers(entry: Path) -> None:
    for temporary in entry.parent.glob(f".{entry.stem}.*.tmp"):
        temporary.unlink(missing_ok=True)
