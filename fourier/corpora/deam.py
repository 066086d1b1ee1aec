"""DEAM: valence and arousal over time, from an unpacked release (Aljanaki et al. 2017).

Found in whichever layout people have: the two zips unpacked as they are, or ``MEMD_audio/`` and
the tables side by side. `songs_info.csv`, where it is there, tells the artists.
"""

from pathlib import Path

import pandas as pd

from fourier.corpora.annotations import TARGETS, label_clips, read_samples
from fourier.corpora.corpus import Corpus, left_out_frame
from fourier.corpora.layout import corpus_name, find_files
from fourier.errors import CorpusError

SAMPLE_RATE = 44_100
CLIP_SECONDS = 5.0
AUDIO_SUFFIXES = {".mp3", ".wav", ".flac", ".ogg", ".m4a", ".aac"}


def load_deam(root: Path) -> Corpus:
    """Read a DEAM folder: one row for each annotated 5-s clip.

    Args:
        root: a folder that holds, at any depth up to six, ``arousal.csv`` and ``valence.csv`` of
            the dynamic annotations and audio files named by song id.

    Raises:
        CorpusError: a table or the audio is missing, or a table is not what it should be.
    """
    tables = {name: _find_table(root, name) for name in TARGETS}
    clips, left_out = label_clips(
        {name: read_samples(path) for name, path in tables.items()}, CLIP_SECONDS
    )
    audio = _find_audio(root)
    annotated = list(dict.fromkeys(clips["track"]))
    songs = [song for song in annotated if song in audio]
    if not songs:
        raise CorpusError(
            f"{root} has annotations of {len(annotated)} songs and audio of {len(audio)}, but of "
            "none both; put MEMD_audio/ with its {id}.mp3 beside the annotations"
        )
    left_out += [(song, "no audio") for song in annotated if song not in audio]
    known = set(annotated) | {item for item, _ in left_out}
    left_out += [(song, "no annotation") for song in sorted(audio, key=int) if song not in known]
    artists = _artists(root)
    tracks = pd.DataFrame(
        {
            "path": [audio[song].relative_to(root).as_posix() for song in songs],
            "group": [artists.get(song, song) for song in songs],
        },
        index=pd.Index(songs, name="track", dtype="str"),
    )
    name, protocol = corpus_name(root, "deam", "mediaeval2015")
    return Corpus(
        name=name,
        task="deam",
        root=root,
        sample_rate=SAMPLE_RATE,
        clip_seconds=CLIP_SECONDS,
        tracks=tracks,
        clips=clips[clips["track"].isin(songs)].reset_index(drop=True),
        targets=TARGETS,
        classes=(),
        left_out=left_out_frame(left_out),
        default_protocol=protocol,
    )


def has_deam(root: Path) -> bool:
    """Whether a folder holds dynamic annotations."""
    return any(find_files(root, lambda path: path.name == "arousal.csv"))


def _find_table(root: Path, dimension: str) -> Path:
    """The averaged dynamic annotations, not those of single annotators."""
    found = find_files(root, lambda path: path.name == f"{dimension}.csv")
    if not found:
        raise CorpusError(
            f"{root} holds no {dimension}.csv; unpack DEAM_Annotations.zip there, or write a demo "
            "corpus with `fourier demo DIR`"
        )
    return min(found, key=lambda path: ("dynamic" not in path.parent.name, len(path.parts), path))


def _find_audio(root: Path) -> dict[str, Path]:
    """Audio files by song id; of one song in several formats the first by name."""
    found = find_files(
        root, lambda path: path.suffix.lower() in AUDIO_SUFFIXES and path.stem.isdecimal()
    )
    audio: dict[str, Path] = {}
    for path in sorted(found):
        audio.setdefault(str(int(path.stem)), path)
    return audio


def _artists(root: Path) -> dict[str, str]:
    """Artists by song id; cells carry stray tabs and quotes."""
    for path in find_files(root, lambda path: path.name == "songs_info.csv"):
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig").rename(columns=str.strip)
        if {"song_id", "Artist"} <= set(table.columns):
            table = table.apply(lambda column: column.str.strip().str.strip('"').str.strip())
            known = table[["song_id", "Artist"]].dropna()
            known = known[known["Artist"] != ""]
            return dict(zip(known["song_id"], known["Artist"], strict=True))
    return {}
