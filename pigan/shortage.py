"""Too little memory, told with what to change: GPUs, PyTorch, NumPy and the system each raise something else."""

import contextlib
import errno
from collections.abc import Iterator

from pigan.errors import PiganError

# how RuntimeErrors of PyTorch's allocators and of C++ begin, or what they hold
TOLD = ("can't allocate memory", "not enough memory", "std::bad_alloc", "cannot allocate memory")
GPU_TOLD = ("cuda out of memory", "cuda error: out of memory", "cublas_status_alloc_failed")


@contextlib.contextmanager
def advised(where: str, advice: str) -> Iterator[None]:
    """Turns too little memory within the block, or within the function that it decorates, into a PiganError.

    `where` says at what, as "at 32 px"; `advice` says what to change.
    """
    try:
        yield
    except Exception as error:
        memory = lacking(error)
        if memory is None:
            raise
        first = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise PiganError(f"out of {memory} {where}: {advice} ({first})") from None


def lacking(error: Exception) -> str | None:
    """`GPU memory` or `memory`, if that is what the error tells a lack of; else None."""
    told = str(error).lower()
    # by its name: importing torch takes longer than many a stage
    if type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and any(part in told for part in GPU_TOLD)
    ):
        return "GPU memory"
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "memory"
    return "memory" if isinstance(error, RuntimeError) and any(part in told for part in TOLD) else None
