"""How much memory a training step needs, and the tiles in which the generator's part of it stays within a limit."""

import os
from typing import NamedTuple

import torch

from pigan.config import Params
from pigan.errors import PiganError
from pigan.kernels.choose import Numerics, training_numerics
from pigan.kernels.folded import GPU_TILE
from pigan.models.discriminator import channels_at
from pigan.models.patchpose import MAP_SIDE
from pigan.sections import Model

GB = 1e9
# of the whole memory, when the params set no limit
SHARE = 0.8
# bytes of a sample's random numbers, position, direction, colour, density, depth and weight with their gradients
SAMPLE_BYTES = 200
# of images that are sampled at a time without gradients, which keeps some 100 bytes a point
POINTS_A_PASS = 1 << 22
# bytes a point and number passed on by a layer that come and go in backward, of PyTorch's operations
TRANSIENT_BYTES = 12
# numbers passed on by a layer that are there at a time without gradients: two layers' and a sine's argument
WITHOUT_GRADIENTS = 3
# tiles of one shape are so many to an image, since all of a tile is computed when some of it has a gradient
PARTS = 8
# bytes of a corner of a feature cube around a point: row, share, point, and the first two sorted
CORNER_BYTES = 40
# points at a time that keep the cache of a processor's thread, or a GPU, busy
CPU_POINTS, GPU_POINTS = 1 << 12, 1 << 20
# copies of the weights: themselves, gradients, two Adam moments, and for the generator two averages
GENERATOR_COPIES, DISCRIMINATOR_COPIES = 6, 4
# feature maps of a level that backward needs of the patch network: what a block makes and its activation
PATCH_MAPS = 2
# feature maps of a block that backward needs (two convolutions, their activations, shortcut, sum), of real and
# generated images; with R1 those of the real images and of their gradient are kept for the second backward
BLOCK_MAPS, JUDGED, WITH_R1 = 6, 2, 5


class Tile(NamedTuple):
    """At how many points of how many images the generator is differentiated at a time."""

    images: int
    points: int
    """At most; of an image, whose samples they divide evenly."""
    fixed: bool = False
    """Every tile is of this shape, for compiled code; else the last one ends where the points do."""


def tile_of(params: Params, resolution: int, batch: int, device: torch.device, processes: int = 1) -> Tile:
    """Tiles that keep the device busy and a training step within the memory limit; alike machines take alike tiles.

    `batch` is the process's own; `processes` share the machine.

    Raises:
        PiganError: the limit is too low for anything.
    """
    numerics = training_numerics(params, device)
    without, limit = _without_tiles(params, resolution, batch, numerics, device), limit_bytes(params, device, processes)
    a_point = _point_at_work_bytes(params, numerics)
    room = (limit - without) // a_point
    # threads share out a tile; the plain field, which is as the paper writes it, is not shared out
    threads = 1 if numerics.kernel == "plain" else params.training.threads
    busy = threads * CPU_POINTS if device.type == "cpu" else GPU_POINTS
    fixed = numerics.kernel == "compiled"
    points = params.model.points(resolution) // (PARTS if fixed else 1)
    while points > min(room, busy) and points % 2 == 0:
        points //= 2
    if points > room:
        raise PiganError(
            f"training.memory_limit_gb: {limit / GB:.2f} GB is too little for {batch} images of {resolution} px; "
            f"set it to {(without + points * a_point) / GB:.2f} or more, or use a smaller batch_size"
        )
    return Tile(max(1, min(batch, busy // points, room // points)), points, fixed)


def peak_bytes(params: Params, resolution: int, batch: int, tile: Tile, device: torch.device) -> int:
    """About how much memory a training step takes at its peak, weights and optimisers included."""
    numerics = training_numerics(params, device)
    points = tile.images * tile.points
    return _without_tiles(params, resolution, batch, numerics, device) + points * _point_at_work_bytes(params, numerics)


def limit_bytes(params: Params, device: torch.device, processes: int = 1) -> int:
    """What the params allow a process, or a share of the memory of its GPU, or of a machine that `processes` share."""
    if params.training.memory_limit_gb is not None:
        return int(params.training.memory_limit_gb * GB)
    if device.type == "cuda":
        return int(SHARE * torch.cuda.get_device_properties(device).total_memory)
    return int(SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / processes)


def point_bytes(params: Params, numerics: Numerics) -> int:
    """Bytes that one point's layers keep for backward."""
    layers, hidden, width = params.model.layers + 1, params.model.hidden, numerics.dtype.itemsize
    passed_on = _passed_on(params.model)
    if numerics.kernel == "triton":
        # an angle and its gradient, of two bytes each
        return 2 * 2 * layers * hidden
    if numerics.kernel == "plain":
        # the product, the scaled product, the sine's argument; or the product, its sine and cosine
        return 3 * 4 * layers * hidden + _cube_bytes(params.model)
    # the sine's argument and the sine; the heads see it in float32
    heads = 0 if width == 4 else 2 * 4 * passed_on
    return width * layers * (hidden + passed_on) + heads + _cube_bytes(params.model)


def discriminator_bytes(params: Params, resolution: int, batch: int, width: int) -> int:
    """Feature maps that judging a batch keeps, in a training step with R1."""
    config, side, total = params.model.discriminator, resolution, 0
    while side > 1:
        total += BLOCK_MAPS * side**2 * max(channels_at(side, config), channels_at(side // 2, config))
        if config.kind == "patch-pose" and side >= MAP_SIDE:
            total += PATCH_MAPS * side**2 * channels_at(side, config)
        side //= 2
    return batch * total * width * (WITH_R1 if params.training.r1_weight > 0 else JUDGED)


def _without_tiles(params: Params, resolution: int, batch: int, numerics: Numerics, device: torch.device) -> int:
    """Weights and optimisers, folded weights, judging, and the samples of a batch without what the field keeps."""
    model = params.model
    samples = batch * params.model.points(resolution)
    rendering = SAMPLE_BYTES * samples
    hidden, mapping = model.hidden, model.mapping_hidden
    passed_on = _passed_on(model)
    generator = model.layers * passed_on * hidden + mapping * (
        model.mapping_layers * mapping + 2 * (model.layers + 1) * hidden
    )
    folded = 2 * 4 * batch * (model.layers + 1) * passed_on * hidden
    config, side, weights = model.discriminator, params.curriculum.order[-1].resolution, 0
    while side > 1:
        wide, wider = channels_at(side, config), channels_at(side // 2, config)
        weights += 9 * wide * wider + 9 * wider**2
        if config.kind == "patch-pose" and side > MAP_SIDE:
            weights += 16 * wide * wider
        side //= 2
    networks = 4 * (GENERATOR_COPIES * generator + DISCRIMINATOR_COPIES * weights)
    if model.field == "embedding-siren":
        # as large as the cube: the table of its features, that one's gradient, and what one tile adds to it
        networks += 4 * (GENERATOR_COPIES + 3) * model.features * model.embedding_side**3
    judging = discriminator_bytes(params, resolution, batch, numerics.dtype.itemsize)
    together = 0
    if numerics.kernel == "plain":
        together = max(POINTS_A_PASS, params.model.points(resolution))
    elif numerics.kernel != "triton" and device.type == "cuda":
        together = GPU_TILE
    # else they stay on chip, or in a CPU's cache
    layers = WITHOUT_GRADIENTS * 4 * passed_on * min(samples, together)
    return networks + folded + max(rendering + layers, judging) + rendering // 4


def _point_at_work_bytes(params: Params, numerics: Numerics) -> int:
    """Bytes that one point takes at most in backward; what comes and goes in the Triton kernels stays on chip."""
    transient = 0 if numerics.kernel == "triton" else TRANSIENT_BYTES * _passed_on(params.model)
    return point_bytes(params, numerics) + transient


def _passed_on(model: Model) -> int:
    """Numbers of a point that a hidden layer passes on: two a unit where sine and cosine stand side by side."""
    return 2 * model.hidden if model.field == "sincos-concat" else model.hidden


def _cube_bytes(model: Model) -> int:
    """Bytes of a point's features: they, what the first layer sees, gradients of both; and of the corners around."""
    return 4 * 4 * (model.features + 3) + CORNER_BYTES * 8 if model.field == "embedding-siren" else 0
