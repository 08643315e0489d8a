"""GPUs that compute nothing (device.c), for what a program does around their kernels."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
# PyTorch's own libraries; what they ask of CUDA's is answered by the pretended device
ASKING = ("libc10_cuda.so", "libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_python.so")
ASKED = re.compile(r" U ((?:cuda|cublas|cusolver|cusparse|cufft|nccl)\w+)")
SECONDS = 300


class PretendedGpu:
    """Runs Python in processes that see two such GPUs."""

    def __init__(self, library: Path) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CUDA_"))},
            "LD_PRELOAD": str(library),
            "TRITON_LIBCUDA_PATH": str(library.parent),
            "OMP_NUM_THREADS": "1",
        }

    def run(self, script: str, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """A script of this folder; fails with what it said."""
        command = [sys.executable, str(HERE / script), *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="session")
def pretended_gpu(tmp_path_factory: pytest.TempPathFactory) -> PretendedGpu:
    """Compiled here; skipped where PyTorch is not built with CUDA, or there is a GPU, or no C compiler."""
    if torch.version.cuda is None or importlib.util.find_spec("triton") is None or sys.platform != "linux":
        pytest.skip("PyTorch is not built with CUDA here")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, which the marked tests use")
    if not (shutil.which("gcc") and shutil.which("nm")):
        pytest.skip("no gcc and nm here")
    packages = Path(torch.__file__).parent.parent
    bundled = packages / "triton/backends/nvidia/include"
    runtime = next(packages.glob("nvidia/*/include/cuda_runtime_api.h"), None)
    if runtime is None:
        pytest.skip("the headers of CUDA's runtime are not here")
    folder = tmp_path_factory.mktemp("pretended")
    include = [f"-I{runtime.parent}", f"-I{bundled}"]

    def run(*command: str | Path) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    run("gcc", "-w", "-c", "-fPIC", "-O1", *include, HERE / "device.c", "-o", folder / "device.o")
    own = set(re.findall(r" T (\w+)", run("nm", folder / "device.o")))
    asked = {name for library in ASKING for name in ASKED.findall(run("nm", "-D", packages / "torch/lib" / library))}
    asked |= set(re.findall(r"\b(cu[A-Z]\w+)\s*\(", (runtime.parent / "cuda.h").read_text()))
    rest = folder / "rest.c"
    rest.write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in sorted(asked - own)))
    library = folder / "libcuda.so.1"
    run("gcc", "-w", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", folder / "device.o", rest, "-o", library)
    return PretendedGpu(library)
