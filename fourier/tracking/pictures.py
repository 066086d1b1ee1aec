"""The picture of one trial: how it learned, and what it says beside what is true.

Matplotlib's object interface only, so that nothing touches a screen or global state. Not here: the
plots over many trials, which Optuna draws.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#22303c"
TRAIN = "#9aa5b1"
VALID = "#1f6feb"
MARK = "#d1495b"

PANEL_INCHES, HEIGHT_INCHES, TOP_INCHES = 4.6, 4.4, 0.35
"""Laid out by hand: Matplotlib draws everything twice to find out what fits."""


def draw_trial(
    path: Path,
    *,
    title: str,
    history: Sequence[Mapping[str, float]],
    objective: str,
    predictions: np.ndarray,
    truth: np.ndarray,
    targets: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Draw a trial's learning curves beside its predictions on the validation clips, as a PNG.

    Args:
        path: the file to write.
        title: one line over the picture.
        history: metrics of each epoch, `train_loss` and the objective among them.
        objective: the metric to draw.
        predictions: numbers or logits [clips, outputs].
        truth: numbers [clips, outputs], or class indices [clips].
        targets: the names of the outputs of a regression.
        classes: the names of the classes; empty for a regression.
    """
    from matplotlib.figure import Figure

    panels = 2 if classes else 1 + len(targets)
    width = panels * PANEL_INCHES
    figure = Figure(figsize=(width, HEIGHT_INCHES))
    figure.text(0.5, 1 - 0.22 / HEIGHT_INCHES, title, ha="center", fontsize=11, color=INK)

    def panel(place: int, left: float, bottom: float, right: float) -> "Axes":
        """Axes with these inches around them, in the panel at this place."""
        size = (PANEL_INCHES - left - right, HEIGHT_INCHES - bottom - TOP_INCHES)
        x, y = (place * PANEL_INCHES + left) / width, bottom / HEIGHT_INCHES
        return figure.add_axes((x, y, size[0] / width, size[1] / HEIGHT_INCHES))

    draw_curves(panel(0, 0.75, 0.5, 0.9), history, objective)
    if classes:
        chosen = predictions.argmax(axis=1)
        draw_confusion(panel(1, 0.95, 0.95, 0.1), chosen, truth, classes)
    else:
        for i, name in enumerate(targets):
            draw_scatter(panel(1 + i, 0.75, 0.5, 0.1), predictions[:, i], truth[:, i], name)
    save_picture(figure, path, dpi=80)


def save_picture(figure: "Figure", target: Path | IO[bytes], dpi: int) -> None:
    """Write a PNG. What the font has no letters for, names in other scripts, becomes boxes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        FigureCanvasAgg(figure).print_png(target)  # type: ignore[no-untyped-call]


def as_labels(names: Sequence[str]) -> list[str]:
    """Names that somebody else gave, as text: between dollar signs matplotlib reads formulas."""
    return [name.replace("$", r"\$") for name in names]


def draw_curves(axes: "Axes", history: Sequence[Mapping[str, float]], objective: str) -> None:
    """Training loss (left scale) and the validation objective (right scale) over the epochs."""
    from matplotlib.ticker import MaxNLocator

    epochs = range(1, len(history) + 1)
    axes.plot(epochs, [entry["train_loss"] for entry in history], color=TRAIN)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss", color=TRAIN)
    right = axes.twinx()
    right.plot(epochs, [entry[objective] for entry in history], color=VALID, marker=".")
    right.set_ylabel(f"validation {objective}", color=VALID)
    for side in (axes, right):
        side.spines["top"].set_visible(False)
        side.ticklabel_format(axis="y", scilimits=(-2, 3))  # long numbers leave the picture
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def draw_scatter(axes: "Axes", predicted: np.ndarray, true: np.ndarray, name: str) -> None:
    """Predicted over annotated values of one dimension, with the diagonal where they agree."""
    axes.axline((0, 0), slope=1, color=TRAIN, linewidth=1)
    axes.scatter(true, predicted, s=9, alpha=0.5, color=VALID, linewidths=0)
    axes.locator_params(nbins=6)
    span = float(np.max(np.abs(np.concatenate([true, predicted, [0.5]])))) * 1.08
    axes.set(xlim=(-span, span), ylim=(-span, span), aspect="equal")
    axes.set_xlabel(f"annotated {name}")
    axes.set_ylabel(f"predicted {name}")
    axes.spines[["top", "right"]].set_visible(False)


def draw_confusion(
    axes: "Axes", predicted: np.ndarray, true: np.ndarray, classes: Sequence[str]
) -> None:
    """Share of each true class (row) that is given each predicted class (column)."""
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (true.astype(int), predicted.astype(int)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(shares >= 0.005):
        share = shares[row, column]
        color = "white" if share > 0.5 else INK
        text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7, "color": color}
        axes.text(column, row, f"{share:.0%}", **text)
    ticks = range(len(classes))
    axes.set_xticks(ticks, as_labels(classes), rotation=45, ha="right", fontsize=8)
    axes.set_yticks(ticks, as_labels(classes), fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
