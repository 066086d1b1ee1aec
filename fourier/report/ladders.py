"""Pictures with a row for each thing: a name, a mark on one scale with its interval, a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fourier.report.axes import axis_title, x_grid
from fourier.report.elements import el, picture
from fourier.report.scales import Scale, around
from fourier.search.importance import Share

WIDTH, ROW = 720, 30
NAMES, FIGURES = 236, 136
"""Room for the names on the left and the figures on the right."""


@dataclass(frozen=True)
class Rung:
    """One row.

    Attributes:
        name: on the left.
        value: where its mark stands.
        low: lower end of its interval; None where there is none.
        high: upper end.
        figure: on the right.
        style: ``floor``, ``searched``, ``measured``, ``unsure``, ``leaky`` or ``test``.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    figure: str
    style: str


def draw_ladder(title: str, rungs: Sequence[Rung], axis: str) -> Element:
    """Figures of one metric, one below the other, with their intervals."""
    ends = [x for rung in rungs for x in (rung.value, rung.low, rung.high) if x is not None]
    return _draw(title, rungs, Scale(*around(ends), NAMES, WIDTH - FIGURES), axis)


def draw_shares(title: str, shares: Mapping[str, Share]) -> Element:
    """How much each setting explains; what is not surely more than nothing stands back."""
    ends = [x for share in shares.values() for x in (share.low, share.high)]
    low, high = around([0.0, 0.1, *ends], 0.04)
    rungs = [
        Rung(
            name,
            share.value,
            share.low,
            share.high,
            f"{round(share.value, 2) + 0:.2f}" + ("" if share.is_sure else "  unsure"),
            "measured" if share.is_sure else "unsure",
        )
        for name, share in shares.items()
    ]
    axis = "share of the differences between trials, with 90 % intervals"
    return _draw(title, rungs, Scale(low, high, NAMES, WIDTH - FIGURES), axis, zero=True)


def _draw(
    title: str, rungs: Sequence[Rung], scale: Scale, axis: str, *, zero: bool = False
) -> Element:
    bottom = ROW * len(rungs) + 6
    parts = x_grid(scale, 0, bottom)
    if zero:
        parts.append(el("line", x1=scale(0), x2=scale(0), y1=0, y2=bottom, class_="zero"))
    parts += [_row(rung, ROW * (place + 0.5) + 2, scale) for place, rung in enumerate(rungs)]
    parts.append(axis_title(axis, (scale.start + scale.end) / 2, bottom + 36))
    return picture(title, WIDTH, bottom + 42, *parts)


def _row(rung: Rung, y: float, scale: Scale) -> Element:
    x = scale(rung.value)
    row = el("g", class_=f"rung {rung.style}")
    row.append(el("text", rung.name, x=NAMES - 14, y=y + 4, class_="name"))
    if rung.low is not None and rung.high is not None:
        ends = {"x1": scale(rung.low), "x2": scale(rung.high)}
        row.append(el("line", **ends, y1=y, y2=y, class_="whisker"))
    marks = {
        "floor": el("rect", x=x - 4.5, y=y - 4.5, width=9, height=9, class_="mark"),
        "test": el("path", d=f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z", class_="mark"),
    }
    row.append(marks.get(rung.style, el("circle", cx=x, cy=y, r=6, class_="mark")))
    row.append(el("text", rung.figure, x=WIDTH - FIGURES + 16, y=y + 4, class_="figure"))
    return row
