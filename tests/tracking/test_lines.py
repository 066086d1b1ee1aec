"""Pictures of lines: what is drawn shows."""

import matplotlib.image
import numpy as np
import pytest

from fourier.tracking import Line, Panel, draw_lines


def picture(path, *lines):
    panel = Panel(title="a", x_label="epoch", y_label="error", lines=lines)
    draw_lines(path, "title", [panel])
    return matplotlib.image.imread(path)


def test_repetitions_are_a_mean_with_a_band_and_one_is_a_line(tmp_path):
    x = np.arange(20)
    alone = picture(tmp_path / "1.png", Line(name="a", x=x, y=x / 19))
    apart = [x / 19 - 0.2, x / 19 + 0.2]
    band = picture(tmp_path / "2.png", Line(name="a", x=x, y=apart))

    def tinted(image):  # paler than the line and not white
        red, blue = image[..., 0], image[..., 2]
        return int(((blue - red > 0.05) & (red > 0.6)).sum())

    assert tinted(band) > 20 * tinted(alone)


def test_panels_stand_side_by_side(tmp_path):
    panels = [
        Panel(title=str(i), x_label="x", y_label="y", lines=[Line(name="a", x=[0, 1], y=[0, i])])
        for i in range(3)
    ]
    draw_lines(tmp_path / "three.png", "title", panels)
    height, width, _ = matplotlib.image.imread(tmp_path / "three.png").shape
    assert width > 3 * height


def test_more_lines_than_colours_are_refused(tmp_path):
    line = Line(name="a", x=[0, 1], y=[0, 1])
    with pytest.raises(ValueError, match=r"`len\(lines\) <= 5` must hold, but got 6"):
        picture(tmp_path / "many.png", *[line] * 6)
    assert not (tmp_path / "many.png").exists()
