"""The library that stands in for CUDA's, compiled from device.c; functions that it lacks return 0."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import torch

# PyTorch's own libraries; what they ask of CUDA's is answered by the pretended device
ASKING = ("libc10_cuda.so", "libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_python.so")
ASKED = re.compile(r" U ((?:cuda|cublas|cusolver|cusparse|cufft|nccl)\w+)")


class CannotBeBuilt(Exception):
    """Why there is no pretended GPU here."""


def build(folder: Path) -> dict[str, str]:
    """Compiles it in `folder`; returns the environment of processes that see two such GPUs.

    Raises:
        CannotBeBuilt: PyTorch without CUDA, a real GPU, or no C compiler.
    """
    if sys.platform != "linux" or torch.version.cuda is None or importlib.util.find_spec("triton") is None:
        raise CannotBeBuilt("PyTorch is not built with CUDA here")
    if torch.cuda.is_available():
        raise CannotBeBuilt("there is a real GPU here")
    if not (shutil.which("gcc") and shutil.which("nm")):
        raise CannotBeBuilt("no gcc and nm here")
    packages = Path(torch.__file__).parent.parent
    runtime = next(packages.glob("nvidia/*/include/cuda_runtime_api.h"), None)
    if runtime is None:
        raise CannotBeBuilt("the headers of CUDA's runtime are not here")
    # some that CUDA's own packages leave out come with Triton
    include = [f"-I{runtime.parent}", f"-I{packages / 'triton/backends/nvidia/include'}"]
    compiled, rest, library = folder / "device.o", folder / "rest.c", folder / "libcuda.so.1"
    _run("gcc", "-w", "-c", "-fPIC", "-O1", *include, Path(__file__).with_name("device.c"), "-o", compiled)
    own = set(re.findall(r" T (\w+)", _run("nm", compiled)))
    asked = {name for asking in ASKING for name in ASKED.findall(_run("nm", "-D", packages / "torch/lib" / asking))}
    asked |= set(re.findall(r"\b(cu[A-Z]\w+)\s*\(", (runtime.parent / "cuda.h").read_text()))
    rest.write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in sorted(asked - own)))
    _run("gcc", "-w", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", compiled, rest, "-o", library)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CUDA_"))}
    return {**kept, "LD_PRELOAD": str(library), "TRITON_LIBCUDA_PATH": str(folder)}


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
