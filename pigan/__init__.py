"""pigan: train, evaluate, ablate and report on pi-GAN (arXiv 2012.00926)."""

__version__ = "0.1.0"
