"""Curriculum, losses, steps and checkpoints of progressive GAN training."""
