"""Audio files to what a released model hears in them, window by window.

Files are read as streams and windows are predicted in batches, across files where these are short,
so memory is bounded by neither length nor number. The spectrogram and the network are built from
what the program says of itself, because only apart can overlapping windows share their frames; on
loading they are held against the program, so they cannot answer otherwise. Always float32: bf16
is faster where a processor has it, and ten times further from the program than it may be. Not
here: pictures and tables (`fourier.release.draw`, `fourier.cli.predict`), and where models lie.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

import fourier
from fourier.errors import AudioError, ReleaseError
from fourier.features.decode import stream
from fourier.release.export import TOLERANCE, build_clip_model
from fourier.release.program import Program, load_program
from fourier.release.windows import Grid, pictures_of

WINDOWS_AT_ONCE = 16
DEFAULT_EVERY = {"deam": 0.5, "regression": 0.5}
"""Seconds from one window to the next, by task; elsewhere windows stand back to back."""
STREAM_SECONDS = 20.0


@dataclass
class _Recording:
    """What is known of a file so far."""

    path: Path
    times: list[float] = field(default_factory=list)
    padded: list[bool] = field(default_factory=list)
    # Plain numbers: small arrays that outlive a batch would keep the heap from shrinking behind it.
    outputs: list[list[float]] = field(default_factory=list)
    error: AudioError | None = None
    seconds: float = 0.0


class Predictor:
    """A released model, ready for audio files.

    Args:
        program: from `load_program`.

    Attributes:
        program: the same.
        columns: names of the predictions: the targets, or ``p_`` and the class.
        every: seconds from one window to the next unless somebody says otherwise.

    Raises:
        ReleaseError: this version of the package computes otherwise than the one that exported.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.columns = [f"p_{name}" for name in program.classes] or list(program.targets)
        self.every = DEFAULT_EVERY.get(program.task, float(program.metadata["clip_seconds"]))
        self._model = build_clip_model(
            program.config,
            program.state(),
            sample_rate=program.sample_rate,
            samples=program.samples,
            outputs=len(self.columns),
            classification=bool(program.classes),
            precision=program.precision,
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._require_agreement()

    @classmethod
    def from_program(cls, program: Program | str | Path) -> "Predictor":
        """A predictor for a program or its ``.pt2`` file.

        Raises:
            ReleaseError: the file is not a program, or one of another version.
        """
        return cls(program if isinstance(program, Program) else load_program(Path(program)))

    def predict(self, path: str | Path, *, every: float | None = None) -> pd.DataFrame:
        """Predict one file of any rate, channels and length.

        Overlapping windows begin at the hop that is nearest to their time (for a hop of 512 at
        44,100 Hz at most 6 ms from it; `first_sample` says where), others exactly there. A file
        shorter than a window is filled up with silence. The end of a longer one that no window
        covers is left out.

        Args:
            path: whatever libsndfile decodes.
            every: seconds from one window to the next; None takes `every` of the predictor.

        Returns:
            One row for each window: ``time`` (its start in seconds), for classes ``predicted``,
            then `columns`, then ``padded`` (whether silence was added). ``attrs`` hold ``file``,
            ``seconds``, ``clip_seconds``, ``task``, and ``track``: the mean of each column over
            the windows.

        Raises:
            AudioError: the file cannot be used; the message is the reason without its name.
            ValueError: ``every`` is not positive.
        """
        ((_, outcome),) = self.predict_many([path], every=every)
        if isinstance(outcome, AudioError):
            raise outcome
        return outcome

    def predict_many(
        self, paths: Iterable[str | Path], *, every: float | None = None
    ) -> Iterator[tuple[Path, pd.DataFrame | AudioError]]:
        """Predict many files; short ones share batches.

        Args:
            paths: the files.
            every: as in `predict`.

        Yields:
            Each file in the order given, with what `predict` returns, or with the reason why
            it cannot be used.

        Raises:
            ValueError: ``every`` is not positive.
        """
        grid = self._grid(every)
        waiting: deque[_Recording] = deque()
        batch: list[tuple[_Recording, Tensor]] = []
        for path in paths:
            recording = _Recording(Path(path))
            waiting.append(recording)
            for pictures in self._listen(recording, grid):
                batch.append((recording, pictures))
                if sum(len(part) for _, part in batch) >= WINDOWS_AT_ONCE:
                    self._answer(batch)
            while waiting and not any(owner is waiting[0] for owner, _ in batch):
                yield self._finish(waiting.popleft())
        self._answer(batch)
        yield from map(self._finish, waiting)

    def first_sample(self, time: float, *, every: float | None = None) -> int:
        """Where the window of a time begins, in samples at the model's own rate."""
        grid = self._grid(every)
        return grid.start(round(time / grid.every))

    def _grid(self, every: float | None) -> Grid:
        every = self.every if every is None else every
        if not every > 0:
            raise ValueError(f"`every > 0` must hold, but got {every}")
        return Grid.of(
            self._model.spectrogram,
            samples=self.program.samples,
            every=every,
            missing=int(self.program.metadata.get("missing_samples", 0)),
        )

    def _listen(self, recording: _Recording, grid: Grid) -> Iterator[Tensor]:
        """The pictures of a file's windows; an error is kept where it belongs."""
        samples = 0

        def heard() -> Iterator[npt.NDArray[np.float32]]:
            nonlocal samples
            for part in stream(recording.path, grid.sample_rate, STREAM_SECONDS):
                samples += len(part)
                yield part

        spectrogram = self._model.spectrogram
        try:
            for piece in pictures_of(heard(), spectrogram, grid, WINDOWS_AT_ONCE):
                recording.times += piece.times
                recording.padded += piece.padded
                yield piece.pictures
        except AudioError as error:
            recording.error = error
        recording.seconds = samples / grid.sample_rate

    def _answer(self, batch: list[tuple[_Recording, Tensor]]) -> None:
        """Predict what has been collected, hand it out, and begin to collect anew."""
        if not batch:
            return
        with torch.inference_mode():
            outputs = self._model.answer(torch.cat([pictures for _, pictures in batch])).numpy()
        ends = np.cumsum([len(pictures) for _, pictures in batch])
        for (recording, _), part in zip(batch, np.split(outputs, ends[:-1]), strict=True):
            recording.outputs += part.tolist()
        batch.clear()

    def _finish(self, recording: _Recording) -> tuple[Path, pd.DataFrame | AudioError]:
        if recording.error is not None:
            return recording.path, recording.error
        outputs = np.array(recording.outputs, np.float32)
        frame = pd.DataFrame(outputs, columns=self.columns)
        frame.insert(0, "time", recording.times)
        if self.program.classes:
            classes = np.asarray(self.program.classes)
            frame.insert(1, "predicted", classes[outputs.argmax(axis=1)])
        frame["padded"] = recording.padded
        means = outputs.mean(axis=0, dtype=np.float64)
        attrs: dict[str, Any] = {
            "file": str(recording.path),
            "seconds": recording.seconds,
            "clip_seconds": float(self.program.metadata["clip_seconds"]),
            "task": self.program.task,
            "track": dict(zip(self.columns, map(float, means), strict=True)),
        }
        frame.attrs.update(attrs)
        return recording.path, frame

    def _require_agreement(self) -> None:
        """Hold what was built here against the program that it was built after, on one clip."""
        noise = np.random.default_rng(0).normal(0, 0.2, (1, self.program.samples))
        clip = noise.clip(-1, 1).astype(np.float32)
        with torch.inference_mode():
            ours = self._model(torch.from_numpy(clip)).numpy()
        difference = float(np.abs(ours - self.program.predict(clip)).max())
        if not difference <= TOLERANCE:
            raise ReleaseError(
                f"this version ({fourier.__version__}) computes otherwise than the one that "
                f"exported the model ({self.program.metadata.get('fourier')}; they differ by "
                f"{difference:.1e}): install that one, or promote the model again"
            )
