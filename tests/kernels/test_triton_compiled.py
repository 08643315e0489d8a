"""What becomes of the kernels on a Hopper GPU: compiled for one, with Triton's own assembler, where there is none."""

import os
import re
import subprocess

import pytest
import torch

from pigan.kernels.triton_field import launch_of

triton = pytest.importorskip("triton")
compiler = pytest.importorskip("triton.compiler")
backend = pytest.importorskip("triton.backends.compiler")
from pigan.kernels.triton_backward import arguments_kernel, weights_kernel  # noqa: E402
from pigan.kernels.triton_forward import field_kernel  # noqa: E402

HOPPER = 90
SHARED_MEMORY, SMALL_SHARED_MEMORY = 227 * 1024, 99 * 1024
MATRICES, WIDTH = 8, 256
LAUNCH = launch_of(WIDTH, torch.float16, (9, 0))

pytestmark = [
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="interprets"),
    pytest.mark.skipif("nvidia" not in triton.backends.backends, reason="this Triton has no NVIDIA backend"),
]


def compile_for(kernel, sizes, warps=LAUNCH.warps, operand="fp16", capability=HOPPER, **options):
    """As the paper's network launches it, compiled anew."""
    integers = {"count", "padded", "images", "first_image", "part_size"}
    special = dict.fromkeys(integers, "i32") | {"turns": "*i16", "hidden": f"*{operand}", "arguments": f"*{operand}"}
    types = {name: "constexpr" if name in sizes else special.get(name, "*fp32") for name in kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, (name, kind) in enumerate(types.items())
        if kind.startswith("*") or name == "padded"
    }
    return triton.compile(
        compiler.ASTSource(kernel, types, sizes, aligned),
        target=backend.GPUTarget("cuda", capability, 32),
        options={"num_warps": warps, "enable_fp_fusion": True, **options},
    )


def resources(built, tmp_path):
    """Registers and stack bytes a thread; a thread has a stack when registers were spilled."""
    program = tmp_path / "kernel.cubin"
    program.write_bytes(built.asm["cubin"])
    tool = triton.knobs.nvidia.cuobjdump.path
    told = subprocess.run([tool, "--dump-resource-usage", program], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", told)
    assert found is not None, told
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(
    ("kernel", "sizes", "stages", "stack"),
    [
        (field_kernel, {"BLOCK": LAUNCH.points, "STAGES": LAUNCH.field, "WHOLE": LAUNCH.whole, "KEEP": False}, 3, 16),
        # before the loop
        (field_kernel, {"BLOCK": LAUNCH.points, "STAGES": LAUNCH.field, "WHOLE": LAUNCH.whole, "KEEP": True}, 3, 136),
        # 0 with Triton 3.6
        (arguments_kernel, {"BLOCK": LAUNCH.points, "WHOLE": LAUNCH.whole}, LAUNCH.arguments, 32),
        (weights_kernel, {"BLOCK": 64, "STAGES": LAUNCH.weights}, 3, 0),
    ],
    ids=["rendering", "training", "arguments", "weights"],
)
def test_kernels_of_the_papers_network(kernel, sizes, stages, stack, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    sizes = {"MATRICES": MATRICES, "WIDTH": WIDTH, **sizes}
    built = compile_for(kernel, sizes, num_stages=stages)
    ptx = built.asm["ptx"]
    assert "wgmma.mma_async" in ptx and ("sin.approx" in ptx or "cos.approx" in ptx)
    # a sine of many instructions has a table of pi
    assert "__cudart_i2opi_f" not in ptx
    assert built.metadata.shared <= SHARED_MEMORY
    registers, spilled = resources(built, tmp_path)
    assert registers <= 255 and spilled <= stack
    if kernel is not weights_kernel:
        # the three half layers that a step hands on, in pairs of 16 bits, and nothing else of that size
        half_layer = f"tensor<{LAUNCH.points}x{WIDTH // 4}xi32>"
        # the last loop of both: the other one before it carries nothing
        loop = [line for line in built.asm["ttir"].splitlines() if "scf.for" in line][-1]
        assert loop.count("tensor<") == loop.count(half_layer) == 3


def test_the_other_16_bit_type_and_a_small_field(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    sizes = {"MATRICES": 2, "WIDTH": 32, "BLOCK": 128, "STAGES": 2, "WHOLE": True, "KEEP": False}
    assert "cvt.rn.bf16x2" in compile_for(field_kernel, sizes, 4, "bf16").asm["ptx"]


@pytest.mark.parametrize("kernel", [field_kernel, arguments_kernel], ids=["training", "arguments"])
def test_smaller_gpus_have_the_shared_memory(kernel, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    small = launch_of(WIDTH, torch.float16, (8, 6))
    sizes = {"MATRICES": MATRICES, "WIDTH": WIDTH, "BLOCK": small.points, "WHOLE": small.whole}
    if kernel is field_kernel:
        sizes |= {"STAGES": small.field, "KEEP": True}
    built = compile_for(kernel, sizes, capability=86, num_stages=small.arguments)
    assert built.metadata.shared <= SMALL_SHARED_MEMORY
