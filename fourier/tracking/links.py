"""Links into MLflow's UI that open where a person wants to look.

MLflow 3.17 opens on pages for language models, hides child runs under their parent and shows no
metric columns until asked, so a bare link to an experiment shows next to nothing of a study.
"""

from urllib.parse import quote, urlencode

UI = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` listens unless told otherwise."""


def study_link(
    tracking_uri: str, experiment: str, study: str, objective: str, *, ascending: bool
) -> str:
    """The table of a study's runs, best first.

    Args:
        tracking_uri: the store; a server's own address is where its UI is.
        experiment: MLflow's experiment id.
        study: value of the tag ``fourier.study``.
        objective: the metric that the table is sorted by.
        ascending: whether less is better.
    """
    base = tracking_uri.rstrip("/") if tracking_uri.startswith("http") else UI
    query = {
        "workflowType": "machine_learning",
        "searchFilter": f"tags.`fourier.study` = '{study}'",
        "orderByKey": f"metrics.`{objective}`",
        "orderByAsc": str(ascending).lower(),
    }
    return f"{base}/#/experiments/{experiment}/runs?{urlencode(query, quote_via=quote)}"
