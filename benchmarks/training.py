"""Clips a second in training, for each architecture: `fit`, the bare step, and a DataLoader.

    python benchmarks/training.py                       # all architectures on this machine's device
    python benchmarks/training.py --architectures mlp --threads 1

The bare step is forward, backward, clipping and optimizer on one batch that lies ready. The
DataLoader reads one .npy for each clip, as the first project did, with 0, 2 and 4 workers. Network,
precision, layout, batch size, clipping and optimizer are the same for all.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers
from measure import alternate, median, median_ratio
from results import Row, parser, publish

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from fourier.config import ModelConfig, TrainingConfig
    from fourier.training import Task

WORKERS = (0, 2, 4)
OF_THE_BARE_STEP = 0.9
OF_THE_LOADER = {"mlp": 3.0}
NEVER_SLOWER = 1.0
HELD_OUT = 2  # clips, so that what is measured is training


@dataclass(frozen=True)
class Case:
    """One architecture with the pictures that it is for.

    Attributes:
        model: its configuration.
        bands: of a picture.
        frames: of a picture.
        clips: in an epoch.
        task: what is learned.
        training: how.
    """

    model: "ModelConfig"
    bands: int
    frames: int
    clips: int
    task: "Task"
    training: "TrainingConfig"


def main() -> int:
    """Measure and publish."""
    options = parser(__doc__)
    names = ("mlp", "two_conv", "cnn", "resnet", "crnn", "tdnn")
    options.add_argument(
        "--architectures", nargs="+", choices=names, default=names, help="which (default: all)"
    )
    options.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    options.add_argument("--threads", type=int, default=None, help="torch's (default: all cores)")
    options.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    arguments = options.parse_args()
    if arguments.small:
        arguments.repeats, arguments.architectures = 1, arguments.architectures[:2]

    import torch

    from fourier.training import describe_device, pick_device

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = pick_device(arguments.device)
    title = f"Clips a second in training on {describe_device(device)}"
    for name in arguments.architectures:
        with tempfile.TemporaryDirectory(prefix="training-") as folder:
            case = case_of(name, small=arguments.small)
            speeds = measure(case, device, Path(folder), arguments)
        rows = rows_of(name, case, speeds)
        publish(f"training-{name}", title, rows, arguments, clips_a_second=speeds)
    return 0


def case_of(name: str, *, small: bool) -> Case:
    """The genre notebook's perceptron on its MFCCs; the others on DEAM's 5-s pictures."""
    from fourier.config import (
        CNNConfig,
        CRNNConfig,
        MLPConfig,
        ResNetConfig,
        TDNNConfig,
        TrainingConfig,
        TwoConvConfig,
    )
    from fourier.training import Classification, Regression

    epochs = 3  # the first is for warming up
    if name == "mlp":
        genres = tuple(f"genre {number}" for number in range(10))
        task = Classification(name="gtzan", targets=("label",), classes=genres)
        training = TrainingConfig(epochs=epochs, loss="cross_entropy", patience=0)
        return Case(MLPConfig(), 13, 130, 64 if small else 4096, task, training)
    models = {
        "two_conv": TwoConvConfig(),
        "cnn": CNNConfig(),
        "resnet": ResNetConfig(),
        "crnn": CRNNConfig(),
        "tdnn": TDNNConfig(),
    }
    emotion = Regression(name="deam", targets=("valence", "arousal"))
    training = TrainingConfig(epochs=epochs, loss="mse", patience=0)
    frames = 64 if small else 431
    return Case(models[name], 128, frames, 32 if small else 256, emotion, training)


def measure(
    case: Case, device: "torch.device", folder: Path, arguments: Namespace
) -> dict[str, list[float]]:
    """Clips a second, by way, all ways in turn."""
    import numpy as np
    import torch

    generator = torch.Generator().manual_seed(0)
    shape = (case.clips + HELD_OUT, case.bands, case.frames)
    features = (torch.rand(shape, generator=generator) * 80 - 80).half()
    if case.task.classes:
        targets = torch.randint(0, case.task.outputs, shape[:1], generator=generator)
    else:
        targets = torch.rand((shape[0], case.task.outputs), generator=generator) * 2 - 1
    written = features[: case.clips].float().numpy()
    require(len(list(peers.write_npys(folder, np.asarray(written)))) == case.clips)
    prepared = case.task.prepare(targets)

    ways: dict[str, Callable[[], float]] = {
        "fourier": lambda: by_fit(case, features.to(device), targets.to(device)),
        "bare step": lambda: by_bare_steps(case, device, features, prepared),
    }
    for workers in WORKERS[:2] if arguments.small else WORKERS:
        ways[f"DataLoader, {workers} workers"] = lambda workers=workers: by_loader(
            case, device, folder, prepared, workers
        )
    return alternate(ways, arguments.repeats, prepare=not arguments.small)


def by_fit(case: Case, features: "Tensor", targets: "Tensor") -> float:
    """The project's training, with its metrics and its copies of the best weights."""
    import numpy as np
    import torch

    from fourier.training import Split, fit

    rows = torch.arange(len(features))
    tracks = np.array([f"track {row}" for row in rows.tolist()])
    split = Split(rows[: case.clips], rows[case.clips :])
    result = fit(lambda: network(case), features, targets, tracks, split, case.training, case.task)
    # Of the whole epoch, whose end waits for the device.
    seconds = [metrics["epoch_seconds"] for metrics in result.history[1:]]
    return case.clips * len(seconds) / sum(seconds)


def by_bare_steps(case: Case, device: "torch.device", clips: "Tensor", target: "Tensor") -> float:
    """The same steps on one batch that lies on the device in float32."""
    size = case.training.batch_size
    step = stepper(case, device)
    batch, truth = clips[:size].float().to(device), target[:size].to(device)

    def epoch() -> float:
        count = case.clips // size
        for _ in range(count):
            step(batch, truth)
        return count * size

    return speed_of(epoch, case, device)


def by_loader(
    case: Case, device: "torch.device", folder: Path, target: "Tensor", workers: int
) -> float:
    """The same steps on batches that a DataLoader collects."""
    step = stepper(case, device)
    known = target[: case.clips]
    gpu = device.type == "cuda"
    loader = peers.npy_batches(folder, known, case.training.batch_size, workers, pinned=gpu)

    def epoch() -> float:
        count = 0
        for clips, truth in loader:
            step(clips.to(device, non_blocking=gpu), truth.to(device, non_blocking=gpu))
            count += len(clips)
        return count

    return speed_of(epoch, case, device)


def speed_of(epoch: Callable[[], float], case: Case, device: "torch.device") -> float:
    """Clips a second after a first epoch, the device waited for."""
    epoch()
    wait_for(device)
    started, clips = time.perf_counter(), 0.0
    for _ in range(1, case.training.epochs):
        clips += epoch()
    wait_for(device)
    return clips / (time.perf_counter() - started)


def stepper(case: Case, device: "torch.device") -> "Callable[[Tensor, Tensor], None]":
    """A new network and the step that teaches it, as torch's manual has it."""
    import torch

    from fourier.training.device import autocast_dtype, memory_format

    torch.manual_seed(0)
    model = network(case)
    layout: Any = memory_format(device, model)
    model = model.to(device, memory_format=layout)
    model.train()
    dtype = autocast_dtype(case.training.precision, device, model)
    adamw = torch.optim.AdamW(
        model.parameters(), case.training.lr, weight_decay=case.training.weight_decay, fused=True
    )

    def step(clips: "Tensor", truth: "Tensor") -> None:
        adamw.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            prediction = model(clips)
        loss = case.task.loss(prediction.float(), truth, case.training)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), case.training.clip_norm, foreach=True)
        adamw.step()

    return step


def network(case: Case) -> "nn.Module":
    """Normalisation to [0, 1] and the network, as a trial builds them."""
    from torch import nn

    from fourier.features.normalization import Normalization
    from fourier.models import build_model

    normalization = Normalization(case.bands)
    normalization.shift.fill_(-80)
    normalization.scale.fill_(1 / 80)
    body = build_model(case.model, bands=case.bands, frames=case.frames, outputs=case.task.outputs)
    return nn.Sequential(normalization, body)


def wait_for(device: "torch.device") -> None:
    """Until the device has done what it was told."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rows_of(name: str, case: Case, speeds: Mapping[str, list[float]]) -> list[Row]:
    """The table's lines about one architecture; of the loaders, the fastest."""
    ours = speeds["fourier"]
    what = f"{name} on {case.bands} x {case.frames}, batches of {case.training.batch_size}"
    loaders = [way for way in speeds if way.startswith("DataLoader")]
    fastest = max(loaders, key=lambda way: median(speeds[way]))
    least = {"bare step": OF_THE_BARE_STEP, fastest: OF_THE_LOADER.get(name, NEVER_SLOWER)}
    rows = []
    for way in ("bare step", *loaders):
        ratio, needed = median_ratio(ours, speeds[way]), least.get(way)
        rows.append(
            Row(
                what=what,
                project=f"{median(ours):,.0f} clips/s",
                peer=f"{way} {median(speeds[way]):,.0f} clips/s",
                ratio=f"{ratio:.2f}x",
                required="" if needed is None else f">= {needed:g}x",
                reached=None if needed is None else ratio >= needed,
            )
        )
    return rows


def require(holds: bool) -> None:
    """End the benchmark where its files were not written."""
    if not holds:
        raise SystemExit("the .npy files were not written; the figures would mean nothing")


if __name__ == "__main__":
    raise SystemExit(main())
