"""The picture of what a model gets right: genres confused, or emotions predicted beside annotated.

Drawn from a trial's own predictions on the clips that it was not trained on.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
import pandas as pd

from fourier.report.elements import el, picture
from fourier.report.scales import Scale, around, short

MOST_POINTS = 1200
"""More would only make the page heavy."""
CELL, SIDE = 34, 320


def draw_answers(predictions: pd.DataFrame) -> list[Element]:
    """A confusion matrix, or a scatter plot for each dimension."""
    if "predicted" in predictions:
        return [_confusion(predictions)]
    names = [name for name in predictions if f"predicted_{name}" in predictions]
    return [_scatter(predictions, str(name)) for name in names]


def _confusion(predictions: pd.DataFrame) -> Element:
    """Share of each true class (row) that is given each predicted class (column)."""
    true, guessed = predictions["label"].astype(str), predictions["predicted"].astype(str)
    classes = sorted({*true, *guessed})
    counts = pd.crosstab(true, guessed).reindex(index=classes, columns=classes, fill_value=0)
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
    left, top = 100, 8
    side = CELL * len(classes)
    parts = []
    for (row, column), share in np.ndenumerate(shares):
        x, y = left + CELL * column, top + CELL * row
        words = f"{classes[row]} called {classes[column]}: {share:.0%}"
        style = "cell right" if row == column else "cell wrong"
        box = el("rect", el("title", words), x=x + 1, y=y + 1, width=CELL - 2, height=CELL - 2)
        box.set("class", style)
        box.set("fill-opacity", f"{0.06 + 0.94 * share:.3f}")
        parts.append(box)
        if share >= 0.005:
            dark = "cell-text strong" if share > 0.55 else "cell-text"
            middle = CELL / 2
            parts.append(el("text", f"{share:.0%}", x=x + middle, y=y + middle + 4, class_=dark))
    for place, name in enumerate(classes):
        middle = CELL * (place + 0.5)
        parts.append(el("text", name, x=left - 8, y=top + middle + 4, class_="tick end"))
        x, y = left + middle + 3, top + side + 14
        turn = f"rotate(-40 {x:.1f} {y:.1f})"
        parts.append(el("text", name, x=x, y=y, class_="tick end", transform=turn))
    parts.append(_centred("predicted", left + side / 2, top + side + 74))
    title = "Which genres are taken for which: true ones down, predicted ones across"
    return picture(title, left + side + 10, top + side + 80, *parts)


def _scatter(predictions: pd.DataFrame, name: str) -> Element:
    """Predicted over annotated values of one dimension, with the diagonal where they agree."""
    table = predictions[[name, f"predicted_{name}"]].to_numpy(dtype=np.float64)
    table = table[:: -(-len(table) // MOST_POINTS)]
    low, high = around(table.ravel())
    left, bottom = 46, SIDE - 46
    x, y = Scale(low, high, left, SIDE - 8), Scale(low, high, bottom, 8)
    parts = []
    for tick in x.ticks(5):
        parts.append(el("line", x1=x(tick), x2=x(tick), y1=8, y2=bottom, class_="grid"))
        parts.append(el("line", x1=left, x2=SIDE - 8, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(el("text", short(tick), x=x(tick), y=bottom + 16, class_="tick middle"))
        parts.append(el("text", short(tick), x=left - 6, y=y(tick) + 4, class_="tick end"))
    parts.append(el("line", x1=x(low), x2=x(high), y1=y(low), y2=y(high), class_="floor-line"))
    parts += [el("circle", cx=x(true), cy=y(said), r=2.6, class_="cloud") for true, said in table]
    parts.append(_centred(f"annotated {name}", (left + SIDE) / 2, SIDE - 8))
    parts.append(el("text", "predicted", x=left + 6, y=20, class_="axis"))
    return picture(f"Predicted over annotated {name}", SIDE, SIDE, *parts)


def _centred(text: str, x: float, y: float) -> Element:
    return el("text", text, x=x, y=y, class_="axis middle")


def clip_count(predictions: pd.DataFrame) -> str:
    """How many clips of how many tracks were held out."""
    tracks: Sequence[str] = predictions["track"].unique().tolist()
    return f"{len(predictions)} clips of {len(tracks)} tracks"
