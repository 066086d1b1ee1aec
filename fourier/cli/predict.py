"""``fourier predict``: audio files to tables and pictures of what a released model hears.

Light at import, so that ``--help`` answers at once.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fourier.cli.guard import FAILED, USAGE, Interruption
from fourier.cli.options import unset
from fourier.errors import AudioError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from fourier.cli.show import Screen
    from fourier.release.predict import Predictor

Format = Literal["csv", "json"]
SUFFIXES = frozenset(
    (".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp2", ".mp3", ".oga", ".ogg", ".opus")
    + (".rf64", ".snd", ".w64", ".wav")
)
"""What is taken for audio in a folder; a file that is named is tried whatever it is called."""
SHOWN_ROWS = 12
SHOWN_CLASSES = 3


def predict(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    task: Annotated[Literal["deam", "gtzan"] | None, unset("{deam,gtzan}")] = None,
    model: Annotated[str | None, unset("MODEL")] = None,
    out: Annotated[Path | None, unset("DIR")] = None,
    format: Format = "csv",  # noqa: A002  the option's name
    every: Annotated[float | None, unset("SECONDS")] = None,
) -> int:
    """Hear emotion (deam) or genre (gtzan) in audio files, with a model that was promoted.

    Args:
        files: audio files, or folders to search for them; any rate, channels and length.
        task: what to hear: deam, valence and arousal over time, or gtzan, the genre. By default
            deam, or what the model is for.
        model: the model: models:/NAME@ALIAS, models:/NAME/VERSION, or a .pt2 file. By default the
            task's champion.
        out: folder for a table and a picture of each file, and a summary of all. By default a
            short table is printed.
        format: of the tables.
        every: seconds from one window to the next. By default 0.5 for deam; for gtzan windows
            stand back to back.
    """
    from fourier.cli.show import Screen, make_console
    from fourier.release.locate import champion_of, load_predictor

    console = make_console()
    if not files or (every is not None and not every > 0):
        problem = "name at least one file" if not files else f"--every must be greater than 0"
        console.stderr = True
        console.print(f"error: {problem}", soft_wrap=True)
        return USAGE
    found = list(find_audio(files))
    predictor = load_predictor(model or champion_of(task or "deam"), task=task)
    with Screen(console, Interruption()) as screen:
        summaries, refused = _predict_all(predictor, found, out, format, every, screen)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _write_summary(out, summaries, format)
        console.print(f"{len(summaries)} of {len(found)} files: {out}", soft_wrap=True)
    return FAILED if refused else 0
