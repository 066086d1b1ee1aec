"""A network's outputs for clips whose features are stored; validation and promotion share it.

Not here: audio files (`fourier.release`) and what the outputs mean (`fourier.training.task`).
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fourier.config.training import Precision
from fourier.training.device import autocast_dtype

BLOCK_VALUES = 2**20  # feature values in one block at least, so that small pictures go fast


def predict(
    model: nn.Module,
    features: Tensor,
    rows: Tensor,
    *,
    precision: Precision = "fp32",
    batch_size: int = 64,
) -> npt.NDArray[np.float32]:
    """Run a network in evaluation mode; its mode is put back afterwards.

    Blocks hold twice ``batch_size`` clips, or more where pictures are small. Without gradients
    this takes less memory than a training step of ``batch_size`` clips does.

    Args:
        model: on the device of the features.
        features: [clips, bands, frames], as the feature store keeps them.
        rows: which clips, int64 [n], on any device.
        precision: as in `TrainingConfig`.
        batch_size: clips that a training step of this network is known to take.

    Returns:
        [n, outputs], in the order of the rows.
    """
    rows = rows.to(features.device)
    dtype = autocast_dtype(precision, features.device, model)
    block = max(2 * batch_size, BLOCK_VALUES // features[0].numel())
    was_training = model.training
    model.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(features.device.type, dtype=dtype, enabled=dtype is not None),
        ):
            blocks = [
                model(features.index_select(0, part).float()).float()
                for part in torch.split(rows, block)
            ]
            outputs: npt.NDArray[np.float32] = torch.cat(blocks).cpu().numpy()
    finally:
        model.train(was_training)
    return outputs
