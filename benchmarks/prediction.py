"""How fast `fourier predict` listens on one core, and what memory a long file takes.

    python benchmarks/prediction.py                 # speed and memory
    python benchmarks/prediction.py --promotion     # how long a demo study's promotion lasts

The model is a CNN of the default size, trained for one epoch (how well does not matter here). The
music is synthesised. Loading the model is not counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
from measure import median, peak_memory
from results import Row, parser, publish

HOUSE = Path(__file__).parents[1]
MINUTE, RATE = 60.0, 44_100
EVERY = {0.5: 40.0, 5.0: 150.0}
"""Seconds from one window of 5 s to the next, and how many times real time it must reach."""
MORE_BYTES = 300 * 2**20
PROMOTION_SECONDS = 180.0


def main() -> int:
    """Measure and publish."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=7, help="predictions (default: 7)")
    options.add_argument("--promotion", action="store_true", help="time a promotion instead")
    options.add_argument("--trials", type=int, default=6, help="of its study (default: 6)")
    options.add_argument(
        "--listen", nargs=3, metavar=("FILE", "MODEL", "EVERY"), help="measure once"
    )
    arguments = options.parse_args()
    if arguments.small:
        arguments.repeats = 1
    if arguments.listen is not None:
        listen(*arguments.listen, repeats=arguments.repeats)
        return 0
    with tempfile.TemporaryDirectory(prefix="prediction-") as name:
        if arguments.promotion:
            measure_promotion(arguments, Path(name))
        else:
            measure_prediction(arguments, Path(name))
    return 0


def measure_prediction(arguments: Namespace, scratch: Path) -> None:
    """Times real time for a song, and the peak memory for a long file beside that for a short."""
    model = make_model(scratch)
    minutes = 0.2 if arguments.small else 3.0
    song = make_music(scratch / "song.mp3", minutes)
    rows, raw = [], {}
    for every, least in EVERY.items():
        seconds = heard(song, model, every, arguments.repeats)
        speed = minutes * MINUTE / median(seconds)
        rows.append(
            Row(
                what=f"predict, {minutes:g}-minute mp3, a window every {every:g} s, one core",
                project=f"{median(seconds):.2f} s",
                ratio=f"{speed:.0f}x real time",
                required=f">= {least:g}x",
                reached=speed >= least,
            )
        )
        raw[f"seconds every {every:g} s"] = seconds
    short, long = (0.5, 2.0) if arguments.small else (1.0, 120.0)
    peaks = {
        length: peak_memory(command(make_music(scratch / f"{length}.wav", length), model, 0.5, 1))
        for length in (short, long)
    }
    more = peaks[long] - peaks[short]
    rows.append(
        Row(
            what=f"peak memory, {short:g} and {long:g} minutes",
            project=" and ".join(f"{peak / 2**20:.0f} MiB" for peak in peaks.values()),
            ratio=f"{more / 2**20:+.0f} MiB",
            required=f"<= {MORE_BYTES / 2**20:.0f} MiB more",
            reached=more <= MORE_BYTES,
        )
    )
    raw["peak bytes by minutes"] = peaks
    publish("prediction", "What `fourier predict` takes", rows, arguments, **raw)


def make_model(scratch: Path) -> Path:
    """A CNN of the default size, trained for an epoch on a few songs, as its exported program."""
    import torch
    from songs import deam_folder

    from fourier.config import CNNConfig, SpectrogramConfig, TrainingConfig, TrialConfig
    from fourier.corpora import load_corpus
    from fourier.release.export import (
        build_clip_model,
        describe_program,
        export_program,
        precision_of,
    )
    from fourier.training import Experiment

    corpus = load_corpus(deam_folder(None, scratch / "few", 12)[0], "deam")
    experiment = Experiment.open(
        corpus,
        protocol="track",
        objective=None,
        cache=scratch / "cache",
        device=torch.device("cpu"),
        jobs=1,
        allow_leaks=True,  # a few songs again and again
    )
    training = TrainingConfig(epochs=1, loss="mse")
    config = TrialConfig(spectrogram=SpectrogramConfig(), model=CNNConfig(), training=training)
    model = build_clip_model(
        config,
        experiment.run(config).state,
        sample_rate=corpus.sample_rate,
        samples=corpus.samples_per_clip,
        outputs=experiment.task.outputs,
        classification=False,
        precision=precision_of(experiment, config),
    )
    path = scratch / "model.pt2"
    about = describe_program(experiment, config)
    export_program(model, path, samples=corpus.samples_per_clip, metadata=about)
    return path


def make_music(path: Path, minutes: float) -> Path:
    """Chords and noise, a different one each second."""
    import soundfile

    rng = np.random.default_rng(0)
    time_of = np.arange(RATE) / RATE
    with soundfile.SoundFile(path, "w", samplerate=RATE, channels=1) as file:
        for _ in range(round(minutes * MINUTE)):
            tones = np.sin(2 * np.pi * rng.uniform(80, 2000, (4, 1)) * time_of).sum(axis=0)
            file.write(0.1 * tones + 0.02 * rng.standard_normal(RATE))
    return path


def command(song: Path, model: Path, every: float, repeats: int) -> list[str]:
    """This script in a process of its own, listening to one file."""
    words = [sys.executable, __file__, "--repeats", str(repeats)]
    return [*words, "--listen", str(song), str(model), str(every)]


def heard(song: Path, model: Path, every: float, repeats: int) -> list[float]:
    """Seconds of each prediction, in a process that has one core."""
    words = command(song, model, every, repeats)
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603
    return [float(seconds) for seconds in json.loads(done.stdout)]


def listen(song: str, model: str, every: str, *, repeats: int) -> None:
    """Predict on one core, after once that does not count, and print how long it took."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import torch

    from fourier.release.predict import Predictor

    torch.set_num_threads(1)
    predictor, taken = Predictor.from_program(model), []
    for _ in range(repeats + (repeats > 1)):
        started = time.perf_counter()
        predictor.predict(song, every=float(every))
        taken.append(time.perf_counter() - started)
    print(json.dumps(taken[-repeats:]))


def measure_promotion(arguments: Namespace, scratch: Path) -> None:
    """A sweep over the demo corpus, and then the time of its promotion alone."""
    environment = os.environ | {"FOURIER_CACHE": str(scratch / "cache")}
    environment.pop("MLFLOW_TRACKING_URI", None)

    def run(*words: str) -> float:
        started = time.perf_counter()
        subprocess.run(  # noqa: S603
            [sys.executable, *words], cwd=scratch, env=environment, check=True
        )
        return time.perf_counter() - started

    few = ("--epochs", "1") if arguments.small else ()
    trials = "1" if arguments.small else str(arguments.trials)
    run(str(HOUSE / "experiments" / "sweep_deam.py"), "--trials", trials, *few)
    many = (
        ("--top", "1", "--seeds", "1", "--force")
        if arguments.small
        else ("--top", "2", "--seeds", "2")
    )
    seconds = run("-m", "fourier", "promote", "deam", *many, "--yes")
    row = Row(
        what=f"fourier promote deam {' '.join(many)}, a demo study of {trials} trials",
        project=f"{seconds:.0f} s",
        required=f"<= {PROMOTION_SECONDS:.0f} s",
        reached=seconds <= PROMOTION_SECONDS,
    )
    publish("prediction-promotion", "How long a promotion takes", [row], arguments, seconds=seconds)


if __name__ == "__main__":
    raise SystemExit(main())
