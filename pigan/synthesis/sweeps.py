"""Sweeps for the report's scrubbers: truncation from none to full, and a loop from latent to latent."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pigan.config import Params
from pigan.files import write_json
from pigan.models.generator import Generator
from pigan.models.mapping import truncate
from pigan.synthesis.pictures import STRIP_LATENTS, enlargement, front_yaw, save_image
from pigan.synthesis.views import draw_codes, render_views, usual_pitch

PSIS = tuple(step / 10 for step in range(11))
TRUNCATED_OBJECTS = 3
LATENTS = 4
FRAMES_A_LEG = 6


def write_sweeps(generator: Generator, params: Params, out: Path) -> None:
    """truncation.jpg, interpolation.jpg and a .json beside each in `out`.

    A sprite holds its frames one below the other, every frame so many tiles wide; the .json says `tile` (side, pixels),
    `tiles` (a frame) and `places`: psi, or how many latents on the loop has come.
    """
    full = draw_codes(generator, STRIP_LATENTS, 1.0, params, "strip")
    none = draw_codes(generator, 1, 0.0, params, "strip")[0]
    codes = torch.stack([truncate(full[:TRUNCATED_OBJECTS], none, psi) for psi in PSIS])
    _write(generator, codes, PSIS, params, out / "truncation")

    places = [step / FRAMES_A_LEG for step in range(LATENTS * FRAMES_A_LEG)]
    loop = between(truncate(full[:LATENTS], none, params.generate.sheet_truncation), places)
    _write(generator, loop[:, None], places, params, out / "interpolation")


def between(codes: Float[Tensor, "latent code"], places: Sequence[float]) -> Float[Tensor, "place code"]:
    """Codes on the closed polygon through `codes`; place 1.5 is half-way from the second to the third."""
    place = torch.tensor(places, dtype=codes.dtype, device=codes.device)
    before = place.floor().long() % len(codes)
    share = (place - place.floor())[:, None]
    return torch.lerp(codes[before], codes[(before + 1) % len(codes)], share)


def _write(
    generator: Generator, codes: Float[Tensor, "frame tile code"], places: Sequence[float], params: Params, stem: Path
) -> None:
    """The sprite and its description, seen from the same camera throughout."""
    side, tiles = params.generate.picture_pixels, codes.shape[1]
    flat = codes.flatten(0, 1)
    yaw = torch.full((len(flat),), front_yaw(params.camera), device=flat.device)
    pitch = torch.full_like(yaw, usual_pitch(params.camera))
    views = render_views(generator, flat, yaw, pitch, side, params, few=True)
    scale = enlargement(side)
    save_image(stem.with_suffix(".jpg"), _stacked(views.images, tiles), scale)
    write_json(stem.with_suffix(".json"), {"places": list(places), "tile": side * scale, "tiles": tiles})


def _stacked(images: UInt8[np.ndarray, "view side side 3"], tiles: int) -> UInt8[np.ndarray, "height width 3"]:
    """Frames of `tiles` images each, one below the other, without gaps."""
    side = images.shape[1]
    frames = images.reshape(-1, tiles, side, side, 3).swapaxes(1, 2)
    return frames.reshape(-1, tiles * side, 3)
