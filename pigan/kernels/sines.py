"""The sine of float32 on a CPU: NumPy's where one thread computes, else PyTorch's.

PyTorch asks MKL, which takes 2.3 times as long on an AMD processor with AVX-512, and as long as NumPy with AVX2. But
NumPy's has one thread, which suits those that share out points (`pigan.kernels.threads`), and what compiles code has a
fast sine of its own.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def sine(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """sin(x), x in radians."""
    found: Tensor = _Sine.apply(x) if _by_numpy(x) else torch.sin(x)
    return found


def sine_(x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The same in place, without gradients."""
    if not _by_numpy(x):
        return torch.sin_(x)
    values = x.detach().numpy()
    np.sin(values, out=values)
    return x


class _Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _filled(np.sin, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        # that it is enabled here means that the gradient is differentiated in its turn
        if torch.is_grad_enabled():
            return gradient * torch.cos(x)
        return _filled(np.cos, x).mul_(gradient)


def _by_numpy(x: Tensor) -> bool:
    if torch.compiler.is_compiling():
        return False
    return x.device.type == "cpu" and x.dtype == torch.float32 and torch.get_num_threads() == 1


def _filled(function: np.ufunc, x: Tensor) -> Tensor:
    """`function` of every number, in memory of PyTorch's."""
    found = torch.empty_like(x)
    function(x.detach().numpy(), out=found.detach().numpy())
    return found
