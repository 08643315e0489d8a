"""What the stages are called, where their files are, and what their logs say; needs no PyTorch."""
