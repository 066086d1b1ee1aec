"""Pictures with a dot for each trial: over the search, over one of its settings, over its time."""

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from fourier.report.axes import apart, axis_title, dots, x_labels, y_grid
from fourier.report.elements import el, picture
from fourier.report.scales import Scale, around
from fourier.search.account import Line

WIDTH, LEFT = 720, 52
RIGHT = WIDTH - 96
"""Where the history ends and the names of the baselines begin."""
STRIP_WIDTH, STRIP_BOTTOM = 340, 164
MOST_CHOICES = 6
"""A setting with more values is drawn on a scale."""
LETTER = 6.4
"""Width of one, in a tick."""


def draw_history(
    title: str,
    trials: Sequence[Line],
    metric: str,
    baselines: Mapping[str, float],
    *,
    minimized: bool,
) -> Element:
    """Every trial's value in the order of the search, the best so far, and the floor."""
    place_of = {line.number: place for place, line in enumerate(trials)}
    told = [line for line in trials if line.metrics]
    values = [*(line.metrics[metric] for line in told), *baselines.values()]
    bottom = 214.0
    y = Scale(*around(values), bottom, 14)
    x = Scale(-0.6, max(len(trials) - 0.4, 0.6), LEFT, RIGHT)
    ticks = [tick for tick in x.ticks(8) if tick == int(tick) and 0 <= tick < len(trials)]
    parts = [*y_grid(y, LEFT, RIGHT), *x_labels(x, ticks, bottom)]
    for level, name in apart([(y(value), name) for name, value in baselines.items()]):
        at = y(baselines[name])
        parts.append(el("line", x1=LEFT, x2=RIGHT, y1=at, y2=at, class_="floor-line"))
        parts.append(el("text", name, x=RIGHT + 6, y=level + 4, class_="tick floor-name"))
    parts += _best_so_far(trials, metric, x, y, minimized=minimized)
    places = [x(place_of[line.number]) for line in told]
    parts += dots(told, places, y, metric, [line.state for line in told])
    parts += [
        _cross(line, x(place_of[line.number]), bottom) for line in trials if line.state == "failed"
    ]
    parts.append(axis_title("trial", (LEFT + RIGHT) / 2, 252))
    return picture(title, WIDTH, 260, *parts)


def draw_strip(title: str, name: str, trials: Sequence[Line], metric: str) -> Element | None:
    """The value of every trial over one of its settings; None where there is nothing to see."""
    told = [line for line in trials if line.metrics and name in line.params]
    given = [line.params[name] for line in told]
    if len(set(map(str, given))) < 2:
        return None
    left = 46
    y = Scale(*around(line.metrics[metric] for line in told), STRIP_BOTTOM, 12)
    numbers = [float(v) for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    scaled = len(numbers) == len(given) and len(set(numbers)) > MOST_CHOICES
    places, labels = _scaled(numbers, left) if scaled else _sorted(given, left)
    about = [f"{name} {value}" for value in given]
    parts = [*y_grid(y, left, STRIP_WIDTH - 8, 4), *labels, *dots(told, places, y, metric, about)]
    parts.append(axis_title(name, (left + STRIP_WIDTH) / 2, 202))
    return picture(title, STRIP_WIDTH, 210, *parts)


def draw_cost(title: str, trials: Sequence[Line], metric: str) -> Element | None:
    """The value of every trial over the time it took; None for a lone trial."""
    told = [(line, line.seconds) for line in trials if line.metrics and line.seconds]
    if len(told) < 2:
        return None
    bottom = 184.0
    lines, seconds = [line for line, _ in told], [each for _, each in told]
    y = Scale(*around(line.metrics[metric] for line in lines), bottom, 12)
    x = _spanned(seconds, LEFT + 10, WIDTH - 20)
    about = [f"{each:.1f} s, {line.settings}" for line, each in told]
    parts = [*y_grid(y, LEFT, WIDTH - 12), *x_labels(x, x.ticks(7), bottom)]
    parts += dots(lines, [x(each) for each in seconds], y, metric, about)
    parts.append(axis_title("seconds", (LEFT + WIDTH) / 2, 222))
    return picture(title, WIDTH, 230, *parts)


def _best_so_far(
    trials: Sequence[Line], metric: str, x: Scale, y: Scale, *, minimized: bool
) -> list[Element]:
    better = min if minimized else max
    steps: list[tuple[float, float]] = []
    best: float | None = None
    for place, line in enumerate(trials):
        if line.state == "complete":
            value = line.metrics[metric]
            best = value if best is None else better(best, value)
        if best is not None:
            steps.append((x(place), y(best)))
    if not steps:
        return []
    path = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}"
    path += "".join(f"H{across:.1f}V{up:.1f}" for across, up in steps[1:])
    return [el("path", d=path, class_="best-line")]


def _cross(line: Line, x: float, bottom: float) -> Element:
    title = el("title", f"trial {line.number} failed")
    return el("path", title, d=f"M{x - 3:.1f} {bottom - 9:.1f}l6 6m0 -6l-6 6", class_="cross")


def _scaled(numbers: Sequence[float], left: float) -> tuple[list[float], list[Element]]:
    """Places of numbers on a scale, and its labels."""
    scale = _spanned(numbers, left + 12, STRIP_WIDTH - 16)
    return [scale(value) for value in numbers], x_labels(scale, scale.ticks(4), STRIP_BOTTOM)


def _sorted(given: Sequence[object], left: float) -> tuple[list[float], list[Element]]:
    """Places of choices side by side, those of one choice beside rather than on each other."""
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    choices = sorted({str(v): v for v in given}, key=float if numeric else str)
    room = (STRIP_WIDTH - left - 16) / len(choices)
    middles = {value: left + 8 + room * (i + 0.5) for i, value in enumerate(choices)}
    turns = dict.fromkeys(choices, 0)
    places = []
    for value in map(str, given):
        places.append(middles[value] + min(room * 0.3, 26) * math.sin(turns[value] * 2.4))
        turns[value] += 1
    labels = [
        el("text", _fitted(value, room), x=middle, y=STRIP_BOTTOM + 17, class_="tick middle")
        for value, middle in middles.items()
    ]
    return places, labels


def _fitted(text: str, room: float) -> str:
    most = max(int(room / LETTER), 2)
    return text if len(text) <= most else text[: most - 1] + "…"


def _spanned(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale over values, logarithmic where they differ by more than twenty times."""
    low, high = min(values), max(values)
    if low > 0 and high / low > 20:
        return Scale(low, high, start, end, log=True)
    return Scale(*around(values), start, end)
