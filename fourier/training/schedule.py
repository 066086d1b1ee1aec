"""Learning rate and momentum at every step, as tables of plain numbers.

The tables are made on the host before an epoch begins, so that a step only reads a float. Not
here: torch's scheduler objects, which compute the same in Python between steps.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fourier.config import TrainingConfig

Floats = npt.NDArray[np.float64]

MOMENTUM = 0.9
# Smith (2018), with the divisors of torch's OneCycleLR.
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 25 / 1e4
ONE_CYCLE_MOMENTA = (0.95, 0.85)


@dataclass(frozen=True)
class Pace:
    """Learning rate and first AdamW beta of some steps, both [steps]."""

    lr: Floats
    momentum: Floats


def schedule(config: TrainingConfig, steps: npt.NDArray[np.int64], total: int) -> Pace:
    """The pace of some steps of a training of ``total`` steps.

    ``constant`` is ``lr`` throughout. ``cosine`` climbs in a line over the warm-up, is at ``lr``
    right after it and would be 0 one step after the last. ``one_cycle`` follows a cosine from
    lr / 25 up to lr and down to lr / 250,000, while the momentum goes from 0.95 to 0.85 and back
    (Smith (2018), https://arxiv.org/abs/1803.09820; equal to torch's ``OneCycleLR``).

    Args:
        config: ``schedule``, ``lr`` and ``warmup`` are used.
        steps: step numbers from 0, below ``total`` [steps].
        total: steps of the whole training, if nothing stops it early.
    """
    share, momentum = np.ones(len(steps)), np.full(len(steps), MOMENTUM)
    if config.schedule == "cosine":
        warm = round(config.warmup * total)
        falling = (1 + np.cos(np.pi * (steps - warm) / (total - warm))) / 2
        share = np.where(steps < warm, (steps + 1) / (warm + 1), falling)
    elif config.schedule == "one_cycle":
        peak = max(config.warmup * total - 1, 0.0)
        # 0 at the ends of the cycle, 1 at its peak; `warmup=0` starts at the peak.
        height = np.interp(steps, [0, peak], [0, 1]) if peak else np.ones(len(steps))
        height = np.where(steps > peak, (total - 1 - steps) / max(total - 1 - peak, 1), height)
        height = (1 - np.cos(np.pi * height)) / 2
        foot = np.where(steps > peak, ONE_CYCLE_END, ONE_CYCLE_START)
        share = foot + (1 - foot) * height
        momentum = ONE_CYCLE_MOMENTA[0] + np.diff(ONE_CYCLE_MOMENTA) * height
    return Pace(config.lr * share, momentum)
