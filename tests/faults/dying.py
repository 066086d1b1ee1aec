"""A small sweep in this process, which may kill itself at a chosen point.

Run by `multiprocessing`'s fork server, whose children have already loaded what takes seconds.
"""

import ctypes
import os
import pkgutil
import signal
import time
import weakref
from pathlib import Path

import optuna
import torch
from consistency import check_consistent
from torch import nn

from fourier.config import MLPConfig, SpectrogramConfig, TrainingConfig, TrialConfig
from fourier.corpora import load_corpus
from fourier.errors import TrackingError
from fourier.search.storage import open_storage
from fourier.search.sweep import Plan, Space, Sweep
from fourier.search.trial import TrialRunner
from fourier.search.watch import Watcher
from fourier.tracking import Tracker
from fourier.training import experiment as experiment_room
from fourier.training.experiment import Experiment


def suggest(trial):
    """A network of a few weights."""
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    hidden = trial.suggest_categorical("hidden", [4, 8])
    return TrialConfig(
        spectrogram=SpectrogramConfig(n_mels=16, n_fft=512, fmax=8000),
        model=MLPConfig(hidden=(hidden,)),
        training=TrainingConfig(loss="cross_entropy", lr=lr, patience=0),
    )


def suggest_nothing(trial):
    """A trial that fails, but for the known point, which must be legal."""
    if isinstance(trial, optuna.trial.FixedTrial):
        return suggest(trial)
    raise ValueError("this trial is bad")


FIRST = [{"lr": 1e-3, "hidden": 8}]


def arm(target, when, word="", count=1):
    """Kill this process before or after the count-th call of a function that takes a word.

    Or have that call raise what it raises where MLflow does not answer, or wait behind it until
    there is a file ``go``.
    """
    place, name = target.rsplit(".", 1)
    owner = pkgutil.resolve_name(place)
    original = getattr(owner, name)
    left = count

    def dying(*args, **kwargs):
        nonlocal left
        left -= not word or word in map(str, (*args, *kwargs.values()))
        if left == 0 and when == "raise":
            raise TrackingError("MLflow is away; start it again")
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = original(*args, **kwargs)
        if left == 0 and when == "wait":
            Path("waiting").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        elif left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dying)


def spoil(wrong):
    """Give the trials at some slots networks that go wrong; the first trial is at slot 0."""
    build, learn = experiment_room.build_model, TrialRunner._learn
    slot = 0

    def learn_at(self, claim, *rest):
        nonlocal slot
        slot = claim.slot
        assert not list(HELD), "a failed trial's network is still in memory"
        return learn(self, claim, *rest)

    def build_wrong(config, **sizes):
        network = build(config, **sizes)
        return WRONG[wrong[slot]](network) if slot in wrong else network

    TrialRunner._learn = learn_at
    experiment_room.build_model = build_wrong


class Wrong(nn.Module):
    """A network around another."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, clips):
        return self.network(clips)


class NotANumber(Wrong):
    def forward(self, clips):
        return super().forward(clips) * torch.nan


class Infinite(Wrong):
    def forward(self, clips):
        return super().forward(clips) * torch.inf


class NoMemory(Wrong):
    """Holds much, in a cycle of references, and needs more."""

    def forward(self, clips):
        HELD.add(self)
        self.itself = self
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


class NoMemoryOnce(Wrong):
    def forward(self, clips):
        if not SEEN:
            SEEN.append(self.training)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(clips)


class NoMemoryLater(Wrong):
    def forward(self, clips):
        if not self.training:
            return super().forward(clips)
        self.passes = getattr(self, "passes", 0) + 1
        if self.passes == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(clips)


class Bug(Wrong):
    def forward(self, clips):
        return super().forward(clips[:, 1:])


class Slow(Wrong):
    def forward(self, clips):
        time.sleep(0.9)
        return super().forward(clips)


class Hung(Wrong):
    def forward(self, clips):
        ctypes.PyDLL(None).sleep(10_000)  # in C, with Python's lock held


HELD, SEEN = weakref.WeakSet(), []
WRONG = {kind.__name__: kind for kind in Wrong.__subclasses__()}


def start(
    folder, data, *points, more=2, total=None, storage=None, wrong=None, seconds=None, **plan
):
    """What the same command does again: mend, check that all is well, run some trials, sum up."""
    os.chdir(folder)
    torch.set_num_threads(1)
    for point in points:
        arm(*point)
    if isinstance(wrong, dict):
        spoil(wrong)
    sweep = opened(data, storage, suggest_nothing if wrong == "always" else suggest, **plan)
    check_consistent(sweep.shared.study, sweep.record.tracker)
    total = total or len(sweep.shared.trials) + more
    try:
        sweep.run(total, trial_seconds=seconds)
    finally:
        sweep.finish()


def opened(data, storage=None, suggest=suggest, **plan):
    """The sweep, mended."""
    experiment = Experiment.open(
        load_corpus(data, "gtzan"),
        protocol="track",
        objective=None,
        cache=Path("cache"),
        device=torch.device("cpu"),
        jobs=1,
    )
    plan = Plan(study="s", storage=storage, **{"pruner": "none", "epochs": 2, "seed": 3} | plan)
    return Sweep.open(experiment, Space(suggest, first=FIRST), plan, Watcher())


def look(folder, data, *points):
    """Mend, and run nothing."""
    os.chdir(folder)
    for point in points:
        arm(*point)
    opened(data)


def falsify(folder):
    """Have a run say something else than its trial, and another that it still runs."""
    os.chdir(folder)
    study = optuna.load_study(study_name="s", storage=open_storage(None))
    one, other = (trial.user_attrs["run_id"] for trial in study.trials[:2])
    tracker = Tracker.connect()
    tracker.client.log_metric(one, "best/objective", 2.0)
    tracker.client.update_run(other, status="RUNNING")


def check(folder, total, storage=None):
    """Look at a study that is done."""
    os.chdir(folder)
    study = optuna.load_study(study_name="s", storage=open_storage(storage))
    check_consistent(study, Tracker.connect(), total=total)
