"""``fourier predict``: audio files to tables and pictures of what a released model hears.

Light at import, so that ``--help`` answers at once.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fourier.cli.guard import FAILED, Interruption, usage_errors
from fourier.cli.options import unset
from fourier.errors import AudioError, ReleaseError
from fourier.shown import one_line

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from fourier.release.predict import Predictor

Format = Literal["csv", "json"]
Row = dict[str, Any]

SUFFIXES = frozenset(
    {
        ".aac",
        ".aif",
        ".aifc",
        ".aiff",
        ".ape",
        ".au",
        ".caf",
        ".flac",
        ".m4a",
        ".mp2",
        ".mp3",
        ".oga",
        ".ogg",
        ".opus",
        ".rf64",
        ".snd",
        ".w64",
        ".wav",
        ".wma",
    }
)
"""What is taken for audio in a folder, also where libsndfile will refuse it: who has such files
should hear of it. A file that is named is tried whatever it is called."""
SHOWN_ROWS = 12
SHOWN_FILES = 40
SUMMARY = "summary"
MOST_STEM_BYTES = 200
"""Of a file's name, so that what is added to it still fits into the 255 that a name may have."""


def predict(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional, unset("FILE")] = (),
    /,
    *,
    task: Annotated[str | None, unset("NAME")] = None,
    model: Annotated[str | None, unset("MODEL")] = None,
    out: Annotated[Path | None, unset("DIR")] = None,
    format: Format = "csv",  # noqa: A002  it is the option's name
    every: Annotated[float | None, unset("SECONDS")] = None,
) -> int:
    """Hear emotion, genre or labels of your own in audio files, with a model that was promoted.

    Args:
        files: audio files, or folders to search for them; any rate, channels and length.
        task: what to hear: deam, valence and arousal over time, gtzan, the genre, or the name of
            a labelled folder. By default what the model is for, and without a model deam.
        model: models:/NAME@ALIAS, models:/NAME/VERSION, or a .pt2 file. By default the task's
            champion.
        out: folder for a table and a picture of each file, and a summary of all. By default a
            short table is printed and nothing written.
        format: of the tables.
        every: seconds from one window to the next. By default 0.5 for numbers such as deam's; for
            classes such as gtzan's windows stand back to back.
    """
    from fourier.cli.show import Screen, make_console, plain
    from fourier.release.locate import champion_of, load_predictor

    with usage_errors("FILE"):
        if not files:
            raise ValueError("name at least one audio file or folder")
    with usage_errors("--every"):
        if every is not None and not 0 < every < float("inf"):
            raise ValueError(f"it must be greater than 0, but got {every}")
    console = make_console()
    where = model or champion_of(task or "deam")
    with Screen(console, Interruption()) as screen:
        screen.stage("loading the model")(0, 1)
        predictor = load_predictor(where, task=task)
        described = predictor.program.config.describe()
        console.print(f"[dim]{plain(where)}: {described}[/dim]", soft_wrap=True)
        desk = _Desk(predictor, out, format)
        found = _find_audio(files, desk)
        progress = screen.stage("predicting")
        for done, (path, outcome) in enumerate(predictor.predict_many(found, every=every), 1):
            desk.take(path, outcome)
            progress(done, len(found))
    desk.finish(console)
    return FAILED if desk.refused else 0


def _find_audio(files: Sequence[Path], desk: "_Desk") -> list[Path]:
    """The files themselves and what the folders hold, each once; an empty folder is reported."""
    from fourier.corpora.layout import is_folder

    found: list[Path] = []
    for path in files:
        if not is_folder(path):
            found.append(path)
            continue
        inside = [entry for entry in _files_in(path, desk) if entry.suffix.lower() in SUFFIXES]
        if not inside:
            desk.refuse(path, "no audio files in it")
        found += inside
    return list(dict.fromkeys(found))


def _files_in(folder: Path, desk: "_Desk") -> list[Path]:
    """Files in a folder and in its folders; one that may not be read is reported."""
    from fourier.corpora.layout import is_plain_file

    def refuse(error: OSError) -> None:
        desk.refuse(Path(error.filename), f"cannot be read ({error.strerror})")

    walk = os.walk(folder, onerror=refuse)
    found = [Path(place) / name for place, _, names in walk for name in names]
    return sorted(path for path in found if path.name[0] != "." and is_plain_file(path))


class _Desk:
    """Takes each file's prediction, writes or keeps what is wanted of it, and sums up."""

    def __init__(self, predictor: "Predictor", out: Path | None, format_: Format) -> None:
        self.predictor, self.out, self.format = predictor, out, format_
        self.rows: list[Row] = []
        self.refused = 0
        self.last: pd.DataFrame | None = None
        self._names = {SUMMARY}

    def take(self, path: Path, outcome: "pd.DataFrame | AudioError") -> None:
        if isinstance(outcome, AudioError):
            self.refuse(path, str(outcome))
            return
        self.last = outcome
        name = str(path).encode(errors="backslashreplace").decode()  # not every name is UTF-8
        row: Row = {"file": name, "seconds": round(outcome.attrs["seconds"], 3)}
        row |= {"windows": len(outcome), "padded": bool(outcome["padded"].any())}
        track = outcome.attrs["track"]
        if self.predictor.program.classes:
            row["predicted"] = max(track, key=track.get).removeprefix("p_")
        row |= track
        self.rows.append(row)
        if self.out is not None:
            with _writing(self.out):
                self.out.mkdir(parents=True, exist_ok=True)
                self._write(self._name(path.stem), row, outcome)

    def refuse(self, path: Path, reason: str) -> None:
        self.refused += 1
        print(f"error: {one_line(path)}: {reason}", file=sys.stderr)

    def finish(self, console: "Console") -> None:
        """Print the table of files and, of a single one, that of its windows."""
        from fourier.cli.show import plain

        if not self.rows or self.last is None:
            return
        if len(self.rows) == 1 and self.out is None:
            console.print(_windows_table(self.last))
            console.print("[dim]--out DIR writes them all, and a picture[/dim]\n")
        console.print(_files_table(self.rows[:SHOWN_FILES]))
        if len(self.rows) > SHOWN_FILES:
            console.print(f"… and {len(self.rows) - SHOWN_FILES} more")
        if self.out is not None:
            with _writing(self.out):
                self._write_table(SUMMARY, self.rows, self.rows)
            console.print(
                f"A table and a picture of each, and {SUMMARY}.{self.format}: {plain(self.out)}",
                soft_wrap=True,
            )

    def _name(self, stem: str) -> str:
        """A name for a file's outputs that no other has; songs of one name are numbered."""
        stem = stem.encode(errors="backslashreplace")[:MOST_STEM_BYTES].decode(errors="ignore")
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name)
        return name

    def _write(self, name: str, row: Row, frame: "pd.DataFrame") -> None:
        from fourier.features.cache import written_whole
        from fourier.release.draw import draw_prediction

        if self.out is None:
            return
        windows = frame.to_dict("records")
        self._write_table(name, windows, row | {"windows": windows})
        with written_whole(self.out / f"{name}.png") as file:
            draw_prediction(file, frame, _title(row))
        row["output"] = f"{name}.{self.format}"

    def _write_table(self, name: str, rows: Sequence[Any], plain: Any) -> None:
        import pandas as pd

        from fourier.features.cache import written_whole

        if self.out is None:
            return
        if self.format == "csv":
            text = pd.DataFrame(rows).to_csv(index=False, float_format="%.7g")
        else:
            text = json.dumps(plain, indent=1) + "\n"
        with written_whole(self.out / f"{name}.{self.format}") as file:
            file.write(text.encode())


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReleaseError(
            f"{out} cannot be written ({error.strerror or error}); name another folder by --out"
        ) from error


def _title(row: Row) -> str:
    """One line over a picture."""
    return f"{one_line(Path(row['file']).name)}   {_clock(row['seconds'])}   {_verdict(row)}"


def _verdict(row: Row) -> str:
    if "predicted" in row:
        return f"{row['predicted']} {row['p_' + row['predicted']]:.0%}"
    means = [name for name in row if name not in ("file", "seconds", "windows", "padded")]
    return ", ".join(f"{name} {row[name]:+.2f}" for name in means if name != "output")


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _files_table(rows: Sequence[Row]) -> Any:
    from fourier.cli.show import table_of

    cells = [
        [Path(row["file"]).name, _clock(row["seconds"]), _verdict(row) + _mark(row["padded"])]
        for row in rows
    ]
    return table_of("Mean over the windows", ["file", "length", "prediction"], cells)


def _windows_table(frame: "pd.DataFrame") -> Any:
    """A few rows, evenly spread from the first to the last."""
    import numpy as np

    from fourier.cli.show import table_of

    rows = np.unique(np.linspace(0, len(frame) - 1, SHOWN_ROWS).round().astype(int))
    columns = list(frame.attrs["track"])
    some = frame.iloc[rows]
    title = f"{len(rows)} of {len(frame)} windows"
    if "predicted" in frame:
        best = some[columns].max(axis=1)
        table = zip(some["time"], some["predicted"], best, some["padded"], strict=True)
        cells = [[f"{t:.1f}", name, f"{p:.2f}" + _mark(padded)] for t, name, p, padded in table]
        return table_of(title, ["seconds", "class", "probability"], cells)
    cells = [
        [f"{row['time']:.1f}", *(f"{row[name]:.2f}" for name in columns)]
        for row in some.to_dict("records")
    ]
    return table_of(title, ["seconds", *columns], cells)


def _mark(padded: bool) -> str:
    return "  (filled up with silence)" if padded else ""
