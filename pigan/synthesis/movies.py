"""Videos that people ask for by hand: cameras that move, objects that turn into each other, frame after frame."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pigan.progress import Progress
from pigan.synthesis.camera_paths import Aim
from pigan.synthesis.choices import Backdrop, Morph
from pigan.synthesis.pictures import depth_colours, depth_ends, grid
from pigan.synthesis.sweeps import between
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.viewing import Seen, as_levels, look

# frames that the ends of the depth's colours are taken from, and their side in pixels
RANGE_FRAMES, RANGE_SIDE = 8, 24


class Film(NamedTuple):
    """How every frame is rendered and laid out."""

    resolution: int
    """Pixels a side of each object's picture."""
    columns: int
    depth: bool
    """Coloured depth stands to the right of the colours, of one scale for the whole video."""
    samples: int | None = None
    backdrop: Backdrop | None = None


def codes_of_frames(
    codes: Float[Tensor, "object code"], centre: Float[Tensor, "code"], morph: Morph, frames: int
) -> list[Float[Tensor, "shown code"]]:
    """What each frame shows: all objects, or one that turns into the next, and the last one into the first.

    Frequencies and phases are interpolated: linear, or on great circles around the average code with lengths in
    proportion (spherical), which stays as far from the average as the objects are.
    """
    if morph == "none":
        return [codes] * frames
    places = [len(codes) * frame / frames for frame in range(frames)]
    if morph == "linear":
        return list(between(codes, places)[:, None])
    return [_on_great_circle(codes, centre, place)[None] for place in places]


def film(
    model: TrainedModel, shown: Sequence[Float[Tensor, "shown code"]], aims: Sequence[Aim], how: Film
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The frames one by one, with a progress bar; nothing in them is random, so that nothing flickers."""
    ends = _depth_ends(model, shown, aims, how) if how.depth else None
    with Progress(len(aims), "video", "frame") as progress:
        for codes, aim in zip(shown, aims, strict=True):
            seen = _seen(model, codes, aim, how, how.resolution)
            frame = grid(as_levels(seen.colour), how.columns)
            if how.depth:
                frame = np.concatenate((frame, grid(depth_colours(seen.depth.cpu().numpy(), ends), how.columns)), 1)
            yield frame
            progress.advance()


def _seen(model: TrainedModel, codes: Float[Tensor, "shown code"], aim: Aim, how: Film, side: int) -> Seen:
    count = torch.ones(len(codes))
    cameras = model.cameras(aim.yaw * count, aim.pitch * count, aim.fov)
    return look(model.generator, codes, cameras, side, model.params, how.samples, how.backdrop)


def _depth_ends(
    model: TrainedModel, shown: Sequence[Float[Tensor, "shown code"]], aims: Sequence[Aim], how: Film
) -> tuple[float, float] | None:
    """The range of depth in a few small frames."""
    which = np.linspace(0, len(aims), min(RANGE_FRAMES, len(aims)), endpoint=False).astype(int)
    seen = [_seen(model, shown[frame], aims[frame], how, RANGE_SIDE).depth for frame in which]
    return depth_ends(torch.cat(seen).cpu().numpy())


def _on_great_circle(
    codes: Float[Tensor, "object code"], centre: Float[Tensor, "code"], place: float
) -> Float[Tensor, "code"]:
    """The code at `place` on the closed way through `codes`; 1.5 is half-way from the second to the third."""
    before = int(place) % len(codes)
    one, other = codes[before] - centre, codes[(before + 1) % len(codes)] - centre
    share = place - int(place)
    lengths = one.norm(), other.norm()
    angle = torch.arccos(((one @ other) / (lengths[0] * lengths[1]).clamp_min(1e-12)).clamp(-1, 1))
    if float(torch.sin(angle)) < 1e-4:
        return centre + torch.lerp(one, other, share)
    direction = (
        torch.sin((1 - share) * angle) * one / lengths[0] + torch.sin(share * angle) * other / lengths[1]
    ) / torch.sin(angle)
    return centre + direction * torch.lerp(lengths[0], lengths[1], share)
