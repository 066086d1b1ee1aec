"""Time-delay layers and statistics pooling: what a clip's frames are like, and how they change.

After the x-vectors of Snyder et al. 2018 (https://doi.org/10.1109/ICASSP.2018.8461375):
convolutions over time see all bands at once, then statistics over time make one vector of a clip of
any length. Two things differ. The bands' own statistics stand beside those of the last layer, as in
the features that GTZAN was made with (Tzanetakis & Cook 2002,
https://doi.org/10.1109/TSA.2002.800560); without any layer they are all there is, which is the
network for a few hundred clips. And the change from frame to frame is one of the statistics, since
pooling over time forgets order otherwise. Not here: the recordings' own level and timbre, which
normalisation of the input takes care of.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from fourier.config import TDNNConfig
from fourier.models.blocks import WIDE

STATISTICS = 4
# Of standardised bands: what half precision, in which features are stored, still tells apart.
SMALLEST_VARIANCE = 1e-5
KERNEL = 3


class StatisticsPool(nn.Module):
    """Mean, maximum, and the logarithms of the spread and of the frame-to-frame change, over time.

    Logarithms, because spreads differ by factors: a band that moves half as much as usual is then
    as far from the usual as one that moves twice as much.
    """

    def forward(self, sequence: Tensor) -> Tensor:
        """Map [batch, channels, frames] to [batch, 4 x channels], float32 under autocast too."""
        sequence = sequence.float()
        change = sequence[..., 1:] - sequence[..., :-1]
        spreads = [_log_spread(sequence), _log_spread(change)]
        return torch.cat([sequence.mean(2), sequence.amax(2), *spreads], dim=1)


class StatisticsNorm(nn.BatchNorm1d):
    """Batch normalisation without weights, which passes a single clip by its running statistics."""

    def __init__(self, values: int) -> None:
        super().__init__(values, affine=False)

    def forward(self, statistics: Tensor) -> Tensor:
        """Map [batch, values] to the same shape."""
        if self.training and len(statistics) == 1:
            return functional.batch_norm(
                statistics, self.running_mean, self.running_var, eps=self.eps
            )
        return super().forward(statistics)


class TDNN(nn.Module):
    """Dilated convolutions over time, statistics of bands and layer, one hidden layer, linear.

    Each layer looks twice as far as the one before; the first halves a long clip in time.

    Args:
        config: layers, width, hidden units, dropout.
        bands: rows of the picture.
        frames: columns of the picture.
        outputs: numbers or logits for each clip.
    """

    def __init__(self, config: TDNNConfig, *, bands: int, frames: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = bands
        for index in range(config.layers):
            reach = 2 ** max(0, index - 1)
            stride = 2 if index == 0 and frames >= WIDE else 1
            layers += [
                nn.Conv1d(inputs, config.width, KERNEL, stride, reach, dilation=reach, bias=False),
                nn.BatchNorm1d(config.width),
                nn.ReLU(),
            ]
            inputs = config.width
        self.layers = nn.Sequential(*layers)
        self.pool = StatisticsPool()
        pooled = STATISTICS * (bands + (config.width if config.layers else 0))
        self.head = nn.Sequential(
            StatisticsNorm(pooled),
            nn.Linear(pooled, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, bands, frames] to [batch, outputs]."""
        statistics = self.pool(features)
        if len(self.layers):
            statistics = torch.cat([statistics, self.pool(self.layers(features))], dim=1)
        predictions: Tensor = self.head(statistics)
        return predictions


def _log_spread(sequence: Tensor) -> Tensor:
    """Logarithm of the standard deviation over time, bounded below."""
    return sequence.var(2, correction=0).clamp_min(SMALLEST_VARIANCE).log() / 2
