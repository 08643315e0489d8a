"""Steps of training on a GPU that computes nothing; prints where each waited for it, a line of JSON each."""

import json
import sys
from typing import Any

import torch
from ruamel.yaml import YAML

from benchmarks.pretended.waits import waits
from pigan import config, presets
from pigan.runtime import prepare_process
from pigan.training.curriculum import schedule
from pigan.training.state import initial_state
from pigan.training.step import training_step

# small, of a width that the Triton kernels have
SMALL = {
    "z_dim": 8,
    "hidden": 32,
    "layers": 2,
    "mapping_hidden": 16,
    "embedding_side": 4,
    "samples": 4,
    "discriminator": {"width": 0.05, "max_channels": 12},
}
BATCH = 3


def waits_of(name: str, arm: str, kernel: str, precision: str) -> dict[str, Any]:
    """The second step, since the first one sets up what is kept."""
    values = YAML(typ="safe", pure=True).load(presets.text(name))
    values["training"] |= {"kernel": kernel, "precision": precision}
    params = config.parse(config.merge(values, {"model": SMALL}), name).for_arm(arm)
    device, curriculum = torch.device("cuda"), params.curriculum
    link = next(link for link in curriculum.order if curriculum.stages[link.name].steps)
    side, stage = link.resolution, curriculum.stages[link.name]
    state, rates = initial_state(params, device, 0), schedule(params.training, stage, 5, 5)
    real, pose = torch.rand((BATCH, 3, side, side)).to(device), torch.rand((BATCH, 2)).to(device)
    training_step(state, params, rates, real, 0, pose)
    with waits() as waited:
        measured = training_step(state, params, rates, real, 0, pose)
    return {
        "waits": waited,
        "rendered": 2 if params.training.reconstruction_weight > 0 else 1,
        "devices": sorted({str(value.device) for value in measured.values()}),
    }


def main() -> None:
    """Each argument: a preset, an arm of it, kernel and precision, with commas between."""
    # convolutions of PyTorch itself: cuDNN is not pretended
    torch.backends.cudnn.enabled = False
    prepare_process(1)
    # which raises where an operation has no deterministic kernel
    torch.use_deterministic_algorithms(True)
    for one in sys.argv[1:]:
        print(json.dumps(waits_of(*one.split(","))), flush=True)


main()
