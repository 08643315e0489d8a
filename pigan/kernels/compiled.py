"""torch.compile where it can be had: what cannot be compiled runs as it is written, and says so once."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

# PyTorch gives up after 8, and says so at length
MOST_SHAPES = 64

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, compiled for the shapes it is called with; as it is written where there is no compiler.

    The function must be pure: its first call may be made twice. Compiled code is kept on disk by PyTorch
    (TORCHINDUCTOR_CACHE_DIR), so that only the first process of a machine waits for it.
    """
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    # tells the compiler, too, which did not hear of it before it was loaded
    torch.use_deterministic_algorithms(
        torch.are_deterministic_algorithms_enabled(), warn_only=torch.is_deterministic_algorithms_warn_only_enabled()
    )
    fast: Callable[P, R] | None = torch.compile(function, dynamic=False)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal fast
        if fast is not None:
            try:
                return fast(*args, **kwargs)
            except torch._dynamo.exc.TorchDynamoException as error:
                fast = None
                reason = str(error).strip().splitlines()[0]
                print(
                    f"pigan: {function.__name__} is not compiled but runs as folded: {reason}; "
                    "install a C++ compiler (g++) or set training.kernel: folded",
                    file=sys.stderr,
                    flush=True,
                )
        return function(*args, **kwargs)

    return call
