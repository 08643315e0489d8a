"""What evaluation shows people: generated images beside training images, inverted views beside the truth."""

from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from pigan.synthesis.pictures import GAP, PAPER, depth_colours, enlargement, grid, save_image

ROWS = 6
NEIGHBOURS = 5
VIEWS = 8
# of an error map: what is shown brightest, share of the depth range
WORST = 0.1


def write_neighbours(
    path: Path,
    generated: UInt8[np.ndarray, "n side side 3"],
    training: UInt8[np.ndarray, "m side side 3"],
    nearest: Int64[np.ndarray, "n count"],
) -> None:
    """A row an image: a generated one, a gap, and its nearest training images, `nearest` counting in `training`."""
    rows = []
    for image, places in zip(generated, nearest, strict=True):
        row = grid(np.concatenate((image[None], training[places])), 1 + len(places))
        side = len(image)
        gap = np.full((side, side // 4, 3), PAPER, np.uint8)
        rows.append(np.concatenate((row[:, :side], gap, row[:, side + GAP :]), axis=1))
    between = np.full((GAP, rows[0].shape[1], 3), PAPER, np.uint8)
    stacked = [part for row in rows for part in (row, between)][:-1]
    save_image(path, np.concatenate(stacked), enlargement(generated.shape[1]))


def write_inversion_sheet(
    path: Path,
    target: UInt8[np.ndarray, "view side side 3"],
    images: UInt8[np.ndarray, "view side side 3"],
    true_depth: Float32[np.ndarray, "view side side"],
    aligned: Float[np.ndarray, "view side side"],
    scale: float,
) -> None:
    """A column a view; from the top: held-out view, inversion, true depth, depth of the inversion, their distance.

    Depth rows are left out when no depth is known; the distance is black at 0 and white at a tenth of `scale`, the
    depth range (world units).
    """
    rows = [target, images]
    known = np.isfinite(true_depth)
    if known.any():
        seen = np.where(known, aligned, np.nan).astype(np.float32)
        # one scale of colours for both
        colours = depth_colours(np.concatenate((true_depth, seen)))
        rows += [colours[: len(target)], colours[len(target) :], _error_colours(np.abs(seen - true_depth) / scale)]
    shown = np.linspace(0, len(target), min(VIEWS, len(target)), endpoint=False).astype(int)
    save_image(path, grid(np.concatenate([row[shown] for row in rows]), len(shown)), enlargement(target.shape[1]))


def _error_colours(share: Float[np.ndarray, "view side side"]) -> UInt8[np.ndarray, "view side side 3"]:
    place = np.clip(np.nan_to_num(share) / WORST, 0, 1)
    colours = (matplotlib.colormaps["magma"](place)[..., :3] * 255).round().astype(np.uint8)
    return np.where(np.isfinite(share)[..., None], colours, np.uint8(PAPER))
