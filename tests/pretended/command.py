"""`pigan` on a GPU that computes nothing."""

import torch

from pigan.cli import main

# convolutions of PyTorch itself: cuDNN is not pretended
torch.backends.cudnn.enabled = False
main()
