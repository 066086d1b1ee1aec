"""The demo corpora: a small DEAM and a small GTZAN, synthesised, in the real ones' own layouts.

They let every part of the project run and learn something without a download. They cannot be
taken for the real ones: song ids start at 90001 and track numbers at 90000, a marker file and a
README lie beside the audio. Equal arguments give equal audio on equal library versions. Not here:
the music (`fourier.corpora.synthesis`), reading it back (`fourier.corpora.deam` and `gtzan`).
"""

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fourier.corpora.layout import MARKER
from fourier.errors import CorpusError

DEMO_VERSION = 1
"""Raised whenever the same arguments would give other audio or labels."""

TASKS = ("deam", "gtzan")

DEAM_RATE = 44_100
DEAM_SECONDS = 45
DEAM_FIRST_ID = 90_001
DEAM_AUDIO = Path("DEAM_audio", "MEMD_audio")
DEAM_LABELS = Path(
    "DEAM_Annotations",
    "annotations",
    "annotations averaged per song",
    "dynamic (per second annotations)",
)
RATED_FROM_SECOND = 15

GTZAN_RATE = 22_050
GTZAN_SECONDS = 30
GTZAN_FIRST_NUMBER = 90_000

README = """\
This folder is synthetic. It was made by `fourier` (demo corpus version {version}, seed {seed}), in
the layout of {name}, so that everything can be tried without a download. It holds no song of the
real {name}, and figures measured on it say nothing about music.
"""

Progress = Callable[[int, int], None]
Tick = Callable[[], None]


@dataclass(frozen=True)
class _Marker:
    """What `fourier-demo.json` holds."""

    corpus: str
    version: int
    seed: int
    tracks: int


def write_demo(
    directory: Path,
    task: str | None = None,
    seed: int = 0,
    *,
    deam_songs: int = 48,
    gtzan_tracks_per_genre: int = 8,
    jobs: int = 2,
    progress: Progress | None = None,
) -> None:
    """Write ``directory/deam`` and ``directory/gtzan``, each whole or not at all.

    A demo corpus that is already there and was made with the same arguments is left as it is; one
    made with others is replaced.

    Args:
        directory: made if missing.
        task: ``deam`` or ``gtzan`` for one of them, None for both.
        seed: decides every note; not negative.
        deam_songs: 45-s songs, six clips each; 1 to 9999.
        gtzan_tracks_per_genre: 30-s tracks, ten segments each, in each of ten genres; 1 to 9999.
        jobs: threads at once, 1 or more; NumPy and the encoder let each other run.
        progress: called with the tracks written so far and in all.

    Raises:
        CorpusError: something else lies at ``directory/deam`` or ``directory/gtzan``, or the
            folder cannot be written.
        ValueError: an argument is out of bounds.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"`task` must be one of {TASKS} or None, but got {task!r}")
    sizes = {"deam": deam_songs, "gtzan": gtzan_tracks_per_genre}
    for name, size in sizes.items():
        if not 1 <= size <= 9999:
            raise ValueError(f"`1 <= tracks of {name} <= 9999` must hold, but got {size}")
    if seed < 0:
        raise ValueError(f"`0 <= seed` must hold, but got {seed}")
    if jobs < 1:
        raise ValueError(f"`1 <= jobs` must hold, but got {jobs}")
    wanted = [_Marker(f"{name}-demo", DEMO_VERSION, seed, sizes[name]) for name in _chosen(task)]
    missing = [marker for marker in wanted if not _is_there(directory, marker)]
    total = sum(marker.tracks * _files_each(marker) for marker in missing)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for marker in missing:
        try:
            _write_one(directory, marker, jobs, tick)
        except OSError as error:
            raise CorpusError(
                f"the demo corpus cannot be written to {directory} ({error.strerror or error}): "
                "free some space or name another folder"
            ) from error


def ensure_demo(cache: Path, task: str, progress: Progress | None = None) -> Path:
    """The default demo corpus of a task, made once for a cache folder whoever asks.

    Args:
        cache: the cache folder.
        task: ``deam`` or ``gtzan``.
        progress: called with the tracks written so far and in all, if any have to be.

    Returns:
        ``cache/demo/v{DEMO_VERSION}/{task}``.

    Raises:
        CorpusError: the cache cannot be written.
    """
    from filelock import FileLock

    directory = cache / "demo" / f"v{DEMO_VERSION}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / f"{task}.lock"):
            for left_behind in directory.glob(f".{task}-*"):  # by a process that was killed
                shutil.rmtree(left_behind)
            write_demo(directory, task, progress=progress)
    except OSError as error:
        raise CorpusError(
            f"the demo corpus cannot be written to {directory} ({error.strerror or error}): "
            "name another cache folder with FOURIER_CACHE"
        ) from error
    return directory / task


def _chosen(task: str | None) -> tuple[str, ...]:
    return TASKS if task is None else (task,)


def _files_each(marker: _Marker) -> int:
    return 1 if marker.corpus == "deam-demo" else 10


def _is_there(directory: Path, marker: _Marker) -> bool:
    """Whether this very demo corpus exists; raises if something else is in its place."""
    folder = directory / marker.corpus.removesuffix("-demo")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / MARKER).read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("corpus") != marker.corpus:
        raise CorpusError(
            f"{folder} is there already and is no demo corpus: name another folder for the demo"
        )
    return found == asdict(marker)


def _write_one(directory: Path, marker: _Marker, jobs: int, tick: Tick) -> None:
    """Fill a folder under a name of its own, then give it its place; ticks after each track."""
    task = marker.corpus.removesuffix("-demo")
    directory.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{task}-", dir=directory))
    try:
        made = room / task
        made.mkdir()
        name = task.upper()
        readme = README.format(version=marker.version, seed=marker.seed, name=name)
        (made / "README.txt").write_text(readme)
        (made / MARKER).write_text(json.dumps(asdict(marker), indent=2) + "\n")
        (_write_deam if task == "deam" else _write_gtzan)(made, marker, jobs, tick)
        if (directory / task).exists():
            (directory / task).rename(room / "before")
        made.rename(directory / task)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _in_parallel(work: Sequence[Callable[[], Any]], jobs: int, tick: Tick) -> list[Any]:
    """Results in order; whatever goes wrong, nothing is still being written afterwards."""
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(task) for task in work]
        try:
            for future in as_completed(futures):
                future.result()
                tick()
        finally:
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _write_deam(folder: Path, marker: _Marker, jobs: int, tick: Tick) -> None:
    audio, labels = folder / DEAM_AUDIO, folder / DEAM_LABELS
    audio.mkdir(parents=True)
    labels.mkdir(parents=True)
    ids = range(DEAM_FIRST_ID, DEAM_FIRST_ID + marker.tracks)
    work = [partial(_write_song, audio, song_id, marker.seed) for song_id in ids]
    rated = _in_parallel(work, jobs, tick)
    for column, name in enumerate(("arousal", "valence")):
        rows = {song_id: pair[column] for song_id, pair in zip(ids, rated, strict=True)}
        _write_annotations(labels / f"{name}.csv", rows)


def _write_song(folder: Path, song_id: int, seed: int) -> tuple[list[float], list[float]]:
    """One mp3; returns its arousal and valence as listeners rate them from second 15 on."""
    import soundfile

    from fourier.corpora.synthesis.moods import RATING_HZ, Mood, mood_song

    rng = np.random.default_rng([seed, song_id])
    mood = Mood.draw(rng, DEAM_SECONDS)
    wave = mood_song(mood, rng, DEAM_SECONDS, DEAM_RATE)
    rated = mood.rated(rng)
    soundfile.write(
        folder / f"{song_id}.mp3",
        wave,
        DEAM_RATE,
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=0.8,  # 16 kHz wide, and quicker than the best
    )
    first = RATED_FROM_SECOND * RATING_HZ
    return rated.arousal[first:].tolist(), rated.valence[first:].tolist()


def _write_annotations(path: Path, rows: dict[int, list[float]]) -> None:
    points = len(next(iter(rows.values())))
    times = [1000 * RATED_FROM_SECOND + 500 * point for point in range(points)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["song_id", *(f"sample_{time}ms" for time in times)])
        for song_id, values in rows.items():
            writer.writerow([song_id, *(f"{value:.6f}" for value in values)])


def _write_gtzan(folder: Path, marker: _Marker, jobs: int, tick: Tick) -> None:
    from fourier.corpora.synthesis.genres import STYLES

    numbers = range(GTZAN_FIRST_NUMBER, GTZAN_FIRST_NUMBER + marker.tracks)
    work = []
    for index, genre in enumerate(STYLES):
        genre_folder = folder / "genres_original" / genre
        genre_folder.mkdir(parents=True)
        for number in numbers:
            path = genre_folder / f"{genre}.{number}.wav"
            work.append(partial(_write_track, path, genre, [marker.seed, index, number]))
    _in_parallel(work, jobs, tick)


def _write_track(path: Path, genre: str, seed: list[int]) -> None:
    import soundfile

    from fourier.corpora.synthesis.genres import genre_track

    wave = genre_track(genre, np.random.default_rng(seed), GTZAN_SECONDS, GTZAN_RATE)
    soundfile.write(path, wave, GTZAN_RATE, format="WAV", subtype="PCM_16")
