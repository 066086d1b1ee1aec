"""What the pictures of a report share: grids, ticks, titles of axes, and the dot of a trial.

Colours come from the page's style. Not here: any whole picture.
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from fourier.report.elements import el
from fourier.report.scales import Scale, short
from fourier.search.account import Line


def x_grid(scale: Scale, top: float, bottom: float) -> list[Element]:
    """Vertical lines at round values, with the values under them."""
    places = [(tick, scale(tick)) for tick in scale.ticks()]
    lines = [el("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid") for _, x in places]
    return [*lines, *x_labels(scale, scale.ticks(), bottom)]


def x_labels(scale: Scale, ticks: Iterable[float], bottom: float) -> list[Element]:
    """Values under an axis."""
    return [
        el("text", short(tick), x=scale(tick), y=bottom + 17, class_="tick middle")
        for tick in ticks
    ]


def y_grid(scale: Scale, left: float, right: float, count: int = 5) -> list[Element]:
    """Horizontal lines at round values, with the values left of them."""
    parts = []
    for tick in scale.ticks(count):
        y = scale(tick)
        parts.append(el("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(el("text", short(tick), x=left - 8, y=y + 4, class_="tick end"))
    return parts


def axis_title(text: str, x: float, y: float) -> Element:
    """What an axis shows, centred."""
    return el("text", text, x=x, y=y, class_="axis middle")


def dots(
    trials: Sequence[Line], places: Sequence[float], scale: Scale, metric: str, about: Sequence[str]
) -> list[Element]:
    """A dot for each trial, filled if it is complete, that says what it is when pointed at.

    Args:
        trials: with metrics.
        places: across, one for each.
        scale: of the metric, upwards.
        metric: to show.
        about: what is said besides the trial's number and value.
    """
    found = []
    for line, x, words in zip(trials, places, about, strict=True):
        value = line.metrics[metric]
        title = el("title", f"trial {line.number}: {metric} {value:.3f}, {words}")
        found.append(el("circle", title, cx=x, cy=scale(value), r=4, class_=f"dot {line.state}"))
    return found


def apart(labels: Sequence[tuple[float, str]], least: float = 15) -> list[tuple[float, str]]:
    """Labels moved down where they would stand on each other."""
    placed: list[tuple[float, str]] = []
    for y, name in sorted(labels):
        placed.append((max(y, placed[-1][0] + least) if placed else y, name))
    return placed
