"""What training minimises: differentiable losses on batches.

Not here: the figures that people compare (`fourier.training.metrics`), which are computed over
all validation clips at once and not over batches.
"""

import torch
from torch import Tensor

# Below this the variances of a batch say nothing: targets lie in [-1, 1], so 1e-6 is an error of
# a thousandth. It bounds the gradient of batches that are nearly constant.
CCC_EPSILON = 1e-6


def concordance_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - CCC over the batch, the mean over the dimensions; 0 is perfect, 2 the worst.

    A batch of one clip has no covariance: its loss is near 1 whatever was predicted, and 0 where
    the prediction is exact. Moments are the population's, as in `fourier.training.metrics.ccc`.

    Args:
        prediction: [batch, dimensions].
        target: [batch, dimensions].

    Returns:
        A scalar.
    """
    mean_x, mean_y = prediction.mean(0), target.mean(0)
    x, y = prediction - mean_x, target - mean_y
    spread = (x * x + y * y).mean(0) + (mean_x - mean_y).square()
    agreement = 2 * (x * y).mean(0)
    # The epsilon stands in both places, so that agreement on a constant batch costs nothing.
    return 1 - ((agreement + CCC_EPSILON) / (spread + CCC_EPSILON)).mean()


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the batch and its dimensions, a scalar."""
    return torch.nn.functional.mse_loss(prediction, target)
