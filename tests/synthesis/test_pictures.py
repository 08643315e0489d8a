import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pigan import config
from pigan.files import sha256_file
from pigan.models.generator import Generator
from pigan.rendering.rays import pixel_directions
from pigan.synthesis import pictures
from pigan.synthesis.pictures import (
    depth_bar,
    depth_colours,
    depth_ends,
    grid,
    normal_colours,
    sample_sheet,
    save_image,
    surface_normals,
    write_pictures,
)
from pigan.synthesis.views import draw_codes, pitch_sweep, render_views, yaw_sweep

SIDE = 16
FILES = ["depth.json", "depth.png", "explorer.jpg", "explorer.json", "samples.png", "truncation.png", "views.png"]


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """The pixels of every picture that is saved, before they are enlarged and compressed."""
    saved: dict[str, np.ndarray] = {}
    whole = save_image

    def spy(path: Path, pixels: np.ndarray, scale: int = 1) -> None:
        saved[path.name] = pixels
        whole(path, pixels, scale)

    monkeypatch.setattr(pictures, "save_image", spy)
    return saved


def tile(sheet: np.ndarray, row: int, column: int, gap: int = pictures.GAP) -> np.ndarray:
    step = SIDE + gap
    return sheet[row * step : row * step + SIDE, column * step : column * step + SIDE]


def test_grid_fills_rows_from_the_left_with_gaps_of_paper() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    sheet = grid(images, 3)
    assert sheet.shape == (2 * 4 + pictures.GAP, 3 * 4 + 2 * pictures.GAP, 3)
    step = 4 + pictures.GAP
    for i in range(5):
        top, left = step * (i // 3), step * (i % 3)
        assert (sheet[top : top + 4, left : left + 4] == i).all()
    assert (sheet[4:step] == 255).all() and (sheet[:, 4:step] == 255).all()
    assert (sheet[step:, 2 * step :] == 255).all()


def test_one_image_is_a_grid_without_gaps() -> None:
    image = np.random.default_rng(0).integers(0, 255, (1, 5, 5, 3), dtype=np.uint8)
    assert np.array_equal(grid(image, 1), image[0])


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_saved_image_is_enlarged_by_a_whole_factor(name: str, tmp_path: Path) -> None:
    pixels = np.full((3, 5, 3), 90, np.uint8)
    save_image(tmp_path / name, pixels, 4)
    with Image.open(tmp_path / name) as image:
        assert image.size == (20, 12) and image.mode == "RGB"
        assert np.abs(np.asarray(image).astype(int) - 90).max() <= 1
    save_image(tmp_path / "same.png", pixels)
    with Image.open(tmp_path / "same.png") as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_near_is_brighter_than_far_and_nothing_is_white() -> None:
    depth = np.linspace(0.8, 1.2, 64, dtype=np.float32).reshape(1, 8, 8)
    depth[0, 0, 0] = np.nan
    colours = depth_colours(depth)
    assert (colours[0, 0, 0] == 255).all()
    light = colours[0].astype(int).sum(-1).ravel()[1:]
    assert (np.diff(light) <= 0).all() and light[0] > light[-1] + 200


def test_depth_without_anything_or_of_one_value_is_coloured() -> None:
    assert (depth_colours(np.full((2, 4, 4), np.nan, np.float32)) == 255).all()
    flat = depth_colours(np.ones((1, 4, 4), np.float32))
    assert (flat == flat[0, 0, 0]).all()


def test_views_share_one_range_of_depth() -> None:
    depth = np.stack([np.full((4, 4), z, np.float32) for z in (0.8, 1.0, 1.2)])
    light = depth_colours(depth).astype(int).sum((1, 2, 3))
    assert light[0] > light[1] > light[2]


def test_scale_runs_from_the_nearest_colour_to_the_farthest() -> None:
    depth = np.linspace(0.8, 1.2, 400, dtype=np.float32).reshape(1, 20, 20)
    ends = depth_ends(depth)
    assert ends is not None and np.allclose(ends, (0.804, 1.196))
    bar, colours = depth_bar(*ends, 400), depth_colours(depth)[0].reshape(400, 3)
    middle = bar[bar.shape[0] // 3]
    assert bar.shape[1] == 400 and (bar[0] == 255).all()
    assert np.array_equal(middle[[0, -1]], colours[[0, -1]])
    # the ends are percentiles, so that the colours between are a little out of step
    assert np.abs(middle.astype(int) - colours).max() < 12
    # ink of the words below
    assert (bar[-bar.shape[0] // 3 :] == 0).any()


def test_depth_of_nothing_has_no_ends() -> None:
    assert depth_ends(np.full((2, 4, 4), np.nan, np.float32)) is None


def test_plane_that_faces_the_camera_is_blue() -> None:
    rays = pixel_directions(8, math.radians(30), False).numpy()
    colours = normal_colours(np.full((2, 8, 8), 1.3, np.float32), rays)
    assert colours.shape == (2, 8, 8, 3)
    assert np.abs(colours.astype(int) - (128, 128, 255)).max() <= 1


@pytest.mark.parametrize("axis", [0, 1])
def test_plane_whose_right_or_upper_side_is_farther_looks_right_or_up(axis: int) -> None:
    rays = pixel_directions(16, math.radians(30), True).numpy()
    places = (rays / -rays[:, 2:])[:, axis]
    slope = 0.5
    # z-depth along the ray through `place` of the plane z = 1 + slope (place z)
    depth = (1 / (1 - slope * places)).astype(np.float32).reshape(1, 16, 16)
    normal = np.zeros(3)
    normal[axis], normal[2] = slope, 1
    normal /= np.linalg.norm(normal)
    assert np.abs(surface_normals(depth, rays)[0, 1:-1, 1:-1] - normal).max() < 2e-3
    inner = normal_colours(depth, rays)[0, 1:-1, 1:-1]
    assert np.abs(inner.astype(float) - (normal * 127.5 + 127.5)).max() <= 2


def test_normals_beside_nothing_are_white() -> None:
    depth = np.ones((1, 8, 8), np.float32)
    depth[0, :, :3] = np.nan
    colours = normal_colours(depth, pixel_directions(8, 0.5, False).numpy())
    assert (colours[0, :, :3] == 255).all() and (colours[0, :, 5:] != 255).any(-1).all()
    assert np.isnan(surface_normals(depth, pixel_directions(8, 0.5, False).numpy())[0, :, :3]).all()


def test_sheet_shows_as_many_objects_as_asked(generator: Generator, tiny_params: config.Params, tmp_path: Path) -> None:
    sample_sheet(generator, tiny_params, 8, 3, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        side = (3 * 8 + 2 * pictures.GAP) * (128 // 8)
        assert image.size == (side, side)


def test_all_pictures_are_written_twice_alike(generator: Generator, tiny_params: config.Params, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_pictures(generator, tiny_params, tmp_path / name)
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == FILES
    for name in FILES:
        assert sha256_file(tmp_path / "one" / name) == sha256_file(tmp_path / "two" / name), name


def test_explorer_has_a_tile_for_every_pose(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, sheets: dict[str, np.ndarray]
) -> None:
    write_pictures(generator, tiny_params, tmp_path)
    poses = json.loads((tmp_path / "explorer.json").read_text())
    yaws = yaw_sweep(tiny_params.camera, pictures.EXPLORER_YAWS)
    pitches = pitch_sweep(tiny_params.camera, pictures.EXPLORER_PITCHES)
    assert (poses["yaws"], poses["pitches"]) == (yaws, pitches)
    with Image.open(tmp_path / "explorer.jpg") as image:
        assert image.size == (len(yaws) * poses["tile"], len(pitches) * poses["tile"])
    code = draw_codes(generator, pictures.DEPTH_LATENTS, 0.7, tiny_params, "strip")[:1]
    for row, column in ((0, 0), (1, 5), (3, 23)):
        alone = render_views(
            generator, code, torch.tensor([yaws[column]]), torch.tensor([pitches[row]]), SIDE, tiny_params
        )
        shown = tile(sheets["explorer.jpg"], row, column, gap=0)
        assert np.abs(shown.astype(int) - alone.images[0]).max() <= 1


def test_strips_are_ordered_as_they_say(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, sheets: dict[str, np.ndarray]
) -> None:
    write_pictures(generator, tiny_params, tmp_path)
    sheet = sheets["truncation.png"]
    latents = pictures.STRIP_LATENTS
    assert sheet.shape == (*(n * (SIDE + pictures.GAP) - pictures.GAP for n in (latents, len(pictures.PSIS))), 3)

    def apart(column: int) -> Any:
        return np.std([tile(sheet, row, column).astype(float) for row in range(latents)], axis=0).mean()

    # at psi 0 everything is the average object, and differences grow to the right
    assert apart(0) < 0.5 and apart(0) < apart(2) < apart(4)
    views = sheets["views.png"]
    code = draw_codes(generator, latents, tiny_params.generate.sheet_truncation, tiny_params, "strip")
    yaw, pitch = yaw_sweep(tiny_params.camera, pictures.STRIP_VIEWS)[3], pictures.usual_pitch(tiny_params.camera)
    alone = render_views(generator, code[2:3], torch.tensor([yaw]), torch.tensor([pitch]), SIDE, tiny_params)
    assert np.abs(tile(views, 2, 3).astype(int) - alone.images[0]).max() <= 1


def test_depth_has_a_scale_that_its_numbers_repeat(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, sheets: dict[str, np.ndarray], show_ball: Any
) -> None:
    show_ball((0.0, 0.0, 0.0), 0.1)
    write_pictures(generator, tiny_params, tmp_path)
    told = json.loads((tmp_path / "depth.json").read_text())
    assert 0.88 < told["near"] < told["far"] < 1.01
    tiles = (3 * (SIDE + pictures.GAP) - pictures.GAP) * 8
    scale = depth_bar(told["near"], told["far"], sheets["depth.png"].shape[1])
    assert np.array_equal(sheets["depth.png"][tiles:], scale)


def test_pictures_of_nothing_are_white(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, show_ball: Any
) -> None:
    show_ball((0.0, 0.0, 0.0), 0.0)
    write_pictures(generator, tiny_params, tmp_path)
    for name in ("depth.png", "views.png"):
        with Image.open(tmp_path / name) as image:
            assert image.getextrema() == ((255, 255),) * 3
    assert json.loads((tmp_path / "depth.json").read_text()) == {"near": None, "far": None}
