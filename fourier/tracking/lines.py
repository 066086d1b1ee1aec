"""A picture of lines in panels side by side: learning curves over seeds, scales, whatever has an x.

Matplotlib's object interface only, so that nothing touches a screen or global state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

INK = "#22303c"
COLORS = ("#1f6feb", "#d1495b", "#2a9d8f", "#9aa5b1", "#e9a23b")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line with its name, and how far it strays.

    Attributes:
        name: as the legend shows it.
        x: [points].
        y: one row for each repetition, [repetitions, points]; their mean is drawn, and where there
            are several, a band of one standard deviation around it.
        dashed: for what others are compared with.
    """

    name: str
    x: npt.ArrayLike
    y: npt.ArrayLike
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One set of axes.

    Attributes:
        title: over it.
        x_label: with its unit.
        y_label: with its unit.
        lines: drawn in this order, at most five.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]


def draw_lines(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw panels side by side, as a PNG.

    Args:
        path: the file to write.
        title: one line over the picture.
        panels: from left to right.

    Raises:
        ValueError: a panel has more lines than there are colours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(panels), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, color=INK)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        if len(panel.lines) > len(COLORS):
            raise ValueError(f"`len(lines) <= {len(COLORS)}` must hold, but got {len(panel.lines)}")
        for line, color in zip(panel.lines, COLORS, strict=False):
            x, y = np.asarray(line.x, dtype=np.float64), np.atleast_2d(line.y)
            mean = y.mean(axis=0)
            style = "--" if line.dashed else "-"
            axes.plot(x, mean, style, color=color, label=line.name)
            if len(y) > 1:
                std = y.std(axis=0, ddof=1)
                axes.fill_between(x, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)
        axes.set_title(panel.title, fontsize=10, color=INK)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=80)
