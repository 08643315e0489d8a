"""Pictures, film and pose explorer of the runs, for the report's folder and page."""

import math
import shutil
from pathlib import Path
from typing import Any

from pigan.config import Params
from pigan.errors import PiganError
from pigan.report import embed
from pigan.report.collect import Collected, read_explorer

# of every arm; what is only made for some data comes after
PICTURES = ("samples", "views", "depth", "truncation", "turntable", "neighbours")
PICTURES_OF_SOME = ("inversion",)


def copy_pictures(collected: Collected, folder: Path) -> None:
    """Every picture of each arm's first seed that is there."""
    for arm in collected.params.arms:
        for name in PICTURES + PICTURES_OF_SOME:
            picture = collected.first_seed(arm).picture(f"{name}.png")
            if picture:
                shutil.copyfile(picture, folder / f"{name}_{arm}.png")


def pictures(params: Params, folder: Path) -> dict[str, dict[str, Any]]:
    """Of each kind of picture, by arm: address and size in pixels; what is missing is left out."""
    found: dict[str, dict[str, Any]] = {}
    for name in PICTURES + PICTURES_OF_SOME:
        found[name] = {}
        for arm in params.arms:
            path = folder / f"{name}_{arm}.png"
            if path.is_file():
                width, height = embed.image_size(path)
                found[name][arm] = {"uri": embed.data_uri(path), "width": width, "height": height}
    return found


def film(collected: Collected) -> str | None:
    """The main arm's turntable as an address."""
    path = collected.main.picture("turntable.mp4")
    return embed.data_uri(path) if path else None


def explorer(collected: Collected) -> dict[str, Any] | None:
    """The pose explorer of the main arm: sprite, angles in degrees, where to begin, whether yaw goes round."""
    sprite, angles = collected.main.picture("explorer.jpg"), collected.main.picture("explorer.json")
    if not sprite or not angles:
        return None
    grid = read_explorer(angles)
    width, height = embed.image_size(sprite)
    if (width, height) != (len(grid.yaws) * grid.tile, len(grid.pitches) * grid.tile):
        raise PiganError(f"{sprite}: size does not fit {angles.name}; run pigan generate again")
    step = (grid.yaws[-1] - grid.yaws[0]) / max(len(grid.yaws) - 1, 1)
    return {
        "uri": embed.data_uri(sprite),
        "yaws": [(round(math.degrees(yaw - math.pi / 2)) + 180) % 360 - 180 for yaw in grid.yaws],
        "pitches": [round(90 - math.degrees(pitch)) for pitch in grid.pitches],
        "row": len(grid.pitches) // 2,
        "column": min(
            range(len(grid.yaws)), key=lambda index: abs(grid.yaws[index] - collected.params.camera.yaw_mean)
        ),
        "wraps": abs(abs(step) * len(grid.yaws) - 2 * math.pi) < 0.01,
    }
