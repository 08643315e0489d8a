"""The FiLM-SIREN field on a GPU in three Triton kernels: see `triton_forward` and `triton_backward`.

Training keeps 2 bytes a hidden unit and point, the argument of its sine as a 16-bit turn; rendering keeps nothing.
The sums of gradients are over parts in a fixed order, so that the same inputs give the same bits.
"""

import importlib.util
import os
import shutil
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int16
from torch import Tensor
from torch.autograd.function import once_differentiable

from pigan.kernels.folded import Head

WIDTHS = (32, 64, 128, 256)
# Points whose gradients are in memory at a time, at 2 bytes a unit: images of a group, at least one.
GROUP_POINTS = 1 << 19
# Programs that the gradients of weights are summed in, at most, and processors that take them (of an H100 or H200).
PROGRAMS, PROCESSORS = 1024, 132
# by which a matrix that is beyond all use would be made too small for fp16
MOST_GROWTH = 256.0

# The arguments of all sines: within four turns in 16 bits, or radians where operands are float32.
Turns = Int16[Tensor, "kept batch padded hidden"] | Float[Tensor, "kept batch padded hidden"]


class Launch(NamedTuple):
    """Sizes of the kernels' programs; the results' last bits depend on them, so they depend on shapes only."""

    points: int
    """Of a block that stays on chip."""
    warps: int
    field: int
    """Stages of each loop's loads: as many blocks of weights as shared memory holds."""
    arguments: int
    weights: int
    whole: bool
    """Both halves of a layer go through a matrix in one product."""


def launch_of(hidden: int, dtype: torch.dtype, capability: tuple[int, int]) -> Launch:
    """What suits GPUs of 227 KB shared memory (compute capability 9 and 10), and those of 99 KB."""
    warps = 8 if hidden == 256 else 4
    if dtype == torch.float32:
        return Launch(32, warps, 1, 1, 1, whole=False)
    large = capability[0] in (9, 10)
    return Launch(128, warps, 3, 3, 3, whole=True) if large else Launch(128, warps, 2, 1, 2, whole=False)


def unusable(hidden: int, device: torch.device) -> str | None:
    """Why the kernels cannot be used here, None when they can; Triton's interpreter stands in for a GPU in tests."""
    if hidden not in WIDTHS:
        return f"the Triton kernels are for {', '.join(map(str, WIDTHS))} hidden units, not {hidden}"
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if os.environ.get("TRITON_INTERPRET") == "1":
        return None
    if device.type != "cuda" or torch.version.hip is not None:
        return "the Triton kernels need an NVIDIA GPU"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"the Triton kernels need compute capability 8.0, {torch.cuda.get_device_name(device)} has less"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler (gcc or clang), or CC that names one"
    return None


def sine_field(
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    weights: list[Float[Tensor, "batch _ hidden"]],
    biases: list[Float[Tensor, "batch 1 hidden"]],
    density_head: Head,
    colour_head: Head,
    dtype: torch.dtype,
) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"]]:
    """Colour before the sigmoid and raw density of folded sine layers, as `pigan.kernels.folded.fold` gives them.

    `dtype` is that of the hidden layers' operands; float32 is exact and slow. There are no gradients for points and
    directions.
    """
    tensors = (
        points.contiguous(),
        directions.contiguous(),
        weights[0].contiguous(),
        weights[-1][:, :3].contiguous(),
        torch.stack([*weights[1:-1], weights[-1][:, 3:]], 1),
        torch.cat(biases, 1),
        density_head.weight[0],
        colour_head.weight,
    )
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        colour, density = _SineField.apply(*tensors, dtype)
    else:
        colour, density, _ = _field(*tensors[:4], tensors[4].to(dtype), *tensors[5:], keep=False)
    return colour + colour_head.bias, density + density_head.bias


class _SineField(torch.autograd.Function):
    """Keeps the arguments of all sines, two bytes each, and the operands."""

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        directions: Tensor,
        first: Tensor,
        view: Tensor,
        hidden: Tensor,
        biases: Tensor,
        density_weight: Tensor,
        colour_weight: Tensor,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        operands = hidden.to(dtype)
        colour, density, turns = _field(
            points, directions, first, view, operands, biases, density_weight, colour_weight, keep=True
        )
        ctx.save_for_backward(points, directions, operands, density_weight, colour_weight, turns)
        return colour, density

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, colour: Tensor, density: Tensor) -> tuple[Tensor | None, ...]:
        outputs = torch.cat((colour, density[..., None]), -1).float()
        # A power of two that brings the largest to 1..2 keeps fp16 from losing the small ones, whatever the loss.
        scale = 1 / _power_below(outputs.abs().amax().clamp(min=torch.finfo(torch.float32).tiny))
        points, directions, operands, density_weight, colour_weight, turns = ctx.saved_tensors
        # Likewise powers of two that a matrix makes gradients larger by, or deep networks would leave fp16's range.
        growth = _growth(operands)
        operands = operands / growth[:, None, None].to(operands.dtype)
        hidden, biases, sums = _gradients(
            outputs.mul_(scale), points, directions, operands, density_weight / growth[-1], colour_weight, turns
        )
        # of the matrices behind each one, and of all
        behind = torch.cat((growth.flip(0).cumprod(0).flip(0), torch.ones_like(growth[:1])))
        hidden, biases = hidden.mul_(behind[1:, None, None]), biases.mul_(behind[1:, None])
        of_colour, view, of_density, first, first_bias = sums.div_(scale).split((3, 3, 1, 3, 1), 1)
        first, first_bias = first * behind[0], first_bias * behind[0]
        biases = torch.cat((first_bias, biases.div_(scale)), 1)
        of_points = (first, view, hidden.div_(scale), biases)
        return None, None, *of_points, of_density.sum((0, 1)), of_colour.sum(0), None


def _field(
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    first: Float[Tensor, "batch 3 hidden"],
    view: Float[Tensor, "batch 3 hidden"],
    hidden: Float[Tensor, "batch matrix hidden hidden"],
    biases: Float[Tensor, "batch layer hidden"],
    density_weight: Float[Tensor, "hidden"],
    colour_weight: Float[Tensor, "3 hidden"],
    keep: bool,
) -> tuple[Float[Tensor, "batch point 3"], Float[Tensor, "batch point"], Turns]:
    """Colour and density without the heads' biases, and the arguments of all sines if they are to be kept."""
    from pigan.kernels.triton_forward import field_kernel

    (batch, count), (matrices, width) = points.shape[:2], hidden.shape[1:3]
    launch = _launch(hidden)
    padded = _round_up(count, launch.points)
    kept = torch.float32 if hidden.dtype == torch.float32 else torch.int16
    turns = points.new_empty((matrices + 1 if keep else 0, batch, padded, width), dtype=kept)
    colour, density = torch.empty_like(points), points.new_empty(points.shape[:2])
    with torch.cuda.device_of(points):
        field_kernel[(padded // launch.points, batch)](
            points,
            directions,
            first,
            view,
            hidden,
            biases,
            density_weight,
            colour_weight,
            turns,
            colour,
            density,
            count,
            padded,
            matrices,
            width,
            launch.points,
            launch.field,
            launch.whole,
            keep,
            num_warps=launch.warps,
            enable_fp_fusion=True,
        )
    return colour, density, turns


def _gradients(
    outputs: Float[Tensor, "batch point 4"],
    points: Float[Tensor, "batch point 3"],
    directions: Float[Tensor, "batch point 3"],
    hidden: Float[Tensor, "batch matrix hidden hidden"],
    density_weight: Float[Tensor, "hidden"],
    colour_weight: Float[Tensor, "3 hidden"],
    turns: Turns,
) -> tuple[
    Float[Tensor, "batch matrix hidden hidden"],
    Float[Tensor, "batch matrix hidden"],
    Float[Tensor, "batch 11 hidden"],
]:
    """Gradients of matrices, of the biases behind them, and the rows of sums for all narrow weights."""
    from pigan.kernels.triton_backward import ROWS, arguments_kernel, weights_kernel

    batch, matrices, width, _ = hidden.shape
    padded = turns.shape[2]
    launch = _launch(hidden)
    blocks = padded // launch.points
    group = min(batch, max(1, GROUP_POINTS // padded))
    parts = min(_parts(2 * matrices * group), blocks)
    part_size = _round_up(-(-padded // parts), launch.points)
    parts = -(-padded // part_size)
    arguments = hidden.new_empty((matrices, group, padded, width))
    weights, biases, sums = [], [], []
    with torch.cuda.device_of(points):
        for first_image in range(0, batch, group):
            images = min(group, batch - first_image)
            some_sums = points.new_empty((images, blocks, ROWS.value, width))
            arguments_kernel[(blocks, images)](
                points,
                directions,
                hidden,
                density_weight,
                colour_weight,
                turns,
                outputs,
                arguments,
                some_sums,
                points.shape[1],
                padded,
                batch,
                first_image,
                matrices,
                width,
                launch.points,
                launch.whole,
                num_warps=launch.warps,
                num_stages=launch.arguments,
                enable_fp_fusion=True,
            )
            some_weights = points.new_empty((parts, images, matrices, width, width))
            some_biases = points.new_empty((parts, images, matrices, width))
            weights_kernel[(2, matrices * parts, images)](
                turns,
                arguments,
                some_weights,
                some_biases,
                padded,
                batch,
                first_image,
                part_size,
                matrices,
                width,
                min(64, launch.points),
                launch.weights,
                num_warps=launch.warps,
                enable_fp_fusion=True,
            )
            weights.append(some_weights.sum(0))
            biases.append(some_biases.sum(0))
            sums.append(some_sums.sum(1))
    return torch.cat(weights), torch.cat(biases), torch.cat(sums)


def _parts(programs: int) -> int:
    """How many times so many programs leave fewest processors without work in the last round.

    >>> _parts(160), 4 * 160 / 132, 6 * 160 / 132
    (4, 4.848484848484849, 7.2727272727272725)
    """
    most = max(1, PROGRAMS // programs)
    rounds = {parts: -(-parts * programs // PROCESSORS) for parts in range((most + 1) // 2, most + 1)}
    return max(rounds, key=lambda parts: parts / rounds[parts])


def _growth(hidden: Float[Tensor, "batch matrix hidden hidden"]) -> Float[Tensor, "matrix"]:
    """By what the transposed matrices multiply the length of a vector of any direction, as powers of two from 1 on."""
    lengths = torch.linalg.vector_norm(hidden, dim=(2, 3), dtype=torch.float32).amax(0)
    return _power_below((lengths / hidden.shape[-1] ** 0.5).clamp(1, MOST_GROWTH))


def _power_below(number: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The largest power of two that is not above a positive float32: its exponent alone.

    exp2 would be compiled for the GPU when it is first called.

    >>> [float(_power_below(torch.tensor(number))) for number in (0.3, 1.0, 6.0)]
    [0.25, 1.0, 4.0]
    """
    return (number.view(torch.int32) & 0x7F800000).view(torch.float32)


def _launch(hidden: Tensor) -> Launch:
    capability = torch.cuda.get_device_capability(hidden.device) if hidden.device.type == "cuda" else (9, 0)
    return launch_of(hidden.shape[-1], hidden.dtype, capability)


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
