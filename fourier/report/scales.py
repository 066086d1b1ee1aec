"""From values to places in a picture: linear and logarithmic scales with round ticks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` stand at places from ``start`` to ``end``.

    Attributes:
        low: smallest value.
        high: largest value, above `low`.
        start: place of the smallest.
        end: place of the largest; may lie before `start`.
        log: whether equal ratios are equally far apart; then `low` is above 0.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, x = self.low, self.high, value
        if self.log:
            low, high, x = math.log(low), math.log(high), math.log(max(x, self.low))
        return self.start + (x - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About so many round values within the scale."""
        if self.log:
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            each = [m * 10.0**ten for ten in tens for m in ((1, 3) if len(tens) > 2 else (1, 2, 5))]
            inside = [value for value in each if self.low <= value <= self.high]
            return inside or [self.low, self.high]
        rough = (self.high - self.low) / max(count, 1)
        ten = 10.0 ** math.floor(math.log10(rough))
        step = next(ten * each for each in STEPS if ten * each >= rough)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(step * i, 12) for i in range(first, last + 1)]


def around(values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """A range with some room at both ends; of one value a range around it."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    room = (high - low) * margin or abs(high) * margin or 1.0
    return low - room, high + room


def short(value: float) -> str:
    """A number as an axis shows it."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:.4g}"
