"""`pigan render`: files of every kind, the same bytes again, and one line for what cannot be."""

import json
import re
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from pigan.cli import app
from pigan.cli.options import parse_seeds
from pigan.errors import PiganError
from pigan.rendering.rays import pixel_directions
from pigan.synthesis.pictures import surface_normals
from pigan.synthesis.stills import plan
from pigan.synthesis.trained import TrainedModel, load_model


@pytest.fixture
def model(dense_run: Path) -> Path:
    return dense_run


def render(model: Path, out: Path, *more: str) -> list[str]:
    """Names of the files that the command wrote."""
    call = ["render", "--model", str(model), "--out", str(out), "--resolution", "16", *more]
    result = CliRunner().invoke(app, call, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    written = [Path(line.removeprefix("wrote ")).name for line in result.stdout.splitlines()]
    assert sorted(written) == sorted(path.name for path in out.iterdir())
    return written


def size(path: Path) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as image:
        return image.size


@pytest.fixture(scope="module")
def trained(dense_run: Path) -> TrainedModel:
    return load_model(dense_run)


def test_a_grid_of_all_maps(model: Path, tmp_path: Path) -> None:
    written = render(model, tmp_path / "a", "--seeds", "0-4", "--what", "opacity,colour,depth,normals")
    maps = ["colour.png", "depth.png", "depth16.png", "depth16.json", "normals.png", "opacity.png"]
    assert written == [*(f"grid_{name}" for name in maps), "render.json"]
    # five objects in three columns, two gaps of two pixels
    assert size(tmp_path / "a" / "grid_colour.png") == (3 * 16 + 4, 2 * 16 + 2)
    assert size(tmp_path / "a" / "grid_depth16.png") == (48, 32)


def test_a_grid_is_no_wider_than_its_objects(model: Path, tmp_path: Path) -> None:
    render(model, tmp_path / "a", "--seeds", "0,1", "--columns", "100000", "--what", "colour")
    assert size(tmp_path / "a" / "grid_colour.png") == (2 * 16 + 2, 16)


def test_views_close_together_are_files_of_their_own(trained: TrainedModel) -> None:
    views = plan(trained, trained.average_code[None], ["seed0"], "views", None, 500)
    assert len(set(views.names)) == 500 and views.names[1] == "seed0_yaw90.720"


def test_single_colours_are_those_of_the_library(model: Path, trained: TrainedModel, tmp_path: Path) -> None:
    call = ("--layout", "single", "--seeds", "7", "--what", "colour", "--yaw", "30", "--truncation", "0.5")
    assert "seed7_colour.png" in render(model, tmp_path / "a", *call)
    camera = trained.cameras(yaw=float(np.radians(30)))
    colour, _ = trained.render(trained.latents(7), camera, 16, truncation=0.5)
    shown = np.asarray(Image.open(tmp_path / "a" / "seed7_colour.png"))
    assert np.abs(shown - 255 * colour[0].numpy()).max() <= 0.5 + 1e-3


def test_counts_of_depth_say_the_depth(model: Path, trained: TrainedModel, tmp_path: Path) -> None:
    call = ("--layout", "single", "--seeds", "0", "--what", "depth", "--truncation", "1")
    render(model, tmp_path / "a", *call)
    _, depth = trained.render(trained.latents(0), trained.cameras(), 16)
    truth = depth[0].numpy()
    counts = np.asarray(Image.open(tmp_path / "a" / "seed0_depth16.png")).astype(np.int64)
    unit = json.loads((tmp_path / "a" / "seed0_depth16.json").read_text())["unit"]
    assert np.isfinite(truth).any() and np.array_equal(counts == 0, np.isnan(truth))
    assert np.nanmax(np.abs(counts * unit - truth)) <= unit


@pytest.mark.parametrize("form", ["npy", "exr"])
def test_floats_are_not_rounded(model: Path, trained: TrainedModel, tmp_path: Path, form: str) -> None:
    render(model, tmp_path / "a", "--seeds", "2", "--format", form, "--truncation", "1")
    colour, depth = trained.render(trained.latents(2), trained.cameras(), 16)
    if form == "npy":
        seen = np.load(tmp_path / "a" / "colour.npy")[0], np.load(tmp_path / "a" / "depth.npy")[0]
    else:
        with OpenEXR.File(str(tmp_path / "a" / "seed2_colour.exr")) as file:
            shown = file.channels()["RGB"].pixels.copy()
        with OpenEXR.File(str(tmp_path / "a" / "seed2_depth.exr")) as file:
            seen = shown, file.channels()["Z"].pixels.copy()
    np.testing.assert_array_equal(seen[0], colour[0].numpy())
    np.testing.assert_array_equal(seen[1], depth[0].numpy())


def test_normals_are_not_rounded_either(model: Path, trained: TrainedModel, tmp_path: Path) -> None:
    render(model, tmp_path / "a", "--seeds", "2", "--what", "normals", "--format", "npy", "--truncation", "1")
    normals = np.load(tmp_path / "a" / "normals.npy")
    depth = trained.render(trained.latents(2), trained.cameras(), 16)[1].numpy()
    camera = trained.params.camera
    rays = pixel_directions(16, camera.fov, camera.align_corners).numpy()
    np.testing.assert_allclose(normals, surface_normals(depth, rays), atol=1e-5)
    known = np.isfinite(normals).all(-1)
    assert known.any() and np.isnan(normals[~known]).all()
    np.testing.assert_allclose(np.linalg.norm(normals[known], axis=-1), 1, atol=1e-6)


def test_what_is_transparent_shows_what_is_behind_it(model: Path, tmp_path: Path) -> None:
    call = ("--layout", "single", "--seeds", "0", "--what", "colour", "--format", "npy", "--background")
    render(model, tmp_path / "clear", *call, "transparent")
    render(model, tmp_path / "white", *call, "white")
    clear, white = np.load(tmp_path / "clear" / "colour.npy"), np.load(tmp_path / "white" / "colour.npy")
    colour, alpha = clear[..., :3], clear[..., 3:]
    assert 0 < alpha.mean() < 1
    np.testing.assert_allclose(colour * alpha + 1 - alpha, white, atol=1 / 255)


def test_views_and_truncation_have_a_row_an_object(model: Path, tmp_path: Path) -> None:
    render(model, tmp_path / "a", "--layout", "views", "--seeds", "0,1", "--columns", "4", "--what", "colour")
    assert size(tmp_path / "a" / "views_colour.png") == (4 * 16 + 6, 2 * 16 + 2)
    render(model, tmp_path / "b", "--layout", "truncation", "--seeds", "0,1", "--what", "colour")
    sheet = np.asarray(Image.open(tmp_path / "b" / "truncation_colour.png"))
    assert sheet.shape[:2] == (34, 5 * 18 - 2)
    # with psi 0 all objects are the average one
    assert np.array_equal(sheet[:16, :16], sheet[18:, :16]) and not np.array_equal(sheet[:16, 72:], sheet[18:, 72:])


def test_the_same_command_makes_the_same_bytes(model: Path, tmp_path: Path) -> None:
    written = render(model, tmp_path / "a", "--seeds", "0-1")
    render(model, tmp_path / "b", "--seeds", "0-1")
    for name in written:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() or name == "render.json"


def test_a_locked_view_makes_colours_the_same_all_round(trained: TrainedModel) -> None:
    field = trained.with_locked_view(True).generator
    assert field.model.lock_view_direction and field.field is trained.generator.field


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("--seeds", "5-2"), "'5-2' is no seed and no range"),
        (("--seeds", "0-99999999"), "more than 10,000"),
        (("--what", "color"), "--what 'color': there are colour, depth, normals, opacity"),
        (("--fov", "180"), "--fov 180: give degrees between 0 and 180"),
        (("--radius", "0"), "--radius 0: give a distance above 0"),
        (("--layout", "single", "--columns", "2"), "--columns is of a grid or of views"),
        (("--layout", "views", "--yaw", "2"), "--yaw is that of one view"),
        (("--model", "nothing"), "nothing: no model; name a checkpoint"),
    ],
)
def test_what_cannot_be_is_one_line(model: Path, tmp_path: Path, call: tuple[str, ...], said: str) -> None:
    arguments = ["render", "--model", str(model), "--out", str(tmp_path / "a"), *call]
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, PiganError) and said in str(error) and "\n" not in str(error)
    assert not (tmp_path / "a").exists()


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20)), min_size=1, max_size=6))
def test_seeds_are_those_of_the_ranges(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in ranges)
    wanted = [seed for first, more in ranges for seed in range(first, first + more + 1)]
    assert parse_seeds(text) == list(dict.fromkeys(wanted))


@given(st.text(alphabet="0123456789-, x", max_size=12))
def test_other_seeds_are_refused(text: str) -> None:
    if all(re.fullmatch(r" *\d+ *(- *\d+ *)?", part) for part in text.split(",")):
        return
    with pytest.raises(PiganError, match="--seeds"):
        parse_seeds(text)
