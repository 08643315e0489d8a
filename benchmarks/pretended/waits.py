"""Where a program waits for the GPU, as PyTorch tells it; on a real one too."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def waits() -> Iterator[list[str]]:
    """The lines of pigan that waited meanwhile, once for each time: `training/step.py: loss = ...`."""
    found: list[str] = []

    def record(message: Warning | str, *_: Any, **__: Any) -> None:
        if "synchronizing CUDA operation" in str(message):
            own = [frame for frame in traceback.extract_stack() if "/pigan/" in frame.filename]
            found.append(f"{own[-1].filename.split('/pigan/')[-1]}: {own[-1].line}" if own else "outside of pigan")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = record
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
