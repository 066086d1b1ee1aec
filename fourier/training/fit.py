"""One trial's learning: from features on a device to the best epoch's weights.

The data is resident: no loader, no workers, no copy between host and device inside an epoch, and
the host waits for the device once an epoch. Everything random comes from the configuration's seed,
and torch's own random state is afterwards as it was before. Not here: Optuna, MLflow, pruning and
curves, which hang on ``report``; running out of device memory, which is the caller's to handle;
the number of threads.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fourier.config import TrainingConfig
from fourier.training.augment import Augmentation, Noise
from fourier.training.device import autocast_dtype, memory_format
from fourier.training.memory import memory_kept
from fourier.training.optimizer import Optimizer
from fourier.training.predict import predict
from fourier.training.schedule import schedule
from fourier.training.task import Task

Report = Callable[[int, Mapping[str, float]], bool | None]


class TrainingDiverged(Exception):  # noqa: N818 - an outcome of a trial, like `TrialPruned`
    """The loss or the predictions are no longer finite; the message says when."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which clips are learned and which are held out.

    Attributes:
        train: row numbers, int64 [n], on any device.
        valid: row numbers, int64 [n], on any device.
        valid_chooses: whether the held-out clips choose the epoch that is kept and stop the
            training early, as a validation part does. Figures on clips that chose are flattered,
            so where they are the result, as in cross-validation, the clips choose nothing: every
            epoch runs, and the last is kept.
    """

    train: Tensor
    valid: Tensor
    valid_chooses: bool = True


@dataclass(frozen=True, eq=False)
class Result:
    """What a training came to.

    Attributes:
        metrics: of the epoch that is kept: the task's, ``objective``, ``train_loss`` (mean over
            clips, as augmented), ``lr`` (of the epoch's last step) and ``epoch_seconds``.
        best_epoch: the one that is kept, from 0: the first with the best objective, or the last
            where the held-out clips choose nothing.
        epochs: how many ran.
        history: the metrics of every epoch.
        state: weights and buffers of the epoch that is kept, contiguous, on the CPU; empty for
            several folds.
        predictions: outputs for the validation clips in that epoch, [n_valid, outputs].
        seconds: the whole training took.
        rows: row numbers of the validation clips, int64 [n_valid].
        folds: what each fold came to, if this is several folds together.
    """

    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    history: list[dict[str, float]]
    state: dict[str, Tensor]
    predictions: npt.NDArray[np.float32]
    seconds: float
    rows: npt.NDArray[np.int64]
    folds: "Sequence[Result]" = ()


def fit(
    build: Callable[[], nn.Module],
    features: Tensor,
    targets: Tensor,
    tracks: npt.NDArray[np.str_],
    split: Split,
    config: TrainingConfig,
    task: Task,
    report: Report | None = None,
) -> Result:
    """Train a network and keep its best epoch, or its last.

    The same arguments on the same device and as many threads give the same bits. A pass over the
    training clips takes ceil(n / ``batch_size``) steps of almost equal size: no clip is dropped,
    and no step is left with the one clip that batch normalisation cannot take.

    Args:
        build: makes the network; called once, after seeding.
        features: float16 [clips, bands, frames]; where they are is where the network trains.
        targets: numbers [clips, dimensions] or labels [clips]; read in the split's rows only.
        tracks: the track of each clip [clips].
        split: which clips are learned and which held out.
        config: how to learn.
        task: what to learn, and when it is better.
        report: called with the epoch (from 0) and its metrics after every epoch. If it returns
            True the training ends there; what it raises ends it too, and passes through.

    Raises:
        TrainingDiverged: a loss or a prediction is not finite.
        ValueError: the loss is not one for the task, or the arguments do not fit together.
    """
    started = time.perf_counter()
    task.check_loss(config.loss)
    _check_shapes(features, targets, tracks, split)
    held_out = split.valid.cpu()
    truth, held_out_tracks = targets.cpu()[held_out], tracks[held_out.numpy()]
    history: list[dict[str, float]] = []
    best = _Best(0, task.worst, {}, np.empty((0, task.outputs), dtype=np.float32))
    with memory_kept(features.device), _seeded(features.device, config.seed):
        model = build()
        layout = memory_format(features.device, model)
        model = model.to(features.device, memory_format=layout)  # type: ignore[call-overload]
        learner = _Learner(model, features, targets, split, config, task)
        for epoch in range(config.epochs):
            began = time.perf_counter()
            metrics = learner.learn(epoch)
            predictions = learner.predict(epoch)
            metrics |= task.evaluate(predictions, truth, held_out_tracks)
            metrics["epoch_seconds"] = time.perf_counter() - began
            history.append(metrics)
            if not split.valid_chooses or task.improves(metrics["objective"], best.objective):
                best = _Best(epoch, metrics["objective"], _copy_state(model), predictions)
            stop = report is not None and report(epoch, metrics)
            if stop or 0 < config.patience <= epoch - best.epoch:
                break
    return Result(
        metrics=history[best.epoch],
        best_epoch=best.epoch,
        epochs=len(history),
        history=history,
        state={name: _to_host(value) for name, value in best.state.items()},
        predictions=best.predictions,
        seconds=time.perf_counter() - started,
        rows=held_out.numpy(),
    )


@dataclass(frozen=True, eq=False)
class _Best:
    epoch: int
    objective: float
    state: dict[str, Tensor]
    predictions: npt.NDArray[np.float32]


class _Learner:
    """A network, its optimizer and its clips, epoch after epoch."""

    def __init__(
        self,
        model: nn.Module,
        features: Tensor,
        targets: Tensor,
        split: Split,
        config: TrainingConfig,
        task: Task,
    ) -> None:
        self._model, self._features, self._config, self._task = model, features, config, task
        self._device = features.device
        self._rows, self._held_out = split.train.to(self._device), split.valid.to(self._device)
        # Only these: elsewhere the targets may be blank.
        known = targets.to(self._device).index_select(0, self._rows)
        self._targets = task.prepare(known, mixable=bool(config.mixup))
        self._sizes = batch_sizes(len(self._rows), config.batch_size)
        # Two sources, so that the order of clips does not depend on the augmentation.
        self._order, self._chance = np.random.default_rng(config.seed).spawn(2)
        self._augmentation = Augmentation(config, features, self._rows)
        self._optimizer = Optimizer(model, config)
        self._dtype = autocast_dtype(config.precision, self._device, model)

    def learn(self, epoch: int) -> dict[str, float]:
        """One pass over the training clips; the only wait for the device is at its end."""
        sizes, count = self._sizes, len(self._sizes)
        order = torch.from_numpy(self._order.permutation(len(self._rows))).to(self._device)
        rows = torch.split(self._rows.index_select(0, order), sizes)
        targets = torch.split(self._targets.index_select(0, order), sizes)
        noise: list[Noise] | list[None] = [None] * count
        if self._augmentation.active:
            noise = self._augmentation.draw(self._chance, sizes)
        steps = np.arange(epoch * count, (epoch + 1) * count)
        pace = schedule(self._config, steps, self._config.epochs * count)
        lrs, momenta = pace.lr.tolist(), pace.momentum.tolist()
        self._model.train()
        batches = zip(rows, targets, noise, lrs, momenta, strict=True)
        losses = torch.stack([self._step(*batch) for batch in batches]).double().cpu().numpy()
        if not np.isfinite(losses).all():
            value = losses[~np.isfinite(losses)][0]
            raise TrainingDiverged(f"the loss became {value} in epoch {epoch}")
        return {"train_loss": float(np.average(losses, weights=sizes)), "lr": lrs[-1]}

    def predict(self, epoch: int) -> npt.NDArray[np.float32]:
        """Outputs for the validation clips, as the network is after an epoch."""
        predictions = predict(
            self._model,
            self._features,
            self._held_out,
            precision=self._config.precision,
            batch_size=self._config.batch_size,
        )
        if not np.isfinite(predictions).all():
            raise TrainingDiverged(f"predictions are not finite after epoch {epoch}")
        return predictions

    def _step(
        self, rows: Tensor, target: Tensor, noise: Noise | None, lr: float, momentum: float
    ) -> Tensor:
        """One batch; nothing in here may read a value back from the device."""
        clips = self._features.index_select(0, rows).float()
        if noise is not None:
            clips, target = noise.apply(clips, target, self._augmentation.fill)
        if self._dtype is None:
            prediction = self._model(clips)
        else:
            with torch.autocast(self._device.type, dtype=self._dtype):
                prediction = self._model(clips)
        loss = self._task.loss(prediction.float(), target, self._config)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step(lr, momentum)
        return loss.detach()


def batch_sizes(clips: int, batch_size: int) -> list[int]:
    """ceil(clips / batch_size) sizes that differ by one at most and add up to all clips."""
    count = -(-clips // batch_size)
    small, larger = divmod(clips, count)
    return [small + 1] * larger + [small] * (count - larger)


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's random state and choice of algorithms are this training's own, then as before."""
    gpus = [device.index or 0] if device.type == "cuda" else []
    was_deterministic = torch.backends.cudnn.deterministic
    with torch.random.fork_rng(devices=gpus):
        # Not `torch.manual_seed`: it would also seed devices that are not put back.
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = was_deterministic


def _copy_state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _to_host(value: Tensor) -> Tensor:
    """Contiguous, because that is what safetensors writes."""
    return value.to("cpu", memory_format=torch.contiguous_format)


def _check_shapes(
    features: Tensor, targets: Tensor, tracks: npt.NDArray[np.str_], split: Split
) -> None:
    clips = (len(features), len(targets), len(tracks))
    if len(set(clips)) != 1:
        raise ValueError(f"features, targets and tracks must be of one length, but got {clips}")
    parts = (len(split.train), len(split.valid))
    if min(parts) == 0:
        raise ValueError(f"both parts of a split must hold clips, but got {parts}")
