"""A saved view of a study in MLflow's UI, and the links that open it or a registered model.

MLflow 3.17 opens on pages for language models, hides child runs under their parent and shows no
metric columns until asked, and the address can carry the sorting but not the columns. What can is
a saved view: a tag of the experiment, as the UI's own Share button writes it.
"""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from fourier.digest import digest_of
from fourier.tracking.tracker import Tracker

UI = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` listens unless told otherwise."""

NAME_PIXELS, LETTER_PIXELS, MARGIN_PIXELS, ARROW_PIXELS = 190, 6.6, 24, 26


def save_view(
    tracker: Tracker,
    experiment: str,
    name: str,
    *,
    parent: str,
    columns: Sequence[str],
    ascending: bool,
    save: bool = True,
) -> str:
    """Save a table of a parent's child runs, sorted by its first column, and return the link.

    The same name again replaces the view.

    Args:
        tracker: the store.
        experiment: MLflow's experiment id.
        name: what the UI's menu of views calls it.
        parent: id of the run whose children are shown.
        columns: as MLflow writes them: metrics.`best/ccc`, params.`model.name`; kinds together.
        ascending: whether the smallest comes first.
        save: False if it has been saved before, and only the link is wanted.

    Raises:
        TrackingError: the store does not take it.
    """
    key = digest_of(name)
    widths = {"attributes.`Run Name`": NAME_PIXELS, "runDateAndNestInfo": 150}
    for i, column in enumerate(columns):  # as wide as their names; the first has an arrow
        letters = len(column.split("`")[1])
        widths[column] = round(MARGIN_PIXELS + LETTER_PIXELS * letters) + ARROW_PIXELS * (i == 0)
    state = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{parent}'",
        "orderByKey": columns[0],
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(columns),
        "columnOrder": [*widths, "duration"],
        "columnWidths": widths,
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": None,
        "hideEmptyCharts": True,
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = int(time.time() * 1000)
    view = {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    if save:
        tracker.set_experiment_tag(experiment, f"mlflow.sharedViewState.{key}", json.dumps(view))
    query = {
        "workflowType": "machine_learning",
        "viewStateShareKey": key,
        "compareRunsMode": "TABLE",
    }
    return f"{ui_address(tracker)}/#/experiments/{experiment}/runs?{urlencode(query)}"


def version_link(tracker: Tracker, model: str, number: int) -> str:
    """The link that opens a registered version with its description in MLflow's UI."""
    page = f"{quote(model, safe='')}/versions/{number}"
    return f"{ui_address(tracker)}/#/models/{page}?workflowType=machine_learning"


def ui_address(tracker: Tracker) -> str:
    """Where the UI of a store is: a server's own address, or where ``mlflow ui`` listens."""
    return tracker.shown_uri.rstrip("/") if tracker.uri.startswith("http") else UI
