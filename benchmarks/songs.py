"""A DEAM folder of as many songs as a benchmark wants, made of the few that are there.

The songs are copied under new ids, so every file is opened, read and decoded by itself; what is
measured is work, and a repeated song is as much of it as a new one.
"""

import csv
import os
import shutil
from pathlib import Path

FIRST_ID = 2
LAST_SAMPLE_MS = 45_000


def repeat_songs(source: Path, folder: Path, count: int) -> Path:
    """Write ``folder`` with ``count`` songs of 30 annotated seconds each, in DEAM's layout.

    Args:
        source: a DEAM folder with mp3 files of 45 s.
        folder: new.
        count: songs.
    """
    from fourier.corpora import load_deam

    corpus = load_deam(source)
    several = corpus.clips.groupby("track").size()
    songs = [corpus.root / corpus.tracks.at[track, "path"] for track in several[several == 6].index]
    audio = folder / "MEMD_audio"
    audio.mkdir(parents=True)
    for number in range(count):
        song = songs[number % len(songs)]
        path = audio / f"{FIRST_ID + number}{song.suffix}"
        if number < len(songs):
            shutil.copyfile(song, path)
        else:
            os.link(audio / f"{FIRST_ID + number % len(songs)}{song.suffix}", path)
    moments = range(15_000, LAST_SAMPLE_MS + 1, 500)
    for name in ("valence", "arousal"):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["song_id", *(f"sample_{moment}ms" for moment in moments)])
            for number in range(count):
                writer.writerow([FIRST_ID + number, *("0.1" for _ in moments)])
    return folder


def deam_folder(data: Path | None, scratch: Path, count: int) -> tuple[Path, str]:
    """A DEAM folder to measure with, and what its songs are, in words.

    Args:
        data: a DEAM folder; None for synthesised songs.
        scratch: a folder for what is made.
        count: songs.
    """
    if data is None:
        from fourier.corpora import write_demo

        write_demo(scratch / "demo", "deam", deam_songs=min(count, 12))
        return repeat_songs(scratch / "demo" / "deam", scratch / "songs", count), "synthesised"
    return repeat_songs(data, scratch / "songs", count), "real"
