"""Every odd kind of image file a folder may hold."""

import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pigan.data.square import CropJob, Cropped, CropSettings, crop_one

SETTINGS = CropSettings(None, None, "lanczos", 16, (255, 0, 255), (16,))


def cropped(
    path: Path, settings: CropSettings = SETTINGS, fov: float | None = None, depth: Path | None = None
) -> Cropped:
    return crop_one(CropJob(path, depth, fov, settings))


def middle(result: Cropped) -> list[int]:
    assert result.reason is None
    return [int(value) for value in result.images[16][8, 8]]


@pytest.mark.parametrize(
    ("mode", "colour", "name", "expected"),
    [
        ("RGB", (10, 120, 250), "a.png", [10, 120, 250]),
        ("L", 77, "a.png", [77, 77, 77]),
        ("1", 1, "a.png", [255, 255, 255]),
        ("I;16", 257 * 99, "a.png", [99, 99, 99]),
        ("I", 257 * 99, "a.tif", [99, 99, 99]),
        ("LA", (50, 0), "a.png", [255, 0, 255]),
        ("RGBA", (0, 0, 0, 0), "a.png", [255, 0, 255]),
        ("RGBA", (0, 200, 0, 255), "a.png", [0, 200, 0]),
        ("CMYK", (0, 255, 255, 0), "a.tif", [255, 0, 0]),
        ("YCbCr", (76, 84, 255), "a.tif", [254, 0, 0]),
        ("P", 3, "a.gif", [3, 3, 3]),
    ],
)
def test_every_mode_becomes_rgb(
    tmp_path: Path, mode: str, colour: int | tuple[int, ...], name: str, expected: list[int]
) -> None:
    image = Image.new(mode, (24, 20), colour)
    if mode == "P":
        image.putpalette([value for value in range(256) for _ in range(3)])
    image.save(tmp_path / name)
    np.testing.assert_allclose(middle(cropped(tmp_path / name)), expected, atol=2)


def test_palette_and_plain_transparency_are_composited(tmp_path: Path) -> None:
    palette = Image.new("P", (24, 24), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "p.png", transparency=1)
    Image.new("RGB", (24, 24), (1, 2, 3)).save(tmp_path / "rgb.png", transparency=(1, 2, 3))
    assert middle(cropped(tmp_path / "p.png")) == [255, 0, 255]
    assert middle(cropped(tmp_path / "rgb.png")) == [255, 0, 255]


def test_half_transparent_pixels_mix_with_the_background(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (0, 0, 0, 128)).save(tmp_path / "a.png")
    np.testing.assert_allclose(middle(cropped(tmp_path / "a.png")), [127, 0, 127], atol=1)


def test_exif_orientation_is_honoured_unless_the_camera_is_known(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    turned, stored = cropped(tmp_path / "a.png").images[16], cropped(tmp_path / "a.png", fov=0.5).images[16]
    assert turned[8, 14].mean() > 200
    assert turned[8, 1].mean() < 50
    assert stored[1, 8].mean() > 200
    assert stored[14, 8].mean() < 50


def test_broken_files_are_rejected_with_a_reason(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    broken = {
        "truncated.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.png": b"this is no image",
        "header.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR",
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        result = cropped(tmp_path / name)
        assert result.reason is not None
        assert result.reason.startswith("cannot be read: ")
        assert "\n" not in result.reason
        assert str(tmp_path) not in result.reason
    assert cropped(tmp_path / "whole.jpg").reason is None


def test_floating_point_images_are_rejected(tmp_path: Path) -> None:
    Image.new("F", (20, 20), 0.5).save(tmp_path / "a.tif")
    assert "floating-point" in str(cropped(tmp_path / "a.tif").reason)


def test_too_small_images_are_rejected(tmp_path: Path) -> None:
    Image.new("RGB", (40, 15)).save(tmp_path / "a.png")
    assert cropped(tmp_path / "a.png").reason == "too small: 40 x 15 pixels for a crop of 16"
    Image.new("RGB", (40, 30)).save(tmp_path / "b.png")
    assert "crop of 32" in str(cropped(tmp_path / "b.png", replace(SETTINGS, center=32)).reason)


def test_crop_is_the_centre_at_each_resolution(tmp_path: Path) -> None:
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 16:48] = [0, 255, 0]
    pixels[:, 48:] = [255, 0, 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    result = cropped(tmp_path / "a.png", replace(SETTINGS, resolutions=(16, 32, 64)))
    assert {size: array.shape for size, array in result.images.items()} == {s: (s, s, 3) for s in (16, 32, 64)}
    assert all((array == [0, 255, 0]).all() for array in result.images.values())
    small = cropped(tmp_path / "a.png", replace(SETTINGS, resize=16, center=8, min_pixels=8))
    assert (small.images[16] == [0, 255, 0]).all()


def test_nearest_makes_no_new_colours_and_lanczos_averages(tmp_path: Path) -> None:
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "a.png")
    nearest = cropped(tmp_path / "a.png", replace(SETTINGS, filter="nearest")).images[16]
    lanczos = cropped(tmp_path / "a.png").images[16]
    assert set(np.unique(nearest)) <= {0, 255}
    np.testing.assert_allclose(lanczos, 127, atol=3)


def test_opening_angle_follows_the_crop(tmp_path: Path) -> None:
    Image.new("RGB", (80, 40)).save(tmp_path / "a.png")
    fov = cropped(tmp_path / "a.png", fov=1.0).fov
    assert fov == pytest.approx(2 * math.atan(math.tan(0.5) / 2))
    # a resize changes nothing, a smaller crop does
    assert cropped(tmp_path / "a.png", replace(SETTINGS, resize=20), fov=1.0).fov == pytest.approx(fov)
    quarter = cropped(tmp_path / "a.png", replace(SETTINGS, resize=80, center=40), fov=1.0).fov
    assert quarter == pytest.approx(2 * math.atan(math.tan(0.5) / 4))
    assert cropped(tmp_path / "a.png").fov is None


def test_depth_is_cropped_alike_and_never_mixed(tmp_path: Path) -> None:
    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    depth = np.full((32, 64), 9.0, np.float32)
    depth[:, 16:32], depth[:, 32:48] = 1.0, 2.0
    depth[0] = -1
    depth[31] = np.inf
    np.save(tmp_path / "d.npy", depth)
    cut = cropped(tmp_path / "a.png", replace(SETTINGS, resolutions=(16, 32)), fov=1.0, depth=tmp_path / "d.npy").depths
    assert set(np.unique(cut[16][:15])) == {1.0, 2.0}
    assert (cut[16][:15, :8] == 1).all()
    assert (cut[16][:15, 8:] == 2).all()
    assert np.isnan(cut[32][[0, 31]]).all()
    assert np.isfinite(cut[32][1:31]).all()
    np.save(tmp_path / "half.npy", depth[1:-1:2, ::2])
    assert (cropped(tmp_path / "a.png", fov=1.0, depth=tmp_path / "half.npy").depths[16][:, :8] == 1).all()


def test_unusable_depth_rejects_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    np.save(tmp_path / "d.npy", np.zeros((20, 20, 3), np.float32))
    assert "depth map" in str(cropped(tmp_path / "a.png", fov=1.0, depth=tmp_path / "d.npy").reason)
    (tmp_path / "d.npy").write_bytes(b"nothing")
    assert "cannot be read" in str(cropped(tmp_path / "a.png", fov=1.0, depth=tmp_path / "d.npy").reason)
