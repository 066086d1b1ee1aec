"""How much of the genre notebook's accuracy is real? Its network under two splits.

The notebook cuts a track into ten segments and holds out 30 % of all segments at random, so nearly
every held-out segment has neighbours of the same recording among those learned from. Here the
same network learns the same features twice: split as there, and with whole tracks held out. The
difference is what the notebook's figure owes to recognising recordings.

Settings are the notebook's and nothing is chosen by any result, so all tracks are used, those that
a protocol keeps closed among them, as there.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from fourier.cli.reproduction import Reproduction, mean_and_std, reproduction_command, written_to
from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from fourier.corpora import Corpus
    from fourier.training import Result

HELD_OUT = 0.3

NOTEBOOK = TrialConfig(
    # librosa.feature.mfcc with its defaults: 128 bands up to half the rate, decibels against 1
    spectrogram=SpectrogramConfig(
        kind="mfcc",
        n_mfcc=13,
        n_fft=2048,
        hop_length=512,
        n_mels=128,
        fmax=11025,
        reference="unity",
        normalization="none",
    ),
    model=MLPConfig(hidden=(512, 256, 64)),
    # Adam is AdamW without decay
    training=TrainingConfig(
        epochs=50,
        batch_size=32,
        lr=1e-4,
        weight_decay=0.0,
        schedule="constant",
        patience=0,
        clip_norm=0.0,
        precision="fp32",
    ),
)


def random_segments(_corpus: Corpus, clips: pd.DataFrame, seed: int) -> pd.Series:
    """The notebook's way: 30 % of all segments, whichever track they are from."""
    from sklearn.model_selection import train_test_split

    _, held_out = train_test_split(clips.index.to_numpy(), test_size=HELD_OUT, random_state=seed)
    return parts_of(clips, clips.index.isin(held_out))


def random_tracks(corpus: Corpus, clips: pd.DataFrame, seed: int) -> pd.Series:
    """30 % of the tracks with all their segments, of each genre its share."""
    from sklearn.model_selection import train_test_split

    from fourier.errors import CorpusError

    labels = clips.groupby("track")["label"].first()
    try:
        _, held_out = train_test_split(
            labels.index.to_numpy(dtype=str),
            test_size=HELD_OUT,
            random_state=seed,
            stratify=labels.to_numpy(),
        )
    except ValueError as error:
        raise CorpusError(
            f"{corpus.root} has too few tracks to hold out 30 % of every genre ({error}); add more"
        ) from None
    return parts_of(clips, clips["track"].isin(held_out))


def parts_of(clips: pd.DataFrame, held_out: pd.Series) -> pd.Series:
    """``valid`` where held out, else ``train``."""
    import numpy as np
    import pandas as pd

    return pd.Series(np.where(held_out, "valid", "train"), index=clips.index, dtype="str")


SPLITS = {"random-segments": random_segments, "random-tracks": random_tracks}
SHOWN = {"random-segments": "random segments (leaky)", "random-tracks": "by track"}


def main(here: Reproduction) -> None:
    """Train under both splits with every seed, and say how far apart they are."""
    import pandas as pd

    here.print(f"  [dim]network[/dim]   {count_parameters(here):,} parameters")
    here.begin(len(SPLITS) * len(here.seeds))
    results: dict[str, list[Result]] = {name: [] for name in SPLITS}
    for seed in here.seeds:
        for name, split in SPLITS.items():
            experiment = here.experiment(name, split(here.corpus, here.pcm.clips, seed))
            training = dataclasses.replace(NOTEBOOK.training, epochs=here.options.epochs, seed=seed)
            config = dataclasses.replace(NOTEBOOK, training=training)
            leaky = {"fourier.leaky": "true"} if name == "random-segments" else {}
            result = here.train(f"{SHOWN[name]}, seed {seed}", leaky, experiment, config)
            results[name].append(result)
            final = result.history[-1]
            here.print(
                f"  seed {seed}  {SHOWN[name]:<24}{final['segment_accuracy']:.1%} of segments"
            )
    table = pd.DataFrame(
        {"split": name, "leaky": name == "random-segments", "seed": seed, **result.history[-1]}
        for name, of_split in results.items()
        for seed, result in enumerate(of_split)
    )
    sum_up(here, results, table)


def count_parameters(here: Reproduction) -> int:
    """Weights and biases of the network on this corpus; 1,014,218 with ten genres."""
    from fourier.features.spectrogram import Spectrogram
    from fourier.models import build_model

    spectrogram = Spectrogram(NOTEBOOK.spectrogram, here.corpus.sample_rate)
    frames, outputs = spectrogram.frames(here.pcm.samples), len(here.corpus.classes)
    bands = NOTEBOOK.spectrogram.bands
    network = build_model(NOTEBOOK.model, bands=bands, frames=frames, outputs=outputs)
    count = sum(weights.numel() for weights in network.parameters())
    here.parent.log_params({"parameters": count})
    return count


def sum_up(here: Reproduction, results: dict[str, list[Result]], table: pd.DataFrame) -> None:
    """The table, the inflation and the picture, in the parent run and on the screen."""
    by_seed = table.pivot_table(index="seed", columns="split", values="segment_accuracy")
    inflation = by_seed["random-segments"] - by_seed["random-tracks"]
    rows = []
    for name, of_split in table.groupby("split", sort=False):
        shares = [of_split[key].tolist() for key in ("segment_accuracy", "track_accuracy")]
        rows.append([SHOWN[name], *map(mean_and_std, shares)])
        for key in ("segment_accuracy", "track_accuracy", "log_loss"):
            here.parent.log({f"{name}/{key}": of_split[key].mean()})
    here.parent.log({"inflation": inflation.mean()})
    with written_to(here.parent) as folder:
        table.to_csv(folder / "results.csv", index=False)
        draw(folder / "inflation.png", results)
    title = f"Held-out 30 % after {here.options.epochs} epochs, {len(here.seeds)} seeds"
    here.print_table(title, ["split", "segments", "tracks, by their segments' mean"], rows)
    here.print(f"\nInflation by the leaky split: {mean_and_std(inflation.tolist())} of segments.")


def draw(path: Path, results: dict[str, list[Result]]) -> None:
    """Held-out accuracy and loss over the epochs, one line for each split."""
    from fourier.tracking import Line, Panel, draw_lines

    panels = []
    for key, label in (("segment_accuracy", "segments right"), ("log_loss", "log-loss, nats")):
        lines = []
        for name, of_split in results.items():
            curves = [[entry[key] for entry in result.history] for result in of_split]
            epochs = range(1, len(curves[0]) + 1)
            lines.append(Line(name=SHOWN[name], x=epochs, y=curves))
        panels.append(Panel(title=f"held-out {label}", x_label="epoch", y_label=label, lines=lines))
    draw_lines(path, "The genre notebook's network under two splits", panels)


if __name__ == "__main__":
    raise SystemExit(
        reproduction_command(
            "genre-notebook",
            "gtzan",
            main,
            __doc__.split("\n\n")[0],
            epochs=NOTEBOOK.training.epochs,
            columns=["metrics.`final/segment_accuracy`", "metrics.`final/track_accuracy`"],
        )
    )
