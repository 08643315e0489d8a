"""The machine a process runs on: device, threads, determinism, seeds, peak memory."""

import ctypes
import hashlib
import os
import resource
import sys

import torch
import torch.utils.deterministic
from threadpoolctl import threadpool_limits

from pigan.errors import PiganError
from pigan.gpus import claim_gpus


def choose_device(asked: str, gpus: int = 0) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; a GPU that was asked for is never replaced silently.

    Long work says how many GPUs it takes, so that processes side by side take different ones (`pigan.gpus`).

    Raises:
        PiganError: CUDA was asked for and there is none.
    """
    if asked != "cpu":
        claim_gpus(gpus)
    if asked == "cuda" and not torch.cuda.is_available():
        raise PiganError("--device cuda: PyTorch sees no CUDA GPU here; use --device cpu or auto, or mend the driver")
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(asked)


def share_among(device: torch.device, gpus: int) -> list[torch.device]:
    """The devices that share a work whose result does not depend on how many there are: `gpus` GPUs, or the CPU.

    Raises:
        PiganError: fewer GPUs than asked for.
    """
    if gpus == 1:
        return [device]
    there = torch.cuda.device_count() if device.type == "cuda" else 0
    if gpus > there:
        raise PiganError(f"--gpus {gpus}: there are {there} here; ask for no more, or leave it out")
    return [torch.device("cuda", index) for index in range(gpus)]


def prepare_process(threads: int) -> None:
    """Fixes what the last bit of a result depends on besides params and seed, and keeps freed memory."""
    # read when cuBLAS starts
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # PyTorch has kernels in Triton too, whose next version fuses no products and sums unless told
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    keep_memory()
    torch.set_num_threads(threads)
    # NumPy's own linear algebra has another pool
    threadpool_limits(threads)
    torch.backends.cudnn.benchmark = False
    # fp32 is fp32: of all operations, convolutions alone would round to TF32
    torch.backends.cudnn.allow_tf32 = False
    # and sums of 16-bit products are fp32: cuBLAS may add parts of them in 16 bits, of which there are many over points
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    # the same as torch.use_deterministic_algorithms, which loads PyTorch's compiler to tell it (see `compiled`)
    torch.set_deterministic_debug_mode("warn")
    # what an operation makes it writes: filling that first, which comes with the above, is one launch more for each
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_memory() -> None:
    """Makes the C library keep freed memory: on Linux a third of a CPU training step is page faults otherwise."""
    if sys.platform == "linux":
        trim_threshold, mmap_max = -1, -4
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(mmap_max, 0)
            library.mallopt(trim_threshold, 2**31 - 1)


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed from whatever names the use: the same parts give the same stream, others an unrelated one.

    >>> seed_of("latent", 0), seed_of("latent", 1)
    (3796041806121970352, 3085639609508948149)
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_for(device: torch.device, *parts: int | str) -> torch.Generator:
    """A random generator on `device` for the use that `parts` name.

    >>> cpu = torch.device("cpu")
    >>> first, again = (torch.rand(2, generator=generator_for(cpu, "jitter", 7)) for _ in range(2))
    >>> torch.equal(first, again)
    True
    """
    return torch.Generator(device=device).manual_seed(seed_of(*parts))


def device_name(device: torch.device) -> str:
    """What people call the device."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def peak_memory_mb(device: torch.device) -> float:
    """Most memory in use so far: of the GPU if there is one, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
