"""The genre notebook's network: the flattened picture through fully connected layers.

It has no convolution and no normalisation layer, so it holds no buffers and can be stacked and
trained many at once with ``torch.func``.
"""

from torch import Tensor, nn

from fourier.config import MLPConfig


class MLP(nn.Module):
    """Flatten, then hidden layers with ReLU (and dropout), then one linear layer.

    Args:
        config: hidden units and dropout.
        bands: rows of the picture.
        frames: columns of the picture.
        outputs: numbers or logits for each clip.
    """

    def __init__(self, config: MLPConfig, *, bands: int, frames: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        units = bands * frames
        for hidden in config.hidden:
            layers += [nn.Linear(units, hidden), nn.ReLU(), nn.Dropout(config.dropout)]
            units = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(units, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, bands, frames] to [batch, outputs]."""
        predictions: Tensor = self.layers(features)
        return predictions
