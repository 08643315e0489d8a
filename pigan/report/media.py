"""Pictures, film, pose explorer and scrubbers of the runs, for the report's folder and page."""

import math
import shutil
from pathlib import Path
from typing import Any

from pigan.config import Params
from pigan.data.store import Prepared, spread
from pigan.errors import PiganError
from pigan.evaluation.stats import read_images
from pigan.report import embed
from pigan.report.collect import Collected
from pigan.report.records import Record, read_record
from pigan.synthesis.pictures import STRIP_VIEWS

# of every arm; what is only made for some data comes after
PICTURES = ("samples", "views", "depth", "truncation", "turntable", "neighbours", "mesh")
PICTURES_OF_SOME = ("inversion",)
# the page shows these of every arm, others of the main arm only
SHOWN_OF_ALL = ("samples", "views", "neighbours")
# bytes in the page: of the largest picture, and of all of them together
LARGEST, TOGETHER = 400_000, 6_000_000
# beside the verdict
GLANCE_ARMS, GLANCE_IMAGES, GLANCE_PIXELS = 4, 8, 96


class Explorer(Record):
    """explorer.json: angles in radians of the sprite's rows (pitch) and columns (yaw), tile side in pixels."""

    pitches: list[float]
    yaws: list[float]
    tile: int


class Sprite(Record):
    """truncation.json and interpolation.json: where each frame stands, side of a tile (pixels), tiles a frame."""

    places: list[float]
    tile: int
    tiles: int


class DepthScale(Record):
    """depth.json: what the first and the last colour of depth.png mean, world units; None if nothing is there."""

    near: float | None
    far: float | None


def copy_pictures(collected: Collected, folder: Path) -> None:
    """Every picture of each arm's first seed that is there."""
    for arm in collected.params.arms:
        for name in PICTURES + PICTURES_OF_SOME:
            picture = collected.first_seed(arm).picture(f"{name}.png")
            if picture:
                shutil.copyfile(picture, folder / f"{name}_{arm}.png")


def pictures(params: Params, folder: Path) -> dict[str, dict[str, Any]]:
    """Of each kind of picture, by arm: address and size in pixels; what is missing is left out.

    Pictures that are too large for a page, the more so the more arms there are, are compressed in the page only.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in PICTURES + PICTURES_OF_SOME}
    count = len(SHOWN_OF_ALL) * len(params.arms) + len(found) - len(SHOWN_OF_ALL)
    for name, by_arm in found.items():
        for arm in params.arms if name in SHOWN_OF_ALL else [params.report.main_arm]:
            path = folder / f"{name}_{arm}.png"
            if path.is_file():
                by_arm[arm] = embed.sized_picture(path, min(LARGEST, TOGETHER // count))
    return found


def glance(collected: Collected) -> list[tuple[str, str]]:
    """Real images and, below them, of each arm the first of those that its metrics are of: words and an address.

    Empty where no arm has any; of many arms only the first few are shown, the main one first.
    """
    params, name = collected.params, f"images_{collected.params.generate.resolution}.npy"
    rows = []
    for arm in sorted(params.arms, key=lambda arm: arm != params.report.main_arm)[:GLANCE_ARMS]:
        path = collected.first_seed(arm).picture(name)
        if path:
            rows.append((arm, read_images(path)[:GLANCE_IMAGES]))
    if not rows:
        return []
    prepared = Prepared(collected.data)
    real = prepared.images(params.generate.resolution)[spread(prepared.train, GLANCE_IMAGES)]
    return [
        (label, embed.image_uri(embed.contact_sheet(images, 1, GLANCE_IMAGES, GLANCE_PIXELS)))
        for label, images in [("real", real), *rows]
    ]


def strips(params: Params, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The arms' strips of views, the main arm's first, and how to see one row of a strip, in shares of its height."""
    shown = []
    for arm in sorted(found, key=lambda arm: arm != params.report.main_arm):
        width, height = found[arm]["width"], found[arm]["height"]
        # rows = (height + gap) / (tile + gap), and views = (width + gap) / (tile + gap)
        rows = max(1, round(height / width * STRIP_VIEWS))
        gap = 0.0 if rows == STRIP_VIEWS else (height * STRIP_VIEWS - rows * width) / (rows - STRIP_VIEWS)
        tile = (width - (STRIP_VIEWS - 1) * gap) / STRIP_VIEWS
        row = {"step": round((tile + gap) / height, 5), "shape": round(width / tile, 5)}
        shown.append({"arm": arm, "rows": rows, **row, **found[arm]})
    return shown


def depth_scale(collected: Collected) -> DepthScale | None:
    """What the colours of the main arm's depth mean."""
    path = collected.main.picture("depth.json")
    return read_record(DepthScale, path, "pigan generate") if path else None


def film(collected: Collected) -> str | None:
    """The main arm's turntable as an address."""
    path = collected.main.picture("turntable.mp4")
    return embed.data_uri(path) if path else None


def explorer(collected: Collected) -> dict[str, Any] | None:
    """The pose explorer of the main arm: sprite, what the sliders say, where to begin, whether yaw goes round."""
    sprite, angles = collected.main.picture("explorer.jpg"), collected.main.picture("explorer.json")
    if not sprite or not angles:
        return None
    grid = read_record(Explorer, angles, "pigan generate")
    width, height = embed.image_size(sprite)
    if (width, height) != (len(grid.yaws) * grid.tile, len(grid.pitches) * grid.tile):
        raise PiganError(f"{sprite}: size does not fit {angles.name}; run pigan generate again")
    step = (grid.yaws[-1] - grid.yaws[0]) / max(len(grid.yaws) - 1, 1)
    return {
        "uri": embed.data_uri(sprite),
        "yaws": [f"{(round(math.degrees(yaw - math.pi / 2)) + 180) % 360 - 180}°" for yaw in grid.yaws],
        "pitches": [f"{round(90 - math.degrees(pitch))}°" for pitch in grid.pitches],
        "row": len(grid.pitches) // 2,
        "column": min(
            range(len(grid.yaws)), key=lambda index: abs(grid.yaws[index] - collected.params.camera.yaw_mean)
        ),
        "wraps": abs(abs(step) * len(grid.yaws) - 2 * math.pi) < 0.01,
    }


def scrubbers(collected: Collected) -> dict[str, dict[str, Any]]:
    """The main arm's truncation and interpolation: sprite, what a slider says at each frame, where it begins."""
    psi, shown = collected.params.generate.sheet_truncation, {}
    for name in ("truncation", "interpolation"):
        found = _sprite(collected, name)
        if found:
            uri, sprite = found
            shown[name] = {"uri": uri, "tiles": sprite.tiles, "stops": math.ceil(max(sprite.places))}
            if name == "truncation":
                start = min(range(len(sprite.places)), key=lambda index: abs(sprite.places[index] - psi))
                shown[name] |= {"words": [f"ψ = {place:g}" for place in sprite.places], "start": start}
            else:
                shown[name] |= {"words": [_on_the_loop(place, sprite.places) for place in sprite.places], "start": 0}
    return shown


def _sprite(collected: Collected, name: str) -> tuple[str, Sprite] | None:
    picture, told = collected.main.picture(f"{name}.jpg"), collected.main.picture(f"{name}.json")
    if not picture or not told:
        return None
    sprite = read_record(Sprite, told, "pigan generate")
    if embed.image_size(picture) != (sprite.tiles * sprite.tile, len(sprite.places) * sprite.tile):
        raise PiganError(f"{picture}: size does not fit {told.name}; run pigan generate again")
    return embed.data_uri(picture), sprite


def _on_the_loop(place: float, places: list[float]) -> str:
    """Where it is on the closed way round the latents: `latent 1`, or `25 % to 2`."""
    latent, share = int(place), place - int(place)
    after = (latent + 1) % math.ceil(max(places))
    return f"{round(100 * share)} % to {after + 1}" if share else f"latent {latent + 1}"
