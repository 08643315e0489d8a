"""What the processes do that tests start as ranks; importable by them, as a test's own functions are not."""

import json
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from pigan import config
from pigan.errors import PiganError
from pigan.stages import train as stage
from pigan.training import follow
from pigan.training.curriculum import schedule
from pigan.training.distributed import ALONE, Ranks, joined, same_state
from pigan.training.loop import Run
from pigan.training.rendezvous import Place, place_of
from pigan.training.state import initial_state
from pigan.training.step import training_step

CPU = torch.device("cpu")
STEPS, FAILS_AT = 3, 7


def results(params: config.Params, batch: int, topk: float, ranks: Ranks = ALONE) -> dict[str, Tensor]:
    """Weights, moments and measurements after a few steps, in PyTorch's default precision."""
    # other weights on each rank, which the first one's replace
    state = initial_state(params, CPU, ranks.rank)
    same_state(ranks, state)
    measured: dict[str, Tensor] = {}
    for step in range(STEPS):
        if step == 1:
            # with moments, too
            same_state(ranks, state)
        values = schedule(params.training, params.curriculum.stages["r8"], step, step)._replace(topk=topk)
        real = 2 * torch.rand((batch, 3, 8, 8), generator=torch.Generator().manual_seed(step)) - 1
        measured = training_step(state, params, values, real[ranks.part(batch)], 0, ranks=ranks, batch=batch)
    found = {
        f"{name}.{key}": value for name, module in state.modules().items() for key, value in module.state_dict().items()
    }
    for prefix, (optimizer, module) in state.optimizers().items():
        for name, parameter in module.named_parameters():
            found |= {
                f"{prefix}.{name}.{moment}": value for moment, value in optimizer.state.get(parameter, {}).items()
            }
    return found | {f"measured.{name}": value for name, value in measured.items()}


def result_file(folder: Path, case: int, precision: torch.dtype, rank: int) -> Path:
    """Where `take_steps` puts what a rank has."""
    return folder / f"case{case}-{str(precision).removeprefix('torch.')}-rank{rank}.safetensors"


def take_steps(place: Place, folder: Path) -> None:
    """Writes the results of every case in cases.json, in both precisions."""
    torch.set_num_threads(1)
    with joined(place, CPU) as ranks:
        for case, (values, batch, topk) in enumerate(json.loads((folder / "cases.json").read_text())):
            for precision in (torch.float32, torch.float64):
                torch.set_default_dtype(precision)
                found = results(config.parse(values), batch, topk, ranks)
                contiguous = {name: value.contiguous() for name, value in found.items()}
                save_file(contiguous, result_file(folder, case, precision, ranks.rank))


def train_with_a_fault(place: Place, params: config.Params, run: Run, data: Path) -> None:
    """A training whose second rank fails in the middle of a step."""
    honest = follow.training_step

    def failing(state, *arguments):
        if state.counters.step == FAILS_AT:
            raise PiganError("the second rank has had enough; give it a rest")
        return honest(state, *arguments)

    follow.training_step = failing
    stage._train(place, params, run, data, CPU)


def fail_with_a_bug(place: Place) -> None:
    """The second rank fails; the first one would wait for it for longer than anyone has time."""
    with joined(place, CPU) as ranks:
        if not ranks.first:
            raise ValueError("no such thing")
        ranks.wait()


if __name__ == "__main__":
    place = place_of(os.environ)
    assert place is not None
    take_steps(place, Path(sys.argv[1]))
