"""A whole sweep at DEAM's full size on one GPU: 100 trials over 10,812 clips of 5 s at 44.1 kHz.

    python benchmarks/gpu_sweep.py          # on a GPU, about a quarter of an hour
    python benchmarks/gpu_sweep.py --small  # on whatever is there: shows only that it works

The samples are synthesised on the spot (brighter and louder where arousal is high, in tune where
valence is) and put where decoding would have put them; from there on everything is the real thing:
space, sampler, pruner, journal, MLflow. Beside it, a DataLoader over .npy files trains the networks
of a sample of the trials. How busy the GPU is, the driver says five times a second; what counts is
what it said while a network trained.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers
from measure import median
from results import Row, parser, publish

if TYPE_CHECKING:
    import torch

    from fourier.config import TrialConfig
    from fourier.corpora import Corpus
    from fourier.features.pcm import PcmStore
    from fourier.features.store import FeatureStore
    from fourier.search.sweep import Space
    from fourier.search.watch import Outcome
    from fourier.training.experiment import Experiment

RATE, CLIP_SECONDS, CLIPS_PER_SONG, FIRST_SECOND = 44_100, 5.0, 6, 15.0
SWEEP_MINUTES, SETTING_SECONDS, BUSY_SHARE = 10.0, 1.0, 0.85
SAMPLE_SECONDS = 0.2
NEW_SETTINGS = ({"n_mels": 80, "fmax": 7000.0}, {"n_fft": 4096, "n_mels": 120}, {"n_fft": 1024})
LOADER_WORKERS = 8


def main() -> int:
    """Measure and publish."""
    options = parser(__doc__)
    options.add_argument("--songs", type=int, default=1802, help="songs (default: 1802)")
    options.add_argument("--trials", type=int, default=100, help="trials (default: 100)")
    options.add_argument("--epochs", type=int, default=30, help="at most (default: 30)")
    options.add_argument("--peers", type=int, default=5, help="trials that a DataLoader repeats")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda, … (default: auto)")
    arguments = options.parse_args()
    if arguments.small:
        arguments.songs, arguments.trials, arguments.epochs, arguments.peers = 12, 2, 1, 1
    with tempfile.TemporaryDirectory(prefix="gpu-sweep-") as name:
        measure(arguments, Path(name).resolve())
    return 0


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    """Make the corpus, sweep over it, and repeat some trials by a DataLoader."""
    from fourier.features.store import FeatureStore
    from fourier.training import describe_device, make_task, pick_device
    from fourier.training.experiment import Experiment

    device = pick_device(arguments.device)
    if device.type == "cpu" and not arguments.small:
        raise SystemExit("there is no GPU here; try --small, or --device cpu if that is meant")
    corpus, pcm, parts = make_corpus(scratch, arguments.songs, device)
    store = FeatureStore(pcm, scratch / "cache", device)
    experiment = Experiment(corpus, pcm, "track", parts, make_task(corpus), store)
    settings = time_settings(store)
    with working_in(scratch):
        swept = run_sweep(experiment, arguments)
    beside = compare_with_loader(experiment, swept, arguments.peers, scratch)
    store.settle()
    size = f"{arguments.songs} songs, {len(pcm.clips)} clips, {arguments.trials} trials"
    publish(
        "gpu_sweep",
        f"A sweep on {describe_device(device)}: {size}",
        rows_of(swept, settings, beside, arguments),
        arguments,
        settings_seconds=settings,
        sweep_seconds=swept.seconds,
        busy=swept.busy,
        training_seconds=swept.training_seconds,
        trials=[{"seconds": o.seconds, "state": o.state} for o in swept.outcomes],
        loader=beside,
    )


def make_corpus(
    scratch: Path, songs: int, device: "torch.device"
) -> "tuple[Corpus, PcmStore, Any]":
    """A corpus of DEAM's size, its samples in a PCM store, and the part of each clip."""
    import numpy as np
    import pandas as pd

    from fourier.corpora import Corpus, assign_parts
    from fourier.features.pcm import PcmStore

    rng = np.random.default_rng(0)
    names = [str(2 + song) for song in range(songs)]
    root = scratch / "songs"
    root.mkdir()
    for name in names:  # what gives the corpus its identity; nobody decodes them
        (root / f"{name}.txt").write_text(name)
    feelings = np.repeat(rng.uniform(-0.6, 0.6, (songs, 2)), CLIPS_PER_SONG, axis=0)
    feelings = (feelings + rng.normal(0, 0.1, feelings.shape)).clip(-1, 1)
    starts = FIRST_SECOND + CLIP_SECONDS * np.arange(CLIPS_PER_SONG)
    clips = pd.DataFrame(
        {
            "track": np.repeat(names, CLIPS_PER_SONG),
            "start": np.tile(starts, songs),
            "valence": feelings[:, 0],
            "arousal": feelings[:, 1],
        }
    )
    corpus = Corpus(
        name="deam-made",
        task="deam",
        root=root,
        sample_rate=RATE,
        clip_seconds=CLIP_SECONDS,
        tracks=pd.DataFrame({"path": [f"{n}.txt" for n in names], "group": names}, index=names),
        clips=clips,
        targets=("valence", "arousal"),
        classes=(),
        left_out=pd.DataFrame(columns=["item", "reason"], dtype="str"),
        default_protocol="track",
    )
    path = scratch / "clips.int16"
    checksums = write_samples(path, feelings, device)
    pcm = PcmStore(
        path=path,
        clips=clips,
        left_out=corpus.left_out,
        sample_rate=RATE,
        samples=corpus.samples_per_clip,
        checksums=np.array(checksums, np.uint32),
        digest=corpus.digest,
    )
    return corpus, pcm, assign_parts(corpus, clips, "track")


def write_samples(path: Path, feelings: Any, device: "torch.device") -> list[int]:
    """Tones and noise for each (valence, arousal), int16; the checksum of each clip."""
    import torch

    samples, batch = round(RATE * CLIP_SECONDS), 64
    moments = torch.arange(samples, device=device) / RATE
    noise = torch.Generator(device=device).manual_seed(0)
    checksums = []
    with path.open("wb") as file:
        for start in range(0, len(feelings), batch):
            valence, arousal = torch.tensor(
                feelings[start : start + batch], device=device
            ).T.float()
            pitch = 220 * 2 ** (torch.rand(len(valence), device=device, generator=noise))
            detuned = 1 + 0.05 * (1 - valence)
            audio = torch.sin(2 * torch.pi * (pitch[:, None] * moments))
            audio += torch.sin(2 * torch.pi * ((2 * pitch * detuned)[:, None] * moments))
            hiss = torch.randn(audio.shape, device=device, generator=noise)
            audio = 0.2 * audio + 0.1 * (1 + arousal)[:, None] * hiss
            audio *= (0.3 + 0.2 * arousal)[:, None]
            rows = (audio.clamp(-1, 1) * 32767).to(torch.int16).cpu().numpy()
            checksums += [zlib.crc32(row.data) for row in rows]
            rows.tofile(file)
    return checksums


def time_settings(store: "FeatureStore") -> list[float]:
    """Seconds until the features of all clips stand ready, for new settings one after another.

    The first also brings the samples to the device, which happens once in a sweep.
    """
    from fourier.config import SpectrogramConfig

    taken = []
    for setting in NEW_SETTINGS:
        started = time.perf_counter()
        store.get(SpectrogramConfig(**setting))
        wait_for(store.device)
        taken.append(time.perf_counter() - started)
        store.settle()  # what is written meanwhile must not slow the next one
    return taken


@dataclass
class Swept:
    """What a sweep came to.

    Attributes:
        seconds: from the first claim to the end of the last trial, and of the summing up.
        outcomes: of the trials.
        training_seconds: of each trial, from its first to its last epoch.
        busy: shares of a sample's time in which the GPU worked, while a network trained.
    """

    seconds: float = 0.0
    outcomes: "list[Outcome]" = field(default_factory=list)
    training_seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)


def run_sweep(experiment: "Experiment", arguments: argparse.Namespace) -> Swept:
    """The default space, sampler and pruner, with everything on."""
    from fourier.search.sweep import Plan, Sweep
    from fourier.search.watch import Watcher

    swept = Swept()

    class Clock(Watcher):
        """Keeps when networks train."""

        def __init__(self) -> None:
            self.spans: list[tuple[float, float]] = []
            self._first, self._last = 0.0, 0.0

        def epoch_ends(
            self,
            slot: int,  # noqa: ARG002
            epoch: int,
            epochs: int,  # noqa: ARG002
            metrics: Mapping[str, float],
        ) -> None:
            """Take the first epoch's beginning and every epoch's end."""
            self._last = time.monotonic()
            if epoch == 0:
                self._first = self._last - metrics["epoch_seconds"]

        def trial_ends(self, outcome: "Outcome") -> None:
            """Keep the trial."""
            swept.outcomes.append(outcome)
            if outcome.state != "failed":
                self.spans.append((self._first, self._last))

    clock = Clock()
    plan = Plan(study="gpu-sweep", epochs=arguments.epochs)
    sweep = Sweep.open(experiment, default_space(), plan, clock)
    with sampled_use() as samples:
        started = time.perf_counter()
        sweep.run(arguments.trials)
        sweep.finish()
        swept.seconds = time.perf_counter() - started
    swept.training_seconds = [end - begin for begin, end in clock.spans]
    inside = [(begin + SAMPLE_SECONDS, end) for begin, end in clock.spans]  # it looks back
    swept.busy = [use for at, use in samples if any(a <= at <= b for a, b in inside)]
    return swept


@contextlib.contextmanager
def sampled_use() -> Iterator[list[tuple[float, float]]]:
    """(moment, share of time in which a kernel ran) while the block lasts; none without a GPU.

    Asked of ``nvidia-smi``, which is there with every driver and needs no package.
    """
    samples: list[tuple[float, float]] = []
    if shutil.which("nvidia-smi") is None:
        yield samples
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    command += ["--id=0", f"--loop-ms={round(SAMPLE_SECONDS * 1000)}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603

        def read() -> None:
            lines = (line.strip() for line in process.stdout or ())
            samples.extend((time.monotonic(), int(line) / 100) for line in lines if line.isdigit())

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield samples
        finally:
            process.terminate()
            reader.join()


def compare_with_loader(
    experiment: "Experiment", swept: Swept, count: int, scratch: Path
) -> list[dict[str, Any]]:
    """Clips a second of some trials' networks, as the sweep trained them and by a DataLoader."""
    whole = [o for o in swept.outcomes if o.state == "complete" and o.config is not None]
    step = max(1, len(whole) // max(1, count))
    found = []
    for outcome in whole[::step][:count]:
        config = outcome.config
        if config is None:
            continue
        training = dataclasses.replace(config.training, epochs=2, patience=0)
        brief = dataclasses.replace(config, training=training)
        result = experiment.run(brief)
        clips = len(experiment.split.train)
        seconds = result.history[-1]["epoch_seconds"]
        found.append(
            {
                "network": config.model.name,
                "fourier": clips / seconds,  # with the validation after it, which the peer has not
                "loader": loader_rate(experiment, brief, scratch),
            }
        )
    return found


def loader_rate(experiment: "Experiment", config: "TrialConfig", scratch: Path) -> float:
    """Training clips a second from a DataLoader over .npy files: its second epoch."""
    import torch

    from fourier.features.normalization import fit_normalization
    from fourier.models import build_model
    from fourier.training.device import autocast_dtype, memory_format

    features, rows = experiment.store.get(config.spectrogram), experiment.split.train
    device, task = features.device, experiment.task
    folder = Path(tempfile.mkdtemp(dir=scratch))
    chosen = features.index_select(0, rows).float().cpu().numpy()
    for _ in peers.write_npys(folder, chosen):
        pass
    targets = experiment.targets.index_select(0, rows).cpu()
    batches = peers.npy_batches(
        folder,
        targets,
        config.training.batch_size,
        min(LOADER_WORKERS, len(os.sched_getaffinity(0))),
        pinned=device.type == "cuda",
    )
    network = torch.nn.Sequential(
        fit_normalization(features, rows, config.spectrogram),
        build_model(
            config.model,
            bands=features.shape[1],
            frames=features.shape[2],
            outputs=task.outputs,
        ),
    )
    network = network.to(device, memory_format=memory_format(device, network))  # type: ignore[call-overload]
    dtype = autocast_dtype(config.training.precision, device, network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.training.lr)
    for _epoch in range(2):
        started = time.perf_counter()
        for clips, target in batches:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
                prediction = network(clips.to(device, non_blocking=True))
            there = target.to(device, non_blocking=True)
            task.loss(prediction.float(), there, config.training).backward()
            optimizer.step()
        wait_for(device)
        seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return len(rows) / seconds


def rows_of(
    swept: Swept,
    settings: list[float],
    beside: list[dict[str, Any]],
    arguments: argparse.Namespace,
) -> list[Row]:
    """The table."""
    full = not arguments.small
    minutes, later = swept.seconds / 60, median(settings[1:])
    states = [outcome.state for outcome in swept.outcomes]
    told = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    rows = [
        Row(
            what=f"the whole sweep ({told})",
            project=f"{minutes:.1f} min",
            required=f"≤ {SWEEP_MINUTES:g} min on one H200",
            reached=minutes <= SWEEP_MINUTES if full else None,
        ),
        Row(what="features, the first setting", project=f"{settings[0]:.2f} s, samples uploaded"),
        Row(
            what="features of a new setting, all clips",
            project=f"{later:.2f} s",
            required=f"≤ {SETTING_SECONDS:g} s",
            reached=later <= SETTING_SECONDS if full else None,
        ),
    ]
    busy = sum(swept.busy) / len(swept.busy) if swept.busy else None
    rows.append(
        Row(
            what="GPU busy while networks train",
            project="no GPU here" if busy is None else f"{busy:.0%}",
            required=f"≥ {BUSY_SHARE:.0%}",
            reached=busy >= BUSY_SHARE if full and busy is not None else None,
        )
    )
    rows += [
        Row(
            what=f"clips a second, {it['network']}",
            project=f"{it['fourier']:,.0f}",
            peer=f"DataLoader over .npy: {it['loader']:,.0f}",
            ratio=f"{it['fourier'] / it['loader']:.1f}x",
        )
        for it in beside
    ]
    return rows


def default_space() -> "Space":
    """The space of ``experiments/sweep_deam.py``."""
    path = Path(__file__).parents[1] / "experiments" / "sweep_deam.py"
    spec = importlib.util.spec_from_file_location("sweep_deam", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"there is no {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.space()  # type: ignore[no-any-return]


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Runs, studies and locks go into this folder, whatever the environment says."""
    before, uri = Path.cwd(), os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        if uri is not None:
            os.environ["MLFLOW_TRACKING_URI"] = uri


def wait_for(device: "torch.device") -> None:
    """Until the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    raise SystemExit(main())
