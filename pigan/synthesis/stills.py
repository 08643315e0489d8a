"""Pictures that people ask for by hand: which objects are seen from where, and how what is seen becomes files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import OpenEXR
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from pigan.errors import PiganError
from pigan.files import atomic_file, write_json
from pigan.models.mapping import truncate
from pigan.progress import Progress
from pigan.rendering.rays import pixel_directions
from pigan.synthesis.choices import Backdrop, Format, Layout, Map
from pigan.synthesis.pictures import (
    PSIS,
    above_scale,
    depth_colours,
    depth_ends,
    grid,
    normal_colours,
    save_image,
    surface_normals,
)
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.viewing import Cameras, Seen, as_levels, look
from pigan.synthesis.views import yaw_sweep

# counts of a 16-bit depth image; 0 is kept for what has no depth
COUNTS = 65535


class Plan(NamedTuple):
    """Views to render, one a row, and how they stand on a sheet."""

    codes: Float[Tensor, "view code"]
    yaws: list[float]
    """Radians."""
    names: list[str]
    """Of single files."""
    columns: int


class Looks(NamedTuple):
    """How every view of a plan is rendered; None: as the model's own evaluation images."""

    resolution: int
    pitch: float | None = None
    """Radians."""
    fov: float | None = None
    radius: float | None = None
    """World units."""
    samples: int | None = None
    backdrop: Backdrop | None = None


def plan(
    model: TrainedModel,
    codes: Float[Tensor, "object code"],
    names: Sequence[str],
    layout: Layout,
    yaw: float | None,
    columns: int | None,
) -> Plan:
    """The views of a layout: objects alone, each from `columns` yaws (views), or each with psi from 0 to 1.

    The pose law says from where the views look; `yaw` (radians) is that of the other layouts.
    """
    camera, count = model.params.camera, len(codes)
    front = camera.yaw_mean if yaw is None else yaw
    if layout == "views":
        yaws = yaw_sweep(camera, columns or 7)
        turned = codes.repeat_interleave(len(yaws), 0)
        # views of less than a degree apart are files of their own too
        digits = 0 if len({round(math.degrees(angle)) for angle in yaws}) == len(yaws) else 3
        labels = [f"{name}_yaw{math.degrees(angle):.{digits}f}" for name in names for angle in yaws]
        return Plan(turned, yaws * count, labels, len(yaws))
    if layout == "truncation":
        swept = torch.stack([truncate(codes, model.average_code, psi) for psi in PSIS], 1).flatten(0, 1)
        labels = [f"{name}_psi{psi:g}" for name in names for psi in PSIS]
        return Plan(swept, [front] * len(swept), labels, len(PSIS))
    return Plan(codes, [front] * count, list(names), min(columns or math.ceil(math.sqrt(count)), count))


def render_plan(model: TrainedModel, views: Plan, looks: Looks) -> tuple[Seen, Cameras]:
    """What the views of a plan show, and from where; a progress bar counts them."""
    cameras = model.cameras(torch.tensor(views.yaws), looks.pitch, looks.fov, looks.radius)
    parts = []
    with Progress(len(views.codes), "render", "img") as progress:
        for row in range(len(views.codes)):
            one = slice(row, row + 1)
            seen = look(
                model.generator,
                views.codes[one],
                Cameras(cameras.cam2world[one], cameras.fov[one]),
                looks.resolution,
                model.params,
                looks.samples,
                looks.backdrop,
            )
            parts.append(Seen(*(part.cpu() for part in seen)))
            progress.advance()
    return Seen(*(torch.cat(part) for part in zip(*parts, strict=True))), cameras


def write_stills(
    seen: Seen,
    cameras: Cameras,
    views: Plan,
    layout: Layout,
    maps: Sequence[Map],
    form: Format,
    align_corners: bool,
    out: Path,
) -> list[Path]:
    """Files of the wanted maps in `out`; returns them.

    png: a sheet a map, or with `single` a file a view; beside coloured depth the same as 16-bit counts with a .json
    that states their unit. exr: a file a view and map; npy: an array a map, [view, side, side] or with channels behind.
    """
    written: list[Path] = []
    for which in maps:
        if form == "npy":
            written.append(_write_npy(out / f"{which}.npy", _values(seen, cameras, which, align_corners)))
        elif form == "exr":
            values = _values(seen, cameras, which, align_corners)
            written += [_write_exr(out / f"{n}_{which}.exr", v) for n, v in zip(views.names, values, strict=True)]
        else:
            sheets = [(layout, slice(None), views.columns)]
            if layout == "single":
                sheets = [(name, slice(row, row + 1), 1) for row, name in enumerate(views.names)]  # type: ignore[misc]
            for name, some, columns in sheets:
                part = Seen(*(values[some] for values in seen))
                written += _write_png(part, cameras.fov[some], which, columns, align_corners, out / f"{name}_{which}")
    return written


def _values(seen: Seen, cameras: Cameras, which: Map, align_corners: bool) -> Float32[np.ndarray, "view ..."]:
    """Unrounded: colours 0..1 (RGBA where transparent), z-depth and unit normals, NaN for none, opacity 0..1."""
    if which == "normals":
        rays = _rays(seen.depth.shape[-1], cameras.fov, align_corners)
        return np.concatenate([surface_normals(d[None], r) for d, r in zip(seen.depth.numpy(), rays, strict=True)])
    values: Float32[np.ndarray, "view ..."] = getattr(seen, which).numpy()
    return values


def _write_png(
    seen: Seen, fov: Float[Tensor, "view"], which: Map, columns: int, align_corners: bool, stem: Path
) -> list[Path]:
    picture, side = stem.with_name(f"{stem.name}.png"), seen.depth.shape[-1]
    if which == "colour":
        save_image(picture, grid(as_levels(seen.colour), columns))
    elif which == "opacity":
        save_image(picture, grid(as_levels(seen.opacity[..., None].expand(-1, -1, -1, 3)), columns))
    elif which == "normals":
        rays = _rays(side, fov, align_corners)
        shades = [normal_colours(d[None], r) for d, r in zip(seen.depth.numpy(), rays, strict=True)]
        save_image(picture, grid(np.concatenate(shades), columns))
    else:
        return _write_depth(seen.depth.numpy(), columns, stem)
    return [picture]


def _write_depth(depth: Float32[np.ndarray, "view side side"], columns: int, stem: Path) -> list[Path]:
    """Coloured depth with its scale for people, 16-bit counts and their unit for programs."""
    sheet, ends = grid(depth_colours(depth), columns), depth_ends(depth)
    picture, counted = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}16.png")
    save_image(picture, above_scale(sheet, ends, 1 if ends is None else max(1, math.ceil(360 / sheet.shape[1]))))
    far = float(np.nanmax(depth)) if ends is not None else 1.0
    unit = far / COUNTS
    counts = np.nan_to_num(depth / unit, nan=0).round().clip(0, COUNTS).astype(np.uint16)
    # a grid of 16-bit tiles is made as one of bytes is: high and low ones apart, gaps 0
    rows = math.ceil(len(counts) / columns)
    padded = np.concatenate((counts, np.zeros((rows * columns - len(counts), *counts.shape[1:]), np.uint16)))
    tiles = padded.reshape(rows, columns, *counts.shape[1:]).swapaxes(1, 2)
    flat = tiles.reshape(rows * counts.shape[1], columns * counts.shape[2])
    with atomic_file(counted) as temporary:
        Image.fromarray(flat).save(temporary, format="PNG")
    about = {"unit": unit, "measure": "z", "nothing": 0, "tile": counts.shape[1], "columns": columns}
    write_json(counted.with_suffix(".json"), about)
    return [picture, counted, counted.with_suffix(".json")]


def _write_npy(path: Path, values: Float32[np.ndarray, "view ..."]) -> Path:
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, values)
    return path


def _write_exr(path: Path, values: Float32[np.ndarray, "side ..."]) -> Path:
    """Channels RGB, RGBA, or Z for one value a pixel; colours as they are displayed, not linear light."""
    names = {2: "Z", 3: "RGB" if values.shape[-1] == 3 else "RGBA"}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with atomic_file(path) as temporary:
        try:
            OpenEXR.File(header, {names[values.ndim]: np.ascontiguousarray(values)}).write(str(temporary))
        except RuntimeError as error:
            # it does not say why
            raise PiganError(f"{path}: cannot be written ({error}); is the disk full?") from error
    return path


def _rays(side: int, fov: Float[Tensor, "view"], align_corners: bool) -> list[Float32[np.ndarray, "ray 3"]]:
    return [pixel_directions(side, angle, align_corners).numpy() for angle in fov.tolist()]


def description(model: TrainedModel, sha256: str, views: Plan, cameras: Cameras, looks: Looks) -> dict[str, Any]:
    """What render.json says: enough to make the same pictures again."""
    return {
        "model": str(model.source),
        "model_sha256": sha256,
        "views": views.names,
        "columns": views.columns,
        "cam2world": cameras.cam2world.tolist(),
        "fov_radians": cameras.fov.tolist(),
        "align_corners": model.params.camera.align_corners,
        "resolution": looks.resolution,
        "samples_a_ray": looks.samples or model.params.rendered_samples,
        "background": looks.backdrop or model.params.model.eval_background,
    }
