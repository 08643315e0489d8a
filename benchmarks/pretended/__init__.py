"""A GPU that computes nothing, for what a program does around its kernels: memory, waits, devices, launches."""
