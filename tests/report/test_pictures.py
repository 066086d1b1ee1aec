"""Scales and pictures: what stands where, and that words stay words."""

import re
from html.parser import HTMLParser
from xml.etree.ElementTree import tostring

import pandas as pd
import pytest

from fourier.report.answers import draw_answers
from fourier.report.charts import draw_cost, draw_history, draw_strip
from fourier.report.elements import el, to_html
from fourier.report.ladders import Rung, draw_ladder, draw_shares
from fourier.report.scales import Scale, around, short
from fourier.search.account import Line
from fourier.search.importance import Share

TICKS = [
    (Scale(0, 1, 0, 100), 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    (Scale(0.41, 0.77, 0, 1), 5, [0.5, 0.6, 0.7]),
    (Scale(-3, 3, 0, 1), 4, [-2, 0, 2]),
    (Scale(3, 8, 0, 1), 5, [3, 4, 5, 6, 7, 8]),
    (Scale(1e-4, 1e-2, 0, 1, log=True), 5, [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]),
]


@pytest.mark.parametrize(("scale", "count", "ticks"), TICKS)
def test_ticks_are_round_and_within(scale, count, ticks):
    assert scale.ticks(count) == pytest.approx(ticks)


def test_places_follow_values_also_on_a_logarithmic_scale():
    assert Scale(0, 10, 100, 0)(2.5) == 75
    assert Scale(1e-4, 1e-2, 0, 100, log=True)(1e-3) == pytest.approx(50)
    assert around([0.5]) == (0.47, 0.53)
    assert around([]) == (-1.0, 1.0)
    assert [short(x) for x in (0.25, 1000, 1e-5, 0, 123456.0)] == [
        "0.25",
        "1000",
        "1e-5",
        "0",
        "1e5",
    ]


def line(number, value, state="complete", seconds=1.0, **params):
    from datetime import datetime, timedelta

    began = datetime(2026, 1, 1)
    metrics = {} if value is None else {"acc": value, "objective": value}
    return Line(
        number=number,
        state=state,
        metrics=metrics,
        settings=f"setting {number}",
        params=params,
        run_id="r",
        began=began,
        ended=began + timedelta(seconds=seconds),
        joules=None,
        energy_source="",
    )


def dots(picture):
    """(x, y, class) of each trial, by its number."""
    found = {}
    for circle in picture.iter("circle"):
        title = circle.find("title")
        if title is not None:
            number = int(re.match(r"trial (\d+)", title.text)[1])
            place = float(circle.get("cx")), float(circle.get("cy"))
            found[number] = (*place, circle.get("class"))
    return found


TRIALS = [line(0, 0.5), line(1, 0.9, "pruned"), line(2, None, "failed"), line(3, 0.7)]


def test_in_the_history_higher_is_better_and_later_is_further_right():
    picture = draw_history("t", TRIALS, "acc", {"floor": 0.4}, minimized=False)
    places = dots(picture)
    assert places[0][0] < places[1][0] < places[3][0]
    assert places[1][1] < places[3][1] < places[0][1]
    assert places[1][2] == "dot pruned"
    assert [path.get("class") for path in picture.iter("path")] == ["best-line", "cross"]
    best = next(path for path in picture.iter("path") if path.get("class") == "best-line")
    assert best.get("d").endswith(f"V{places[3][1]:.1f}")  # a pruned trial is never the best
    assert any(text.text == "floor" for text in picture.iter("text"))


def test_the_best_line_goes_down_where_less_is_better():
    trials = [line(0, 0.5), line(1, 0.3), line(2, 0.4)]
    picture = draw_history("t", trials, "acc", {}, minimized=True)
    (best,) = picture.iter("path")
    assert best.get("d").endswith(f"V{dots(picture)[1][1]:.1f}")


STRIPS = {
    "numbers": ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0, 1, 2, 3, 4, 5, 6]),
    "far apart": ([1e-4, 1e-3, 1e-2, 2e-2, 3e-2, 4e-2, 5e-2], [0, 1, 2, 3, 4, 5, 6]),
    "few numbers": ([64, 8, 128, 8, 64], [1, 3, 0, 4, 2]),
    "words": (["b", "a", "c"], [1, 0, 2]),
    "truths": ([True, False], [1, 0]),
}


@pytest.mark.parametrize(("values", "order"), STRIPS.values(), ids=STRIPS)
def test_a_strip_orders_trials_by_their_setting(values, order):
    trials = [line(i, 0.5 + i / 10, x=value) for i, value in enumerate(values)]
    places = dots(draw_strip("t", "x", trials, "acc"))
    across = [places[i][0] for i in range(len(values))]
    if len(set(map(str, values))) == len(values):
        assert sorted(range(len(values)), key=across.__getitem__) == [
            order.index(i) for i in range(len(values))
        ]
    else:
        assert max(across[1], across[3]) < min(across[0], across[4]) <= max(across) == across[2]


def test_a_setting_that_never_varied_and_a_lone_trial_are_not_drawn():
    assert draw_strip("t", "x", [line(0, 0.5, x=1), line(1, 0.6, x=1)], "acc") is None
    assert draw_strip("t", "y", [line(0, 0.5, x=1)], "acc") is None
    assert draw_cost("t", [line(0, 0.5)], "acc") is None


def test_cost_is_drawn_over_seconds():
    places = dots(draw_cost("t", [line(0, 0.5, seconds=5), line(1, 0.6, seconds=1)], "acc"))
    assert places[1][0] < places[0][0]


def test_a_ladder_puts_marks_within_their_intervals_and_figures_beside_them():
    rungs = [
        Rung("floor", 0.2, None, None, "0.200", "floor"),
        Rung("m", 0.5, 0.4, 0.6, "f", "test"),
    ]
    picture = draw_ladder("t", rungs, "axis")
    texts = [text.text for text in picture.iter("text")]
    assert {"floor", "0.200", "m", "f", "axis"} <= set(texts)
    (whisker,) = [each for each in picture.iter("line") if each.get("class") == "whisker"]
    assert float(whisker.get("x1")) < float(whisker.get("x2"))


def test_what_is_unsure_says_so():
    shares = {"model": Share(0.5, 0.3, 0.7), "lr": Share(0.1, -0.1, 0.3)}
    texts = [text.text for text in draw_shares("t", shares).iter("text")]
    assert "0.50" in texts
    assert "0.10  unsure" in texts


class Tags(HTMLParser):
    """What a browser takes for tags, attributes and words."""

    def __init__(self):
        super().__init__()
        self.tags, self.words, self.values = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data):
        self.words.append(data)


NASTY = "<img src=x onerror=alert(1)>\"'&"


def test_whatever_a_name_holds_is_text():
    trials = [line(i, 0.5 + i / 10, **{NASTY: f"{NASTY}{i}"}) for i in range(3)]
    table = pd.DataFrame({"track": ["a", "b"], "label": [NASTY, "x"], "predicted": ["x", NASTY]})
    pictures = [
        draw_strip(NASTY, NASTY, trials, "acc"),
        draw_history(NASTY, trials, "acc", {NASTY: 0.1}, minimized=False),
        *draw_answers(table),
        el("p", NASTY, title=NASTY),
    ]
    for picture in pictures:
        reader = Tags()
        reader.feed(to_html(picture))
        assert "img" not in reader.tags
        assert NASTY in [*reader.words, *reader.values]


def test_shares_of_a_confusion_are_of_the_true_class():
    table = pd.DataFrame(
        {
            "track": list("aabb"),
            "label": ["rock", "rock", "jazz", "jazz"],
            "predicted": ["rock", "jazz", "jazz", "jazz"],
        }
    )
    (picture,) = draw_answers(table)
    said = {title.text for title in picture.iter("title")}
    assert {"rock called jazz: 50%", "rock called rock: 50%", "jazz called jazz: 100%"} <= said


def test_a_regression_has_a_picture_for_each_dimension_and_not_too_many_points():
    count = 5000
    values = [i / count for i in range(count)]
    names = ("valence", "predicted_valence", "arousal", "predicted_arousal")
    pictures = draw_answers(pd.DataFrame(dict.fromkeys(names, values) | {"track": "a"}))
    assert len(pictures) == 2
    for picture in pictures:
        assert 500 < len(list(picture.iter("circle"))) <= 1200
    assert b"annotated valence" in tostring(pictures[0])
