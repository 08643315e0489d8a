"""Exponential moving average of the generator's weights."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(average: nn.Module, current: nn.Module, decay: float, updates: int) -> None:
    """Moves `average` towards `current`; young averages move faster, decay = min(decay, (1 + n) / (10 + n)).

    `updates` is n and counts this one, as in the package that the authors use.
    """
    warm = min(decay, (1 + updates) / (10 + updates))
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - warm)
