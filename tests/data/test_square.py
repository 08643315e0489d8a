"""Every odd kind of image file a folder may hold, and the published crops."""

import math
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from pigan.data.posed.frames import Intrinsics, centred
from pigan.data.square import (
    CropJob,
    Cropped,
    CropSettings,
    DepthFile,
    crop_one,
    find_view,
    nearest_tensor,
    perceptual_hash,
)

SETTINGS = CropSettings("center", None, None, "lanczos", 16, (255, 0, 255), (16,))
CELEBA = replace(SETTINGS, resize=320, center=256, min_pixels=64, resolutions=(64,))
CAT = "9 80 90 120 90 100 120 60 80 62 40 80 70 120 70 138 40 140 80 "


def cropped(
    path: Path,
    settings: CropSettings = SETTINGS,
    camera: Intrinsics | None = None,
    depth: Path | None = None,
    **about_depth: Any,
) -> Cropped:
    about = {"unit": None, "measure": "z", "scale": 1.0, **about_depth}
    return crop_one(CropJob(path, None if depth is None else DepthFile(depth, **about), camera, settings))


def middle(result: Cropped) -> list[int]:
    assert result.reason is None
    return [int(value) for value in result.images[16][8, 8]]


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft texture of all sizes."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells in (2, 5, 11, 23, 47):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC)) / 5
    return Image.fromarray(total.astype(np.uint8))


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


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_exif_orientation_is_honoured_unless_the_camera_is_known(tmp_path: Path, name: str) -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / name, exif=exif)
    turned, stored = (
        cropped(tmp_path / name).images[16],
        cropped(tmp_path / name, camera=centred(0.5, 20, 20)).images[16],
    )
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


def test_adobe_cmyk_jpegs_have_their_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (24, 24), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    np.testing.assert_allclose(middle(cropped(tmp_path / "cmyk.jpg")), [255, 0, 0], atol=3)
    # YCCK: the same kind of file, flagged as luma and chroma of the inks; Y 179, Cb 171, Cr 1 are no C, all M and Y
    Image.new("CMYK", (24, 24), (255 - 179, 255 - 171, 255 - 1, 0)).save(tmp_path / "ycck.jpg", quality=95)
    data = (tmp_path / "ycck.jpg").read_bytes()
    flag = data.index(b"Adobe") + 11
    assert data[flag] == 0
    (tmp_path / "ycck.jpg").write_bytes(data[:flag] + b"\2" + data[flag + 1 :])
    with Image.open(tmp_path / "ycck.jpg") as image:
        assert image.mode == "CMYK"
    np.testing.assert_allclose(middle(cropped(tmp_path / "ycck.jpg")), [255, 0, 0], atol=3)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_first_frame_of_an_animation_is_taken(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (24, 24), colour) for colour in [(250, 0, 0), (0, 250, 0), (0, 0, 250)]]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    with Image.open(tmp_path / name) as image:
        assert getattr(image, "n_frames", 1) == 3
    np.testing.assert_allclose(middle(cropped(tmp_path / name)), [250, 0, 0], atol=2)


def test_wrong_suffix_does_not_matter_unless_it_is_no_photo(tmp_path: Path) -> None:
    Image.new("RGB", (24, 24), (9, 8, 7)).save(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").rename(tmp_path / "a.jpg")
    assert middle(cropped(tmp_path / "a.jpg")) == [9, 8, 7]
    # a program in PostScript would be run to see it
    (tmp_path / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 24\n%%EndComments\n")
    assert "cannot identify" in str(cropped(tmp_path / "b.png").reason)


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_decompression_bombs_are_rejected_before_they_go_off(tmp_path: Path, side: int) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert "decompression bomb" in str(cropped(tmp_path / "bomb.png").reason)


def test_things_that_are_no_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "nowhere.png").symlink_to("nothing.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("loop.png", "nowhere.png", "folder.png", "pipe.png", "missing.png"):
        assert cropped(tmp_path / name).reason == "cannot be read: no regular file"


def test_odd_metadata_is_no_reason_to_reject_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (24, 24), (9, 8, 7)).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    assert middle(cropped(tmp_path / "a.png")) == [9, 8, 7]


def test_sixteen_bit_colour_keeps_its_high_bytes(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + struct.pack(">HHH", 0x1234, 0x8000, 0xFF00) * 20 for _ in range(20))
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    np.testing.assert_allclose(middle(cropped(tmp_path / "a.png")), [0x12, 0x80, 0xFF], atol=1)


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
    camera = centred(1.0, 80, 40)
    fov = cropped(tmp_path / "a.png", camera=camera).fov
    assert fov == pytest.approx(2 * math.atan(math.tan(0.5) / 2))
    # a resize changes nothing, a smaller crop does
    assert cropped(tmp_path / "a.png", replace(SETTINGS, resize=20), camera).fov == pytest.approx(fov)
    quarter = cropped(tmp_path / "a.png", replace(SETTINGS, resize=80, center=40), camera).fov
    assert quarter == pytest.approx(2 * math.atan(math.tan(0.5) / 4))
    assert cropped(tmp_path / "a.png").fov is None


def test_crop_follows_the_principal_point(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 10:50] = [0, 255, 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    result = cropped(tmp_path / "a.png", camera=Intrinsics(1.0, 2.0, 30 / 80, 0.5))
    assert (result.images[16] == [0, 255, 0]).all()
    assert result.side == 40
    assert result.fov == pytest.approx(2 * math.atan(0.25))
    told = cropped(tmp_path / "a.png", replace(SETTINGS, center=40), Intrinsics(1.0, 2.0, 0.1, 0.5)).reason
    assert told is not None
    assert told.startswith("too small: 80 x 40 pixels for a crop of 40")


def test_depth_is_cropped_alike_and_never_mixed(tmp_path: Path) -> None:
    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    depth = np.full((32, 64), 9.0, np.float32)
    depth[:, 16:32], depth[:, 32:48] = 1.0, 2.0
    depth[0] = -1
    depth[31] = np.inf
    np.save(tmp_path / "d.npy", depth)
    camera, both = centred(1.0, 64, 32), replace(SETTINGS, resolutions=(16, 32))
    cut = cropped(tmp_path / "a.png", both, camera, tmp_path / "d.npy").depths
    assert set(np.unique(cut[16][:15])) == {1.0, 2.0}
    assert (cut[16][:15, :8] == 1).all()
    assert (cut[16][:15, 8:] == 2).all()
    assert np.isnan(cut[32][[0, 31]]).all()
    assert np.isfinite(cut[32][1:31]).all()
    np.save(tmp_path / "half.npy", depth[1:-1:2, ::2])
    assert (cropped(tmp_path / "a.png", camera=camera, depth=tmp_path / "half.npy").depths[16][:, :8] == 1).all()


def test_depth_has_the_unit_and_measure_it_was_given(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    Image.fromarray(np.full((32, 32), 500, np.uint16)).save(tmp_path / "d.png")
    camera = centred(1.0, 32, 32)
    job = {"camera": camera, "depth": tmp_path / "d.png"}
    assert "unknown unit" in str(cropped(tmp_path / "a.png", **job).reason)
    depth = cropped(tmp_path / "a.png", **job, unit=0.001, scale=2.0).depths[16]
    np.testing.assert_allclose(depth, 1.0)
    rays = cropped(tmp_path / "a.png", **job, unit=0.001, scale=2.0, measure="ray").depths[16]
    assert rays[8, 8] == pytest.approx(1, abs=0.01)
    assert rays[0, 0] < 0.85


def test_unusable_depth_rejects_the_image(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    camera = centred(1.0, 20, 20)
    np.save(tmp_path / "d.npy", np.zeros((20, 20, 3), np.float32))
    assert "depth map" in str(cropped(tmp_path / "a.png", camera=camera, depth=tmp_path / "d.npy").reason)
    (tmp_path / "d.npy").write_bytes(b"nothing")
    told = cropped(tmp_path / "a.png", camera=camera, depth=tmp_path / "d.npy").reason
    assert told is not None
    assert "cannot be read" in told
    assert "\n" not in told
    assert str(tmp_path) not in told


@pytest.mark.parametrize("size", [(178, 218), (218, 178), (320, 320), (333, 555), (64, 64)])
def test_official_celeba_route_equals_torchvision(tmp_path: Path, size: tuple[int, int]) -> None:
    photo(*size).save(tmp_path / "a.png")
    route = transforms.Compose([transforms.Resize(320), transforms.CenterCrop(256), transforms.PILToTensor()])
    with Image.open(tmp_path / "a.png") as image:
        square = route(image)[None].float()
    sides = (32, 48, 64, 128)
    ours = cropped(tmp_path / "a.png", replace(CELEBA, filter="nearest", min_pixels=1, resolutions=sides)).images
    for side in sides:
        theirs = torch.nn.functional.interpolate(square, size=(side, side), mode="nearest")[0]
        assert np.array_equal(ours[side], theirs.permute(1, 2, 0).byte().numpy())


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_nearest_is_that_of_torch(length: int, side: int) -> None:
    line = np.arange(length)
    pixels = np.broadcast_to((line % 256).astype(np.uint8)[None, :, None], (1, length, 3))
    theirs = torch.nn.functional.interpolate(
        torch.arange(length)[None, None, None].float(), (side, side), mode="nearest"
    )
    assert np.array_equal(nearest_tensor(pixels, side)[0, :, 0], theirs[0, 0, 0].long().numpy() % 256)


def test_nearest_without_a_resize_is_that_of_pillow(tmp_path: Path) -> None:
    photo(50, 40).save(tmp_path / "a.png")
    ours = cropped(tmp_path / "a.png", replace(SETTINGS, filter="nearest")).images[16]
    with Image.open(tmp_path / "a.png") as image:
        theirs = image.crop((5, 0, 45, 40)).resize((16, 16), Image.Resampling.NEAREST)
    assert np.array_equal(ours, np.asarray(theirs))


def test_one_step_shows_the_region_of_the_two_published_ones(tmp_path: Path) -> None:
    photo(178, 218).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        large = image.resize((320, 391), Image.Resampling.LANCZOS).crop((32, 68, 288, 324))
    result = cropped(tmp_path / "a.png", replace(CELEBA, resolutions=(64, 128)))
    for side in (64, 128):
        two = np.asarray(large.resize((side, side), Image.Resampling.LANCZOS)).astype(int)
        assert np.abs(result.images[side] - two).mean() < 0.6
        # a pixel further on is another picture
        assert np.abs(np.roll(result.images[side], 1, axis=1) - two)[:, 1:].mean() > 2
    # 256 of 320 pixels are 142 of the file's 178
    assert result.side == 142


def test_centre_crop_of_108(tmp_path: Path) -> None:
    photo(178, 218).save(tmp_path / "a.png")
    result = cropped(tmp_path / "a.png", replace(SETTINGS, center=108, resolutions=(64,)))
    with Image.open(tmp_path / "a.png") as image:
        square = transforms.CenterCrop(108)(image)
    assert np.array_equal(result.images[64], np.asarray(square.resize((64, 64), Image.Resampling.LANCZOS)))
    assert result.side == 108


def test_selection_counts_pixels_of_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (60, 80)).save(tmp_path / "a.png")
    result = cropped(tmp_path / "a.png", CELEBA)
    # 48 of its pixels, however large it is made
    assert result.reason == "too small: 60 x 80 pixels for a crop of 64"
    assert result.side == 48


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.one_of(st.none(), st.integers(1, 400)),
    st.one_of(st.none(), st.integers(1, 400)),
)
def test_view_is_a_square_in_the_middle_or_refused(
    size: tuple[int, int], resize: int | None, center: int | None
) -> None:
    chosen = replace(SETTINGS, resize=resize, center=center)
    short = resize or min(size)
    if center is not None and center > short:
        with pytest.raises(ValueError, match="too small"):
            find_view(size, None, chosen)
        return
    view = find_view(size, None, chosen)
    left, top, right, bottom = view.box
    assert right - left == bottom - top == (center or short)
    assert min(view.size) == short
    assert 0 <= left <= right <= view.size[0]
    assert 0 <= top <= bottom <= view.size[1]
    assert abs(left + right - view.size[0]) <= 1
    assert abs(top + bottom - view.size[1]) <= 1
    inside = view.in_source(*size)
    assert max(inside[2] - size[0], inside[3] - size[1]) < 1e-9


def test_cat_faces_are_upright_squares(tmp_path: Path) -> None:
    pixels = np.zeros((200, 220, 3), np.uint8)
    pixels[58:138, 60:140] = [0, 255, 0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.png.cat").write_text(CAT)
    chosen = replace(SETTINGS, rule="cat-landmarks", min_pixels=64, resolutions=(16, 32))
    for kernel in ("lanczos", "nearest"):
        result = cropped(tmp_path / "a.png", replace(chosen, filter=kernel))
        assert result.side == 80
        assert {side: image.shape for side, image in result.images.items()} == {16: (16, 16, 3), 32: (32, 32, 3)}
        assert all((image == [0, 255, 0]).all() for image in result.images.values())
    small = cropped(tmp_path / "a.png", replace(chosen, min_pixels=81))
    assert (small.reason, small.side) == ("too small: a face of 80 pixels, not 81", 80)


def test_nearest_cats_go_through_the_stored_size(tmp_path: Path) -> None:
    image = photo(220, 200)
    image.save(tmp_path / "a.png")
    (tmp_path / "a.png.cat").write_text(CAT)
    chosen = replace(SETTINGS, rule="cat-landmarks", filter="nearest", min_pixels=64, resolutions=(16, 64))
    result = cropped(tmp_path / "a.png", chosen).images
    face = torch.from_numpy(np.array(image.crop((60, 58, 140, 138)))).permute(2, 0, 1)[None].float()
    # torch's plain bilinear filter is that of OpenCV
    stored = torch.nn.functional.interpolate(face, (64, 64), mode="bilinear")[0].permute(1, 2, 0).numpy()
    assert np.abs(result[64] - stored).max() <= 1
    assert np.array_equal(result[16], result[64][2::4, 2::4])


def test_cats_without_usable_landmarks_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "a.jpg")
    chosen = replace(SETTINGS, rule="cat-landmarks")
    assert cropped(tmp_path / "a.jpg", chosen).reason == "no landmarks: there is no a.jpg.cat beside it"
    (tmp_path / "a.jpg.cat").write_text("9 1 2 3")
    told = cropped(tmp_path / "a.jpg", chosen).reason
    assert told == "unusable landmarks: a.jpg.cat: it should hold 9 and as many x y pairs, not 4 words"
    (tmp_path / "a.jpg.cat").write_bytes(b"9 \xff\xfe")
    assert str(cropped(tmp_path / "a.jpg", chosen).reason).startswith("unusable landmarks: a.jpg.cat: ")
    (tmp_path / "a.jpg.cat").write_text("9" + " 50" * 18)
    assert cropped(tmp_path / "a.jpg", chosen).reason == "too small: a face of 0 pixels, not 16"


def test_hash_is_nearly_the_same_after_compression_and_another_after_a_turn() -> None:
    def differing(one: int, other: int) -> int:
        return (one ^ other).bit_count()

    image = photo(178, 218)
    value = perceptual_hash(image)
    assert 0 <= value < 2**64
    assert differing(value, perceptual_hash(image.resize((89, 109), Image.Resampling.LANCZOS))) <= 3
    assert differing(value, perceptual_hash(image.point(lambda level: min(255, level + 10)))) <= 3
    assert differing(value, perceptual_hash(image.transpose(Image.Transpose.ROTATE_90))) > 15
    assert differing(value, perceptual_hash(photo(178, 218, seed=1))) > 15
