"""Convolutions that fold the bands, then a recurrent layer over time.

After Choi et al. 2017 (https://arxiv.org/abs/1609.04243), with one bidirectional GRU layer in
place of two forward ones, and mean and maximum over time in place of the last state, since a clip
has no end that matters more than its beginning.
"""

import torch
from torch import Tensor, nn

from fourier.config import CRNNConfig
from fourier.models.blocks import (
    AddChannel,
    MeanMaxPool,
    after_pool,
    after_stride,
    conv_block,
    halving,
    stem_stride,
)

MOST_WIDENING = 4
BLOCKS_THAT_POOL_TIME = 2


class BidirectionalGRU(nn.Module):
    """One GRU layer in both directions of time.

    Calls the operator with the layer's parameters, which is what ``nn.GRU`` does after touching
    its own attributes; ``torch.export`` warns about that touch.

    Args:
        inputs: channels that come in.
        hidden: units in each direction.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)

    def forward(self, sequence: Tensor) -> Tensor:
        """Map [batch, frames, inputs] to [batch, frames, 2 x hidden]."""
        start = sequence.new_zeros(2, sequence.shape[0], self.gru.hidden_size)
        weights: list[Tensor] = list(self.gru.parameters())
        states, _ = torch.gru(sequence, start, weights, True, 1, 0.0, self.training, True, True)
        return states


class CRNN(nn.Module):
    """Convolution blocks, pooling over bands, GRU, mean and max over time, dropout, linear.

    Every block halves the bands; time is halved by the first two only.

    Args:
        config: width, depth, GRU units, dropout.
        bands: rows of the picture, at least 4.
        frames: columns of the picture, at least 4.
        outputs: numbers or logits for each clip.
    """

    def __init__(self, config: CRNNConfig, *, bands: int, frames: int, outputs: int) -> None:
        super().__init__()
        stride = stem_stride((bands, frames))
        size = after_stride((bands, frames), stride)
        blocks: list[nn.Module] = []
        inputs = 1
        for index in range(config.depth):
            channels = config.width * min(2**index, MOST_WIDENING)
            pool = halving(size) if index < BLOCKS_THAT_POOL_TIME else (halving(size)[0], 1)
            blocks.append(conv_block(inputs, channels, stride=stride, pool=pool))
            size, stride, inputs = after_pool(size, pool), (1, 1), channels
        self.blocks = nn.Sequential(AddChannel(), *blocks, MeanMaxPool(2))
        self.recurrent = BidirectionalGRU(2 * inputs, config.hidden)
        self.over_time = MeanMaxPool(2)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(4 * config.hidden, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, bands, frames] to [batch, outputs]."""
        sequence = self.blocks(features).transpose(1, 2)  # [batch, frames', channels]
        states = self.recurrent(sequence).transpose(1, 2)  # [batch, 2 x hidden, frames']
        predictions: Tensor = self.head(self.over_time(states))
        return predictions
