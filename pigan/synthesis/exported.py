"""What is handed on of a trained model: its generator alone, and what others need to know to use it."""

import copy
from pathlib import Path
from typing import Any

import torch

from pigan import __version__
from pigan.config import Params, merge, parse
from pigan.errors import PiganError
from pigan.files import write_json
from pigan.synthesis.pictures import sample_sheet
from pigan.synthesis.trained import TrainedModel
from pigan.training.checkpoint import describe, write_tensors
from pigan.training.state import architecture

CONFIG, PICTURE = "config.json", "samples.png"
# of the picture: more would take minutes on a CPU with the networks of the paper
SHEET_SIDE, SHEET_PIXELS = 3, 64


def public_params(params: Params) -> Params:
    """The params without places on this machine: of a folder or a checkpoint, its name is left."""
    source = params.dataset.source
    changes: dict[str, Any] = {
        "dataset": {"source": None if source is None else Path(source).name or "source"},
        "evaluate": {"depth_estimator": None, "face_embedder": None},
    }
    values = merge(params.model_dump(), changes)
    for file in values["evaluate"]["weights"].values():
        file["path"] = None
    for settings in (values, *values["arms"].values()):
        start = settings.get("training", {}).get("pretrained")
        if start is not None:
            start["path"] = Path(start["path"]).name
    return parse(values, "exported params")


def rounded_to_half(model: TrainedModel) -> TrainedModel:
    """The same model with weights that 16-bit floats hold exactly, still in 32 bits.

    Raises:
        PiganError: a weight is too large for 16 bits.
    """
    generator = copy.deepcopy(model.generator)
    with torch.no_grad():
        for name, value in generator.state_dict().items():
            if value.is_floating_point():
                value.copy_(value.half())
            if not torch.isfinite(value).all():
                raise PiganError(f"{model.source}: {name} is too large for 16-bit floats; leave --half out")
    return TrainedModel(generator, model.params, model.source)


def write_weights(model: TrainedModel, weights: str, path: Path, about: dict[str, Any], half: bool = False) -> None:
    """A checkpoint with the generator alone, of which `weights` (ema, ema_slow or raw) are there.

    `pigan.load` reads it and shows the same bits, if `half` also those of a model that is `rounded_to_half`;
    `about` joins its description as `exported`.

    Raises:
        PiganError: a weight is not finite, the disk is full, or no permission.
    """
    params = public_params(model.params)
    params = params.model_copy(update={"generate": params.generate.model_copy(update={"weights": weights})})
    prefix = "generator" if weights == "raw" else weights
    tensors = {
        f"{prefix}.{name}": value.half() if half and value.is_floating_point() else value
        for name, value in model.generator.state_dict().items()
    }
    description = {
        "counters": describe(model.source).get("counters", {}),
        "architecture": architecture(params),
        "params": params.model_dump(),
        "exported": about,
    }
    write_tensors(path, tensors, description)


def write_config(model: TrainedModel, path: Path, onnx_errors: dict[str, float]) -> None:
    """config.json: network, camera and how to feed the ONNX files, for programs that do not have pigan."""
    params = public_params(model.params)
    own = params.model.model_dump(exclude={"discriminator"})
    write_json(
        path,
        {
            "model_type": "pigan",
            "pigan_version": __version__,
            "parameters": sum(value.numel() for value in model.generator.parameters()),
            "code_size": model.generator.field.code_size,
            "model": own,
            "activation": params.model.activation,
            "camera": params.camera.model_dump(),
            "image": {"resolution": params.generate.resolution, "range": [0, 1], "channels": "RGB"},
            "truncation": {"suggested": params.generate.sheet_truncation, "centre": model.average_code.tolist()},
            "onnx": {
                "mapping.onnx": {"inputs": {"z": ["batch", params.model.z_dim]}, "outputs": ["code"]},
                "field.onnx": {
                    "inputs": {
                        "points": ["batch", "points", 3],
                        "directions": ["batch", "points", 3],
                        "code": ["batch", model.generator.field.code_size],
                    },
                    "outputs": ["colour", "density"],
                },
                "largest_difference": onnx_errors,
            }
            if onnx_errors
            else None,
        },
    )


def write_picture(model: TrainedModel, path: Path) -> None:
    """A sheet of objects, each from a pose of the training's law."""
    params = model.params
    side = min(params.generate.picture_pixels, SHEET_PIXELS)
    sample_sheet(model.generator, params, side, SHEET_SIDE, path, "picture for the model card")
