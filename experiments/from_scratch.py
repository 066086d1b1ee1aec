"""What a network of plain NumPy can do: it learns to add, then genre, beside the same in PyTorch.

Adding: two numbers below a half, five hidden neurons without biases, weights drawn from 0 to 1, a
step of 0.1 after each example. Genre: the notebook's MFCCs and layers, standardised, by track. The
NumPy network has sigmoids, squared error and plain gradient descent; PyTorch's has ReLU,
cross-entropy and Adam. A picture of the two mel scales comes with them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fourier.cli.reproduction import Reproduction, mean_and_std, reproduction_command, written_to
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig

if TYPE_CHECKING:
    from pathlib import Path

    from fourier.training import Experiment

HIDDEN = (512, 256, 64)
ADDITION_STEP = 0.1
NUMPY_STEP = 1.0
BATCH_SIZE = 32
SMALLEST = 1e-12

MFCCS = SpectrogramConfig(
    kind="mfcc", n_mfcc=13, fmax=11025, reference="unity", normalization="standardize"
)

Curves = dict[str, list[list[float]]]


def main(here: Reproduction) -> None:
    """Train everything with every seed; then the table and the pictures."""
    experiment = here.experiment("track")
    here.begin(3 * len(here.seeds))
    errors = [learn_to_add(here, seed) for seed in here.seeds]
    accuracy: Curves = {"NumPy": [], "PyTorch": []}
    by_track: dict[str, list[float]] = {"NumPy": [], "PyTorch": []}
    seconds: dict[str, list[float]] = {"NumPy": [], "PyTorch": []}
    for seed in here.seeds:
        for name, learn in (("NumPy", learn_genre), ("PyTorch", learn_genre_in_torch)):
            began = time.perf_counter()
            history = learn(here, experiment, seed)
            seconds[name].append(time.perf_counter() - began)
            accuracy[name].append([entry["segment_accuracy"] for entry in history])
            by_track[name].append(history[-1]["track_accuracy"])
    with written_to(here.parent) as folder:
        draw_mel(folder / "mel.png")
        draw_learning(folder / "learning.png", errors, accuracy)
    first, last = [run[0] for run in errors], [run[-1] for run in errors]
    here.parent.log({"addition/first_error": max(first), "addition/last_error": max(last)})
    epochs = here.options.epochs
    here.print(f"\n[bold]Adding two numbers[/bold], mean squared error over {epochs} epochs")
    here.print(f"  from {mean_and_std(first, 4)} to {mean_and_std(last, 5)}\n")
    rows = []
    for name, curves in accuracy.items():
        final = [curve[-1] for curve in curves]
        figures = [
            mean_and_std(final),
            mean_and_std(by_track[name]),
            mean_and_std(seconds[name], 1),
        ]
        rows.append([name, *figures])
        here.parent.log({f"{name.lower()}/segment_accuracy": sum(final) / len(final)})
    here.print_table("Genre of held-out tracks", ["network", "segments", "tracks", "s"], rows)


def learn_to_add(here: Reproduction, seed: int) -> list[float]:
    """Train the smallest network; the error of each epoch."""
    import numpy as np

    from fourier.scratch import Network, train

    inputs = np.random.default_rng(seed).random((1000, 2)) / 2
    targets = inputs.sum(axis=1, keepdims=True)
    network = Network((2, 5, 1), seed, biases=False, span=(0.0, 1.0))
    tags = {"fourier.seed": str(seed)}
    with here.measurement(f"NumPy adds, seed {seed}", tags) as run:
        run.log_params({"layers": "2-5-1", "step": ADDITION_STEP, "batch_size": 1, "seed": seed})

        def report(epoch: int, error: float) -> None:
            run.log({"train/error": error}, step=epoch)
            watch(here, seed, epoch, error)

        errors = train(
            network,
            inputs,
            targets,
            epochs=here.options.epochs,
            learning_rate=ADDITION_STEP,
            seed=seed,
            report=report,
        )
        run.log({"final/error": errors[-1]})
    answer = network.predict([[0.3, 0.1]]).item()
    here.print(f"  seed {seed}  the network believes that 0.3 + 0.1 is {answer:.4f}")
    return errors


def learn_genre(here: Reproduction, experiment: Experiment, seed: int) -> list[dict[str, float]]:
    """Train the NumPy network on MFCCs; the metrics on held-out tracks after each epoch."""
    import numpy as np

    from fourier.features.normalization import fit_normalization
    from fourier.scratch import Network, train

    features = here.store.get(MFCCS)
    rows, held_out = experiment.split.train.cpu(), experiment.split.valid.cpu()
    normalize = fit_normalization(features, experiment.split.train, MFCCS)
    pictures = normalize(features).flatten(1).cpu().double().numpy()  # [clips, 13 * frames]
    labels = experiment.targets.cpu()
    wanted = np.eye(experiment.task.outputs)[labels[rows].numpy()]  # [n, genres], one 1 in each row
    network = Network((pictures.shape[1], *HIDDEN, wanted.shape[1]), seed)
    history: list[dict[str, float]] = []
    tags = {"fourier.protocol": experiment.protocol, "fourier.seed": str(seed)}
    with here.measurement(f"NumPy hears genre, seed {seed}", tags) as run:
        settings = {"step": NUMPY_STEP, "batch_size": BATCH_SIZE, "seed": seed}
        run.log_params({"layers": "-".join(map(str, HIDDEN)), **settings})

        def report(epoch: int, error: float) -> None:
            shares = np.log(np.clip(network.predict(pictures[held_out]), SMALLEST, 1))
            tracks = experiment.tracks[held_out.numpy()]
            metrics = experiment.task.evaluate(shares, labels[held_out], tracks)
            run.log({"train/error": error, **named(metrics, "val")}, step=epoch)
            history.append(metrics)
            watch(here, seed, epoch, metrics["segment_accuracy"])

        settings = {"epochs": here.options.epochs, "batch_size": BATCH_SIZE, "seed": seed}
        train(network, pictures[rows], wanted, learning_rate=NUMPY_STEP, report=report, **settings)
        run.log(named(history[-1], "final"))
    return history


def learn_genre_in_torch(
    here: Reproduction, experiment: Experiment, seed: int
) -> list[dict[str, float]]:
    """Train PyTorch's network of the same layers; the metrics after each epoch."""
    config = TrialConfig(
        spectrogram=MFCCS,
        model=MLPConfig(hidden=HIDDEN),
        training=TrainingConfig(
            epochs=here.options.epochs,
            batch_size=BATCH_SIZE,
            lr=1e-4,
            weight_decay=0.0,
            schedule="constant",
            patience=0,
            clip_norm=0.0,
            seed=seed,
        ),
    )
    return here.train(f"PyTorch hears genre, seed {seed}", {}, experiment, config).history


def named(metrics: dict[str, float], part: str) -> dict[str, float]:
    """Metrics under the names that users see, ``val/segment_accuracy``."""
    return {f"{part}/{name}": value for name, value in metrics.items()}


def watch(here: Reproduction, seed: int, epoch: int, value: float) -> None:
    """Show how far a NumPy network is."""
    here.screen.epoch_ends(seed, epoch, here.options.epochs, {here.screen.objective: value})


def draw_learning(path: Path, errors: list[list[float]], accuracy: Curves) -> None:
    """The error of adding, and the accuracy of both networks on held-out tracks."""
    from fourier.tracking import Line, Panel, draw_lines

    epochs = range(1, len(errors[0]) + 1)
    adding = Panel(
        title="adding two numbers",
        x_label="epoch",
        y_label="mean squared error",
        lines=[Line(name="NumPy, 2-5-1", x=epochs, y=errors)],
    )
    lines = [Line(name=name, x=epochs, y=curves) for name, curves in accuracy.items()]
    title = "genre by track, " + "-".join(map(str, HIDDEN))
    genre = Panel(title=title, x_label="epoch", y_label="held-out segments right", lines=lines)
    draw_lines(path, "A network of plain NumPy", [adding, genre])


def draw_mel(path: Path) -> None:
    """Both mel scales over frequency, each as a share of what it gives 8 kHz."""
    import numpy as np

    from fourier.scratch import htk_mel, slaney_mel
    from fourier.tracking import Line, Panel, draw_lines

    panels = []
    for top, title in ((8000, "the whole of it"), (2000, "the lower end")):
        hz = np.linspace(0, top, 401)
        lines = [
            Line(name="HTK: 2595 · log₁₀(1 + f / 700)", x=hz, y=htk_mel(hz) / htk_mel(8000)),
            Line(name="Slaney (librosa)", x=hz, y=slaney_mel(hz) / slaney_mel(8000)),
            Line(name="no bending", x=hz, y=hz / 8000, dashed=True),
        ]
        y_label = "mel, as a share of 8 kHz"
        panels.append(Panel(title=title, x_label="frequency, Hz", y_label=y_label, lines=lines))
    draw_lines(path, "The mel scale: equal steps sound equal", panels)


if __name__ == "__main__":
    raise SystemExit(
        reproduction_command(
            "from-scratch",
            "gtzan",
            main,
            __doc__.split("\n\n")[0],
            epochs=50,
            columns=["metrics.`final/segment_accuracy`", "metrics.`final/error`"],
        )
    )
