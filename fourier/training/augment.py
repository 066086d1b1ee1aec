"""Changes to training clips that a label survives: mixup and masked stripes.

All that is random is drawn on the host once an epoch, so the same on every device, and reaches the
device in one go; a batch then costs one lerp and one where. Not here: the order of clips
(`fourier.training.fit`); validation never passes through this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fourier.config import TrainingConfig

BLOCK_VALUES = 2**24  # values that are float32 at once while the bands' means are taken


@dataclass(frozen=True, eq=False)
class Noise:
    """What happens to one batch.

    Attributes:
        share: how much of each clip stays, the rest is the clip before it [batch]; None for no
            mixup.
        masked: cells to hide, boolean [batch, bands, 1] and [batch, 1, frames]; None for none.
    """

    share: Tensor | None
    masked: tuple[Tensor, Tensor] | None

    def apply(self, clips: Tensor, targets: Tensor, fill: Tensor) -> tuple[Tensor, Tensor]:
        """Mix, then mask, so that what is masked is hidden of both clips of a pair.

        Args:
            clips: [batch, bands, frames].
            targets: [batch, outputs], such that a mean of two is a target.
            fill: what masked cells become, [bands, 1].
        """
        if self.share is not None:
            # The order is shuffled already, so the neighbour is as good as any other partner.
            clips = torch.lerp(clips.roll(1, 0), clips, self.share[:, None, None])
            targets = torch.lerp(targets.roll(1, 0), targets, self.share[:, None])
        if self.masked is not None:
            clips = torch.where(self.masked[0] | self.masked[1], fill, clips)
        return clips, targets


class Augmentation:
    """Mixup (Zhang et al. 2018) and SpecAugment (Park et al. 2019), one stripe of each kind.

    A masked cell becomes its band's mean over the training clips. Once features are standardised
    that is 0, as in the paper; it means the same for decibels and for MFCCs, whose bands differ in
    level, and unlike the clip's own mean it tells nothing of the clip.

    Args:
        config: ``mixup``, ``freq_mask`` and ``time_mask`` are used.
        features: [clips, bands, frames].
        rows: the training clips.
    """

    def __init__(self, config: TrainingConfig, features: Tensor, rows: Tensor) -> None:
        self._alpha = config.mixup
        self._bands, self._frames = features.shape[1:]
        self._widest_band = int(config.freq_mask * self._bands)
        self._widest_time = int(config.time_mask * self._frames)
        self._masks = bool(self._widest_band or self._widest_time)
        self._device = features.device
        self.fill = band_means(features, rows) if self._masks else features.new_zeros(1).float()

    @property
    def active(self) -> bool:
        """Whether anything is changed at all."""
        return self._masks or bool(self._alpha)

    def draw(self, rng: np.random.Generator, sizes: Sequence[int]) -> list[Noise]:
        """The noise of one epoch's batches.

        Args:
            rng: the only source of chance.
            sizes: clips of each batch.
        """
        clips, batches = sum(sizes), len(sizes)
        shares: Sequence[Tensor | None] = [None] * batches
        masks: Sequence[tuple[Tensor, Tensor] | None] = [None] * batches
        if self._alpha:
            drawn = rng.beta(self._alpha, self._alpha, clips).astype(np.float32)
            shares = torch.split(torch.from_numpy(drawn).to(self._device), list(sizes))
        if self._masks:
            bands = self._stripes(rng, clips, self._bands, self._widest_band)[:, :, None]
            frames = self._stripes(rng, clips, self._frames, self._widest_time)[:, None, :]
            both = torch.split(bands, list(sizes)), torch.split(frames, list(sizes))
            masks = list(zip(*both, strict=True))
        return [Noise(share, masked) for share, masked in zip(shares, masks, strict=True)]

    def _stripes(self, rng: np.random.Generator, clips: int, length: int, widest: int) -> Tensor:
        """Boolean [clips, length] with one stripe of 0 to ``widest`` cells in each row."""
        bounds = torch.from_numpy(draw_stripes(rng, clips, length, widest)).to(self._device)
        cells = torch.arange(length, device=self._device)
        return (cells >= bounds[:, :1]) & (cells < bounds[:, 1:])


def draw_stripes(
    rng: np.random.Generator, clips: int, length: int, widest: int
) -> npt.NDArray[np.int64]:
    """First cell and the cell after the last of one stripe per clip, [clips, 2].

    Every width from 0 to ``widest`` is as likely as another, then every place where it fits.
    """
    width = rng.integers(0, widest, clips, endpoint=True)
    start = rng.integers(0, length - width, endpoint=True)
    return np.stack([start, start + width], axis=1)


def band_means(features: Tensor, rows: Tensor) -> Tensor:
    """Mean of every band over some clips and all frames, float32 [bands, 1], a block at a time."""
    block = max(1, BLOCK_VALUES // features[0].numel())
    sums = [
        features.index_select(0, part).float().mean(2).sum(0) for part in torch.split(rows, block)
    ]
    return (torch.stack(sums).sum(0) / len(rows)).unsqueeze(1)
