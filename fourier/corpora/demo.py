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
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

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
        jobs: processes at once.
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
    wanted = [_Marker(f"{name}-demo", DEMO_VERSION, seed, sizes[name]) for name in _chosen(task)]
    missing = [marker for marker in wanted if not _is_there(directory, marker)]
    total = sum(marker.tracks * _files_each(marker) for marker in missing)
    done = 0
    for marker in missing:
        try:
            for _ in _write_one(directory, marker, jobs):
                done += 1
                if progress is not None:
                    progress(done, total)
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


def _write_one(directory: Path, marker: _Marker, jobs: int) -> Iterator[None]:
    """Fill a folder under a name of its own, then give it its place; yields after each track."""
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
        yield from (_write_deam if task == "deam" else _write_gtzan)(made, marker, jobs)
        if (directory / task).exists():
            (directory / task).rename(room / "before")
        made.rename(directory / task)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _write_deam(folder: Path, marker: _Marker, jobs: int) -> Iterator[None]:
    from joblib import Parallel, delayed

    (folder / DEAM_AUDIO).mkdir(parents=True)
    (folder / DEAM_LABELS).mkdir(parents=True)
    ids = range(DEAM_FIRST_ID, DEAM_FIRST_ID + marker.tracks)
    rated: dict[int, tuple[list[float], list[float]]] = {}
    work = Parallel(n_jobs=jobs, return_as="generator_unordered")
    for song_id, arousal, valence in work(
        delayed(_write_song)(folder / DEAM_AUDIO, song_id, marker.seed) for song_id in ids
    ):
        rated[song_id] = arousal, valence
        yield
    for column, name in enumerate(("arousal", "valence")):
        rows = {song_id: rated[song_id][column] for song_id in ids}
        _write_annotations(folder / DEAM_LABELS / f"{name}.csv", rows)


def _write_song(folder: Path, song_id: int, seed: int) -> tuple[int, list[float], list[float]]:
    """One mp3; returns its id and what listeners say of it from second 15 on."""
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
        compression_level=0.8,  # 16 kHz wide, about 55 kbit/s, and a third quicker than the best
    )
    first = RATED_FROM_SECOND * RATING_HZ
    return song_id, rated.arousal[first:].tolist(), rated.valence[first:].tolist()


def _write_annotations(path: Path, rows: dict[int, list[float]]) -> None:
    points = len(next(iter(rows.values())))
    times = [1000 * RATED_FROM_SECOND + 500 * point for point in range(points)]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["song_id", *(f"sample_{time}ms" for time in times)])
        for song_id, values in rows.items():
            writer.writerow([song_id, *(f"{value:.6f}" for value in values)])


def _write_gtzan(folder: Path, marker: _Marker, jobs: int) -> Iterator[None]:
    from joblib import Parallel, delayed

    from fourier.corpora.synthesis.genres import STYLES

    numbers = range(GTZAN_FIRST_NUMBER, GTZAN_FIRST_NUMBER + marker.tracks)
    tasks = []
    for index, genre in enumerate(STYLES):
        genre_folder = folder / "genres_original" / genre
        genre_folder.mkdir(parents=True)
        for number in numbers:
            path = genre_folder / f"{genre}.{number}.wav"
            tasks.append(delayed(_write_track)(path, genre, [marker.seed, index, number]))
    for _ in Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks):
        yield


def _write_track(path: Path, genre: str, seed: list[int]) -> None:
    import soundfile

    from fourier.corpora.synthesis.genres import genre_track

    wave = genre_track(genre, np.random.default_rng(seed), GTZAN_SECONDS, GTZAN_RATE)
    soundfile.write(path, wave, GTZAN_RATE, format="WAV", subtype="PCM_16")
