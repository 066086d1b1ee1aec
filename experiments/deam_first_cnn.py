"""Does the first DEAM network hear more than the mean? And how much does loudness tell it?

The first pipeline: 5-s clips from second 15 on, 128 mel bands up to 8 kHz, decibels against the
clip's own peak, [-80, 0] dB mapped to [0, 1], two 3 x 3 convolutions (1 -> 16 -> 32 channels) with
ReLU and max-pooling, one linear layer, squared error, Adam. By song, beside predicting the mean of
the training clips and a linear model, and once more with decibels against full scale: a clip's own
peak as 0 dB erases how loud it is, which is evidence of arousal.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fourier.cli.reproduction import Reproduction, mean_and_std, reproduction_command, written_to
from fourier.config import SpectrogramConfig, TrainingConfig, TrialConfig, TwoConvConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fourier.training import Result

FIRST = TrialConfig(
    spectrogram=SpectrogramConfig(
        n_fft=2048,
        hop_length=512,
        n_mels=128,
        fmax=8000,
        reference="clip_peak",
        floor_db=80,
        normalization="unit",
    ),
    model=TwoConvConfig(width=16),
    training=TrainingConfig(
        epochs=20,
        batch_size=32,
        lr=1e-4,  # 1e-3 overshoots on the flattened pictures, then falls back to the mean
        weight_decay=0.0,
        schedule="constant",
        patience=0,
        clip_norm=0.0,
        loss="mse",
    ),
)
REFERENCES = {"clip_peak": "against the clip's peak", "full_scale": "against full scale"}
METHODS = {"mean": "the mean", "linear": "linear,", "two_conv": "two convolutions,"}
DIMENSIONS = ("valence", "arousal")
SHOWN = ("mse", "ccc_valence", "ccc_arousal")

Table = dict[tuple[str, str], list["Mapping[str, float]"]]


def main(here: Reproduction) -> None:
    """Train with both references and every seed, and compare with what learns nothing."""
    experiment = here.experiment(here.corpus.default_protocol)
    sizes = experiment.clips.groupby(experiment.parts.to_numpy())["track"].nunique()
    songs = ", ".join(f"{count} {part}" for part, count in sizes.items())
    here.print(f"  [dim]songs[/dim]   {songs} ({experiment.protocol})")
    here.begin(len(REFERENCES) * len(here.seeds))
    table: Table = {}
    trained: dict[str, list[Result]] = {}
    for reference, words in REFERENCES.items():
        spectrogram = dataclasses.replace(FIRST.spectrogram, reference=reference)
        floor = experiment.baselines(spectrogram)
        table["mean", ""] = [floor["mean"]]
        table["linear", reference] = [floor["ridge"]]
        for seed in here.seeds:
            training = dataclasses.replace(FIRST.training, epochs=here.options.epochs, seed=seed)
            config = dataclasses.replace(FIRST, spectrogram=spectrogram, training=training)
            result = here.train(f"{words}, seed {seed}", {}, experiment, config)
            trained.setdefault(reference, []).append(result)
            here.print(f"  seed {seed}  {words:<24}  MSE {mse(result.history[-1]):.4f}")
        table["two_conv", reference] = [result.history[-1] for result in trained[reference]]
    sum_up(here, table, trained)


def mse(metrics: Mapping[str, float]) -> float:
    """Mean squared error over both dimensions, as the first document counts it."""
    return sum(metrics[f"rmse_{name}"] ** 2 for name in DIMENSIONS) / len(DIMENSIONS)


def sum_up(here: Reproduction, table: Table, trained: Mapping[str, Sequence[Result]]) -> None:
    """The table and the picture, in the parent run and on the screen."""
    import pandas as pd

    frame = pd.DataFrame(
        {"method": method, "reference": reference, **metrics, "mse": mse(metrics)}
        for (method, reference), repetitions in table.items()
        for metrics in repetitions
    )
    rows = []
    for (method, reference), of_one in frame.groupby(["method", "reference"], sort=False):
        what = f"{METHODS[method]} {REFERENCES.get(reference, '')}".strip()
        rows.append([what, *(mean_and_std(of_one[name].tolist(), 4) for name in SHOWN)])
        here.parent.log({"/".join(filter(None, [method, reference, "mse"])): of_one["mse"].mean()})
    with written_to(here.parent) as folder:
        frame.to_csv(folder / "results.csv", index=False)
        draw(folder / "curves.png", trained, mse(table["mean", ""][0]))
    title = f"Held-out songs after {here.options.epochs} epochs, {len(here.seeds)} seeds"
    here.print_table(title, ["", "MSE", "CCC of valence", "CCC of arousal"], rows)


def draw(path: Path, trained: Mapping[str, Sequence[Result]], mean: float) -> None:
    """Squared error and concordance of arousal over the epochs, one line for each reference."""
    from fourier.tracking import Line, Panel, draw_lines

    epochs = range(1, len(next(iter(trained.values()))[0].history) + 1)
    errors, concordance = [], []
    for reference, results in trained.items():
        words = REFERENCES[reference]
        histories = [result.history for result in results]
        curves = [[mse(entry) for entry in history] for history in histories]
        errors.append(Line(name=words, x=epochs, y=curves))
        curves = [[entry["ccc_arousal"] for entry in history] for history in histories]
        concordance.append(Line(name=words, x=epochs, y=curves))
    errors.append(Line(name="the mean", x=epochs, y=[mean] * len(epochs), dashed=True))
    panels = [
        Panel(title="squared error", x_label="epoch", y_label="held-out MSE", lines=errors),
        Panel(title="arousal", x_label="epoch", y_label="held-out CCC", lines=concordance),
    ]
    draw_lines(path, "The first DEAM network, by song", panels)


if __name__ == "__main__":
    raise SystemExit(
        reproduction_command(
            "deam-first-cnn",
            "deam",
            main,
            __doc__.split("\n\n")[0],
            epochs=FIRST.training.epochs,
            columns=[
                "metrics.`final/ccc`",
                "metrics.`final/rmse`",
                "params.`spectrogram.reference`",
            ],
        )
    )
