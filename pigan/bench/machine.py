"""What the machine can do at best: matrix multiplication by precision, and copying memory."""

import torch

from pigan.bench.measure import Run, interleaved
from pigan.kernels.choose import DTYPES
from pigan.processor import instructions
from pigan.report.speed import Machine
from pigan.sections import Precision

# rows, inner and outer width: the paper's hidden layer, and large squares
SHAPES_CPU = ((24576, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048))
SHAPES_GPU = ((1 << 20, 256, 256), (4096, 4096, 4096), (8192, 8192, 8192))
COPIED_CPU, COPIED_GPU = 1 << 28, 1 << 32
SECONDS, SECONDS_QUICK, ROUNDS = 1.0, 0.2, (3, 50)
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def precisions(device: torch.device) -> dict[Precision, str | None]:
    """The precisions in their order, each with why this machine does not have it, None when it has."""
    if device.type == "cuda":
        bf16 = None if torch.cuda.is_bf16_supported(including_emulation=False) else "this GPU has no bf16 arithmetic"
        return {"fp32": None, "bf16": bf16, "fp16": None}
    bf16 = None if cpu_has_bf16() else "this processor has no bf16 instructions (avx512_bf16, amx_bf16), only emulation"
    return {"fp32": None, "bf16": bf16, "fp16": "fp16 needs a GPU"}


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 matrices; where it does not say, no."""
    return not CPU_FLAGS.isdisjoint(instructions())


def measure_machine(device: torch.device, quick: bool) -> Machine:
    """The best rates of several tries, with the threads and settings of this process."""
    rates = {name: matmul_gflops(device, DTYPES[name], quick) for name, no in precisions(device).items() if no is None}
    return Machine(matmul_gflops={str(name): rate for name, rate in rates.items()}, bandwidth_gb_s=copy_gb_s(device))


def matmul_gflops(device: torch.device, dtype: torch.dtype, quick: bool) -> float:
    """Best rate of a matrix product over a few shapes."""
    best = 0.0
    for rows, inner, outer in SHAPES_GPU if device.type == "cuda" else SHAPES_CPU:
        a, b = (torch.randn(shape, device=device).to(dtype) for shape in ((rows, inner), (inner, outer)))
        out = torch.empty((rows, outer), device=device, dtype=dtype)
        seconds = _shortest(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device, quick)  # type: ignore[misc]
        best = max(best, 2e-9 * rows * inner * outer / seconds)
    return best


def copy_gb_s(device: torch.device) -> float:
    """Best rate at which memory is read and written."""
    size = min(COPIED_GPU, torch.cuda.mem_get_info(device)[0] // 8) if device.type == "cuda" else COPIED_CPU
    source = torch.zeros(size // 4, device=device)
    target = torch.zeros_like(source)
    return 2e-9 * size / _shortest(lambda: target.copy_(source), device, True)


def _shortest(run: Run, device: torch.device, quick: bool) -> float:
    """Seconds of the fastest of many calls."""
    times = interleaved([run], device, SECONDS_QUICK if quick else SECONDS, ROUNDS)
    return min(times[0]) / 1e3
