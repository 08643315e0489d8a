"""Memory of training steps on a GPU that computes nothing, and what was estimated; a line of JSON each, bytes."""

import json
import sys

import torch
from ruamel.yaml import YAML

from benchmarks.pretended import command
from pigan import config, presets
from pigan.runtime import prepare_process
from pigan.training.curriculum import schedule
from pigan.training.memory import peak_bytes, tile_of
from pigan.training.state import initial_state
from pigan.training.step import training_step


def peaks(name: str, arm: str, kernel: str, precision: str, limit: str) -> dict[str, int]:
    """Of the stage of 64 px, when every sample has a gradient."""
    command.SHARE = 1.0
    values = YAML(typ="safe", pure=True).load(presets.text(name))
    limited = float(limit) if limit else None
    values["training"] |= {"kernel": kernel, "precision": precision, "memory_limit_gb": limited}
    params = config.parse(values, name).for_arm(arm)
    device, stage = torch.device("cuda"), params.curriculum.stages["r64"]
    tile = tile_of(params, 64, stage.batch_size, device)
    state, rates = initial_state(params, device, 0), schedule(params.training, stage, 5, 5)
    real = torch.zeros((stage.batch_size, 3, 64, 64), device=device)
    training_step(state, params, rates, real, 0)
    torch.cuda.reset_peak_memory_stats()
    training_step(state, params, rates, real, 0)
    estimated = peak_bytes(params, 64, stage.batch_size, tile, device)
    return {"measured": torch.cuda.max_memory_allocated(), "estimated": estimated}


def main() -> None:
    """Each argument: a preset, an arm of it, kernel, precision and limit in GB, or nothing, with commas between."""
    prepare_process(1)
    for one in sys.argv[1:]:
        print(json.dumps(peaks(*one.split(","))), flush=True)
        torch.cuda.empty_cache()


main()
