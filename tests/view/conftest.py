from pathlib import Path

import pytest
import torch

from pigan import config
from pigan.training.loop import save_checkpoint, write_state_json
from pigan.training.state import initial_state


@pytest.fixture(scope="session")
def run(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage of random weights, dense enough that some rays are opaque and some are not."""
    out, cpu = tmp_path_factory.mktemp("view") / "r16", torch.device("cpu")
    state = initial_state(tiny_params, cpu, 3)
    with torch.no_grad():
        state.ema.field.density_head.weight.mul_(60)
    write_state_json(tiny_params, "baseline", 0, 16, out, state, "key", 0.0, cpu)
    save_checkpoint(out / "checkpoint.safetensors", tiny_params, state)
    return out
