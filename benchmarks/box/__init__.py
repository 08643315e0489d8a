"""A time-boxed run of the whole chain on a bare machine: see benchmarks/gpu_run.py."""
