"""torch.compile where it can be had: what cannot be compiled runs as it is written, and says so once."""

import functools
import sys
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from threading import Lock
from typing import ParamSpec, TypeVar

import torch
from torch.utils._pytree import tree_leaves

# PyTorch gives up after 8, and says so at length
MOST_SHAPES = 64

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, compiled for the shapes it is called with; as it is written where there is no compiler.

    The function must be pure: its first call may be made twice. Compiled code is kept on disk by PyTorch
    (TORCHINDUCTOR_CACHE_DIR), so that only the first process of a machine waits for it. Several threads may call it.
    """
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    # tells the compiler, too, which did not hear of it before it was loaded
    torch.use_deterministic_algorithms(
        torch.are_deterministic_algorithms_enabled(), warn_only=torch.is_deterministic_algorithms_warn_only_enabled()
    )
    chosen: Callable[P, R] = torch.compile(function, dynamic=False)
    known: set[Hashable] = set()
    compiling = Lock()

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal chosen
        if chosen is function:
            return function(*args, **kwargs)
        kind = _kind(args)
        # several threads that begin together would each compile the same
        with nullcontext() if kind in known else compiling:
            try:
                found = chosen(*args, **kwargs)
            except torch._dynamo.exc.TorchDynamoException as error:
                chosen = function
                reason = str(error).strip().splitlines()[0]
                print(
                    f"pigan: {function.__name__} is not compiled but runs as folded: {reason}; "
                    "install a C++ compiler (g++) or set training.kernel: folded",
                    file=sys.stderr,
                    flush=True,
                )
                return function(*args, **kwargs)
            known.add(kind)
            return found

    return call


def _kind(args: tuple[object, ...]) -> Hashable:
    """What is compiled anew for other ones."""
    leaves = tree_leaves(args)
    shapes = tuple(leaf.shape for leaf in leaves if isinstance(leaf, torch.Tensor))
    types = tuple(leaf for leaf in leaves if isinstance(leaf, torch.dtype))
    return torch.is_grad_enabled(), torch.get_num_threads(), shapes, types
