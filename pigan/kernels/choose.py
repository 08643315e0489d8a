"""Which evaluation of the radiance field a device and the params call for."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.config import Params
from pigan.errors import PiganError
from pigan.kernels.compiled import compiled
from pigan.kernels.folded import Evaluation, Folded, evaluate, evaluate_in_place, evaluate_in_tiles, fold
from pigan.kernels.threads import share_points
from pigan.models.generator import Generator, seen_directions
from pigan.rendering.render import Field
from pigan.sections import FieldKind, Kernel, Model, Precision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Numerics(NamedTuple):
    """How a field is evaluated: the path, and the type of the hidden layers' operands."""

    kernel: Literal["plain", "folded", "compiled", "triton"]
    dtype: torch.dtype


# the fields that the Triton kernels are for
SINE_FIELDS: tuple[FieldKind, ...] = ("film-siren", "concat-siren")
EXACT = Numerics("folded", torch.float32)


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """What `precision` means on this device; auto is fp16 on a GPU, as in the authors' training, else fp32.

    Raises:
        PiganError: fp16 without a GPU, whose gradients need its arithmetic.
    """
    if precision == "fp16" and device.type == "cpu":
        raise PiganError("precision fp16 needs a GPU: set training.precision and generate.precision to auto or fp32")
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return DTYPES[precision]


def choose_numerics(
    kernel: Kernel, precision: Precision, model: Model, device: torch.device, few: bool = False
) -> Numerics:
    """The path that `kernel` and `precision` of the params mean for this model on this device.

    auto takes the Triton kernels for 16-bit sine fields on a GPU that can run them, else the folded path. Ablation
    fields whose layers are not a sine each have no Triton kernel and are evaluated folded. `few`: only a few images
    are wanted, which are there before anything would be compiled.

    Raises:
        PiganError: a path that was asked for by name and cannot be had here.
    """
    dtype = choose_dtype(precision, device)
    if kernel == "auto" or kernel == "triton":
        if model.field not in SINE_FIELDS:
            return Numerics("folded", dtype)
        reason = _no_triton(model.hidden, device)
        if kernel == "triton" and reason is not None:
            raise PiganError(f"training.kernel triton: {reason}; use auto or folded")
        return Numerics("triton" if reason is None and (kernel == "triton" or dtype.itemsize == 2) else "folded", dtype)
    if kernel == "compiled" and few:
        kernel = "folded"
    # as the paper writes it there is nothing to keep out of 16 bits
    return Numerics(kernel, torch.float32 if kernel == "plain" else dtype)


def training_numerics(params: Params, device: torch.device) -> Numerics:
    """How a training of these params evaluates its field."""
    return choose_numerics(params.training.kernel, params.training.precision, params.model, device)


def rendering_numerics(params: Params, device: torch.device, few: bool = False) -> Numerics:
    """How what is rendered after it does; `few` as of `choose_numerics`."""
    return choose_numerics(params.training.kernel, params.generate.precision, params.model, device, few)


def field_of(generator: Generator, code: Float[Tensor, "batch code"], numerics: Numerics = EXACT) -> Field:
    """`generator`'s field for images with these codes; without gradients by the leanest way there is."""
    field, locked = generator.field, generator.model.lock_view_direction
    if numerics.kernel == "plain":
        return lambda points, directions: field(points, seen_directions(directions, locked), code)
    return _of_folded(fold(field, code), locked, numerics)


Backward = Callable[
    [
        Float[Tensor, "batch point 3"],
        Float[Tensor, "batch point 3"],
        Float[Tensor, "batch point 3"],
        Float[Tensor, "batch point"],
    ],
    None,
]
"""Points, unit view directions, and the gradients of the loss for the points' colour and raw density."""


@contextmanager
def backward_in_parts(
    generator: Generator, code: Float[Tensor, "batch code"], numerics: Numerics
) -> Iterator[Backward]:
    """What differentiates `generator`'s field for images with these codes, some of their points after another.

    The gradients of the weights and of `code` are there after the block, since the field is folded, and that
    differentiated, once instead of for every part.
    """
    if numerics.kernel == "plain":
        field = field_of(generator, code, numerics)
        yield lambda points, directions, *towards: torch.autograd.backward(field(points, directions), towards)
        return
    alone, pairs = fold(generator.field, code).cut_off()
    folded_field = _of_folded(alone, generator.model.lock_view_direction, numerics)
    wanted = [tensor for tensor in (*(leaf for _, leaf in pairs), *alone.shared_weights()) if tensor.requires_grad]

    def gradients(points: Tensor, directions: Tensor, *towards: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(folded_field(points, directions), wanted, towards)

    def backward(*part: Tensor) -> None:
        for found in share_points(gradients, *part):
            torch.autograd.backward(wanted, found)

    yield backward
    met = [(folded, leaf.grad) for folded, leaf in pairs if leaf.grad is not None]
    torch.autograd.backward([folded for folded, _ in met], [gradient for _, gradient in met])


def _of_folded(folded: Folded, locked: bool, numerics: Numerics) -> Field:
    """The field of what was folded; `locked`: seen from the front always."""

    def answer(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        directions = seen_directions(directions, locked)
        # only the eager path has gradients for positions
        if numerics.kernel == "triton" and not points.requires_grad:
            from pigan.kernels.triton_field import sine_field

            colour, density = sine_field(points, directions, *folded[:4], numerics.dtype)
            return torch.sigmoid(colour), density
        differentiable = torch.is_grad_enabled()
        evaluation: Evaluation = evaluate if differentiable else evaluate_in_place
        if numerics.kernel == "compiled":
            evaluation = _compiled_evaluate()
        if differentiable:
            return evaluation(folded, points, directions, numerics.dtype)
        return evaluate_in_tiles(folded, points, directions, numerics.dtype, evaluation)

    return answer


def _no_triton(hidden: int, device: torch.device) -> str | None:
    """Why the Triton kernels cannot be used, None when they can; Triton comes with the CUDA builds of PyTorch only."""
    if device.type != "cuda":
        return "needs a GPU"
    try:
        from pigan.kernels.triton_field import unusable
    except ImportError as error:
        return f"Triton cannot be imported ({error})"
    return unusable(hidden, device)


@functools.cache
def _compiled_evaluate() -> Evaluation:
    return compiled(evaluate)
