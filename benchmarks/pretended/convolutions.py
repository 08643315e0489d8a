"""Convolutions on the pretended GPU: PyTorch's own, since cuDNN is not pretended."""

import torch


def without_cudnn() -> None:
    """Turns cuDNN off in this process, for good."""
    torch.backends.cudnn.enabled = False
    vars(torch._C)["_set_cudnn_enabled"] = lambda enabled: None
