"""`pigan` on a GPU that computes nothing."""

import torch

from pigan.cli import main

# convolutions of PyTorch itself: cuDNN is not pretended; the processes of several GPUs import this too
torch.backends.cudnn.enabled = False
if __name__ == "__main__":
    main()
