"""The views of MLflow's UI that people use, and their pictures for the README.

    python docs/screenshots.py FOLDER docs                 # a folder with an mlflow.db
    python docs/screenshots.py http://127.0.0.1:5000 docs  # or an MLflow server that runs

Each view is defined once: it opens a page, brings it to what is worth seeing, and waits until that
is there. The tests in tests/browser look at the very same views. Needs Chromium
(`apt-get install chromium`) and the package's `test` extra. Not here: what must be true of a view
(the tests say), and sweeps and promotions (they must have run before).
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import requests
from playwright.sync_api import Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SEEN_BEFORE = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
}
"""What MLflow's UI remembers of people who have closed its panels for newcomers."""
PATIENCE_MS = 60_000
MACHINE_LEARNING = "workflowType=machine_learning"
COLORS = 128
ROW_PIXELS = 32
TALLEST = 1800


@dataclass(frozen=True)
class Scene:
    """What a sweep and a promotion left, as much as the views need to know.

    Attributes:
        address: of the UI, without a slash at its end.
        experiment: MLflow's id.
        study: name of the study.
        parent: the study's run.
        trials: run ids of its finished trials by name, best first.
        runs: how many runs lie under the study, and under no run.
        view: key of the view that the sweep saved.
        model: the registered model; empty if nothing was promoted.
        version: of the champion.
    """

    address: str
    experiment: str
    study: str
    parent: str
    trials: Mapping[str, str]
    runs: tuple[int, int]
    view: str
    model: str = ""
    version: str = ""


def find_scene(address: str, study: str | None = None) -> Scene:
    """Find out what there is to be seen at an MLflow server.

    Args:
        address: of the server.
        study: which study; None takes that of the newest champion, or else the newest.
    """
    from mlflow import MlflowClient

    client = MlflowClient(address)
    experiments = client.search_experiments()
    chosen = f" and tags.`fourier.study` = '{study}'" if study else ""

    def runs(ids: list[str], query: str, order: str) -> list:
        return list(client.search_runs(ids, query, order_by=[order], max_results=1000))

    ids = [each.experiment_id for each in experiments]
    newest = "attributes.start_time DESC"
    crowned = runs(ids, f"tags.`fourier.state` = 'champion'{chosen}", newest)
    studies = runs(ids, f"tags.`fourier.kind` = 'study'{chosen}", newest)
    if not studies:
        raise SystemExit(f"error: {address} knows no study; run a sweep first")
    parent_id = crowned[0].data.tags["mlflow.parentRunId"] if crowned else None
    parent = next((run for run in studies if run.info.run_id == parent_id), studies[0])
    name, experiment = parent.data.tags["fourier.study"], parent.info.experiment_id
    direction = "ASC" if parent.data.params.get("direction") == "minimize" else "DESC"
    mine = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    children = runs([experiment], mine, f"metrics.`best/objective` {direction}")
    trials = [
        run
        for run in children
        if run.data.tags["fourier.kind"] == "trial" and run.info.status == "FINISHED"
    ]
    alone = "tags.`fourier.kind` = 'study'"
    tags = client.get_experiment(experiment).tags
    saved = "mlflow.sharedViewState."
    views = {json.loads(text)["name"]: key for key, text in tags.items() if key.startswith(saved)}
    scene = Scene(
        address=address.rstrip("/"),
        experiment=experiment,
        study=name,
        parent=parent.info.run_id,
        trials={run.info.run_name: run.info.run_id for run in trials},
        runs=(len(children), len(runs([experiment], alone, newest))),
        view=views[f"Study {name}: best first"].removeprefix(saved),
    )
    if not crowned:
        return scene
    tags = crowned[0].data.tags
    return Scene(
        **scene.__dict__ | {"model": tags["fourier.model"], "version": tags["fourier.version"]}
    )


def show_table(page: Page, scene: Scene) -> None:
    """The sweep's own link: the study's trials, best first, with the columns that matter."""
    query = f"{MACHINE_LEARNING}&viewStateShareKey={scene.view}&compareRunsMode=TABLE"
    _visit(page, scene, f"experiments/{scene.experiment}/runs?{query}")
    best = next(iter(scene.trials.values()))
    expect(page.locator(f'[row-id="{best}"]').first).to_be_visible()


def show_tree(page: Page, scene: Scene) -> None:
    """All studies of the experiment, this one opened: its trials nested under it."""
    query = f"{MACHINE_LEARNING}&orderByKey=attributes.start_time&orderByAsc=false"
    _visit(page, scene, f"experiments/{scene.experiment}/runs?{query}&compareRunsMode=TABLE")
    name = page.locator(f'[row-id="{scene.parent}"] [col-id="attributes.`Run Name`"]')
    name.get_by_role("button").click()
    best = next(iter(scene.trials.values()))
    expect(page.locator(f'[row-id="{best}"]').first).to_be_visible()


def show_comparison(page: Page, scene: Scene) -> None:
    """The two best trials side by side: what differs between their settings, and their metrics."""
    runs = quote(json.dumps(list(scene.trials.values())[:2], separators=(",", ":")))
    experiments = quote(json.dumps([scene.experiment]))
    _visit(page, scene, f"compare-runs?runs={runs}&experiments={experiments}&{MACHINE_LEARNING}")
    page.get_by_role("button", name="Visualizations").click()
    for part in ("Parameters", "Metrics"):
        page.get_by_role("switch", name=f"{part} - Show diff only").click()
    expect(page.get_by_text("best/objective", exact=True).first).to_be_visible()


def show_trial(page: Page, scene: Scene) -> None:
    """The picture that every trial leaves, here the best one's."""
    _show_artifact(page, scene, next(iter(scene.trials.values())), "trial.png")
    expect(page.get_by_role("img", name="trial.png")).to_be_visible()


def show_importance(page: Page, scene: Scene) -> None:
    """Optuna's plots on the study's run, scrolled to what mattered."""
    _show_artifact(page, scene, scene.parent, "study.html")
    plot = page.frame_locator("iframe").locator(".plotly-graph-div").nth(1)
    expect(plot.get_by_text("What mattered")).to_be_visible()
    plot.scroll_into_view_if_needed()


def show_champion(page: Page, scene: Scene) -> None:
    """The champion's version in the registry, with its card."""
    if not scene.model:
        raise SystemExit("error: there is no champion; run `fourier promote` first")
    _visit(page, scene, f"models/{scene.model}/versions/{scene.version}?{MACHINE_LEARNING}")
    expect(page.get_by_role("heading", name=scene.model)).to_be_visible()


@dataclass(frozen=True)
class View:
    """One view, and the window in which its picture is taken.

    Attributes:
        show: brings a page there.
        width: of the window in pixels.
        height: of the window; of a list without its rows.
        lists: how many of the two numbers in the scene's `runs` are its rows.
    """

    show: Callable[[Page, Scene], None]
    width: int
    height: int
    lists: int = 0


VIEWS = {
    "study": View(show_table, 2070, 352, 1),
    "tree": View(show_tree, 1260, 352, 2),
    "compare": View(show_comparison, 1200, 1459),
    "trial": View(show_trial, 1200, 560),
    "importance": View(show_importance, 1200, 640),
    "champion": View(show_champion, 1200, 1260),
}


def find_browser() -> str | None:
    """The path of a Chromium, if there is one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextlib.contextmanager
def open_page(browser: str) -> Iterator[Page]:
    """A page of a new headless Chromium that has never been anywhere.

    Args:
        browser: path of its program.
    """
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser, headless=True, args=FLAGS
        )
        remembered = "".join(
            f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)});"
            for key, value in SEEN_BEFORE.items()
        )
        context.add_init_script(f"if (location.protocol.startsWith('http')) {{{remembered}}}")
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield context.pages[0]
        context.close()


@contextlib.contextmanager
def serve_ui(folder: Path) -> Iterator[str]:
    """``mlflow ui`` as a person types it in a folder, on a port that is free; ends with the block.

    Yields:
        Its address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _await_answer(f"{address}/health", server)
            yield address
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def take_picture(page: Page, scene: Scene, view: View, path: Path) -> None:
    """Bring a page to a view and write what is seen, with few colours, as a PNG."""
    from PIL import Image

    height = min(view.height + ROW_PIXELS * sum(scene.runs[: view.lists]), TALLEST)
    page.set_viewport_size({"width": view.width, "height": height})
    view.show(page, scene)
    _tidy(page)
    page.wait_for_timeout(1500)  # for what glides into its place
    with Image.open(io.BytesIO(page.locator("main").screenshot())) as picture:
        picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Take the pictures of all views, or of those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("where", help="folder with an mlflow.db, or address of an MLflow server")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--study", help="by default that of the newest champion")
    parser.add_argument("--only", nargs="*", choices=VIEWS, default=list(VIEWS), help="views")
    options = parser.parse_args()
    browser = find_browser()
    if browser is None:
        raise SystemExit("error: there is no Chromium; type `apt-get install chromium`")
    served = options.where.startswith("http")
    if not served and not Path(options.where, "mlflow.db").exists():
        raise SystemExit(f"error: {options.where} holds no mlflow.db; name a sweep's folder")
    options.out.mkdir(parents=True, exist_ok=True)
    ui = contextlib.nullcontext(options.where) if served else serve_ui(Path(options.where))
    with ui as address, open_page(browser) as page:
        scene = find_scene(address, options.study)
        for name in options.only:
            path = options.out / f"{name}.png"
            take_picture(page, scene, VIEWS[name], path)
            print(f"{path}  {path.stat().st_size / 1000:.0f} KB")


def _visit(page: Page, scene: Scene, where: str) -> None:
    page.goto("about:blank")  # else only the part after # changes, and the page keeps its state
    page.goto(f"{scene.address}/#/{where}")


def _show_artifact(page: Page, scene: Scene, run: str, path: str) -> None:
    where = f"experiments/{scene.experiment}/runs/{run}/artifacts/{path}?{MACHINE_LEARNING}"
    _visit(page, scene, where)


def _tidy(page: Page) -> None:
    """Close what hides the view, and leave out where files lie on this very machine."""
    page.add_style_tag(content="[data-assistant-ui] { visibility: hidden }")
    notice = page.get_by_text("You're viewing a shared view")
    if notice.is_visible():
        notice.locator("xpath=ancestor::*[@role='alert' or .//button][1]").get_by_role(
            "button"
        ).last.click()
    for path in page.get_by_text("Path: /").all():
        path.evaluate("element => element.parentElement.style.display = 'none'")


def _await_answer(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"`mlflow ui` ended with exit code {server.returncode}")
        with contextlib.suppress(requests.RequestException):
            if requests.get(address, timeout=5).ok:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{address} did not answer within two minutes")


if __name__ == "__main__":
    main()
