"""A residual network with pre-activation (He et al. 2016, https://arxiv.org/abs/1603.05027).

Normalisation and ReLU come before each convolution, so that the shortcuts carry the signal from
the first layer to the last untouched.
"""

from torch import Tensor, nn

from fourier.config import ResNetConfig
from fourier.models.blocks import (
    AddChannel,
    MeanMaxPool,
    Size,
    after_pool,
    after_stride,
    conv3x3,
    halving,
    stem_stride,
)


class PreActivationBlock(nn.Module):
    """Two 3 x 3 convolutions, each after normalisation and ReLU, around a shortcut.

    The shortcut is the input itself where the shape stays, else a 1 x 1 convolution of the
    activated input.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution and the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: Size = (1, 1)) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.convs = nn.Sequential(
            conv3x3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            conv3x3(outputs, outputs),
        )
        self.shortcut: nn.Module | None = None
        if inputs != outputs or stride != (1, 1):
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Map [batch, inputs, bands, frames] to [batch, outputs, bands', frames']."""
        active = self.activate(maps)
        change: Tensor = self.convs(active)
        return change + (maps if self.shortcut is None else self.shortcut(active))


class ResNet(nn.Module):
    """A stem, residual stages, mean and max pooling over bands and time, dropout, linear.

    The stem is ResNet's: a wide picture is halved by its convolution and again by max-pooling.

    Args:
        config: width, stages, blocks a stage, dropout.
        bands: rows of the picture.
        frames: columns of the picture.
        outputs: numbers or logits for each clip.
    """

    def __init__(self, config: ResNetConfig, *, bands: int, frames: int, outputs: int) -> None:
        super().__init__()
        stride = stem_stride((bands, frames))
        size = after_pool(after_stride((bands, frames), stride), stride)
        self.stem = nn.Sequential(
            AddChannel(), conv3x3(1, config.width, stride), nn.MaxPool2d(stride)
        )
        stages: list[nn.Module] = []
        inputs = config.width
        for stage in range(config.stages):
            channels = config.width * 2**stage
            step = halving(size) if stage > 0 else (1, 1)
            size = after_stride(size, step)
            for block in range(config.blocks):
                stages.append(PreActivationBlock(inputs, channels, step if block == 0 else (1, 1)))
                inputs = channels
        self.stages = nn.Sequential(*stages, nn.BatchNorm2d(inputs), nn.ReLU())
        self.head = nn.Sequential(
            MeanMaxPool(2, 3), nn.Dropout(config.dropout), nn.Linear(2 * inputs, outputs)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, bands, frames] to [batch, outputs]."""
        predictions: Tensor = self.head(self.stages(self.stem(features)))
        return predictions
