"""A corpus under a protocol on a device: everything that a `TrialConfig` needs to become a result.

This is the one path from a configuration to a trained network; sweeps, confirmation and
reproduction all take it. The labels of the test part are blanked here, so that nothing that goes
through an `Experiment` can look at them; the release opens them by its own way. Copies of one
recording on several sides of the split end it here, before anything is trained.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from fourier.config import SpectrogramConfig, TrialConfig
from fourier.corpora import PROTOCOLS, Corpus, assign_folds, assign_parts
from fourier.errors import CorpusError, LeakError
from fourier.features.copies import Copy, find_copies
from fourier.features.normalization import fit_normalization
from fourier.features.pcm import PcmStore, open_pcm
from fourier.features.spectrogram import Spectrogram
from fourier.features.store import FeatureStore
from fourier.models import build_model
from fourier.training.baselines import pooled_baselines
from fourier.training.fit import Report, Result, Split, fit
from fourier.training.folds import Judge, run_folds
from fourier.training.leaks import Leak, find_leaks
from fourier.training.task import Task, make_task

Progress = Callable[[int, int], None]
Stage = Callable[[str], Progress]


@dataclass(frozen=True)
class Experiment:
    """What all trials of a study share.

    Attributes:
        corpus: where audio and labels come from.
        pcm: the decoded clips; row i of everything below is its clip i.
        protocol: how tracks are split.
        parts: ``train``, ``valid``, ``test`` or ``unused`` for each clip.
        task: what is predicted, how it is measured, and which metric is optimised.
        store: features by spectrogram settings, on the device.
        copies: pairs of tracks with the same audio, wherever they stand.
        fold_of: fold of each clip, -1 outside train and valid; None without cross-validation.
        valid_chooses: whether the validation clips choose the epoch that is kept; they do not in
            a fold, whose figures are the result.
    """

    corpus: Corpus
    pcm: PcmStore
    protocol: str
    parts: pd.Series
    task: Task
    store: FeatureStore
    copies: tuple[Copy, ...] = ()
    fold_of: pd.Series | None = None
    valid_chooses: bool = True

    @classmethod
    def open(
        cls,
        corpus: Corpus,
        *,
        protocol: str,
        objective: str | None,
        cache: Path,
        device: torch.device,
        folds: int = 0,
        jobs: int = -1,
        stage: Stage | None = None,
        allow_leaks: bool = False,
    ) -> "Experiment":
        """Decode the corpus and look for copies, where that was not done yet, and split it.

        Args:
            corpus: the corpus.
            protocol: a name in `fourier.corpora.PROTOCOLS`.
            objective: the metric to optimise; None is the task's own.
            cache: folder for decoded audio and features.
            device: where features live and networks train.
            folds: train on this many folds of the clips outside the test part; 0 for the
                protocol's own training and validation parts.
            jobs: processes that decode; -1 for all cores.
            stage: called with the name of each long stage, gives what its progress is told.
            allow_leaks: go on although copies of one recording stand on several sides. A protocol
                that leaks by itself is not stopped either way.

        Raises:
            CorpusError: nothing can be decoded, a part or fold that is needed is empty, or the
                protocol is one of folds alone and none are asked for.
            LeakError: copies stand on several sides.
            CacheError: the cache cannot be written.
        """
        task = make_task(corpus, objective)
        if not folds and protocol in PROTOCOLS and PROTOCOLS[protocol].folds_only:
            raise CorpusError(f"protocol {protocol} is one of folds alone; add --folds 5")
        stage = stage or _untold
        pcm = open_pcm(corpus, cache, jobs=jobs, progress=stage("decoding"))
        parts = assign_parts(corpus, pcm.clips, protocol)
        fold_of = assign_folds(corpus, pcm.clips, protocol, folds) if folds else None
        copies = find_copies(pcm, stage("looking for copies"))
        store = FeatureStore(pcm, cache, device)
        experiment = cls(corpus, pcm, protocol, parts, task, store, copies, fold_of)
        if experiment.leaks and not allow_leaks and not PROTOCOLS[protocol].leaky:
            raise LeakError(_leak_message(experiment))
        return experiment

    @property
    def clips(self) -> pd.DataFrame:
        """The decoded clips, one row each."""
        clips: pd.DataFrame = self.pcm.clips
        return clips

    @property
    def folds(self) -> int:
        """How many folds there are; 0 without cross-validation."""
        return 0 if self.fold_of is None else int(self.fold_of.max()) + 1

    def fold(self, number: int) -> "Experiment":
        """One fold by itself: its clips are held out and choose nothing, the others are learned."""
        return self._each_fold[number]

    def leaking(self) -> "Experiment":
        """The same clips in folds of segments rather than groups, to show what that does."""
        corpus, clips = self.corpus, self.clips
        folds = assign_folds(corpus, clips, self.protocol, self.folds, leaky=True)
        return replace(self, fold_of=folds)

    @cached_property
    def _each_fold(self) -> "list[Experiment]":
        if self.fold_of is None:
            return []
        of, each = self.fold_of.to_numpy(), []
        for number in range(self.folds):
            parts = self.parts.mask(of >= 0, "train").mask(of == number, "valid")
            each.append(replace(self, parts=parts, fold_of=None, valid_chooses=False))
        return each

    @cached_property
    def split(self) -> Split:
        """Rows of the training and of the validation clips, on the device."""
        device = self.store.device
        rows = {
            part: torch.from_numpy(np.flatnonzero(self.parts == part)).to(device)
            for part in ("train", "valid")
        }
        return Split(rows["train"], rows["valid"], self.valid_chooses)

    @cached_property
    def targets(self) -> torch.Tensor:
        """Labels [clips] or numbers [clips, outputs]; -1 or NaN outside train and valid."""
        seen = self.parts.isin(("train", "valid")).to_numpy()
        if self.corpus.classes:
            labels = np.where(seen, self.clips["label"].to_numpy(dtype=np.int64), -1)
            return torch.from_numpy(labels).to(self.store.device)
        numbers = self.clips[list(self.corpus.targets)].to_numpy(dtype=np.float32)
        numbers = np.where(seen[:, None], numbers, np.float32("nan"))
        return torch.from_numpy(numbers).to(self.store.device)

    def truth(self, result: Result) -> np.ndarray:
        """What a trial's predictions ought to be: labels [rows], or numbers [rows, outputs]."""
        names = self.corpus.targets
        if self.corpus.classes:
            return self._columns["label"][result.rows]
        return np.stack([self._columns[name][result.rows] for name in names], axis=1)

    @cached_property
    def _columns(self) -> dict[str, np.ndarray]:
        """What tells clips apart and what is known of them; plain, as each trial looks it up."""
        columns = {name: self.clips[name].to_numpy() for name in ("track", "start")}
        if self.fold_of is not None:
            columns["fold"] = self.fold_of.to_numpy()
        return columns | {name: self.clips[name].to_numpy() for name in self.corpus.targets}

    @cached_property
    def tracks(self) -> np.ndarray:
        """The track of each clip [clips], as strings."""
        return self.clips["track"].to_numpy(dtype=str)

    @cached_property
    def leaks(self) -> tuple[Leak, ...]:
        """The copies whose tracks stand on different sides of the split, or in different folds."""
        sides = self.parts
        if self.fold_of is not None:
            folds = "fold " + self.fold_of.astype(str)
            sides = sides.mask(self.fold_of >= 0, folds)
        return find_leaks(self.copies, self.clips["track"], sides)

    def run(
        self, config: TrialConfig, report: Report | None = None, judge: Judge | None = None
    ) -> Result:
        """Train one configuration and measure it on the validation clips, or fold by fold.

        Args:
            config: what to train.
            report: called after each epoch; may stop the training. Epochs count on over folds.
            judge: called after each fold; may stop there.

        Raises:
            ValueError: the configuration does not fit this corpus (``fmax`` above half its sample
                rate, a loss of another task).
            TrainingDiverged: the loss became infinite or not a number.
            CacheError: the features cannot be read or written.
        """
        if self.folds:
            return run_folds(self, config, report, judge)
        features = self.store.get(config.spectrogram)

        def build() -> nn.Module:
            normalization = fit_normalization(features, self.split.train, config.spectrogram)
            network = build_model(
                config.model,
                bands=features.shape[1],
                frames=features.shape[2],
                outputs=self.task.outputs,
            )
            return nn.Sequential(normalization, network)

        result = fit(
            build,
            features,
            self.targets,
            self.tracks,
            self.split,
            config.training,
            self.task,
            report,
        )
        self.store.settle()
        return result

    def describe(self) -> dict[str, object]:
        """What a run's ``config.json`` says besides the trial, as plain data."""
        return {
            "task": self.task.name,
            "corpus": {
                "name": self.corpus.name,
                "digest": self.corpus.digest,
                "clip_seconds": self.corpus.clip_seconds,
            },
            "protocol": self.protocol,
            "objective": self.task.objective,
        } | ({"folds": self.folds} if self.folds else {})

    def describe_leaks(self) -> dict[str, object]:
        """What a run's ``leaks.json`` says, as plain data."""
        protocol = PROTOCOLS.get(self.protocol)
        return {
            "protocol": self.protocol,
            "leaky": protocol is not None and protocol.leaky,
            "tracks": int(self.clips["track"].nunique()),
            "across_sides": [leak.to_dict() for leak in self.leaks],
            "copies": [asdict(copy) for copy in self.copies],
        }

    def check(self, config: TrialConfig) -> None:
        """Raise ValueError where a configuration can be known not to fit this corpus."""
        Spectrogram(config.spectrogram, self.corpus.sample_rate)

    def baselines(self, spectrogram: SpectrogramConfig) -> dict[str, dict[str, float]]:
        """What a network must beat on the validation clips, by the name of the method."""
        features = self.store.get(spectrogram)
        each = [fold.split for fold in self._each_fold] or [self.split]
        return pooled_baselines(features, self.targets, self.tracks, each, self.task)

    def predictions(self, result: Result) -> pd.DataFrame:
        """A trial's predictions on the validation clips beside the truth, one row for each clip."""
        columns = {name: each[result.rows] for name, each in self._columns.items()}
        if not self.corpus.classes:
            names = [f"predicted_{name}" for name in self.corpus.targets]
            return pd.DataFrame(columns | dict(zip(names, result.predictions.T, strict=True)))
        classes = np.asarray(self.corpus.classes)
        probabilities = torch.softmax(torch.from_numpy(result.predictions), dim=1).numpy()
        columns["label"] = classes[columns["label"]]
        columns["predicted"] = classes[probabilities.argmax(axis=1)]
        names = [f"p_{name}" for name in classes]
        return pd.DataFrame(columns | dict(zip(names, probabilities.T, strict=True)))


def _untold(_stage: str) -> Progress:
    return lambda _done, _total: None


def _leak_message(experiment: Experiment) -> str:
    leaks, root = experiment.leaks, experiment.corpus.root
    first, more = leaks[0], len(leaks) - 1
    others = f"; and {more} more such pair{'s' if more > 1 else ''}" if more else ""
    return (
        f"protocol {experiment.protocol} puts copies of one recording on several sides: "
        f"{first}{others}; see them with `fourier check {root}` and take one of each away, or go "
        "on all the same with --allow-leaks"
    )
