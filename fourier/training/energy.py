"""How much energy a training took, where the device tells.

A GPU tells its power through NVML (which needs the package ``nvidia-ml-py``), and the power at the
ends of epochs is integrated over time. A CPU tells the energy of its packages through Linux's RAPL
counters, where they may be read (root alone may, by default). Both count whatever else the device
did meanwhile. Not here: what a wall socket would say, which is more.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from fourier.training.fit import Report

RAPL = Path("/sys/class/powercap")
MICROJOULES = 1e6


class Meter(ABC):
    """Energy since it was made, in joules.

    Attributes:
        source: who tells, in a few words.
        joules: as of the last `sample`.
    """

    source: str

    def __init__(self) -> None:
        self.joules = 0.0

    @abstractmethod
    def sample(self) -> None:
        """Bring `joules` up to date; to be called now and then."""

    def through(self, report: Report) -> Report:
        """A report that also samples, once an epoch."""

        def sampled(epoch: int, metrics: Mapping[str, float]) -> bool | None:
            self.sample()
            return report(epoch, metrics)

        return sampled


class PowerMeter(Meter):
    """Integrates a power over time, by trapezoids.

    Args:
        watts: tells the power now.
        source: who tells.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        watts: Callable[[], float],
        source: str,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self.source, self._watts, self._clock = source, watts, clock
        self._last = (clock(), watts())

    def sample(self) -> None:
        """Add what flowed since the last sample."""
        (then, before), (now, after) = self._last, (self._clock(), self._watts())
        self.joules += (now - then) * (before + after) / 2
        self._last = now, after


class CounterMeter(Meter):
    """Adds up RAPL counters, which start again from 0 when they are full.

    Args:
        zones: folders with ``energy_uj`` and ``max_energy_range_uj``, in microjoules.
    """

    source = "RAPL, all of the CPU's packages"

    def __init__(self, zones: list[Path]) -> None:
        super().__init__()
        self._last = {zone: _read(zone, "energy_uj") for zone in zones}
        self._full = {zone: _read(zone, "max_energy_range_uj") for zone in zones}

    def sample(self) -> None:
        """Add what was counted since the last sample."""
        for zone, before in self._last.items():
            now = _read(zone, "energy_uj")
            counted = now - before if now >= before else now - before + self._full[zone]
            self.joules += counted / MICROJOULES
            self._last[zone] = now


def open_meter(device: torch.device, rapl: Path = RAPL) -> Meter | None:
    """A meter of the device that trains; None where it does not tell.

    Args:
        device: where networks train.
        rapl: folder of the CPU's counters.
    """
    if device.type == "cuda":
        return _gpu_meter(device)
    try:
        # intel-rapl:0 is a package, intel-rapl:0:0 a part of it; AMD's are called the same.
        zones = [zone for zone in sorted(rapl.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        return CounterMeter(zones) if zones else None
    except (OSError, ValueError):
        return None


def _gpu_meter(device: torch.device) -> Meter | None:
    try:
        from pynvml import NVMLError
    except ImportError:
        return None
    try:
        return PowerMeter(lambda: torch.cuda.power_draw(device) / 1000, "NVML, the GPU alone")
    except (NVMLError, RuntimeError):  # no permission, or a device that has no sensor
        return None


def _read(zone: Path, name: str) -> int:
    return int((zone / name).read_text())
