"""How a folder is looked through, and how a corpus gets its name.

People unpack archives side by side, one folder deeper or on another disk behind a link, so files
are searched for rather than expected in one place. Not here: what a corpus's files mean.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from fourier.errors import CorpusError

MAX_DEPTH = 6
"""DEAM's zips put the tables four folders deep; two more for where they were unpacked."""

MARKER = "fourier-demo.json"
"""A file that only demo corpora have."""


def find_files(root: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """What is no folder under a folder and wanted, the nearest first, then by name.

    Hidden files and folders and macOS's shadow copies are passed over. Links are followed, each
    folder is entered once.

    Raises:
        CorpusError: a folder may not be read.
    """
    found = [path for path in _walk(root) if wanted(path)]
    return sorted(found, key=lambda path: (len(path.parts), path))


def is_litter(name: str) -> bool:
    """Whether it is what systems leave: .DS_Store, ._blues.00000.wav, __MACOSX, lost+found."""
    return name.startswith(".") or name in ("__MACOSX", "lost+found")


def is_folder(path: Path) -> bool:
    """Whether it is a folder, or a link to one; not where nobody may look, or its name is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_plain_file(path: Path) -> bool:
    """Whether it is a file, or a link to one, and no pipe or device that might never end."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_text(name: str) -> bool:
    """Whether a name is UTF-8, as everything must be that goes into tables and databases."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def corpus_name(root: Path, folder: Path, task: str, usual_protocol: str) -> tuple[str, str]:
    """Name and default protocol of a corpus: the demo corpus is known by its marker.

    Args:
        root: the folder that was asked for.
        folder: the folder in it where the labels were found. The marker may lie there, between
            there and root, or, where root is a part of the demo corpus, right above root: however
            it is pointed at, a demo corpus must not pass for a real one.
        task: ``deam`` or ``gtzan``.
        usual_protocol: of the real corpus.

    Raises:
        CorpusError: there is a marker, and it is not one that `fourier demo` writes.
    """
    places = [folder, *folder.parents]
    places = [*places[: places.index(root) + 1], root.resolve().parent]
    marker = next((place / MARKER for place in places if is_plain_file(place / MARKER)), None)
    if marker is None:
        return task, usual_protocol
    try:
        name = json.loads(marker.read_text(encoding="utf-8"))["corpus"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        name = None
    if name != f"{task}-demo":
        raise CorpusError(
            f"{marker} does not name a {task} corpus; write it again with `fourier demo`"
        )
    return name, "track"


def _walk(root: Path) -> Iterator[Path]:
    entered = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_refuse):
        here = Path(folder)
        status = here.stat()
        if (status.st_dev, status.st_ino) in entered:
            subfolders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        if len(here.relative_to(root).parts) >= MAX_DEPTH:
            subfolders.clear()
        subfolders[:] = sorted(
            (name for name in subfolders if not is_litter(name)),
            key=lambda name: ((here / name).is_symlink(), name),  # the thing before links to it
        )
        yield from (here / name for name in files if not is_litter(name))


def _refuse(error: OSError) -> None:
    raise CorpusError(
        f"{error.filename} cannot be read ({error.strerror}); mend its permissions, or name "
        "another folder"
    ) from None
