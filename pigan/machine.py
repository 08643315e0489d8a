"""What this machine has, a fact a line."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch

from pigan.errors import PiganError
from pigan.files import work_root
from pigan.processor import instructions, processor_name, usable_processors

State = Literal["ok", "advice", "missing"]

GB = 1e9
LITTLE_DISK = 10 * GB
# what Linux calls instructions that multiply 16-bit numbers: x86, then ARM
SIXTEEN_BIT = ("avx512_bf16", "amx_bf16", "avx512_fp16", "amx_fp16", "bf16", "asimdhp")


@dataclass(frozen=True)
class Fact:
    """One line. `missing` is what the params need and do not find; `advice` is what would help or is worth knowing."""

    name: str
    value: str
    state: State = "ok"
    advice: str = ""


def machine_facts() -> list[Fact]:
    """Processors, memory, instructions, GPUs, libraries, compiler, engines, disk."""
    return [asked(name, look) for name, look in LOOKS.items()]


def asked(name: str, look: Callable[[], Fact]) -> Fact:
    """The fact, or why there is none."""
    try:
        return look()
    except PiganError as error:
        return Fact(name, str(error), "missing")
    except Exception as error:
        return Fact(name, f"cannot be found out ({type(error).__name__}: {' '.join(str(error).split())})", "advice")


def _processors() -> Fact:
    return Fact("processors", f"{usable_processors()} usable of {os.cpu_count()}, {processor_name() or 'unnamed'}")


def _memory() -> Fact:
    return Fact("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GB:.1f} GB")


def _instructions() -> Fact:
    known = torch.backends.cpu.get_cpu_capability()
    if found := [name for name in SIXTEEN_BIT if name in instructions()]:
        return Fact("instructions", f"{known}, 16-bit by {', '.join(found)}")
    advice = "leave precision at auto, which is fp32: 16-bit products are emulated here, and slow"
    return Fact("instructions", f"{known}, no 16-bit arithmetic", "advice", advice)


def _gpus() -> Fact:
    if not torch.cuda.is_available():
        if shutil.which("nvidia-smi"):
            return Fact(
                "gpu", "there is a driver, but PyTorch sees no GPU", "advice", "mend the driver or PyTorch's build"
            )
        return Fact("gpu", "none", "advice", "everything runs on the processor: good for the demo, slow for the paper")
    told = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        told.append(f"{card.name}, {card.total_memory / GB:.0f} GB, compute capability {card.major}.{card.minor}")
    return Fact("gpu", "; ".join(told) + f"; driver {_driver()}")


def _driver() -> str:
    """Version of the NVIDIA driver."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.split("\n")[0].strip() or "unknown"


def _torch() -> Fact:
    return Fact("torch", f"{torch.__version__}, CUDA {torch.version.cuda or 'not built in'}")


def _triton() -> Fact:
    found = _version("triton")
    if found:
        return Fact("triton", found)
    return Fact("triton", "not installed", "advice", "it comes with PyTorch for NVIDIA GPUs, whose kernels need it")


def _compiler() -> Fact:
    """The C++ compiler that torch.compile calls, and the headers that its code includes."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    found = shutil.which(name)
    if not found:
        advice = "install it for kernel: compiled, which runs as folded without"
        return Fact("compiler", f"no {name} for torch.compile", "advice", advice)
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        return Fact("compiler", f"{found}, but no Python.h", "advice", f"install Python's headers into {headers}")
    return Fact("compiler", found)


def _engines() -> Fact:
    found = {name: _version(name) for name in ("snakemake", "dvc")}
    told = ", ".join(f"{name} {number or 'is not installed'}" for name, number in found.items())
    if all(found.values()):
        return Fact("engines", told)
    return Fact("engines", told, "advice", "`make .venv` or pip install 'pigan[engines]'")


def _disk() -> Fact:
    place = work_root().resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    told = f"{free / GB:.0f} GB free where {work_root()} is"
    return Fact("disk", told) if free > LITTLE_DISK else Fact("disk", told, "advice", "large datasets need more")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


LOOKS: Mapping[str, Callable[[], Fact]] = {
    "processors": _processors,
    "memory": _memory,
    "instructions": _instructions,
    "gpu": _gpus,
    "torch": _torch,
    "triton": _triton,
    "compiler": _compiler,
    "engines": _engines,
    "disk": _disk,
}
