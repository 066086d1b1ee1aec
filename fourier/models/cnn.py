"""A VGG-like network (Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556) on pictures.

Each block halves the picture and doubles the channels; mean and maximum over what is left make
the result independent of where in the clip something happens. Not here: normalisation of the
input, which is a module of its own before the network.
"""

from torch import Tensor, nn

from fourier.config import CNNConfig
from fourier.models.blocks import (
    AddChannel,
    MeanMaxPool,
    after_pool,
    after_stride,
    conv_block,
    halving,
    stem_stride,
)

MOST_WIDENING = 8


class CNN(nn.Module):
    """Convolution blocks, mean and max pooling over bands and time, dropout, linear.

    Args:
        config: width, depth, convolutions a block, dropout.
        bands: rows of the picture, at least 4.
        frames: columns of the picture, at least 4.
        outputs: numbers or logits for each clip.
    """

    def __init__(self, config: CNNConfig, *, bands: int, frames: int, outputs: int) -> None:
        super().__init__()
        stride = stem_stride((bands, frames))
        size = after_stride((bands, frames), stride)
        blocks: list[nn.Module] = []
        inputs = 1
        for index in range(config.depth):
            channels = config.width * min(2**index, MOST_WIDENING)
            pool = halving(size)
            blocks.append(
                conv_block(inputs, channels, convs=config.convs, stride=stride, pool=pool)
            )
            size, stride, inputs = after_pool(size, pool), (1, 1), channels
        self.blocks = nn.Sequential(AddChannel(), *blocks)
        self.head = nn.Sequential(
            MeanMaxPool(2, 3), nn.Dropout(config.dropout), nn.Linear(2 * inputs, outputs)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, bands, frames] to [batch, outputs]."""
        predictions: Tensor = self.head(self.blocks(features))
        return predictions
