"""GTZAN: ten genres, a hundred tracks each of thirty seconds (Tzanetakis & Cook 2002).

Segments are cut as the genre notebook cuts them: ten of three seconds. All ten are listed for
every track; the last one is left out where the samples that were read do not cover it, but for the
few samples that do not change the number of the notebook's frames.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fourier.corpora.corpus import Corpus, left_out_frame
from fourier.corpora.layout import corpus_name
from fourier.errors import CorpusError

SAMPLE_RATE = 22_050
CLIP_SECONDS = 3.0
SEGMENTS = 10
MISSING_SAMPLES = 102
"""The notebook keeps a segment that gives its 130 frames (hop 512): one that lacks so many."""

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
GENRE_FOLDERS = ("genres", "genres_original", "Data/genres_original", ".")
AUDIO_SUFFIXES = (".wav", ".au")


def load_gtzan(root: Path) -> Corpus:
    """Read a GTZAN folder: one row for each of ten segments of every track.

    Args:
        root: a folder with ``genres/`` or ``genres_original/``, or the genre folders themselves.

    Raises:
        CorpusError: there are no genre folders, or no audio in them.
    """
    folder = _genre_root(root)
    if folder is None:
        raise CorpusError(
            f"{root} holds no genres/ or genres_original/ with a folder for each genre; check the "
            "path, or write a demo corpus with `fourier demo DIR`"
        )
    left_out: list[tuple[str, str]] = []
    rows: list[tuple[str, str, str]] = []
    for genre in _genres(folder):
        for track, path in _tracks(folder / genre, left_out).items():
            rows.append((track, path.relative_to(root).as_posix(), genre))
    if not rows:
        raise CorpusError(f"{folder} holds no .wav or .au file; check the path given to --data")
    classes = tuple(sorted({genre for _, _, genre in rows}))
    ids = [track for track, _, _ in rows]
    labels = [classes.index(genre) for _, _, genre in rows]
    tracks = pd.DataFrame(
        {"path": [path for _, path, _ in rows], "group": ids},
        index=pd.Index(ids, name="track", dtype="str"),
    )
    name, protocol = corpus_name(root, "gtzan", "fault-filtered")
    return Corpus(
        name=name,
        task="gtzan",
        root=root,
        sample_rate=SAMPLE_RATE,
        clip_seconds=CLIP_SECONDS,
        tracks=tracks,
        clips=pd.DataFrame(
            {
                "track": np.repeat(ids, SEGMENTS),
                "start": np.tile(np.arange(SEGMENTS) * CLIP_SECONDS, len(ids)),
                "label": np.repeat(labels, SEGMENTS),
            }
        ),
        targets=("label",),
        classes=classes,
        left_out=left_out_frame(left_out),
        default_protocol=protocol,
        missing_samples=MISSING_SAMPLES,
    )


def has_gtzan(root: Path) -> bool:
    """Whether a folder holds genre folders."""
    return _genre_root(root) is not None


def _genre_root(root: Path) -> Path | None:
    for name in GENRE_FOLDERS:
        if (root / name).is_dir() and _genres(root / name):
            return root / name
    return None


def _genres(folder: Path) -> list[str]:
    """Folders named as GTZAN's genres, in their order."""
    return [genre for genre in GENRES if (folder / genre).is_dir()]


def _tracks(folder: Path, left_out: list[tuple[str, str]]) -> dict[str, Path]:
    """Audio files of one genre by track id; of one track in two formats the .wav."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.suffix != ".wav", path.name)):
        if path.name.startswith("."):
            continue  # what file managers leave: .DS_Store, ._blues.00000.wav
        item = f"{folder.name}/{path.name}"
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            left_out.append((item, "not .wav or .au"))
        elif path.stem in found:
            left_out.append((item, "the same track as .wav"))
        else:
            found[path.stem] = path
    return dict(sorted(found.items()))
