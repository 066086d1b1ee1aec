"""The local database that runs are written to: made quick to write, and readable meanwhile.

SQLite by itself forces every write to the disk three times and keeps readers out; with a
write-ahead log it is once, and ``mlflow ui`` reads while a sweep writes. The log is a property of
the file, so every program that opens it has it. Not here: databases on servers.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import psutil

LOCAL_FILE_SYSTEMS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay"}
)
"""Where all processes that open a file share its memory, which the log needs."""


def write_ahead(uri: str) -> bool:
    """Give a local SQLite database a write-ahead log, where its file system can bear one.

    On a network's file system two hosts would tear the database apart; there it stays as it is,
    and so it does while another process keeps it busy: the next start will do.

    Args:
        uri: as MLflow takes it, ``sqlite:///mlflow.db``.

    Returns:
        Whether it has one now.
    """
    from sqlalchemy.engine import make_url

    name = make_url(uri).database
    if not name or name == ":memory:" or file_system_of(Path(name)) not in LOCAL_FILE_SYSTEMS:
        return False
    with contextlib.closing(sqlite3.connect(name, timeout=1.0)) as database:
        try:
            (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            return False
    return bool(mode == "wal")


def file_system_of(path: Path, mounts: Sequence[tuple[str, str]] | None = None) -> str:
    """The kind of the file system that holds a path, ``ext4``; empty where nobody knows.

    Args:
        path: need not exist.
        mounts: (folder, kind) of what is mounted, the later over the earlier; None asks the system.
    """
    if mounts is None:
        mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    whole = path.resolve()
    found, depth = "", -1
    for folder, kind in mounts:
        parts = Path(folder).parts
        if whole.is_relative_to(folder) and len(parts) >= depth:
            found, depth = kind, len(parts)
    return found
