"""MLflow's UI as people use it: a real sweep and a promotion, `mlflow ui`, and Chromium."""

import contextlib
import io
import os
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import screenshots
from mlflow import MlflowClient
from playwright.sync_api import expect

from fourier.cli.main import main

PROJECT = Path(__file__).parents[2]
NEEDED = "FOURIER_NEEDS_BROWSER"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    """Where Chromium is; skips where there is none, unless it has to be there."""
    path = screenshots.find_browser()
    if path is None and os.environ.get(NEEDED):
        pytest.fail(f"no Chromium here, and {NEEDED} is set; `apt-get install chromium`")
    if path is None:
        pytest.skip("no Chromium here; `apt-get install chromium` to look at the UI")
    return path


@pytest.fixture(scope="module")
def said(browser, tmp_path_factory, empty_tracking_database, tiny_gtzan):
    """The folder in which a study was swept and promoted, and what the two commands printed."""
    folder, cache = tmp_path_factory.mktemp("ui"), tmp_path_factory.mktemp("ui-cache")
    shutil.copy(empty_tracking_database, folder / "mlflow.db")
    corpus = ["--data", str(tiny_gtzan), "--cache", str(cache), "--device", "cpu", "--jobs", "1"]
    script = str(PROJECT / "experiments" / "sweep_gtzan.py")
    words = [script, "--trials", "4", "--epochs", "2", "--protocol", "track", "--pruner", "none"]
    out = io.StringIO()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(sys, "argv", [*words, *corpus])
        with contextlib.redirect_stdout(out):
            with pytest.raises(SystemExit, match="0"):
                runpy.run_path(script, run_name="__main__")
            again = ["--top", "1", "--seeds", "1", "--yes", "--force"]  # three test tracks are few
            assert main(["promote", "gtzan", *corpus, *again]) == 0
    return folder, out.getvalue()


@pytest.fixture(scope="module")
def scene(said):
    """What there is to be seen, at a running `mlflow ui`."""
    with screenshots.serve_ui(said[0]) as address:
        yield screenshots.find_scene(address)


@pytest.fixture(scope="module")
def page(browser):
    with screenshots.open_page(browser) as page:
        page.set_viewport_size({"width": 2000, "height": 1400})  # rows outside are not drawn
        yield page


@pytest.fixture
def stored(scene):
    """Runs as MLflow's client reads them, by name."""
    client = MlflowClient(scene.address)
    return {run.info.run_name: run for run in client.search_runs([scene.experiment])}


def cell(page, run, column):
    return page.locator(f'[row-id="{run.info.run_id}"] [col-id="{column}"]')


def test_the_link_that_a_sweep_prints_shows_its_trials_best_first_with_their_metrics(
    page, scene, said, stored
):
    (link,) = set(re.findall(r"http://127\.0\.0\.1:5000(/#/experiments\S+)", said[1]))
    screenshots.show_table(page, scene)
    assert page.url.startswith(scene.address + link)  # the UI itself adds what the view holds
    rows = [page.locator(f'[row-id="{run}"]').first for run in scene.trials.values()]
    places = [int(row.get_attribute("row-index")) for row in rows]
    assert places == sorted(places)
    for name in scene.trials:
        run = stored[name]
        for metric in ("objective", "track_accuracy", "log_loss"):
            shown = cell(page, run, f"metrics.`best/{metric}`")
            value = run.data.metrics[f"best/{metric}"]
            assert float(shown.inner_text()) == pytest.approx(value, rel=1e-6)
        expect(cell(page, run, "params.`model.name`")).to_have_text(run.data.params["model.name"])


def test_the_runs_of_a_study_are_nested_under_it(page, scene, stored):
    screenshots.show_tree(page, scene)
    name = "attributes.`Run Name`"
    left = {
        key: cell(page, run, name).get_by_role("link").bounding_box() for key, run in stored.items()
    }
    parent = left.pop("gtzan-track")
    assert set(left) == {*scene.trials, "baseline majority", "baseline logistic", "promotion"}
    for box in left.values():
        assert box["x"] > parent["x"]
        assert box["y"] > parent["y"]
    cell(page, stored["gtzan-track"], name).get_by_role("button").click()
    expect(cell(page, stored["promotion"], name)).to_have_count(0)


def test_two_runs_are_compared_by_settings_and_metrics(page, scene, stored):
    screenshots.show_comparison(page, scene)
    first, second = (stored[name] for name in list(scene.trials)[:2])
    for name in list(scene.trials)[:2]:
        expect(page.get_by_role("cell", name=name)).to_be_visible()
    assert first.data.params["training.lr"] != second.data.params["training.lr"]
    row = page.get_by_role("row").filter(has_text="training.lr")
    for run in (first, second):
        expect(row).to_contain_text(run.data.params["training.lr"])
    names, numbers = (page.get_by_role("grid").nth(i).inner_text().split("\n") for i in range(2))
    place = 2 * names.index("best/log_loss")  # one list of names, and one of pairs of numbers
    shown = [float(text) for text in numbers[place : place + 2]]
    metrics = [run.data.metrics["best/log_loss"] for run in (first, second)]
    assert shown == pytest.approx(metrics, abs=6e-4)


def test_a_trial_shows_its_picture(page, scene):
    screenshots.show_trial(page, scene)
    picture = page.get_by_role("img", name="trial.png")
    width, height = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert width > height > 300


def test_the_study_shows_what_mattered(page, scene):
    screenshots.show_importance(page, scene)
    plot = page.frame_locator("iframe").locator(".plotly-graph-div").nth(1)
    names = plot.locator(".ytick").all_text_contents()
    assert "lr" in names
    assert len(names) <= 12
    expect(plot.get_by_text("What mattered")).to_be_in_viewport()


def test_the_champions_page_is_its_card(page, scene, said):
    screenshots.show_champion(page, scene)
    (link,) = set(re.findall(r"http://127\.0\.0\.1:5000(/#/models\S+)", said[1]))
    assert page.url == scene.address + link
    expect(page.get_by_text("@ champion")).to_be_visible()
    for heading in ("fourier-gtzan", "Figures on the test part", "Lineage", "Limits of use"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    figure = MlflowClient(scene.address).get_model_version(scene.model, scene.version)
    row = page.get_by_role("row").filter(has_text="track_accuracy").first
    expect(row).to_contain_text(figure.tags["test/track_accuracy"])


def test_a_picture_of_a_view_is_a_small_png(page, scene, tmp_path):
    from PIL import Image

    path = tmp_path / "champion.png"
    screenshots.take_picture(page, scene, screenshots.VIEWS["champion"], path)
    with Image.open(path) as picture:
        assert picture.width > 800
    assert path.stat().st_size < 200_000
