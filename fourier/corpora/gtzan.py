"""GTZAN: ten genres, a hundred tracks each of thirty seconds (Tzanetakis & Cook 2002).

Segments are cut as the genre notebook cuts them: ten of three seconds. All ten are listed for
every track; the last one is left out where the samples that were read do not cover it, but for the
few samples that do not change the number of the notebook's frames. Not here: GTZAN's repetitions
and distortions, which the split `fault-filtered` keeps out, and its odd labels.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fourier.corpora.corpus import Corpus, left_out_frame
from fourier.corpora.layout import (
    corpus_name,
    find_files,
    is_folder,
    is_litter,
    is_plain_file,
    is_text,
)
from fourier.errors import CorpusError
from fourier.shown import one_line

SAMPLE_RATE = 22_050
CLIP_SECONDS = 3.0
SEGMENTS = 10
MISSING_SAMPLES = 102
"""The notebook keeps a segment that gives its 130 frames (hop 512), so it may lack up to this."""

GENRES = (
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
)
GENRE_ROOTS = {"genres", "genres_original"}
AUDIO_SUFFIXES = (".wav", ".au")
NO_TEXT = "its name is no UTF-8"


def load_gtzan(root: Path) -> Corpus:
    """Read a GTZAN folder: one row for each of ten segments of every track.

    Args:
        root: a folder with ``genres/`` or ``genres_original/`` in it or deeper, or with GTZAN's
            genre folders themselves. Every folder with audio in it is a genre; the classes are
            their names in alphabetical order, which for GTZAN's own ten is `GENRES`.

    Raises:
        CorpusError: there are no genre folders with audio in them, or several sets of them.
    """
    folder = _the_genre_root(root)
    rows, left_out = _tracks(folder)
    ids = [track for track, _, _ in rows]
    genres = [genre for _, _, genre in rows]
    classes = tuple(sorted(set(genres)))
    name, protocol = corpus_name(root, folder, "gtzan", "fault-filtered")
    return Corpus(
        name=name,
        task="gtzan",
        root=root,
        sample_rate=SAMPLE_RATE,
        clip_seconds=CLIP_SECONDS,
        tracks=pd.DataFrame(
            {"path": [path.relative_to(root).as_posix() for _, path, _ in rows], "group": ids},
            index=pd.Index(ids, name="track", dtype="str"),
        ),
        clips=pd.DataFrame(
            {
                "track": np.repeat(ids, SEGMENTS),
                "start": np.tile(np.arange(SEGMENTS) * CLIP_SECONDS, len(ids)),
                "label": np.repeat([classes.index(genre) for genre in genres], SEGMENTS),
            }
        ),
        targets=("label",),
        classes=classes,
        left_out=left_out_frame(left_out),
        default_protocol=protocol,
        missing_samples=MISSING_SAMPLES,
    )


def has_gtzan(root: Path) -> bool:
    """Whether a folder holds genre folders with audio in them."""
    return bool(_genre_roots(root))


def _the_genre_root(root: Path) -> Path:
    """The nearest folder of genre folders; there must be one nearest."""
    folders = _genre_roots(root)
    if not folders:
        raise CorpusError(
            f"{root} holds no genres/ or genres_original/ with .wav or .au files in a folder for "
            "each genre; check the path, or write a demo corpus with `fourier demo DIR`"
        )
    nearest, *others = folders
    if others and len(others[0].parts) == len(nearest.parts):
        raise CorpusError(f"{root} holds GTZAN twice; name {nearest} or {others[0]}")
    return nearest


def _genre_roots(root: Path) -> list[Path]:
    """Folders whose subfolders are genres, the nearest first.

    A folder that is not named so must hold two of GTZAN's genres: `rock/` alone may be anything.
    """
    genres: dict[Path, set[str]] = {}
    for path in find_files(root, _is_audio):
        if path.parent != root:
            genres.setdefault(path.parent.parent, set()).add(path.parent.name)
    found = [
        folder
        for folder, names in genres.items()
        if {folder.name, folder.resolve().name} & GENRE_ROOTS
        or len(names.intersection(GENRES)) >= 2
    ]
    return sorted(found, key=lambda folder: (len(folder.parts), folder))


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES and is_plain_file(path)


def _tracks(folder: Path) -> tuple[list[tuple[str, Path, str]], list[tuple[str, str]]]:
    """(track, path, genre) of every track by genre; and what is there besides."""
    rows: list[tuple[str, Path, str]] = []
    left_out: list[tuple[str, str]] = []
    for entry in sorted(path for path in folder.iterdir() if not is_litter(path.name)):
        if is_folder(entry) and not is_text(entry.name):
            left_out.append((f"{one_line(entry.name)}/", NO_TEXT))
        elif is_folder(entry):
            tracks = _tracks_of_genre(entry, left_out)
            rows += [(track, path, entry.name) for track, path in sorted(tracks.items())]
        elif _is_audio(entry):
            left_out.append((entry.name, "in no genre's folder"))
    return rows, left_out


def _tracks_of_genre(folder: Path, left_out: list[tuple[str, str]]) -> dict[str, Path]:
    """Audio files of one genre by track id; of one track in two formats the .wav."""
    found: dict[str, Path] = {}
    paths = [path for path in folder.iterdir() if not is_litter(path.name)]
    if not any(map(_is_audio, paths)):
        left_out.append((f"{folder.name}/", "no .wav or .au in it"))
        return found
    for path in sorted(paths, key=lambda path: (path.suffix.lower() != ".wav", path.name)):
        item = f"{folder.name}/{path.name}"
        # GTZAN's names carry their genre; those of other collections need it to be unique.
        whole = path.stem.startswith(f"{folder.name}.")
        track = path.stem if whole else f"{folder.name}.{path.stem}"
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            left_out.append((item, "not .wav or .au"))
        elif not is_plain_file(path):
            left_out.append((item, "not a file"))
        elif not is_text(track):
            left_out.append((one_line(item), NO_TEXT))
        elif track in found:
            left_out.append((item, "another file of the same track is used"))
        else:
            found[track] = path
    return found
