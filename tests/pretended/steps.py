"""Steps of training on a GPU that computes nothing; prints where each waited for it, a line of JSON each."""

import json
import sys
from typing import Any

import torch
from started import arm_of, leave, prepare, started

from benchmarks.pretended.waits import waits

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
    """Of a step in the first stage that has any."""
    params = arm_of(name, arm, {"model": SMALL, "training": {"kernel": kernel, "precision": precision}})
    link = next(link for link in params.curriculum.order if params.curriculum.stages[link.name].steps)
    step = started(params, link.resolution, BATCH)
    with waits() as waited:
        measured = step()
    return {
        "waits": waited,
        "rendered": 2 if params.training.reconstruction_weight > 0 else 1,
        "devices": sorted({str(value.device) for value in measured.values()}),
    }


def main() -> None:
    """Each argument: a preset, an arm of it, kernel and precision, with commas between."""
    prepare()
    # which raises where an operation has no deterministic kernel
    torch.use_deterministic_algorithms(True)
    for one in sys.argv[1:]:
        print(json.dumps(waits_of(*one.split(","))), flush=True)


main()
leave()
