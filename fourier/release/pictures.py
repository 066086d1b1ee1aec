"""Pictures of a promotion: how the candidates learned, and what the test part says.

Not here: the picture of one training (`fourier.tracking.pictures`), whose panels are used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fourier.release.confirm import Confirmed
from fourier.tracking.pictures import (
    INK,
    TRAIN,
    VALID,
    draw_confusion,
    draw_scatter,
    save_picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 10
COLORS = ("#1f6feb", "#d1495b", "#2e8b57", "#b8860b", "#6a4c93", "#607080")


def draw_confirmation(
    path: Path, confirmed: Sequence[Confirmed], winner: Confirmed, objective: str
) -> None:
    """Each candidate's validation curves, and its seeds' best values with their mean, as a PNG."""
    figure, (left, right) = _figure(2)
    for place, each in enumerate(confirmed):
        color = COLORS[place % len(COLORS)]
        for result in each.results:
            epochs = range(1, result.epochs + 1)
            curve = [entry[objective] for entry in result.history]
            left.plot(epochs, curve, color=color, alpha=0.6, linewidth=1)
        values = [result.metrics[objective] for result in each.results]
        right.plot([place] * len(values), values, "o", color=color, alpha=0.6)
        right.hlines(each.mean(objective), place - 0.25, place + 0.25, color=color, linewidth=2)
    names = [
        f"trial {each.candidate.trial}" + ("\nwinner" if each is winner else "")
        for each in confirmed
    ]
    right.set_xticks(range(len(names)), names)
    right.set_xlim(-0.6, len(names) - 0.4)
    left.set(xlabel="epoch", ylabel=f"validation {objective}")
    right.set_ylabel(f"best validation {objective} of each seed")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Confirmation with new seeds", fontsize=11, color=INK)
    figure.savefig(path, dpi=80)


def draw_test(
    path: Path,
    title: str,
    outputs: npt.NDArray[np.float32],
    truth: npt.NDArray[np.generic],
    *,
    targets: Sequence[str],
    classes: Sequence[str],
) -> None:
    """Confusion matrix and calibration, or a scatter plot for each dimension, as a PNG.

    Args:
        path: the file to write.
        title: one line over the picture.
        outputs: probabilities [clips, classes] or numbers [clips, dimensions].
        truth: labels [clips] or numbers [clips, dimensions].
        targets: names of the dimensions.
        classes: names of the classes; empty for a regression.
    """
    figure, axes = _figure(2 if classes else len(targets))
    figure.suptitle(title, fontsize=11, color=INK)
    if classes:
        draw_confusion(axes[0], outputs.argmax(axis=1), truth, classes)
        draw_calibration(axes[1], outputs, truth)
    else:
        for i, name in enumerate(targets):
            draw_scatter(axes[i], outputs[:, i], truth[:, i], name)
    save_picture(figure, path, dpi=80)


def draw_calibration(
    axes: "Axes", probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.generic]
) -> None:
    """How often the model is right (height) when it is so sure (place), in ten bins."""
    places, shares, counts = reliability(probabilities, labels)
    axes.axline((0, 0), slope=1, color=TRAIN, linewidth=1)
    axes.plot(places, shares, color=VALID, linewidth=1)
    axes.scatter(places, shares, s=10 + 200 * counts / counts.sum(), color=VALID)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    axes.set_xlabel("probability of the predicted class")
    axes.set_ylabel("share that was right")
    axes.spines[["top", "right"]].set_visible(False)


def reliability(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.generic]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Mean confidence, accuracy and number of clips of each bin of confidence that is not empty."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(of, minlength=BINS)
    there = counts > 0
    places = np.bincount(of, confidence, BINS)[there] / counts[there]
    shares = np.bincount(of, right, BINS)[there] / counts[there]
    return places, shares, counts[there]


def _figure(panels: int) -> "tuple[Figure, list[Axes]]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * panels, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])
