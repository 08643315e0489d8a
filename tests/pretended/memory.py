"""Memory of training steps on a GPU that computes nothing, and what was estimated; a line of JSON each, bytes."""

import json
import sys

import torch
from started import DEVICE, arm_of, leave, prepare, started

from benchmarks.pretended import command
from pigan.training.memory import peak_bytes, tile_of

SIDE = 64


def peaks(name: str, arm: str, kernel: str, precision: str, limit: str) -> dict[str, int]:
    """Of the stage of 64 px, when every sample has a gradient."""
    command.SHARE = 1.0
    training = {"kernel": kernel, "precision": precision, "memory_limit_gb": float(limit) if limit else None}
    params = arm_of(name, arm, {"training": training})
    batch = params.curriculum.stages[f"r{SIDE}"].batch_size
    estimated = peak_bytes(params, SIDE, batch, tile_of(params, SIDE, batch, DEVICE), DEVICE)
    step = started(params, SIDE, batch)
    torch.cuda.reset_peak_memory_stats()
    step()
    return {"measured": torch.cuda.max_memory_allocated(), "estimated": estimated}


def main() -> None:
    """Each argument: a preset, an arm of it, kernel, precision and limit in GB, or nothing, with commas between."""
    prepare()
    for one in sys.argv[1:]:
        print(json.dumps(peaks(*one.split(","))), flush=True)
        torch.cuda.empty_cache()


main()
leave()
