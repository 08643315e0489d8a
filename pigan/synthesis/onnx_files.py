"""Mapping network and field as ONNX, for programs without PyTorch; checked against PyTorch once they are written."""

import contextlib
import copy
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from pigan.errors import PiganError
from pigan.files import atomic_file
from pigan.models.generator import Generator, seen_directions
from pigan.runtime import generator_for
from pigan.synthesis.trained import TrainedModel

MAPPING, FIELD = "mapping.onnx", "field.onnx"
NEEDED = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4
# of the inputs that the network is traced with, and of those that it is then asked about
TRACED, ASKED = (2, 5), (3, 257)


class ViewedField(nn.Module):
    """A field that sees directions as its params say: as they are, or all alike."""

    def __init__(self, field: nn.Module, locked: bool) -> None:
        super().__init__()
        self.field, self.locked = field, locked

    def forward(self, points: Tensor, directions: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Colour (0..1) and raw density (of sincos-concat: opacity before its sigmoid)."""
        colour, density = self.field(points, seen_directions(directions, self.locked), code)
        return colour, density


def check_tools() -> None:
    """Raises PiganError unless what writes and runs ONNX is installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise PiganError(
            f"ONNX needs {', '.join(missing)}: pip install 'pigan[export]', or leave it out with --no-onnx"
        )


def write_onnx(model: TrainedModel, folder: Path) -> dict[str, float]:
    """Writes mapping.onnx (z -> code) and field.onnx (points, directions, code -> colour, density) to `folder`.

    Batch and points may have any size. Returns how far each output of ONNX Runtime is from PyTorch's at random inputs:
    the largest difference, divided by the largest value where that is above 1.

    Raises:
        PiganError: a package is missing, or an output differs by more than 1e-4.
    """
    check_tools()
    # on the CPU, where ONNX Runtime is; the model stays where it is
    generator = copy.deepcopy(model.generator).cpu()
    field = ViewedField(generator.field, model.params.model.lock_view_direction).eval()
    shape = {0: "batch", 1: "points"}
    errors: dict[str, float] = {}
    for file, network, inputs, outputs, shapes in (
        (MAPPING, generator.mapping, ["z"], ["code"], [{0: "batch"}]),
        (FIELD, field, ["points", "directions", "code"], ["colour", "density"], [shape, shape, {0: "batch"}]),
    ):
        traced = _inputs(model, generator, *TRACED)
        with _quiet():
            program = torch.onnx.export(
                network,
                tuple(traced[name] for name in inputs),
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=tuple(shapes),
                dynamo=True,
                verbose=False,
            )
        if program is None:
            raise PiganError(f"{file}: PyTorch made no ONNX of this network; leave it out with --no-onnx")
        _save(program.model_proto, folder / file)
        errors |= compare(
            network, folder / file, {name: _inputs(model, generator, *ASKED)[name] for name in inputs}, outputs
        )
    refuse_inexact(errors)
    return errors


def refuse_inexact(errors: dict[str, float]) -> None:
    """Raises PiganError when an output differs by more than TOLERANCE, or by what is no number."""
    worst = next((name for name, error in errors.items() if not error <= TOLERANCE), None)
    if worst is not None:
        raise PiganError(
            f"ONNX Runtime's {worst} is {errors[worst]:.1e} from PyTorch's, more than {TOLERANCE:.0e}; leave ONNX out "
            "with --no-onnx"
        )


def _inputs(
    model: TrainedModel, generator: Generator, batch: int, points: int
) -> dict[str, Float[Tensor, "batch *shape"]]:
    """Latents, points between the ends of the rays, and unit directions; the same at every call."""
    camera, random = model.params.camera, generator_for(torch.device("cpu"), "onnx", batch, points)
    reach = (camera.far - camera.near) / 2
    directions = torch.randn((batch, points, 3), generator=random)
    z = model.latents(list(range(batch))).cpu()
    return {
        "z": z,
        "points": reach * (2 * torch.rand((batch, points, 3), generator=random) - 1),
        "directions": nn.functional.normalize(directions, dim=-1),
        "code": generator.mapping(z).detach(),
    }


def _save(proto: Any, path: Path) -> None:
    """Without the traces of where it was made: paths and line numbers of this machine."""
    for node in (*proto.graph.node, *(node for function in proto.functions for node in function.node)):
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
    with atomic_file(path) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))


@torch.no_grad()
def compare(network: nn.Module, path: Path, inputs: dict[str, Tensor], outputs: list[str]) -> dict[str, float]:
    """How far each output of the file, in ONNX Runtime, is from that of `network`, as `write_onnx` measures it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    wanted = {entry.name for entry in session.get_inputs()}
    found = session.run(outputs, {name: value.numpy() for name, value in inputs.items() if name in wanted})
    expected = network(*inputs.values())
    pairs = zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True)
    return {
        name: float(np.abs(ours - theirs.numpy()).max() / max(1.0, float(theirs.abs().max())))
        for name, (ours, theirs) in zip(outputs, pairs, strict=True)
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter tells its developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
