"""How a folder is looked through, and how a corpus gets its name."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from fourier.errors import CorpusError

MAX_DEPTH = 6
"""DEAM's zips put the tables five folders deep."""

MARKER = "fourier-demo.json"
"""A file that only demo corpora have."""


def find_files(root: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """Files under a folder that are wanted, sorted; links to folders are not followed."""
    found = []
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        if len(here.relative_to(root).parts) >= MAX_DEPTH:
            subfolders.clear()
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith((".", "__MACOSX"))
        )
        found += [here / name for name in files if not name.startswith(".") and wanted(here / name)]
    return sorted(found)


def corpus_name(root: Path, task: str, usual_protocol: str) -> tuple[str, str]:
    """Name and default protocol of a corpus: the demo corpus is known by its marker.

    Raises:
        CorpusError: there is a marker, and it is not one that `fourier demo` writes.
    """
    marker = root / MARKER
    if not marker.is_file():
        return task, usual_protocol
    try:
        name = json.loads(marker.read_text(encoding="utf-8"))["corpus"]
    except (ValueError, KeyError, TypeError):
        name = None
    if name != f"{task}-demo":
        raise CorpusError(
            f"{marker} does not name a {task} corpus; write it again with `fourier demo`"
        )
    return name, "track"
