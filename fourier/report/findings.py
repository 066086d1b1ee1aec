"""What a study found: read from the study and its runs into plain values, nothing made up.

Every figure stands in the study or in a run already; this only gathers them. What is missing (no
evaluation, no promotion, a device that tells no energy) is None or empty, and whoever shows it says
so. Not here: how it is shown, and anything that trains.
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from fourier.errors import StudyError
from fourier.report.measured import (
    Measured,
    Tested,
    find_confirmations,
    find_evaluations,
    find_tests,
    is_leaky,
)
from fourier.search.account import Line, best_line, describe_space, line_of
from fourier.search.importance import Importances, find_importances
from fourier.search.storage import open_storage
from fourier.search.study import Setting, find_study, list_studies
from fourier.tracking import Tracker


@dataclass(frozen=True)
class Rival:
    """Another study of the same corpus and objective, under a leaky protocol.

    Attributes:
        name: of the study.
        protocol: its.
        best: the best value that it reached.
    """

    name: str
    protocol: str
    best: float


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a report says.

    Attributes:
        study: its name.
        setting: what its trials have in common.
        shown: metrics worth a column, the objective first.
        trials: those that count, in their order.
        best: the best complete one; None if there is none.
        baselines: what networks must beat, metrics by name.
        measured: settings trained again, evaluations of the best first.
        tested: what promotions saw of the test part.
        rival: the leaky study beside it; None if there is none.
        importances: what mattered; None where too little is known.
        space: what was searched, by parameter.
        tags: of the study's run.
        run_id: of the study's run.
        predictions: the best trial's on its held-out clips; None if they are gone.
        began: when the first trial did.
        ended: when the last did.
    """

    study: str
    setting: Setting
    shown: Sequence[str]
    trials: Sequence[Line]
    best: Line | None
    baselines: Mapping[str, Mapping[str, float]]
    measured: Sequence[Measured]
    tested: Sequence[Tested]
    rival: Rival | None
    importances: Importances | None
    space: Mapping[str, str]
    tags: Mapping[str, str]
    run_id: str
    predictions: pd.DataFrame | None
    began: datetime | None
    ended: datetime | None

    @property
    def objective(self) -> str:
        """The metric that was optimised."""
        return self.setting.objective

    @property
    def is_demo(self) -> bool:
        """Whether the corpus is synthesised."""
        return self.setting.corpus.endswith("-demo")

    @property
    def is_leaky(self) -> bool:
        """Whether every figure of the study is inflated."""
        return is_leaky(self.setting.protocol)

    @property
    def minimized(self) -> bool:
        """Whether less is better."""
        return self.setting.direction == "minimize"

    @property
    def honest(self) -> Measured | None:
        """The best trial's setting measured again, by folds if it was; leaky if the study is."""
        same = [each for each in self._of_best if each.leaky == self.is_leaky]
        return max(same, key=_weight, default=None)

    @property
    def floor(self) -> Mapping[str, Mapping[str, float]]:
        """What the headline must beat: on the very folds that it was measured on, if that is so."""
        return (self.honest.floor if self.honest else {}) or self.baselines

    @property
    def honest_by_folds(self) -> Measured | None:
        """The same, if by folds."""
        return self.honest if self.honest and self.honest.folds else None

    @property
    def inflation(self) -> tuple[Measured, Measured] | None:
        """The best setting by folds of groups, and by folds of segments of the same clips."""
        leaky = max((e for e in self._of_best if e.leaky and e.folds), key=_weight, default=None)
        honest = self.honest_by_folds
        return (honest, leaky) if honest and leaky and not honest.leaky else None

    @property
    def looks(self) -> int:
        """How many trials came to a figure on the same tracks: what the best was chosen from."""
        return sum(line.state in ("complete", "pruned") for line in self.trials)

    @property
    def _of_best(self) -> list[Measured]:
        return [each for each in self.measured if self.best and each.trial == self.best.number]


def gather(tracker: Tracker, name: str, storage: str | None) -> Findings:
    """Read everything.

    Args:
        tracker: where the study's runs are.
        name: of the study.
        storage: as a sweep's.

    Raises:
        StudyError: there is no such study, its runs are not in this store, or nothing has finished.
        TrackingError: the store does not answer.
    """
    shared = find_study(name, open_storage(storage))
    run_id = str(shared.study.user_attrs.get("run_id", ""))
    if not run_id or not tracker.run_exists(run_id):
        raise StudyError(
            f"the runs of study {name!r} are not in {tracker.shown_uri}; set MLFLOW_TRACKING_URI "
            "as it was when the study was run"
        )
    lines = [_known(tracker, line_of(trial)) for trial in shared.trials]
    known = next((line.metrics for line in lines if line.metrics), None)
    if known is None:
        raise StudyError(f"no trial of study {name!r} has come to a figure; run its sweep first")
    run = tracker.client.get_run(run_id)
    experiment, objective = run.info.experiment_id, shared.setting.objective
    best = best_line(lines, shared.setting)
    return Findings(
        study=name,
        setting=shared.setting,
        shown=_shown(objective, known),
        trials=lines,
        best=best,
        baselines=shared.study.user_attrs.get("baselines", {}),
        measured=[
            *find_evaluations(tracker, experiment, name),
            *find_confirmations(tracker, experiment, name, shared.setting.protocol),
        ],
        tested=find_tests(tracker, experiment, name, objective),
        rival=_rival(shared.setting, storage),
        importances=find_importances(shared.trials),
        space=describe_space(shared.trials),
        tags=dict(run.data.tags),
        run_id=run_id,
        predictions=_predictions(tracker, best),
        began=min((line.began for line in lines if line.began), default=None),
        ended=max((line.ended for line in lines if line.ended), default=None),
    )


def _shown(objective: str, metrics: Mapping[str, float]) -> list[str]:
    """The objective and the few metrics worth a column, of those that there are."""
    columns = ["track_accuracy", "track_f1", "segment_accuracy", "log_loss", "ccc"]
    columns += [name for name in metrics if name.startswith("ccc_")] + ["rmse"]
    return list(dict.fromkeys([objective, *(name for name in columns if name in metrics)]))


def _rival(mine: Setting, storage: str | None) -> Rival | None:
    """A leaky study of the same question; none beside a study that leaks itself."""
    if is_leaky(mine.protocol):
        return None
    opened = open_storage(storage)
    for name, its in list_studies(opened).items():
        same = (its.corpus_digest, its.objective) == (mine.corpus_digest, mine.objective)
        if not same or not is_leaky(its.protocol):
            continue
        best = best_line([line_of(trial) for trial in find_study(name, opened).trials], its)
        if best:
            return Rival(name, its.protocol, best.metrics[mine.objective])
    return None


def _known(tracker: Tracker, line: Line) -> Line:
    """A trial with MLflow's own id of its run."""
    return dataclasses.replace(line, run_id=tracker.id_of(line.run_id))


def _predictions(tracker: Tracker, best: Line | None) -> pd.DataFrame | None:
    if best is None or not tracker.run_exists(best.run_id):
        return None
    text = tracker.read_artifact(best.run_id, "predictions.csv")
    return None if text is None else pd.read_csv(io.StringIO(text), dtype={"track": str})


def _weight(measured: Measured) -> tuple[bool, int]:
    """By folds rather than on one split, and of these by more seeds."""
    return measured.folds > 0, measured.seeds
