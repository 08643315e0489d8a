"""What an inverted photo leaves behind: code, metrics, pictures."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from pigan.files import write_json
from pigan.rendering.cameras import edge_fov
from pigan.synthesis.inverted_code import CODE_FILE, save_code
from pigan.synthesis.inverting.losses import Features, Perceptual, similarity
from pigan.synthesis.inverting.orbit import cameras_at, from_numbers
from pigan.synthesis.inverting.photo import Photo
from pigan.synthesis.inverting.search import PERCEPTUAL_SIDE, Best
from pigan.synthesis.inverting.settings import SearchSettings
from pigan.synthesis.pictures import above_scale, depth_colours, depth_ends, enlargement, grid, save_image
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.viewing import Cameras, Seen, as_levels, look
from pigan.synthesis.views import FULL_CIRCLE

RESULT = "result.json"
OTHER_VIEWS = 3


class HeldOut(NamedTuple):
    """Another photo of the same object, which the search does not see, and its camera."""

    photo: Photo
    yaw: float
    """Radians."""
    pitch: float
    """Radians from +y."""
    distance: float | None = None
    """World units; None: the training's."""


def write_outcome(
    folder: Path,
    model: TrainedModel,
    photo: Photo,
    best: Best,
    settings: SearchSettings,
    about: dict[str, Any],
    held_out: HeldOut | None = None,
    features: Features | None = None,
) -> dict[str, Any]:
    """code.safetensors, result.json, input.png, rendered.png, depth.png and strip.png in `folder`; returns the result.

    `about` joins the result.
    """
    side, camera = settings.resolution, model.params.camera
    cameras = cameras_at(best.numbers, camera.fov)
    seen = look(model.generator, best.code, cameras, side, model.params)
    colour = seen.colour[0].cpu().numpy()
    alike = similarity(colour, photo.pixels, photo.counts)
    yaw, pitch, distance = from_numbers(best.numbers.double())[0].tolist()
    losses = {
        "pixels": float(((2 * colour - photo.values[0].permute(1, 2, 0).numpy() - 1) ** 2)[photo.counts].mean()),
        "away_from_average": float((best.code - model.average_code).square().sum()),
    }
    if features is not None:
        small, fov = min(side, PERCEPTUAL_SIDE), edge_fov(camera, side)
        distance_of = Perceptual(features, photo, small, fov, model.device)
        # the rays of fewer pixels between the same edges
        placed = cameras_at(best.numbers, fov)
        edges = Cameras(placed.cam2world, placed.fov, from_edges=True)
        shown = look(model.generator, best.code, edges, small, model.params).colour
        with torch.no_grad():
            losses["features"] = float(distance_of(shown.flatten(1, 2))[0])
    result: dict[str, Any] = {
        "photo": str(photo.path),
        "model": str(model.source),
        "psnr_db": alike.psnr,
        "ssim": alike.ssim,
        "counted_share": float(photo.counts.mean()),
        "camera": {
            "yaw_degrees": math.degrees(yaw) % 360,
            "pitch_degrees": math.degrees(pitch),
            "distance": distance,
            "fov_degrees": math.degrees(camera.fov),
        },
        "losses": losses,
        "settings": settings._asdict(),
        **about,
    }
    if held_out is not None:
        result["held_out"] = _held_out(model, best, held_out, side)
    save_code(folder / CODE_FILE, best.code, model, {"yaw": yaw, "pitch": pitch, "distance": distance})
    scale = enlargement(side)
    save_image(folder / "input.png", photo.pixels)
    save_image(folder / "rendered.png", as_levels(seen.colour)[0])
    save_image(folder / "depth.png", _with_scale(seen, scale))
    others = look(model.generator, best.code.expand(OTHER_VIEWS, -1), other_cameras(model, best), side, model.params)
    depth = depth_colours(seen.depth.cpu().numpy())
    tiles = (photo.pixels[None], as_levels(seen.colour), depth, as_levels(others.colour))
    save_image(folder / "strip.png", grid(np.concatenate(tiles), 3 + OTHER_VIEWS), scale)
    write_json(folder / RESULT, result)
    return result


def write_preview(path: Path, model: TrainedModel, photo: Photo, best: Best) -> None:
    """The photo, what the search has so far, and its depth, side by side."""
    side = len(photo.pixels)
    seen = look(model.generator, best.code, cameras_at(best.numbers, model.params.camera.fov), side, model.params)
    tiles = (photo.pixels[None], as_levels(seen.colour), depth_colours(seen.depth.cpu().numpy()))
    save_image(path, grid(np.concatenate(tiles), len(tiles)), enlargement(side))


def other_cameras(model: TrainedModel, best: Best) -> Cameras:
    """From where the strip shows the object beside: further round, or across what was trained on."""
    camera, (yaw, pitch, distance) = model.params.camera, from_numbers(best.numbers)[0].cpu()
    if camera.yaw_spread >= FULL_CIRCLE:
        yaws = yaw + math.pi / 2 * torch.arange(1, OTHER_VIEWS + 1)
    else:
        yaws = camera.yaw_mean + camera.yaw_spread * torch.linspace(-1, 1, OTHER_VIEWS)
    return model.cameras(yaws, pitch.expand_as(yaws), radius=float(distance))


def _held_out(model: TrainedModel, best: Best, held_out: HeldOut, side: int) -> dict[str, Any]:
    """How alike the object and a photo that the search has not seen are."""
    cameras = model.cameras(held_out.yaw, held_out.pitch, radius=held_out.distance)
    colour = look(model.generator, best.code, cameras, side, model.params).colour[0].cpu().numpy()
    alike = similarity(colour, held_out.photo.pixels, held_out.photo.counts)
    return {"photo": str(held_out.photo.path), "psnr_db": alike.psnr, "ssim": alike.ssim}


def _with_scale(seen: Seen, scale: int) -> UInt8[np.ndarray, "height width 3"]:
    """Coloured depth with its scale below, wide enough to be read."""
    depth: Float32[np.ndarray, "1 side side"] = seen.depth.cpu().numpy()
    return above_scale(depth_colours(depth)[0], depth_ends(depth), max(scale, math.ceil(360 / depth.shape[-1])))
