"""Too little memory is one line that says what to change, whoever ran out of it."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from pigan.errors import PiganError
from pigan.shortage import advised, lacking

CPU_TOLD = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "4000000000000 bytes. Error code 12 (Cannot allocate memory)\nframe #0: ..."
)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError(), "memory"),
        (np._core._exceptions._ArrayMemoryError((10**6,), np.dtype("f8")), "memory"),
        (RuntimeError(CPU_TOLD), "memory"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), "GPU memory"),
        (RuntimeError("CUDA error: out of memory"), "GPU memory"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("out of memory"), None),
        (OSError(errno.ENOSPC, "full"), None),
        (PiganError("out of something"), None),
    ],
)
def test_what_is_lacking(error, what):
    assert lacking(error) == what
    with pytest.raises(PiganError if what else type(error)) as caught, advised("at 8 px", "take less"):
        raise error
    if what:
        told = str(caught.value)
        assert told.startswith(f"out of {what} at 8 px: take less (") and "\n" not in told


def test_decorated_function_keeps_its_name_and_result():
    @advised("here", "there")
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8 and double.__name__ == "double"


@pytest.mark.parametrize("allocate", ["torch.zeros(10**9)", "np.zeros(10**9)", "bytearray(10**10)"])
def test_real_limit_is_met(allocate):
    """The process may take 500 MB more than its imports."""
    program = (
        "import resource, torch, numpy as np; from pigan.shortage import advised\n"
        "from pigan.runtime import keep_memory\n"
        "keep_memory()\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 500 * 2**20,) * 2)\n"
        f"with advised('in a test', 'take less'): {allocate}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip().splitlines()[-1].startswith("pigan.errors.PiganError: out of memory in a test: take less (")
    )
