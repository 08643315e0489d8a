"""The code of an inverted photo as a file, tied to the weights of the model that it belongs to."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from pigan.errors import PiganError
from pigan.models.generator import Generator
from pigan.synthesis.trained import TrainedModel
from pigan.training.checkpoint import content_sha256, read_tensors, write_tensors

KIND = "inverted code"
CODE_FILE = "code.safetensors"


def generator_sha256(generator: Generator) -> str:
    """SHA-256 (hex) of a generator's weights, whatever file they came from."""
    return content_sha256({}, {name: value.detach().cpu() for name, value in generator.state_dict().items()})


def save_code(path: Path, code: Float[Tensor, "1 code"], model: TrainedModel, pose: dict[str, float]) -> None:
    """Writes the code and its camera (yaw and pitch in radians, distance in world units)."""
    header = {"kind": KIND, "model": str(model.source), "model_sha256": generator_sha256(model.generator)}
    write_tensors(path, {"code": code}, {**header, "pose": pose})


def load_code(path: Path, model: TrainedModel) -> Float[Tensor, "1 code"]:
    """The code of an inverted photo, where the model is.

    Raises:
        PiganError: the file is missing or damaged, holds something else, or belongs to another model.
    """
    path = path / CODE_FILE if path.is_dir() else path
    about, tensors = read_tensors(path)
    if about.get("kind") != KIND:
        raise PiganError(f"{path}: no code of an inverted photo; give the {CODE_FILE} that `pigan invert` wrote")
    if about["model_sha256"] != generator_sha256(model.generator):
        raise PiganError(
            f"{path}: belongs to other weights than {model.source}; give --model {about.get('model')}, "
            "or invert the photo again"
        )
    return tensors["code"].to(model.device)
