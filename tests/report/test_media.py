"""What the page gets of the pictures: sprites and their words, rows of strips, sizes."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pigan.config import Params
from pigan.errors import PiganError
from pigan.report import embed, media
from pigan.report.collect import Collected, collect

Tree = Callable[[Params], tuple[Path, Path]]


def sprite(folder: Path, name: str, places: list[float], tiles: int, tile: int = 8) -> None:
    Image.new("RGB", (tiles * tile, len(places) * tile), "grey").save(folder / f"{name}.jpg")
    (folder / f"{name}.json").write_text(json.dumps({"places": places, "tile": tile, "tiles": tiles}))


@pytest.fixture
def made(demo: Params, run_tree: Tree) -> tuple[Collected, Path]:
    """A complete tree, and the folder of the main arm's pictures."""
    data, runs = run_tree(demo)
    return collect(demo, data, runs), runs / "baseline" / "seed0" / "generated"


def test_older_runs_have_no_sprites_and_no_scale(made: tuple[Collected, Path]) -> None:
    assert media.scrubbers(made[0]) == {} and media.depth_scale(made[0]) is None


def test_scrubbers_begin_where_the_sheets_are_and_at_the_first_latent(made: tuple[Collected, Path]) -> None:
    collected, folder = made
    sprite(folder, "truncation", [0.0, 0.25, 0.5, 0.75, 1.0], 3)
    sprite(folder, "interpolation", [0.0, 0.5, 1.0, 1.25], 1)
    shown = media.scrubbers(collected)
    assert shown["truncation"]["words"] == ["ψ = 0", "ψ = 0.25", "ψ = 0.5", "ψ = 0.75", "ψ = 1"]
    # sheet_truncation is 0.7
    assert (shown["truncation"]["start"], shown["truncation"]["tiles"]) == (3, 3)
    assert shown["interpolation"]["words"] == ["latent 1", "50 % to 2", "latent 2", "25 % to 1"]
    assert (shown["interpolation"]["start"], shown["interpolation"]["stops"]) == (0, 2)


def test_glance_shows_real_images_and_what_the_arms_metrics_are_of(made: tuple[Collected, Path]) -> None:
    collected, folder = made
    assert media.glance(collected) == []
    rng = np.random.default_rng(0)
    images = {arm: rng.integers(0, 256, (11, 32, 32, 3), dtype=np.uint8) for arm in ("concat", "baseline")}
    for arm, own in images.items():
        np.save(folder.parents[2] / arm / "seed0" / "generated" / "images_32.npy", own)
    rows = media.glance(collected)
    # the main arm first, and none for arms without images
    assert [label for label, _ in rows] == ["real", "baseline", "concat"]
    for label, uri in rows[1:]:
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as sheet:
            pixels = np.asarray(sheet)
        # three pixels a pixel, a gap of one
        tiles = [pixels[1::3, 97 * column + 1 : 97 * column + 96 : 3] for column in range(media.GLANCE_IMAGES)]
        np.testing.assert_array_equal(tiles, images[label][: media.GLANCE_IMAGES])


def test_sprite_of_another_size_is_refused(made: tuple[Collected, Path]) -> None:
    collected, folder = made
    sprite(folder, "truncation", [0.0, 1.0], 3)
    Image.new("RGB", (24, 24)).save(folder / "truncation.jpg")
    with pytest.raises(PiganError, match=r"truncation\.jpg: size does not fit truncation\.json; run pigan generate"):
        media.scrubbers(collected)
    (folder / "truncation.json").write_text('{"places": "all"}')
    with pytest.raises(PiganError, match=r"truncation\.json: places"):
        media.scrubbers(collected)


def test_scale_of_depth_is_read(made: tuple[Collected, Path]) -> None:
    collected, folder = made
    (folder / "depth.json").write_text('{"near": 0.9, "far": 1.1}')
    assert media.depth_scale(collected) == media.DepthScale(near=0.9, far=1.1)


@pytest.mark.parametrize(("tile", "gap", "rows"), [(128, 4, 5), (16, 0, 4), (64, 2, 1), (32, 0, 8), (512, 2, 5)])
def test_rows_of_a_strip_are_found_by_its_size(demo: Params, tile: int, gap: int, rows: int) -> None:
    width, height = 8 * (tile + gap) - gap, rows * (tile + gap) - gap
    found = {arm: {"uri": "data:", "width": width, "height": height} for arm in ("concat", "baseline")}
    strips = media.strips(demo, found)
    assert [strip["arm"] for strip in strips] == ["baseline", "concat"]
    assert strips[0]["rows"] == rows
    assert strips[0]["step"] == pytest.approx((tile + gap) / height, rel=0.01)
    assert strips[0]["shape"] == pytest.approx(width / tile, rel=0.05)


def decoded(uri: str) -> tuple[int, Image.Image]:
    content = base64.b64decode(uri.partition(",")[2])
    return len(content), Image.open(io.BytesIO(content))


def test_picture_that_fits_is_left_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    assert embed.picture_uri(tmp_path / "a.png", 10_000) == embed.data_uri(tmp_path / "a.png")


@pytest.mark.parametrize("limit", [60_000, 25_000, 5_000])
def test_large_picture_is_compressed_until_it_fits(tmp_path: Path, limit: int) -> None:
    noise: Any = np.random.default_rng(0).integers(0, 255, (150, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    uri = embed.picture_uri(tmp_path / "a.png", limit)
    size, image = decoded(uri)
    assert uri.startswith("data:image/webp;base64,")
    assert size <= limit and abs(image.width / image.height - 2) < 0.05
    assert uri == embed.picture_uri(tmp_path / "a.png", limit)


def test_strongest_compression_is_taken_as_it_comes(tmp_path: Path) -> None:
    noise: Any = np.random.default_rng(0).integers(0, 255, (150, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert decoded(embed.picture_uri(tmp_path / "a.png", 10))[1].width == 105
