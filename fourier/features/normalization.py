"""From decibels to the numbers that a network likes, band by band.

Part of the model, not of the stored features, so that one entry in the store serves every
normalisation. Not here: which rows are training clips (`fourier.corpora.splits`).
"""

import torch
from torch import Tensor, nn

from fourier.config import SpectrogramConfig

CHUNK_CLIPS = 256
# Less than the features' own resolution (float16): a band that holds one value.
FLAT_STD = 1e-3


class Normalization(nn.Module):
    """``(x - shift) * scale`` for each band; as built, the identity.

    Attributes:
        shift: [bands, 1] float32, in the features' unit.
        scale: [bands, 1] float32.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(bands, 1))
        self.register_buffer("scale", torch.ones(bands, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise.

        Args:
            features: [batch, bands, frames], float16 or float32.

        Returns:
            [batch, bands, frames] float32.
        """
        return (features.float() - self.shift) * self.scale


def fit_normalization(features: Tensor, rows: Tensor, config: SpectrogramConfig) -> Normalization:
    """The normalisation that a configuration asks for.

    ``unit`` maps [-floor_db, 0] dB to [0, 1]; ``standardize`` gives each band zero mean and unit
    variance over the chosen rows, and zero where a band never changes; ``none`` is the identity.

    Args:
        features: [clips, bands, frames] float16, as the feature store gives them.
        rows: [n] int64, the training clips: no other clip's values are looked at.
        config: names the normalisation and its floor.

    Returns:
        A module on the features' device.

    Raises:
        ValueError: ``standardize`` without any row.
    """
    normalization = Normalization(features.shape[1]).to(features.device)
    if config.normalization == "unit":
        normalization.shift.fill_(-config.floor_db)
        normalization.scale.fill_(1 / config.floor_db)
    elif config.normalization == "standardize":
        mean, std = _band_statistics(features, rows)
        normalization.shift.copy_(mean)
        normalization.scale.copy_(torch.where(std > FLAT_STD, 1 / std, 1.0))
    return normalization


def _band_statistics(features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each band, [bands, 1], in bounded memory.

    Chunks are combined as in Chan et al. (1979), in float64.
    """
    if not len(rows):
        raise ValueError("`rows` must hold at least one training clip, but got none")
    total, spread, count = _zeros(features), _zeros(features), 0
    for chunk in torch.split(rows.to(features.device), CHUNK_CLIPS):
        values = features[chunk].float()
        many = values.shape[0] * values.shape[2]
        variance, mean = torch.var_mean(values, dim=(0, 2), correction=0)
        apart = mean.double() - total / max(count, 1)
        spread += variance.double() * many + apart.square() * (count * many / (count + many))
        total += mean.double() * many
        count += many
    return (total / count)[:, None], (spread / count).sqrt()[:, None]


def _zeros(features: Tensor) -> Tensor:
    return torch.zeros(features.shape[1], dtype=torch.float64, device=features.device)
