"""Training on a GPU that computes nothing, after its first step, which sets up what is kept."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from ruamel.yaml import YAML

from benchmarks.pretended.convolutions import without_cudnn
from pigan import config, presets
from pigan.runtime import prepare_process
from pigan.training.curriculum import schedule
from pigan.training.state import initial_state
from pigan.training.step import training_step

DEVICE = torch.device("cuda")


def prepare() -> None:
    """The process, as every stage sets it up."""
    without_cudnn()
    prepare_process(1)


def leave() -> NoReturn:
    """Ends the process at once.

    A backward's threads that ask for Python's lock while Python ends abort the process (pytorch issue 38228).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def arm_of(name: str, arm: str, changes: dict[str, Any]) -> config.Params:
    """The params of a preset's arm."""
    values = YAML(typ="safe", pure=True).load(presets.text(name))
    return config.parse(config.merge(values, changes), name).for_arm(arm)


def started(params: config.Params, side: int, batch: int) -> Callable[[], dict[str, torch.Tensor]]:
    """Call it for another step of the stage of `side` pixels."""
    rates = schedule(params.training, params.curriculum.stages[f"r{side}"], 5, 5)
    state = initial_state(params, DEVICE, 0)
    real, pose = torch.zeros((batch, 3, side, side), device=DEVICE), torch.zeros((batch, 2), device=DEVICE)

    def step() -> dict[str, torch.Tensor]:
        return training_step(state, params, rates, real, 0, pose)

    step()
    return step
