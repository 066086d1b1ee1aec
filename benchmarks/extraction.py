"""How many songs a second become features: the first time, and with each further setting.

    python benchmarks/extraction.py --data DEAM     # from mp3, and 24 settings of what was decoded
    python benchmarks/extraction.py --data DEAM --memory    # peak memory with 50 and 500 songs

Without --data the songs are synthesised ones. All ways use as many processes or threads as there
are cores; caches are new each time, the files themselves are in the system's memory for everybody.
"""

import dataclasses
import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers
from measure import alternate, median, median_ratio, peak_memory, seconds_of
from results import Row, parser, publish
from songs import deam_folder

if TYPE_CHECKING:
    from fourier.config import SpectrogramConfig
    from fourier.corpora import Corpus

SEED_SETTING = {"n_fft": 2048, "n_mels": 128, "fmax": 8000}
SETTINGS = [
    {"n_fft": n_fft, "n_mels": n_mels, "fmax": fmax}
    for n_fft, n_mels, fmax in product((1024, 2048, 4096), (64, 128), (4000, 8000, 11025, 16000))
]
MEMORY_GROWTH = 1.1


def main() -> int:
    """Measure and publish."""
    options = parser(__doc__)
    options.add_argument("--data", type=Path, help="a DEAM folder (default: synthesised songs)")
    options.add_argument("--songs", type=int, default=48, help="how many (default: 48)")
    options.add_argument("--few", type=int, default=8, help="for the slow peers (default: 8)")
    options.add_argument("--repeats", type=int, default=7, help="rounds (default: 7)")
    options.add_argument("--memory", action="store_true", help="measure memory instead")
    options.add_argument("--extract", type=Path, help="extract this folder, and measure nothing")
    arguments = options.parse_args()
    if arguments.small:
        arguments.songs, arguments.few, arguments.repeats = 1, 1, 1
    if arguments.extract is not None:
        extract_once(arguments.extract)
        return 0
    with tempfile.TemporaryDirectory(prefix="extraction-") as name:
        if arguments.memory:
            measure_memory(arguments, Path(name))
        else:
            measure_speed(arguments, Path(name))
    return 0


def measure_speed(arguments: Namespace, scratch: Path) -> None:
    """The first pass and the further settings, beside what else could do them."""
    import torch

    from fourier.corpora import load_corpus

    folder, kind = deam_folder(arguments.data, scratch, arguments.songs)
    torch.set_num_threads(cores())
    corpus = load_corpus(folder, "deam")
    first = first_pass(corpus, scratch, arguments.repeats)
    settings = SETTINGS[:1] if arguments.small else SETTINGS
    further, missing = further_settings(corpus, scratch, settings, arguments.few)
    rows = [*rows_of_first_pass(first, len(corpus.tracks)), *rows_of_further(further)]
    rows += [Row(what="each further setting", project="", peer=f"{it}: not here") for it in missing]
    publish(
        "extraction",
        f"Songs a second to features ({arguments.songs} {kind} songs of 45 s, six 5-s clips each, "
        f"{cores()} processes)",
        rows,
        arguments,
        first_pass_seconds=first,
        further_seconds_a_song=further,
        settings=settings,
    )


def first_pass(corpus: "Corpus", scratch: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds from audio files to stored features of one setting, by way."""
    import joblib

    songs = [corpus.root / path for path in corpus.tracks["path"]]
    pool = joblib.Parallel(cores(), backend="loky")

    def fourier() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as cache:
            # Identity and all: a corpus that has just been read.
            started = time.perf_counter()
            features = first_features(dataclasses.replace(corpus), Path(cache))
            took.append(time.perf_counter() - started)
            require(len(features) == peers.CLIPS * len(songs), "features of every clip")

    def seed() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as cache:
            job = joblib.delayed(peers.song_to_files)
            started = time.perf_counter()
            saved = pool(job(song, Path(cache), SEED_SETTING) for song in songs)
            took.append(time.perf_counter() - started)
            require(sum(saved) == peers.CLIPS * len(songs), "a file of every clip")

    def decoding(decode: Callable[[Path], int]) -> None:
        started = time.perf_counter()
        pool(joblib.delayed(decode)(song) for song in songs)
        took.append(time.perf_counter() - started)

    took: list[float] = []

    def timed(way: Callable[[], None]) -> Callable[[], float]:
        return lambda: way() or took[-1]

    ways = {
        "fourier": fourier,
        "the first project's way": seed,
        "decoding alone": lambda: decoding(decode_clips),
        "librosa.load alone, whole songs": lambda: decoding(peers.load_song),
    }
    each = {name: timed(way) for name, way in ways.items()}
    return alternate(each, repeats, prepare=repeats > 1)


def further_settings(
    corpus: "Corpus", scratch: Path, settings: list[peers.Setting], few: int
) -> tuple[dict[str, list[float]], list[str]]:
    """Seconds a song for each setting, by way, with the audio decoded before; what is missing."""
    import joblib
    import numpy as np
    import torch

    from fourier.features.pcm import open_pcm
    from fourier.features.store import FeatureStore

    songs = [corpus.root / path for path in corpus.tracks["path"]]
    pcm = open_pcm(corpus, scratch / "pcm")
    pcm.read(0, len(pcm.clips))
    little = np.array(pcm.audio[: peers.CLIPS * few])
    pool = joblib.Parallel(cores(), backend="loky")
    modules, missing = importable_modules()

    def measures(setting: peers.Setting, cache: Path) -> dict[str, Callable[[], float]]:
        def fourier() -> None:
            FeatureStore(pcm, cache, torch.device("cpu")).get(config_of(setting))

        def seed() -> None:
            pool(joblib.delayed(peers.song_to_files)(song, cache, setting) for song in songs[:few])

        def librosa() -> None:
            job = joblib.delayed(peers.clips_to_files)
            parts = np.array_split(np.arange(peers.CLIPS * few), max(1, few))
            pool(
                job(pcm.path, range(part[0], part[-1] + 1), pcm.samples, cache, setting)
                for part in parts
            )

        each = {"fourier": a_song(fourier, len(songs))}
        each["the first project's way"] = a_song(seed, few)
        each["librosa on decoded audio"] = a_song(librosa, few)
        for name, make in modules.items():
            mel = make(setting)
            each[name] = a_song(lambda mel=mel: peers.module_decibels(mel, little), few)
        return each

    def in_turn(setting: peers.Setting) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=scratch) as cache:
            many = len(settings) > 1
            taken = alternate(measures(setting, Path(cache)), 1, warm_up=False, prepare=many)
        return {name: values[0] for name, values in taken.items()}

    in_turn(settings[0])  # to warm up
    rounds = [in_turn(setting) for setting in settings]
    return {name: [taken[name] for taken in rounds] for name in rounds[0]}, missing


def importable_modules() -> tuple[dict[str, Callable[[peers.Setting], Any]], list[str]]:
    """The peers that are torch modules and can be imported; the names of the others."""
    makers = {"nnAudio": peers.nnaudio_mel, "torchaudio": peers.torchaudio_mel}
    found, missing = {}, []
    for name, make in makers.items():
        try:
            make(SEED_SETTING)
        except (ImportError, OSError):  # torchaudio built for another torch
            missing.append(name)
        else:
            found[name] = make
    return found, missing


def rows_of_first_pass(seconds: Mapping[str, list[float]], songs: int) -> list[Row]:
    """The table's lines about the first pass."""
    ours = seconds["fourier"]
    wanted = {"the first project's way": 2.0, "decoding alone": 0.6}
    rows = []
    for name in list(seconds)[1:]:
        ratio, least = median_ratio(seconds[name], ours), wanted.get(name)
        rows.append(
            Row(
                what="first pass, mp3 to one setting",
                project=f"{songs / median(ours):.1f} songs/s",
                peer=f"{name} {songs / median(seconds[name]):.1f} songs/s",
                ratio=f"{ratio:.2f}x",
                required="" if least is None else f">= {least:g}x",
                reached=None if least is None else ratio >= least,
            )
        )
    return rows


def rows_of_further(seconds: Mapping[str, list[float]]) -> list[Row]:
    """The table's lines about further settings: the median over settings."""
    ours = seconds["fourier"]
    wanted = {"the first project's way": 6.0, "nnAudio": 1.0}
    rows = []
    for name in list(seconds)[1:]:
        ratio, least = median_ratio(seconds[name], ours), wanted.get(name)
        rows.append(
            Row(
                what=f"each further setting ({len(ours)} of them)",
                project=f"{1 / median(ours):.1f} songs/s",
                peer=f"{name} {1 / median(seconds[name]):.1f} songs/s",
                ratio=f"{ratio:.1f}x",
                required="" if least is None else f">= {least:g}x",
                reached=None if least is None else ratio >= least,
            )
        )
    return rows


def measure_memory(arguments: Namespace, scratch: Path) -> None:
    """The largest process of a first pass over few and over many songs."""
    few, many = (1, 2) if arguments.small else (50, 500)
    folder, kind = deam_folder(arguments.data, scratch / str(few), few)
    folders = {few: folder, many: deam_folder(arguments.data, scratch / str(many), many)[0]}
    peaks = {}
    for count, songs in folders.items():
        command = [sys.executable, __file__, "--extract", str(songs)]
        peaks[count] = peak_memory(command)
    growth = peaks[many] / peaks[few]
    row = Row(
        what=f"peak memory, {few} and {many} songs",
        project=" and ".join(f"{peak / 2**20:.0f} MiB" for peak in peaks.values()),
        ratio=f"{growth:.3f}x",
        required=f"< {MEMORY_GROWTH:g}x",
        reached=growth < MEMORY_GROWTH,
    )
    title = f"Peak memory of a first pass, of its largest process ({kind} songs)"
    publish("extraction-memory", title, [row], arguments, peak_bytes=peaks)


def extract_once(folder: Path) -> None:
    """A first pass in this process, with a cache of its own."""
    from fourier.corpora import load_corpus

    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        features = first_features(load_corpus(folder, "deam"), Path(cache))
        print(json.dumps({"clips": len(features)}))


def first_features(corpus: "Corpus", cache: Path) -> Any:
    """Decode a corpus and compute one setting, as a sweep does."""
    import torch

    from fourier.features.pcm import open_pcm
    from fourier.features.store import FeatureStore

    pcm = open_pcm(corpus, cache)
    return FeatureStore(pcm, cache, torch.device("cpu")).get(config_of(SEED_SETTING))


def decode_clips(song: Path) -> int:
    """What has to be decoded of a song, and nothing else done with it."""
    from fourier.features.decode import decode

    seconds = peers.CLIPS * peers.CLIP_SECONDS
    return len(decode(song, peers.RATE, peers.FIRST_SECOND, seconds))


def config_of(setting: peers.Setting) -> "SpectrogramConfig":
    """The project's name for what a peer is asked for."""
    from fourier.config import SpectrogramConfig

    return SpectrogramConfig(hop_length=peers.HOP, **setting)


def a_song(work: Callable[[], object], songs: int) -> Callable[[], float]:
    """A measure of seconds a song."""
    measure = seconds_of(work)
    return lambda: measure() / songs


def cores() -> int:
    """How many this process may use; as many processes or threads has every way."""
    import joblib

    return int(joblib.cpu_count())


def require(holds: bool, what: str) -> None:
    """End the benchmark where a way did not do its work."""
    if not holds:
        raise SystemExit(f"expected {what}; the figures would mean nothing")


if __name__ == "__main__":
    raise SystemExit(main())
