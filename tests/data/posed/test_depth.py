from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pigan.data.posed.depth import ray_length, read_depth
from pigan.data.posed.frames import Intrinsics, centred

LENS = centred(1.0, 4, 3)
VALUES = np.arange(1, 13, dtype=np.float32).reshape(3, 4)


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_units_and_scale(tmp_path: Path) -> None:
    floats, whole = save(tmp_path / "f.npy", VALUES), save(tmp_path / "i.npy", VALUES.astype(np.uint16))
    np.testing.assert_allclose(read_depth(floats, None, "z", LENS, 0.1), VALUES / 10)
    np.testing.assert_allclose(read_depth(floats, 0.5, "z", LENS, 0.1), VALUES / 20)
    np.testing.assert_allclose(read_depth(whole, 0.001, "z", LENS, 2.0), VALUES * 0.002, rtol=1e-6)
    assert read_depth(floats, None, "z", LENS, 1.0).dtype == np.float32


def test_eight_bits_and_integers_of_png(tmp_path: Path) -> None:
    Image.fromarray(VALUES.astype(np.uint8)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_depth(tmp_path / "a.png", 0.5, "z", LENS, 1.0), VALUES / 2)
    with pytest.raises(ValueError, match=r"whole numbers \(uint8\) of an unknown unit; set dataset\.depth\.unit"):
        read_depth(tmp_path / "a.png", None, "z", LENS, 1.0)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_no_depth_becomes_nan(tmp_path: Path, kind: Any) -> None:
    far = 65504 if kind == np.float16 else 1e10
    raw = np.array([[0, -1, np.nan, np.inf], [-np.inf, far, 2, 3]], kind)
    found = read_depth(save(tmp_path / "a.npy", raw), None, "z", LENS, 1.0)
    np.testing.assert_array_equal(found, np.float32([[np.nan] * 4, [np.nan, np.nan, 2, 3]]))


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.floats(0.01, 100)),
    *[st.floats(0.2, 5)] * 2,
    *[st.floats(0.1, 0.9)] * 2,
)
def test_rays_are_as_long_as_their_slant(
    tmp_path_factory: pytest.TempPathFactory, depth: np.ndarray, fx: float, fy: float, cx: float, cy: float
) -> None:
    intrinsics = Intrinsics(fx, fy, cx, cy)
    height, width = depth.shape
    for row in range(height):
        for column in range(width):
            ray = [((column + 0.5) / width - cx) / fx, ((row + 0.5) / height - cy) / fy, 1]
            assert ray_length(intrinsics, width, height)[row, column] == pytest.approx(np.linalg.norm(ray))
    path = save(tmp_path_factory.mktemp("rays") / "a.npy", depth * ray_length(intrinsics, width, height))
    np.testing.assert_allclose(read_depth(path, None, "ray", intrinsics, 1.0), depth, rtol=1e-6)


@pytest.mark.parametrize("channels", [{"Z": 0, "R": 9}, {"R": 0, "G": 9, "B": 9}, {"Y": 0}, {"Depth.V": 0, "A": 9}])
def test_exr_channel_of_depth_is_found(tmp_path: Path, channels: dict[str, int]) -> None:
    pixels = {name: VALUES + offset for name, offset in channels.items()}
    with OpenEXR.File({"type": OpenEXR.scanlineimage}, pixels) as file:
        file.write(str(tmp_path / "a.exr"))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.exr", None, "z", LENS, 1.0), VALUES)


def test_what_is_no_depth_map_is_told(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "rgb.png")
    np.savez(tmp_path / "two.npz", a=VALUES, b=VALUES)
    np.save(tmp_path / "flag.npy", VALUES > 3)
    np.save(tmp_path / "deep.npy", np.ones((3, 4, 2), np.float32))
    np.save(tmp_path / "empty.npy", np.ones((0, 4), np.float32))
    with OpenEXR.File({"type": OpenEXR.scanlineimage}, {"A": VALUES}) as file:
        file.write(str(tmp_path / "alpha.exr"))
    for name in ("a.tiff", "cut.png", "cut.exr", "cut.npy", "cut.npz"):
        (tmp_path / name).write_bytes(b"broken")
    told = {
        "rgb.png": "pixels of a picture",
        "two.npz": "2 arrays",
        "flag.npy": "bool",
        "deep.npy": r"not height x width numbers but float32 \(3, 4, 2\)",
        "empty.npy": r"\(0, 4\)",
        "alpha.exr": "no channel Z, V, R, Y but A",
        "a.tiff": "neither .png nor .exr",
        **{name: name for name in ("cut.png", "cut.exr", "cut.npy", "cut.npz", "missing.npy", "missing.exr")},
    }
    for name, reason in told.items():
        with pytest.raises(ValueError, match=reason):
            read_depth(tmp_path / name, 1.0, "z", LENS, 1.0)


def test_single_channels_around_a_map_do_not_matter(tmp_path: Path) -> None:
    for shape in ((1, 3, 4), (3, 4, 1)):
        path = save(tmp_path / "a.npy", VALUES.reshape(shape))
        np.testing.assert_array_equal(read_depth(path, None, "z", LENS, 1.0), VALUES)


@given(st.sampled_from([".png", ".exr", ".npy", ".npz"]), st.binary(max_size=60), st.booleans())
def test_garbage_is_told(tmp_path_factory: pytest.TempPathFactory, suffix: str, tail: bytes, magic: bool) -> None:
    heads = {
        ".png": b"\x89PNG\r\n\x1a\n",
        ".exr": b"\x76\x2f\x31\x01\x02\x00\x00\x00",
        ".npy": b"\x93NUMPY\x01\x00",
        ".npz": b"PK\x03\x04",
    }
    path = tmp_path_factory.getbasetemp() / f"garbage{suffix}"
    path.write_bytes((heads[suffix] if magic else b"") + tail)
    with pytest.raises(ValueError, match="garbage"):
        read_depth(path, 1.0, "z", LENS, 1.0)
