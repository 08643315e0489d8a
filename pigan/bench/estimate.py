"""What training each preset would take on this machine: computed from measured rates, never run.

A step is its field points and its judged images. Both rates are measured once for each size of network, with fresh
weights, and grow linearly with points and images (`pigan.bench.scaling` shows how far that holds); a side that takes
too long here is extrapolated by its operations.
"""

import statistics
from collections.abc import Iterator, Mapping

import torch

from pigan import presets
from pigan.bench.counting import judging
from pigan.bench.measure import Run, interleaved
from pigan.bench.step_cases import judging_run, sampling_run
from pigan.bench.subject import with_training
from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.speed import Estimate
from pigan.training.memory import GB, peak_bytes, tile_of

# largest side and images at which the discriminator is measured; side and points at which the field is
SIDE_CPU, SIDE_CPU_QUICK, IMAGES, IMAGES_GPU = 64, 32, 4, 32
FIELD_SIDE, FIELD_SIDE_GPU, POINTS, POINTS_GPU = 16, 64, 1 << 13, 1 << 21
SECONDS, ROUNDS, ROUNDS_QUICK = 0.5, (2, 5), (1, 3)
UNLIMITED = {"memory_limit_gb": 1e6}


def estimates(device: torch.device, quick: bool, own: Mapping[str, Params] | None = None) -> list[Estimate]:
    """Hours, memory and images a second of every stage of `own` experiments, by default of all presets.

    About a minute on two processors, less with `quick`, which measures small images only; seconds on a GPU.
    """
    experiments = own or {name: presets.params(name) for name in presets.NAMES}
    rates = Rates(device, quick)
    return [row for name, params in experiments.items() for row in estimate(name, params, rates)]


class Rates:
    """Measured seconds, each network measured once."""

    def __init__(self, device: torch.device, quick: bool) -> None:
        self.device, self.quick = device, quick
        self._rates: dict[str, float] = {}

    def of_point(self, params: Params) -> float:
        """Seconds of a training step for a field point."""
        model, training, gpu = params.model, params.training, self.device.type == "cuda"
        size = (model.field, model.hidden, model.layers, training.reconstruction_weight > 0)
        key = repr((size, training.kernel, training.precision))
        if key not in self._rates:
            side = FIELD_SIDE_GPU if gpu else FIELD_SIDE
            images = max(1, (POINTS_GPU if gpu else POINTS) // model.points(side))
            run = sampling_run(with_training(params, **UNLIMITED), side, images, self.device)
            self._rates[key] = self._seconds(run) / (images * model.points(side))
        return self._rates[key]

    def of_image(self, params: Params, side: int) -> float:
        """Seconds of a training step for judging one image of the batch."""
        gpu, config = self.device.type == "cuda", params.model.discriminator
        most = side if gpu else SIDE_CPU_QUICK if self.quick else SIDE_CPU
        measured, images = min(side, most), IMAGES_GPU if gpu else IMAGES
        # in a hurry one network of a width stands for all
        shape = (config.width, config.max_channels) if self.quick else config
        key = repr((shape, measured, params.training.kernel, params.training.precision))
        if key not in self._rates:
            run = judging_run(with_training(params, **UNLIMITED), measured, images, self.device)
            seconds = self._seconds(run) / images
            self._rates[key] = seconds / _judged(params, measured)
        return self._rates[key] * _judged(params, side)

    def _seconds(self, run: Run) -> float:
        rounds = ROUNDS_QUICK if self.quick else ROUNDS
        return statistics.median(interleaved([run], self.device, SECONDS, rounds)[0]) / 1e3


def _judged(params: Params, side: int) -> float:
    """Operations of judging one image in a step."""
    return judging(params.model.discriminator, params.model.z_dim, side, 1, "step", plain=False).flop


def estimate(name: str, params: Params, rates: Rates) -> Iterator[Estimate]:
    """Every stage of the main arm of one experiment; rates that are not known yet are measured."""
    params = params.for_arm(params.report.main_arm)
    for link in params.curriculum.order:
        stage, side = params.curriculum.stages[link.name], link.resolution
        an_image = params.model.points(side) * rates.of_point(params) + rates.of_image(params, side)
        yield Estimate(
            preset=name,
            stage=link.name,
            hours=stage.steps * stage.batch_size * an_image / 3600,
            memory_gb=_memory(params, side, stage.batch_size, rates.device) / GB,
            images_per_second=1 / an_image,
        )


def _memory(params: Params, side: int, batch: int, device: torch.device) -> int:
    try:
        tile = tile_of(params, side, batch, device)
    except PiganError:
        # more than there is
        params = with_training(params, **UNLIMITED)
        tile = tile_of(params, side, batch, device)
    return peak_bytes(params, side, batch, tile, device)
