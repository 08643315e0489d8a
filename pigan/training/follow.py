"""What the ranks of a training do that are not the first: its steps, with nothing read, written or told."""

from pigan.config import Params
from pigan.training.curriculum import schedule
from pigan.training.distributed import Ranks, same_state
from pigan.training.loop import RealImages, Run
from pigan.training.state import TrainingState
from pigan.training.step import training_step
from pigan.training.stopping import Stopped, collected_signals


def follow(params: Params, run: Run, state: TrainingState, real_images: RealImages, ranks: Ranks) -> None:
    """Takes the steps that the first rank takes in `pigan.training.loop.train`, whose state `state` becomes.

    Raises:
        LostRank: another rank ended.
        Stopped: a signal arrived at one of the ranks, and the first one has saved the state.
    """
    stage = params.curriculum.stages[f"r{run.resolution}"]
    same_state(ranks, state)
    counters = state.counters
    with collected_signals() as received:
        while counters.step < stage.steps:
            values = schedule(params.training, stage, counters.step, counters.global_step)
            real, pose = real_images(counters.step, stage.batch_size)
            training_step(state, params, values, real, run.seed, pose, ranks, stage.batch_size)
            stop = ranks.agreed(received[0] if received else 0)
            if stop and counters.step < stage.steps:
                ranks.wait()
                raise Stopped(stop)
        # the outputs are there
        ranks.wait()
