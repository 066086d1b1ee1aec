"""What is asked of a network: targets, losses, metrics, and the one number a study optimises.

Two kinds: `Regression` (DEAM's valence and arousal, a folder's numbers) and `Classification`
(GTZAN's genres, a folder's labels), each of whatever its corpus names. Not here: where the targets
come from (`fourier.corpora`) and how they are learned (`fourier.training.fit`).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fourier.config import TrainingConfig
from fourier.corpora import Corpus
from fourier.training import metrics
from fourier.training.losses import concordance_loss, squared_error

Direction = Literal["maximize", "minimize"]
MINIMIZED = ("rmse", "mae", "log_loss")
PER_DIMENSION: Mapping[str, Callable[[npt.ArrayLike, npt.ArrayLike], float]] = {
    "rmse": metrics.rmse,
    "mae": metrics.mae,
    "r": metrics.pearson_r,
    "r2": metrics.r2,
    "ccc": metrics.ccc,
}
AVERAGED = ("rmse", "mae", "ccc")
REGRESSION_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": squared_error,
    "ccc": concordance_loss,
    "mse+ccc": lambda prediction, target: (
        squared_error(prediction, target) + concordance_loss(prediction, target)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What a network must predict, and how well it did.

    Attributes:
        name: ``deam``, ``gtzan``, or the kind of a folder; names things, decides nothing.
        targets: what each clip is labelled with, ``("valence", "arousal")`` or ``("label",)``.
        classes: names in label order; () for regression.
        objective: the metric that a study optimises; one of `metric_names`.
    """

    name: str
    targets: tuple[str, ...]
    classes: tuple[str, ...] = ()
    objective: str

    def __post_init__(self) -> None:
        if self.objective not in self.metric_names:
            listed = ", ".join(self.metric_names)
            raise ValueError(
                f"`objective` of {self.name} must be one of {listed}, but got {self.objective!r}"
            )

    @property
    def direction(self) -> Direction:
        """Whether the objective is better when larger or when smaller."""
        smaller = self.objective.startswith(MINIMIZED)
        return "minimize" if smaller else "maximize"

    def improves(self, value: float, best: float) -> bool:
        """Whether an objective's value is strictly better than another."""
        return value < best if self.direction == "minimize" else value > best

    @property
    def worst(self) -> float:
        """What every value of the objective improves on."""
        return math.inf if self.direction == "minimize" else -math.inf

    def check_loss(self, loss: str) -> None:
        """Raise ValueError, naming the legal losses, unless this task can learn with the loss."""
        if loss not in self.losses:
            listed = ", ".join(map(repr, self.losses))
            raise ValueError(f"`loss` of {self.name} must be one of {listed}, but got {loss!r}")

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers that a network gives for each clip."""

    @property
    @abstractmethod
    def losses(self) -> tuple[str, ...]:
        """Legal values of ``TrainingConfig.loss``."""

    @property
    @abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that `evaluate` gives, each a legal objective."""

    @property
    @abstractmethod
    def display(self) -> tuple[str, ...]:
        """The few metrics worth a column of a table."""

    @abstractmethod
    def prepare(self, targets: Tensor, *, mixable: bool = False) -> Tensor:
        """Targets in the type that `loss` takes.

        Args:
            targets: of the corpus, numbers [clips, dimensions] or labels [clips].
            mixable: as floats that can be averaged between clips (mixup): for labels their
                indicator [clips, classes].
        """

    @abstractmethod
    def loss(self, prediction: Tensor, target: Tensor, config: TrainingConfig) -> Tensor:
        """What training minimises, a differentiable scalar.

        Args:
            prediction: a network's outputs [batch, outputs], float32.
            target: from `prepare` [batch] or [batch, outputs].
            config: its ``loss`` and ``label_smoothing`` are used.

        Raises:
            ValueError: the loss is not one for this task.
        """

    @abstractmethod
    def evaluate(
        self,
        prediction: npt.NDArray[np.float32] | Tensor,
        target: npt.NDArray[np.generic] | Tensor,
        tracks: npt.NDArray[np.str_],
    ) -> dict[str, float]:
        """The task's metrics, and the value of the objective as ``objective``.

        Args:
            prediction: a network's outputs [clips, outputs].
            target: numbers [clips, dimensions] or labels [clips].
            tracks: the track of each clip [clips].
        """


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Numbers for every clip: RMSE, MAE, r, R² and CCC of each dimension, and means of three."""

    objective: str = "ccc"

    @property
    def outputs(self) -> int:
        """One number for each dimension."""
        return len(self.targets)

    @property
    def losses(self) -> tuple[str, ...]:
        """Squared error, 1 - CCC, and their sum."""
        return tuple(REGRESSION_LOSSES)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """``rmse_valence`` … ``ccc_arousal``, then the means ``rmse``, ``mae``, ``ccc``."""
        each = [f"{name}_{dimension}" for dimension in self.targets for name in PER_DIMENSION]
        return (*each, *AVERAGED)

    @property
    def display(self) -> tuple[str, ...]:
        """Concordance, its parts, and the error."""
        return ("ccc", *(f"ccc_{dimension}" for dimension in self.targets), "rmse")

    def prepare(self, targets: Tensor, *, mixable: bool = False) -> Tensor:  # noqa: ARG002
        """Float32 [clips, dimensions], which can always be mixed."""
        return targets.float()

    def loss(self, prediction: Tensor, target: Tensor, config: TrainingConfig) -> Tensor:
        """``mse``, ``ccc`` or their sum."""
        self.check_loss(config.loss)
        return REGRESSION_LOSSES[config.loss](prediction, target)

    def evaluate(
        self,
        prediction: npt.NDArray[np.float32] | Tensor,
        target: npt.NDArray[np.generic] | Tensor,
        tracks: npt.NDArray[np.str_],  # noqa: ARG002
    ) -> dict[str, float]:
        """Over all clips at once; tracks do not matter."""
        x, y = _float64(prediction), _float64(target)
        values = {
            f"{name}_{dimension}": formula(x[:, i], y[:, i])
            for i, dimension in enumerate(self.targets)
            for name, formula in PER_DIMENSION.items()
        }
        for name in AVERAGED:
            each = [values[f"{name}_{dimension}"] for dimension in self.targets]
            values[name] = float(np.mean(each))
        return {**values, "objective": values[self.objective]}


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """One class for every track: accuracy and macro-F1 of segments and of whole tracks.

    A track's probabilities are the mean of its segments'. Accuracies move in steps of one clip or
    track, so many trials tie; ``objective`` then adds less than half a step for a lower log-loss.
    """

    objective: str = "track_accuracy"

    @property
    def outputs(self) -> int:
        """One logit for each class."""
        return len(self.classes)

    @property
    def losses(self) -> tuple[str, ...]:
        """Cross-entropy alone."""
        return ("cross_entropy",)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Of segments, of tracks, and the log-loss of segments in nats."""
        return ("segment_accuracy", "segment_f1", "track_accuracy", "track_f1", "log_loss")

    @property
    def display(self) -> tuple[str, ...]:
        """Tracks first, since they are what people ask about."""
        return ("track_accuracy", "track_f1", "segment_accuracy", "log_loss")

    def prepare(self, targets: Tensor, *, mixable: bool = False) -> Tensor:
        """Labels int64 [clips], or their indicator float32 [clips, classes]."""
        labels = targets.long()
        return functional.one_hot(labels, self.outputs).float() if mixable else labels

    def loss(self, prediction: Tensor, target: Tensor, config: TrainingConfig) -> Tensor:
        """Cross-entropy with label smoothing, for labels or for mixed indicators."""
        self.check_loss(config.loss)
        return functional.cross_entropy(prediction, target, label_smoothing=config.label_smoothing)

    def evaluate(
        self,
        prediction: npt.NDArray[np.float32] | Tensor,
        target: npt.NDArray[np.generic] | Tensor,
        tracks: npt.NDArray[np.str_],
    ) -> dict[str, float]:
        """Of the segments, and of the tracks by the mean of their segments' probabilities."""
        log_probabilities = metrics.log_softmax(_float64(prediction))
        labels = _float64(target).astype(np.int64)
        votes, truth = metrics.average_by_track(np.exp(log_probabilities), labels, tracks)
        guessed, voted = log_probabilities.argmax(1), votes.argmax(1)
        values = {
            "segment_accuracy": metrics.accuracy(guessed, labels),
            "segment_f1": metrics.macro_f1(guessed, labels),
            "track_accuracy": metrics.accuracy(voted, truth),
            "track_f1": metrics.macro_f1(voted, truth),
            "log_loss": metrics.log_loss(log_probabilities, labels),
        }
        units = {"segment_accuracy": len(labels), "track_accuracy": len(truth)}
        tie_break = 0.5 / units.get(self.objective, np.inf) / (1 + values["log_loss"])
        return {**values, "objective": values[self.objective] + float(tie_break)}


def make_task(corpus: Corpus, objective: str | None = None) -> Task:
    """The task that a corpus poses: classes make it a classification, numbers a regression.

    Args:
        corpus: where targets and classes are named.
        objective: a metric to optimise instead of the task's own.

    Raises:
        ValueError: the task has no such metric.
    """
    kind: type[Task] = Classification if corpus.classes else Regression
    chosen = {} if objective is None else {"objective": objective}
    return kind(name=corpus.task, targets=corpus.targets, classes=corpus.classes, **chosen)


def _float64(values: npt.NDArray[np.generic] | Tensor) -> npt.NDArray[np.float64]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
