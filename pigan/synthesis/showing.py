"""Rendered tensors as pictures that a notebook shows, without files."""

import base64
import html
import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pigan.errors import PiganError
from pigan.synthesis.pictures import depth_colours, enlarged, enlargement, grid
from pigan.synthesis.viewing import as_levels


def show(
    colour: Float[Tensor, "view side side channel"],
    depth: Float[Tensor, "view side side"] | None = None,
    columns: int | None = None,
) -> Image.Image:
    """One picture of rendered views: colours (0..1, RGB or RGBA), and below each row of them its depth, coloured.

    A row has `columns` views, by default all up to 8. Near is bright, far is dark, white is nothing; all views share
    the scale. Small views are enlarged. A notebook shows what is returned; `.save(path)` keeps it.

    >>> import torch
    >>> show(torch.rand(3, 64, 64, 3), torch.rand(3, 64, 64)).size
    (392, 260)

    Raises:
        PiganError: there are no views, or no columns.
    """
    if not len(colour) or (columns is not None and columns < 1):
        raise PiganError("show: nothing to show; give at least one view and one column")
    wide = min(columns or 8, len(colour))
    tiles = as_levels(colour.float())
    rows = [tiles[start : start + wide] for start in range(0, len(tiles), wide)]
    if depth is not None:
        shades = depth_colours(depth.detach().float().cpu().numpy())
        opaque = np.full((*shades.shape[:-1], tiles.shape[-1] - 3), 255, np.uint8)
        shades = np.concatenate((shades, opaque), -1)
        empty = np.full((wide, *tiles.shape[1:]), 255, np.uint8)
        # the last row may be shorter: what comes after it begins a new one
        rows = [
            np.concatenate((part, empty[len(part) :]))
            for start, row in zip(range(0, len(tiles), wide), rows, strict=True)
            for part in (row, shades[start : start + wide])
        ]
    sheet = grid(np.concatenate(rows), wide)
    return Image.fromarray(enlarged(sheet, enlargement(colour.shape[1])))


def facts_page(picture: Image.Image, facts: Mapping[str, str]) -> str:
    """HTML of a picture and a table of facts, complete in itself."""
    png = io.BytesIO()
    picture.save(png, format="PNG")
    source = base64.b64encode(png.getvalue()).decode()
    rows = "".join(
        f"<tr><th style='text-align: left'>{html.escape(name)}</th>"
        f"<td style='text-align: left'>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    alt = html.escape(facts.get("shown", ""))
    return f"<img src='data:image/png;base64,{source}' alt='{alt}' style='max-width: 100%'><table>{rows}</table>"
