"""One recording to the pictures of its windows, in bounded memory, each frame transformed once.

Overlapping windows share their frames: where windows begin on the hop's grid, the inner frames of
a clip are frames of the recording. Only those at a clip's ends, which a clip sees against silence,
are its own. What comes of it equals the spectrogram of each clip alone. Not here: decoding
(`fourier.features.decode`) and the network (`fourier.release.predict`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fourier.features.spectrogram import Spectrogram
from fourier.release.export import quantize

MOST_SHIFT_SECONDS = 0.025


@dataclass(frozen=True)
class Grid:
    """Where windows begin.

    Attributes:
        sample_rate: Hz.
        samples: in a window.
        every: seconds from one window to the next.
        missing: samples that a window may lack at the end of the recording.
        snap: windows begin at multiples of so many samples: the hop, if windows share frames.
    """

    sample_rate: int
    samples: int
    every: float
    missing: int = 0
    snap: int = 1

    @classmethod
    def of(
        cls, spectrogram: Spectrogram, *, samples: int, every: float, missing: int = 0
    ) -> "Grid":
        """Windows that share frames where they overlap and the hop is fine enough for it."""
        rate, hop = spectrogram.sample_rate, spectrogram.config.hop_length
        overlap = every * rate < samples
        near = hop / 2 <= MOST_SHIFT_SECONDS * rate
        first, end = _inner_frames(spectrogram, samples)
        snap = hop if overlap and near and first < end else 1
        return cls(rate, samples, every, missing, snap)

    def start(self, index: int) -> int:
        """The first sample of a window: the place on the grid nearest to its time."""
        return round(index * self.every * self.sample_rate / self.snap) * self.snap

    def count(self, samples: int) -> int:
        """How many windows a recording of so many samples has; one at least."""
        index = max(0, int((samples - self.samples) / (self.every * self.sample_rate)) - 1)
        while self.start(index) + self.samples <= samples + self.missing:
            index += 1
        return max(1, index)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Some successive windows of a recording.

    Attributes:
        times: when each begins, in seconds: multiples of `Grid.every`.
        padded: whether silence was added at its end.
        pictures: [windows, bands, frames] float32, before normalisation.
    """

    times: list[float]
    padded: list[bool]
    pictures: Tensor


def pictures_of(
    parts: Iterable[npt.NDArray[np.float32]], spectrogram: Spectrogram, grid: Grid, at_once: int
) -> Iterator[Pictures]:
    """Cut a recording into windows.

    Args:
        parts: the recording's samples one after the other, within [-1, 1].
        spectrogram: what to make of a window.
        grid: where windows begin.
        at_once: windows that are handed out together, at most.
    """
    hear = _Shared(spectrogram, grid) if grid.snap > 1 else _Apart(spectrogram, grid)
    tape, index = _Tape(), 0
    for part in parts:
        tape.append(quantize(torch.from_numpy(part)))
        ready = index
        while grid.start(ready) + grid.samples <= tape.end:
            ready += 1
        yield from _hand_out(hear, tape, range(index, ready), at_once, tape.end)
        index = ready
        tape.forget(hear.needed_from(index))
    total, count = tape.end, grid.count(tape.end)
    if index < count:
        tape.append(torch.zeros(grid.start(count - 1) + grid.samples - total))
        yield from _hand_out(hear, tape, range(index, count), at_once, total)


def _hand_out(
    hear: "_Shared | _Apart", tape: "_Tape", windows: range, at_once: int, total: int
) -> Iterator[Pictures]:
    grid = hear.grid
    for first in range(windows.start, windows.stop, at_once):
        some = range(first, min(first + at_once, windows.stop))
        starts = [grid.start(index) for index in some]
        yield Pictures(
            times=[index * grid.every for index in some],
            padded=[start + grid.samples > total for start in starts],
            pictures=hear(tape, starts),
        )


@dataclass
class _Tape:
    """The part of a recording that is still needed.

    Attributes:
        begin: where `samples` begin in the recording.
        samples: [samples] float32.
    """

    begin: int = 0
    samples: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def end(self) -> int:
        return self.begin + len(self.samples)

    def append(self, samples: Tensor) -> None:
        self.samples = torch.cat([self.samples, samples])

    def forget(self, before: int) -> None:
        passed = min(max(0, before - self.begin), len(self.samples))
        self.samples, self.begin = self.samples[passed:], self.begin + passed

    def cut(self, starts: list[int], begin: int, end: int) -> Tensor:
        """[starts, end - begin]: the same stretch of each window."""
        return torch.stack(
            [self.samples[start + begin - self.begin :][: end - begin] for start in starts]
        )


class _Apart:
    """Windows that share nothing: the spectrogram of each."""

    def __init__(self, spectrogram: Spectrogram, grid: Grid) -> None:
        self.spectrogram, self.grid = spectrogram, grid

    def needed_from(self, index: int) -> int:
        return self.grid.start(index)

    def __call__(self, tape: _Tape, starts: list[int]) -> Tensor:
        clips = tape.cut(starts, 0, self.grid.samples)
        frames = self.spectrogram.cut(clips)
        return self.spectrogram.picture(self.spectrogram.band_power_in_blocks(frames))


class _Shared:
    """Windows on the hop's grid: inner frames once for the recording, outer ones for each."""

    def __init__(self, spectrogram: Spectrogram, grid: Grid) -> None:
        self.spectrogram, self.grid = spectrogram, grid
        self.n_fft, self.hop = spectrogram.config.n_fft, spectrogram.config.hop_length
        self.before = self.n_fft // 2  # samples of a frame that lie before its middle
        self.inner, self.outer = _inner_frames(spectrogram, grid.samples)
        self.frames = spectrogram.frames(grid.samples)
        self.first = self.inner  # the recording's frame that `power` begins with
        self.power = torch.empty(spectrogram.config.n_mels, 0)

    def needed_from(self, index: int) -> int:
        return min(self.grid.start(index), self._next_frame * self.hop - self.before)

    def __call__(self, tape: _Tape, starts: list[int]) -> Tensor:
        self._forget(starts[0])
        self._extend(tape, starts[-1])
        n_mels = len(self.power)
        places = [start // self.hop + self.inner - self.first for start in starts]
        width = self.outer - self.inner
        power = torch.empty(len(starts), n_mels, self.frames)
        for window, place in zip(power, places, strict=True):
            window[:, self.inner : self.outer] = self.power[:, place : place + width]
        power[:, :, : self.inner] = self._outer_power(tape, starts, 0, self.inner)
        power[:, :, self.outer :] = self._outer_power(tape, starts, self.outer, self.frames)
        return self.spectrogram.picture(power)

    @property
    def _next_frame(self) -> int:
        return self.first + self.power.shape[1]

    def _forget(self, start: int) -> None:
        passed = max(0, start // self.hop + self.inner - self.first)
        self.first, self.power = self.first + passed, self.power[:, passed:]

    def _extend(self, tape: _Tape, start: int) -> None:
        """The recording's frames up to the last inner one of the window that begins here."""
        begin, end = self._next_frame, start // self.hop + self.outer
        if begin >= end:
            return
        first = begin * self.hop - self.before - tape.begin
        samples = tape.samples[first : first + (end - begin - 1) * self.hop + self.n_fft]
        frames = samples.unfold(-1, self.n_fft, self.hop)[None]
        more = self.spectrogram.band_power_in_blocks(frames)[0]
        self.power = torch.cat([self.power, more], dim=1)

    def _outer_power(self, tape: _Tape, starts: list[int], begin: int, end: int) -> Tensor:
        """Frames that reach beyond their clip, where they see silence."""
        if begin == end:
            return torch.empty(len(starts), len(self.power), 0)
        left = begin * self.hop - self.before
        right = left + (end - begin - 1) * self.hop + self.n_fft
        clips = tape.cut(starts, max(0, left), min(right, self.grid.samples))
        clips = functional.pad(clips, (max(0, -left), max(0, right - self.grid.samples)))
        return self.spectrogram.band_power_in_blocks(clips.unfold(-1, self.n_fft, self.hop))


def _inner_frames(spectrogram: Spectrogram, samples: int) -> tuple[int, int]:
    """The first frame of a clip that lies wholly inside it, and the one after the last."""
    n_fft, hop = spectrogram.config.n_fft, spectrogram.config.hop_length
    before = n_fft // 2
    return -(-before // hop), (samples - n_fft + before) // hop + 1
