"""AdamW with its schedule and gradient clipping, in as few passes over the weights as possible.

Not here: loss scaling, which bf16 does not need.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fourier.config import TrainingConfig

SECOND_BETA = 0.999
EPSILON = 1e-8
CLIP_EPSILON = 1e-6  # as in torch's `clip_grad_norm_`


class _Learned(NamedTuple):
    """A weight with AdamW's moments of its gradients and how many steps they took."""

    weight: Tensor
    mean: Tensor
    square: Tensor
    steps: Tensor


class Optimizer:
    """Fused AdamW (Loshchilov & Hutter 2019), set to a pace at every step.

    Biases and the weights of normalisation layers (all parameters of one dimension) are not
    decayed: pulling them to zero takes away no capacity, only fit. The fused form makes one pass
    where torch's default makes a dozen. It is called without `torch.optim.AdamW` around it, and
    gradients that are short enough are not scaled by 1 where that can be known without waiting for
    a device: together a tenth of a step of the notebook's network, for the same bits. Nothing
    waits for the device.

    Args:
        model: on its device already.
        config: ``weight_decay`` and ``clip_norm`` are used.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self._clip_norm = config.clip_norm
        self._weights = list(model.parameters())
        learned = [
            _Learned(p, torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device))
            for p in self._weights
        ]
        self._parts = (
            (config.weight_decay, [one for one in learned if one.weight.ndim > 1]),
            (0.0, [one for one in learned if one.weight.ndim <= 1]),
        )

    @torch.no_grad()
    def step(self, lr: float, momentum: float) -> None:
        """Move the weights against their gradients, then forget the gradients.

        Args:
            lr: learning rate of this step.
            momentum: AdamW's first beta in this step.
        """
        if self._clip_norm:
            self._clip()
        for weight_decay, learned in self._parts:
            taught = [one for one in learned if one.weight.grad is not None]
            steps = [one.steps for one in taught]
            if not taught:
                continue
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                [one.weight for one in taught],
                [one.weight.grad for one in taught],  # type: ignore[misc]
                [one.mean for one in taught],
                [one.square for one in taught],
                [],
                steps,
                lr=lr,
                beta1=momentum,
                beta2=SECOND_BETA,
                weight_decay=weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )
        for weight in self._weights:
            weight.grad = None

    def _clip(self) -> None:
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = nn.utils.get_total_norm(gradients, foreach=True)
        # To look at a number of a GPU's would be to wait for it.
        on_host = norm.device.type == "cpu"
        if on_host and (self._clip_norm / (norm + CLIP_EPSILON)).numpy() >= 1:
            return
        nn.utils.clip_grads_with_norm_(self._weights, self._clip_norm, norm, foreach=True)
