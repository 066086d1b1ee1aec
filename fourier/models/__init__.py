"""Networks from a picture of bands over time to numbers or logits, one file each.

`build_model` is the only way in. Not here: the spectrogram and its normalisation, which come
before a network (`fourier.features`), and the loss (`fourier.training`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from fourier.config import (
    CNNConfig,
    CRNNConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    TDNNConfig,
    TwoConvConfig,
)
from fourier.models.cnn import CNN
from fourier.models.crnn import CRNN
from fourier.models.mlp import MLP
from fourier.models.resnet import ResNet
from fourier.models.tdnn import TDNN
from fourier.models.two_conv import TwoConv

__all__ = ["MIN_BANDS", "MIN_FRAMES", "NETWORKS", "build_model"]

MIN_BANDS = 8
MIN_FRAMES = 8

NETWORKS: Mapping[type[Any], type[nn.Module]] = MappingProxyType(
    {
        MLPConfig: MLP,
        TwoConvConfig: TwoConv,
        CNNConfig: CNN,
        ResNetConfig: ResNet,
        CRNNConfig: CRNN,
        TDNNConfig: TDNN,
    }
)
"""The network of each configuration class."""


def build_model(config: ModelConfig, *, bands: int, frames: int, outputs: int) -> nn.Module:
    """Build the network that a configuration describes, for pictures of one size.

    Its weights come from torch's global generator: seed that first. On a CPU the convolutional
    networks are faster after ``.to(memory_format=torch.channels_last)``.

    Args:
        config: which network, and its size.
        bands: rows of the picture, at least 8.
        frames: columns of the picture, at least 8.
        outputs: numbers or logits for each clip, at least 1.

    Returns:
        A module from [batch, bands, frames] float32 to [batch, outputs] (bf16 under autocast).

    Raises:
        ValueError: the picture is too small or there is no output.
    """
    for name, value, low in (
        ("bands", bands, MIN_BANDS),
        ("frames", frames, MIN_FRAMES),
        ("outputs", outputs, 1),
    ):
        if value < low:
            raise ValueError(f"`{name} >= {low}` must hold, but got {value}")
    return NETWORKS[type(config)](config, bands=bands, frames=frames, outputs=outputs)
