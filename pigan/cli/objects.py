"""Which objects a command shows: those of seeds, or those that photos were inverted to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from pigan.synthesis.trained import TrainedModel

CodeFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--code", help="code.safetensors of `pigan invert`, or its folder, in place of seeds; may be repeated."
    ),
]


def open_model(model: str, device: str) -> "TrainedModel":
    """The model where it is to run, in a process that counts as its training did.

    Raises:
        PiganError: no such model, or no such device.
    """
    from pigan.runtime import choose_device, prepare_process
    from pigan.synthesis.trained import load_model

    trained = load_model(model, choose_device(device, 1))
    prepare_process(trained.params.training.threads)
    return trained


def objects_of(
    trained: "TrainedModel", seeds: list[int], files: list[Path] | None, psi: float
) -> tuple["Float[Tensor, 'object code']", list[str]]:
    """Codes and names of the objects: of `files` if there are any, as they are, else of `seeds`, truncated by `psi`.

    Raises:
        PiganError: a file is no code of this model.
    """
    import torch

    from pigan.synthesis.inverted_code import CODE_FILE, load_code

    if not files:
        # one by one: an object is the same to the last bit alone and in company
        codes = [trained.codes(trained.latents(seed), psi) for seed in seeds]
        return torch.cat(codes), [f"seed{seed}" for seed in seeds]
    names = [(path.parent if path.name == CODE_FILE else path).resolve().stem for path in files]
    return torch.cat([load_code(path, trained) for path in files]), names
