"""The points of a field shared out among a CPU's threads, each of which takes its part through all layers alone.

PyTorch shares out every operation instead: its threads wait for each other a hundred times a tile, and find what the
last operation left in another one's cache. One thread also has the faster sine (`pigan.kernels.sines`).
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Barrier
from typing import TypeVar

import torch
from jaxtyping import Shaped
from torch import Tensor

Result = TypeVar("Result")

# fewer points a thread are not worth it
LEAST = 256


def share_points(work: Callable[..., Result], *values: Shaped[Tensor, "batch point ..."]) -> list[Result]:
    """`work` of all values, or on a CPU of as many parts of their points as PyTorch has threads; in the points' order.

    Gradients are on in `work` where they are here, and PyTorch's settings hold. What it adds to a tensor's `grad` comes
    in any order: it is to return its gradients instead.
    """
    threads, points = torch.get_num_threads(), values[0].shape[1]
    parts = min(threads, points // LEAST) if values[0].device.type == "cpu" else 1
    if parts <= 1:
        return [work(*values)]
    differentiable = torch.is_grad_enabled()

    def alone(*part: Tensor) -> Result:
        with torch.set_grad_enabled(differentiable):
            return work(*part)

    each = zip(*(value.chunk(parts, dim=1) for value in values), strict=True)
    # settings of PyTorch's compiler are context variables
    waiting = [_threads(threads).submit(copy_context().run, alone, *part) for part in each]
    return [future.result() for future in waiting]


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    """So many threads that stay, since what MKL keeps for a thread is not given back when it ends."""
    everyone = Barrier(count)

    def begin() -> None:
        # the number that is set before it is asked for is forgotten
        torch.get_num_threads()
        torch.set_num_threads(1)

    threads = ThreadPoolExecutor(count, "pigan", begin)
    for there in [threads.submit(everyone.wait) for _ in range(count)]:
        there.result()
    # of threads that begin later
    torch.set_num_threads(count)
    return threads


# a forked process has none of them
os.register_at_fork(after_in_child=_threads.cache_clear)
