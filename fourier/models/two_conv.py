"""The first DEAM network: two convolutions with max-pooling, and one linear layer on all of it.

Kept as it was, at full resolution and without batch normalisation, for it is the point that every
study starts from.
"""

from torch import Tensor, nn

from fourier.config import TwoConvConfig
from fourier.models.blocks import AddChannel


class TwoConv(nn.Module):
    """1 -> width -> 2 x width channels, each 3 x 3, ReLU and 2 x 2 max-pooling, then linear.

    Args:
        config: width and dropout.
        bands: rows of the picture, at least 4.
        frames: columns of the picture, at least 4.
        outputs: numbers or logits for each clip.
    """

    def __init__(self, config: TwoConvConfig, *, bands: int, frames: int, outputs: int) -> None:
        super().__init__()
        width = config.width
        # ReLU after the pooling is the same function as before it, on a quarter of the values.
        self.features = nn.Sequential(
            AddChannel(),
            nn.Conv2d(1, width, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
        )
        inputs = 2 * width * (bands // 4) * (frames // 4)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(inputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, bands, frames] to [batch, outputs]."""
        predictions: Tensor = self.head(self.features(features))
        return predictions
