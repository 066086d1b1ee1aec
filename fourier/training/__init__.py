"""One trial's learning: what is asked, how it is learned, how well it was."""

from fourier.training.baselines import baselines
from fourier.training.device import describe_device, pick_device
from fourier.training.experiment import Experiment
from fourier.training.fit import Report, Result, Split, TrainingDiverged, fit
from fourier.training.predict import predict
from fourier.training.task import Classification, Regression, Task, make_task

__all__ = [
    "Classification",
    "Experiment",
    "Regression",
    "Report",
    "Result",
    "Split",
    "Task",
    "TrainingDiverged",
    "baselines",
    "describe_device",
    "fit",
    "make_task",
    "pick_device",
    "predict",
]
