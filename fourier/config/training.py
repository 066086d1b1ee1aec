"""How one trial learns. Not here: the device, which changes the speed and not the experiment."""

from dataclasses import dataclass
from typing import Literal, get_args

from fourier.config.plain import check_types, require_between, require_one_of

Loss = Literal["cross_entropy", "mse", "ccc", "mse+ccc"]
Schedule = Literal["constant", "cosine", "one_cycle"]
Precision = Literal["auto", "fp32", "bf16"]

MAX_EPOCHS = 10_000


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """AdamW with a schedule, early stopping and augmentation.

    Attributes:
        epochs: passes over the training clips at most, 1 to 10,000.
        batch_size: clips a step, 1 to 4096.
        lr: peak learning rate, 1e-7 to 1.
        weight_decay: AdamW's decoupled decay, 0 to 1; with 0 AdamW is Adam.
        schedule: ``constant``; ``cosine``, linear warm-up then a cosine to zero; ``one_cycle``
            (Smith 2018), which also moves the momentum.
        warmup: share of all steps that warm up, 0 to 0.5; ``constant`` has none.
        patience: epochs without a better objective before training stops, 0 for never.
        loss: ``cross_entropy`` for classes; ``mse``, ``ccc`` (1 - concordance) or ``mse+ccc``,
            their sum, for numbers.
        label_smoothing: share of the target spread over all classes, 0 to 0.5.
        mixup: alpha of the beta distribution that mixes pairs of clips (Zhang et al. 2018), 0 to
            2; 0 for none.
        freq_mask: widest masked stripe of bands as a share of all bands, 0 to 0.5; 0 for none
            (SpecAugment, Park et al. 2019).
        time_mask: widest masked stripe of frames as a share of all frames, 0 to 0.5; 0 for none.
        clip_norm: gradients are scaled down to this norm, 0 for never.
        precision: ``auto`` is bf16 autocast where the device is faster with it, else fp32.
        seed: of the weights, the order of clips, dropout and augmentation.
    """

    epochs: int = 30
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-2
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    patience: int = 8
    loss: Loss = "cross_entropy"
    label_smoothing: float = 0.0
    mixup: float = 0.0
    freq_mask: float = 0.0
    time_mask: float = 0.0
    clip_norm: float = 1.0
    precision: Precision = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        require_between("epochs", self.epochs, 1, MAX_EPOCHS)
        require_between("batch_size", self.batch_size, 1, 4096)
        require_between("lr", self.lr, 1e-7, 1)
        require_between("weight_decay", self.weight_decay, 0, 1)
        require_one_of("schedule", self.schedule, get_args(Schedule))
        require_between("warmup", self.warmup, 0, 0.5)
        require_between("patience", self.patience, 0, 10_000)
        require_one_of("loss", self.loss, get_args(Loss))
        require_between("label_smoothing", self.label_smoothing, 0, 0.5)
        require_between("mixup", self.mixup, 0, 2)
        require_between("freq_mask", self.freq_mask, 0, 0.5)
        require_between("time_mask", self.time_mask, 0, 0.5)
        require_between("clip_norm", self.clip_norm, 0, 1000)
        require_one_of("precision", self.precision, get_args(Precision))
        require_between("seed", self.seed, 0, 2**63 - 1)
