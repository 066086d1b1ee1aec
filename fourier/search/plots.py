"""Optuna's plots of a whole study, on one page that opens without a network.

One page, because each plot alone would carry the 4 MB of plotly once more.
"""

import contextlib
import html
import warnings
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.trial import TrialState

ENOUGH_TRIALS = 4
"""Fewer finished trials have nothing to compare."""
SHOWN_IMPORTANCES = 12
"""As many fit with their names; zooming out shows the others."""


def importances(study: optuna.Study) -> dict[str, float]:
    """How much of the objective's variance each parameter explains (PED-ANOVA), largest first.

    Returns:
        Shares that sum to 1 by parameter; empty while there is too little to tell.
    """
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < ENOUGH_TRIALS or len({trial.value for trial in done}) < 2:
        return {}
    with _quiet():
        return dict(optuna.importance.get_param_importances(study))


def write_plots(study: optuna.Study, path: Path) -> bool:
    """Write history, importances, parallel coordinates and slices as one HTML page.

    Args:
        study: the study.
        path: the file to write.

    Returns:
        Whether there were enough finished trials to draw anything.
    """
    from optuna import visualization

    important = list(importances(study))
    if not important:
        return False
    chosen = important[:6]
    with _quiet():
        figures = {
            "History": visualization.plot_optimization_history(study, target_name="objective"),
            "What mattered": visualization.plot_param_importances(study, target_name="objective"),
            "Settings together": visualization.plot_parallel_coordinate(
                study, params=chosen, target_name="objective"
            ),
            "One setting at a time": visualization.plot_slice(
                study, params=chosen, target_name="objective"
            ),
        }
    sections = []
    for i, (title, figure) in enumerate(figures.items()):
        figure.update_layout(title=title, template="plotly_white")
        if title == "What mattered":
            shown = min(SHOWN_IMPORTANCES, len(important))
            last = len(important) - 0.5
            figure.update_yaxes(dtick=1, range=[last - shown, last])
        sections.append(figure.to_html(full_html=False, include_plotlyjs=i == 0))
    head = f'<!doctype html><meta charset="utf-8"><title>{html.escape(study.study_name)}</title>'
    path.write_text(head + "\n".join(sections), encoding="utf-8")
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without a line for each parameter that few trials had: parameters of one network are so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="optuna")
        yield
