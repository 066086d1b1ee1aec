"""DEAM: valence and arousal over time, from an unpacked release (Aljanaki et al. 2017).

Found in whichever layout people have: the two zips unpacked as they are, or ``MEMD_audio/`` and
the tables side by side. `songs_info.csv`, where it is there, tells the artists.
"""

import filecmp
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fourier.corpora.annotations import (
    TARGETS,
    label_clips,
    read_samples,
    songs_in_all,
)
from fourier.corpora.corpus import Corpus, left_out_frame
from fourier.corpora.layout import corpus_name, find_files, is_plain_file
from fourier.corpora.table import open_table
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
    dimensions = {name: read_samples(path) for name, path in tables.items()}
    annotated, left_out = songs_in_all(dimensions)
    audio = _find_audio(root, left_out)
    heard = [song for song in annotated if song in audio]
    if not heard:
        raise CorpusError(
            f"{root} has annotations of {len(annotated)} songs and audio of {len(audio)}, but of "
            "none both; put MEMD_audio/ with its {id}.mp3 beside the annotations"
        )
    clips, in_part = label_clips(dimensions, heard, CLIP_SECONDS)
    if clips.empty:
        raise CorpusError(f"{root} has no clip that is annotated whole; unpack the tables again")
    left_out += in_part
    left_out += [(song, "no audio") for song in annotated if song not in audio]
    known = {song for samples in dimensions.values() for song in samples.songs}
    left_out += [(song, "no annotation") for song in sorted(audio, key=int) if song not in known]
    name, protocol = corpus_name(root, tables["arousal"].parent, "deam", "mediaeval2015")
    return Corpus(
        name=name,
        task="deam",
        root=root,
        sample_rate=SAMPLE_RATE,
        clip_seconds=CLIP_SECONDS,
        tracks=_tracks(root, list(dict.fromkeys(clips["track"])), audio),
        clips=clips,
        targets=TARGETS,
        classes=(),
        left_out=left_out_frame(left_out),
        default_protocol=protocol,
    )


def has_deam(root: Path) -> bool:
    """Whether a folder holds dynamic annotations."""
    return any(find_files(root, _named("arousal.csv")))


def _named(name: str) -> Callable[[Path], bool]:
    """Whether it is a file of that name; a pipe of that name would keep us waiting."""
    return lambda path: path.name == name and is_plain_file(path)


def _find_table(root: Path, dimension: str) -> Path:
    """The averaged dynamic annotations, as they were released or copied to another place."""
    found = find_files(root, _named(f"{dimension}.csv"))
    if not found:
        raise CorpusError(
            f"{root} holds no {dimension}.csv; unpack DEAM_Annotations.zip there, or write a demo "
            "corpus with `fourier demo DIR`"
        )
    released = [path for path in found if path.parent.name.startswith("dynamic")]
    first, *others = released or found
    for other in others:  # two corpora side by side must not be mixed; a copy does no harm
        if not filecmp.cmp(first, other, shallow=False):
            raise CorpusError(f"{first} and {other} differ; name the folder that holds one of them")
    return first


def _find_audio(root: Path, left_out: list[tuple[str, str]]) -> dict[str, Path]:
    """Audio files by song id; of one song in several files the nearest, then the first by name.

    In ``MEMD_audio/`` where there is one, since other collections number their files, too.
    """
    found = find_files(
        root, lambda path: path.suffix.lower() in AUDIO_SUFFIXES and _is_id(path.stem)
    )
    audio: dict[str, Path] = {}
    for path in [path for path in found if path.parent.name == "MEMD_audio"] or found:
        song, item = str(int(path.stem)), path.relative_to(root).as_posix()
        if not is_plain_file(path):
            left_out.append((item, "not a file"))
        elif song in audio:
            left_out.append((item, "another file of the same song is used"))
        else:
            audio[song] = path
    return audio


def _is_id(stem: str) -> bool:
    return stem.isascii() and stem.isdecimal()


def _tracks(root: Path, songs: list[str], audio: dict[str, Path]) -> pd.DataFrame:
    artists = _artists(root, set(songs))
    return pd.DataFrame(
        {
            "path": [audio[song].relative_to(root).as_posix() for song in songs],
            "group": [artists.get(song, song) for song in songs],
        },
        index=pd.Index(songs, name="track", dtype="str"),
    )


def _artists(root: Path, songs: set[str]) -> dict[str, str]:
    """Artists of these songs by id; cells carry stray tabs and quotes."""
    for path in find_files(root, _named("songs_info.csv"))[:1]:
        with open_table(path) as table:
            song, artist = table.position("song_id"), table.position("Artist")
            rows = (cells for _, cells in table.rows if cells[song] in songs)
            known = {cells[song]: cells[artist].strip('"\t ') for cells in rows}
        return {song: artist for song, artist in known.items() if artist}
    return {}
