"""A study's trials as plain values: what each came to, and what was searched.

For whoever tells of a study without knowing Optuna. Not here: the runs in MLflow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from fourier.config import TrialConfig
from fourier.search.study import Setting

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class Line:
    """One trial.

    Attributes:
        number: Optuna's.
        state: ``complete``, ``pruned``, ``failed`` or ``running``.
        metrics: by name; empty if it failed.
        settings: in a line.
        params: as they were drawn.
        run_id: MLflow's.
        began: when, local time.
        ended: when; None while it runs.
        joules: how much energy; None where the device does not tell.
        energy_source: who told.
    """

    number: int
    state: str
    metrics: Mapping[str, float]
    settings: str
    params: Mapping[str, object]
    run_id: str
    began: datetime | None
    ended: datetime | None
    joules: float | None
    energy_source: str

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else None


def line_of(trial: FrozenTrial) -> Line:
    """One trial as plain values."""
    kept = trial.user_attrs.get("config")
    energy = trial.user_attrs.get("energy", {})
    return Line(
        number=trial.number,
        state=STATES.get(trial.state, "waiting"),
        metrics=trial.user_attrs.get("metrics", {}),
        settings=TrialConfig.from_dict(kept).describe() if kept else "",
        params=dict(trial.params),
        run_id=str(trial.user_attrs.get("run_id", "")),
        began=trial.datetime_start,
        ended=trial.datetime_complete,
        joules=energy.get("joules"),
        energy_source=energy.get("source", ""),
    )


def best_line(lines: Sequence[Line], setting: Setting) -> Line | None:
    """As the sweep ranks them: by the objective with its tie-break; of equals the earlier."""
    sign = -1 if setting.direction == "maximize" else 1
    done = [line for line in lines if line.state == "complete"]
    return min(done, key=lambda line: (sign * line.metrics["objective"], line.number), default=None)


def describe_space(trials: Sequence[FrozenTrial]) -> dict[str, str]:
    """Each parameter with its choices or its range."""
    found = {}
    for trial in trials:
        for name, each in trial.distributions.items():
            if isinstance(each, CategoricalDistribution):
                found[name] = ", ".join(map(str, each.choices))
            else:
                step = getattr(each, "step", None)
                scale = ", logarithmic" if getattr(each, "log", False) else ""
                steps = f", in steps of {step:g}" if step and step != 1 else ""
                found[name] = f"{each.low:g} to {each.high:g}{steps}{scale}"  # type: ignore[attr-defined]
    return dict(sorted(found.items()))
