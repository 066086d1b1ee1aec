"""Pictures of predictions, for every kind of table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from fourier.release.draw import draw_prediction


def table(columns: list[str], windows: int, *, every: float, clip_seconds: float) -> pd.DataFrame:
    values = np.random.default_rng(0).dirichlet(np.ones(len(columns)), windows)
    frame = pd.DataFrame(values, columns=columns)
    frame.insert(0, "time", every * np.arange(windows))
    if columns[0].startswith("p_"):
        frame.insert(1, "predicted", "blues")
    frame["padded"] = False
    track = frame[columns].mean().to_dict()
    seconds = every * (windows - 1) + clip_seconds
    frame.attrs.update(track=track, seconds=seconds, clip_seconds=clip_seconds)
    return frame


@pytest.mark.parametrize("windows", [1, 2, 500])
@pytest.mark.parametrize(
    "columns", [["valence", "arousal"], ["p_blues", "p_rock", "p_jazz"], ["tempo"]]
)
def test_every_table_has_a_picture(tmp_path: Path, columns: list[str], windows: int) -> None:
    frame = table(columns, windows, every=0.5, clip_seconds=5.0)
    draw_prediction(tmp_path / "a.png", frame, "song")
    height, width, _ = imread(tmp_path / "a.png").shape
    assert width > 2 * height


def test_the_picture_shows_the_numbers(tmp_path: Path) -> None:
    frame = table(["valence", "arousal"], 40, every=0.5, clip_seconds=5.0)
    draw_prediction(tmp_path / "a.png", frame, "song")
    draw_prediction(tmp_path / "b.png", frame, "song")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    frame["arousal"] = -frame["arousal"]
    draw_prediction(tmp_path / "b.png", frame, "song")
    before, after = imread(tmp_path / "a.png"), imread(tmp_path / "b.png")
    changed = np.argwhere((before != after).any(axis=2))
    assert changed[:, 1].min() < before.shape[1] / 2 < changed[:, 1].max()  # in both panels
