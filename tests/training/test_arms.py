"""Every arm of the full ablation trains: both networks move, through both resolutions, and all stays finite."""

import math

import pytest
import torch

from pigan import config, presets
from pigan.config import Params
from pigan.training.curriculum import schedule
from pigan.training.loop import save_checkpoint
from pigan.training.state import initial_state, load_generator, load_state
from pigan.training.step import training_step

CPU = torch.device("cpu")
ARMS = presets.values("cars")["arms"]


def with_arm(params: Params, arm: str) -> Params:
    """The tiny params with what the arm changes in model and training, at a size that costs nothing."""
    changes = {section: dict(values) for section, values in ARMS[arm].items() if section != "curriculum"}
    changes.get("model", {}).pop("samples", None)
    return config.parse(config.merge(params.model_dump(), changes), arm)


@pytest.mark.parametrize("arm", ARMS)
def test_arm_trains(tiny_params, arm):
    params = with_arm(tiny_params, arm)
    state = initial_state(params, CPU, 0)
    begin = {name: [p.detach().clone() for p in module.parameters()] for name, module in state.modules().items()}
    random = torch.Generator().manual_seed(0)
    for name, side in (("r8", 8), ("r16", 16)):
        for step in range(2):
            real = torch.rand((4, 3, side, side), generator=random) * 2 - 1
            values = schedule(params.training, params.curriculum.stages[name], step, state.counters.global_step)
            measured = training_step(state, params, values, real, 0)
            assert all(math.isfinite(float(value)) for value in measured.values())
    assert ("loss_reconstruction" in measured) == (params.training.reconstruction_weight > 0)
    for name, module in state.modules().items():
        weights = list(module.parameters())
        assert all(bool(torch.isfinite(weight).all()) for weight in weights)
        moved = [not torch.equal(*pair) for pair in zip(begin[name], weights, strict=True)]
        # of a discriminator the input layers below the trained resolutions are not used; the rest learns
        assert sum(moved) > 0.8 * len(moved), name


def test_checkpoint_of_the_other_reading_is_read_again(tiny_params, tmp_path):
    params, path = with_arm(tiny_params, "seed-all"), tmp_path / "checkpoint.safetensors"
    state = initial_state(params, CPU, 3)
    save_checkpoint(path, params, state)
    other = initial_state(params, CPU, 4)
    load_state(path, other, params)
    for name, value in state.discriminator.state_dict().items():
        assert torch.equal(value, other.discriminator.state_dict()[name])
    assert load_generator(path, params, "ema", CPU).field.code_size == params.model.z_dim
