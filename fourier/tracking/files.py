"""A run's files: put together in a folder that goes away, and told from damaged ones later.

A run that holds weights or a ``config.json`` also holds ``checksums.json``: size and SHA-256 of
every other file. Not here: writing them to MLflow (`fourier.tracking.runs`).
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fourier.digest import digest_file
from fourier.errors import TrackingError
from fourier.features.cache import DamagedEntryError, read_manifest, write_manifest

CHECKSUMS_FILE = "checksums.json"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for the files of a run, which goes away.

    Raises:
        TrackingError: they could not be written; the disk is full, say.
    """
    from safetensors import SafetensorError

    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise TrackingError(
            f"a run's files cannot be put together ({reason}): free some space in the folder for "
            "temporary files, or name another by TMPDIR"
        ) from error


def write_checksums(folder: Path) -> None:
    """Write what `find_damaged` reads: size and SHA-256 of each file in a folder."""
    files = sorted(path for path in folder.iterdir() if path.name != CHECKSUMS_FILE)
    sums = {path.name: [path.stat().st_size, digest_file(path)] for path in files}
    write_manifest(folder / CHECKSUMS_FILE, {"files": sums})


def find_damaged(folder: Path) -> dict[str, str]:
    """The files of a folder that are not what was written, and how that shows.

    Returns:
        Reasons by name, of the files that are there; {} where there is no ``checksums.json``,
        as in runs of versions that wrote none.
    """
    try:
        fields = read_manifest(folder / CHECKSUMS_FILE)
        sums = {} if fields is None else dict(fields["files"])
    except (DamagedEntryError, KeyError, TypeError, ValueError):
        return {CHECKSUMS_FILE: "it is not what was written"}
    found = {}
    for name, (size, digest) in sums.items():
        path = folder / name
        if not path.is_file():
            continue
        if path.stat().st_size != size:
            found[name] = f"it has {path.stat().st_size:,} bytes instead of {size:,}"
        elif digest_file(path) != digest:
            found[name] = "its checksum is another"
    return found
