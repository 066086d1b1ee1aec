"""Pictures of a prediction: emotion over time and in its plane, or genres over time and in all.

Matplotlib's object interface only, as in `fourier.tracking.pictures`. Not here: pictures of trials
and promotions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fourier.tracking.pictures import INK, MARK, TRAIN, VALID, as_labels, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLANE = ("valence", "arousal")
QUADRANTS = {
    (1, 1): "happy, excited",
    (-1, 1): "angry, tense",
    (-1, -1): "sad, bored",
    (1, -1): "calm, content",
}
"""What people call the corners of the plane of valence and arousal (Russell 1980)."""
LINES = {"valence": VALID, "arousal": MARK}
DPI = 90


def draw_prediction(target: Path | IO[bytes], frame: pd.DataFrame, title: str) -> None:
    """Draw what `Predictor.predict` returned, as a PNG.

    Numbers: each over time, and valence and arousal as a path through their plane. Classes: the
    probabilities over time, and those of the whole recording.

    Args:
        target: the file to write, or what is open for writing.
        frame: the predictions.
        title: one line over the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, color=INK, parse_math=False)  # a name may hold $
    columns = list(frame.attrs["track"])
    if "predicted" in frame:
        left, right = figure.subplots(1, 2, width_ratios=(1.9, 1), sharey=True)
        draw_strip(left, frame, columns)
        draw_bars(right, frame.attrs["track"])
    elif set(PLANE) <= set(columns):
        left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
        draw_lines(left, frame, columns)
        draw_plane(figure, right, frame)
    else:
        draw_lines(figure.subplots(), frame, columns)
    save_picture(figure, target, DPI)


def draw_lines(axes: "Axes", frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Each number over time, at the middle of its window."""
    times = _middles(frame)
    for name in columns:
        marker = "." if len(frame) < 60 else ""
        axes.plot(times, frame[name], color=LINES.get(name), label=name, marker=marker)
    axes.axhline(0, color=TRAIN, linewidth=1, zorder=0)
    axes.set(xlim=(0, frame.attrs["seconds"]), ylim=(-1, 1), xlabel=_time_label(frame))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(columns), loc="lower left", bbox_to_anchor=(0, 1))
    _clock(axes, frame)


def draw_plane(figure: "Figure", axes: "Axes", frame: pd.DataFrame) -> None:
    """The path through the plane of valence and arousal, from dark to bright as time passes."""
    from matplotlib.collections import LineCollection

    for (x, y), name in QUADRANTS.items():
        place: dict[str, Any] = {"ha": "right" if x > 0 else "left"}
        place["va"] = "top" if y > 0 else "bottom"
        axes.text(0.97 * x, 0.97 * y, name, color=INK, alpha=0.6, fontsize=9, **place)
    axes.axhline(0, color=TRAIN, linewidth=1, zorder=0)
    axes.axvline(0, color=TRAIN, linewidth=1, zorder=0)
    points = frame[list(PLANE)].to_numpy()
    times = _middles(frame)
    steps = np.stack([points[:-1], points[1:]], axis=1)
    path = LineCollection(list(steps), cmap="viridis", linewidths=1.6, alpha=0.9)
    path.set_array(times[:-1])
    path.set_clim(0, frame.attrs["seconds"])
    axes.add_collection(path)
    for row, marker, name in ((0, "o", "start"), (-1, "s", "end")):
        axes.plot(*points[row], marker=marker, color=INK, markersize=6, linestyle="", label=name)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xlabel="valence", ylabel="arousal")
    if len(frame) > 1:
        bar = figure.colorbar(path, ax=axes, shrink=0.8, label=_time_label(frame))
        _clock(bar.ax, frame, vertical=True)


def draw_strip(axes: "Axes", frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """The probability of each class over time, as shades."""
    step = float(np.diff(frame["time"]).mean()) if len(frame) > 1 else frame.attrs["seconds"]
    first, last = float(frame["time"].iloc[0]), float(frame["time"].iloc[-1]) + step
    axes.imshow(
        frame[list(columns)].to_numpy().T,
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(first, last, len(columns) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(columns)), as_labels([name.removeprefix("p_") for name in columns]))
    axes.set_xlabel(_time_label(frame))
    axes.set_title("probability by segment", fontsize=9, color=INK)
    _clock(axes, frame)


def draw_bars(axes: "Axes", track: dict[str, float]) -> None:
    """The mean probability of each class, the likeliest marked."""
    values = list(track.values())
    best = int(np.argmax(values))
    colors = [MARK if i == best else VALID for i in range(len(values))]
    axes.barh(range(len(values)), values, color=colors, height=0.7)
    for row, value in enumerate(values):
        axes.text(value + 0.015, row, f"{value:.0%}", va="center", fontsize=8, color=INK)
    axes.set(xlim=(0, 1.12), xlabel="mean probability")
    axes.set_title("whole recording", fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", labelleft=False)


def _middles(frame: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The middle of each window, seconds; of a recording shorter than one, its own."""
    half = min(frame.attrs["clip_seconds"], frame.attrs["seconds"]) / 2
    middles: np.ndarray[Any, np.dtype[np.float64]] = np.add(frame["time"], half, dtype=np.float64)
    return middles


def _time_label(frame: pd.DataFrame) -> str:
    return "time (min:s)" if frame.attrs["seconds"] >= 100 else "time (s)"


def _clock(axes: "Axes", frame: pd.DataFrame, vertical: bool = False) -> None:
    """Minutes and seconds along the axis of time, where there are minutes."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.yaxis if vertical else axes.xaxis
    if frame.attrs["seconds"] < 100:
        return
    axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 1.5, 3, 6, 10]))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{int(x) // 60}:{int(x) % 60:02d}"))
