"""The cross-entropy of scores that one matrix gives, without the scores of all rows in memory at once."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from carousel.engines.inside_torch import is_plain_call

# Rows whose scores are in memory at once: enough for fast products, few enough to stay near the cores.
ROWS = {"cpu": 256, "cuda": 4096}


def linear_cross_entropy(
    x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, ignored: int = -100, label_smoothing: float = 0.0
) -> Tensor:
    """The mean over all rows n with a target of

        loss_n = Σ_v q_nv (ln Σ_u exp y_nu - y_nv),  y_n = W x_n + b,  q_nv = (1 - ε) [v = target_n] + ε / V

    as torch's `cross_entropy` of `linear` computes it, up to rounding; nan where no row has a target. Rows are taken a
    few at a time: their scores become the loss and its gradients at once, while they are in the cache of the processor,
    and make room for the next, as in the fused linear cross-entropy of Hsu et al. 2024 (Liger Kernel). So the N x V
    scores and their gradients are never in memory as a whole. Inside torch.compile, a transform or autocast the two
    functions of torch are called instead. It can be differentiated once.

    x: (N, size). weight: W, (V, size). bias: b, (V,). targets: (N,) int64, `ignored` for rows without one.
    label_smoothing: ε.
    """
    if not is_plain_call():
        scores = functional.linear(x, weight, bias)
        return functional.cross_entropy(scores, targets, ignore_index=ignored, label_smoothing=label_smoothing)
    real = (targets != ignored).nonzero().squeeze(1)
    if len(real) < len(targets):
        x, targets = x[real], targets[real]
    loss: Tensor = _LinearCrossEntropy.apply(x, weight, bias, targets, label_smoothing, torch.is_grad_enabled())
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """learning: whether gradients are wanted. They are computed with the loss, for an upstream gradient of N."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, learning: bool
    ) -> Tensor:
        rows, symbols = ROWS.get(x.device.type, ROWS["cpu"]), len(weight)
        rooms = x.new_empty(2, min(rows, len(x)), symbols)
        total = x.new_zeros(())
        gradients = [torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)] if learning else []
        for start in range(0, len(x), rows):
            some, own = x[start : start + rows], targets[start : start + rows].unsqueeze(1)
            scores = torch.mm(some, weight.T, out=rooms[0, : len(some)]).add_(bias)
            log_p = torch.log_softmax(scores, 1, out=rooms[1, : len(some)])
            total -= (1 - smoothing) * log_p.gather(1, own).sum()
            if smoothing:
                total -= smoothing / symbols * log_p.sum()
            if learning:
                slope = log_p.exp_()  # of the loss by the scores: P - q
                if smoothing:
                    slope -= smoothing / symbols
                slope.scatter_add_(1, own, slope.new_full(own.shape, smoothing - 1))
                torch.mm(slope, weight, out=gradients[0][start : start + rows])
                gradients[1].addmm_(slope.T, some)
                gradients[2] += slope.sum(0)
        ctx.save_for_backward(*gradients)
        return total / len(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        of_x, *_ = ctx.saved_tensors
        return (*(gradient * (upstream / len(of_x)) for gradient in ctx.saved_tensors), None, None, None)
