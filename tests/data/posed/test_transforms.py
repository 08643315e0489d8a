import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from pigan.data.posed.frames import Frame
from pigan.data.posed.layouts import read_posed
from pigan.errors import PiganError

PARTS = st.floats(-1, 1)
TURNS = st.tuples(PARTS, PARTS, PARTS, PARTS).filter(lambda parts: sum(part**2 for part in parts) > 0.01)
PLACES = st.tuples(*[st.floats(-1e3, 1e3)] * 3)
GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400) | st.just("a.png"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = [
    *("frames", "file_path", "transform_matrix", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy", "w"),
    *("h", "k1", "p2", "camera_model", "is_fisheye", "depth_file_path", "depth_path", "depth_unit_scale_factor"),
    *("applied_scale", "integer_depth_scale", "train_filenames", "test_filenames", "object"),
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two images, 40 x 30."""
    folder = tmp_path_factory.mktemp("raw")
    for name in ("a.png", "sub/b.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(folder / name)
    np.save(folder / "a.npy", np.ones((30, 40), np.float32))
    return folder


def pose(turn: tuple[float, ...] = (0, 0, 0, 1), place: tuple[float, ...] = (0, 0, 2)) -> list[list[float]]:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_quat(turn).as_matrix(), place
    return matrix.tolist()


def read(raw: Path, name: str = "transforms.json", **content: Any) -> list[Frame]:
    path = raw / name
    path.write_text(json.dumps(content))
    try:
        frames = read_posed(raw, None)
    finally:
        path.unlink()
    assert frames is not None
    return frames


def entry(**values: Any) -> dict[str, Any]:
    return {"file_path": "a.png", "transform_matrix": pose(), **values}


@given(TURNS, PLACES, st.floats(1, 1e4), st.floats(1, 1e4), st.floats(1, 39), st.floats(1, 29), st.booleans())
def test_any_pinhole_is_read_back(
    raw: Path,
    turn: tuple[float, ...],
    place: tuple[float, ...],
    fl_x: float,
    fl_y: float,
    cx: float,
    cy: float,
    shared: bool,
) -> None:
    lens = {"fl_x": fl_x, "fl_y": fl_y, "cx": cx, "cy": cy, "w": 40, "h": 30}
    frame = entry(transform_matrix=pose(turn, place), **({} if shared else lens))
    (found,) = read(raw, frames=[frame], **(lens if shared else {"fl_x": 5.0}))
    assert found.cam2world.tolist() == frame["transform_matrix"]
    inside = found.intrinsics
    np.testing.assert_allclose(
        [inside.fx * 40, inside.fy * 30, inside.cx * 40, inside.cy * 30], [fl_x, fl_y, cx, cy], rtol=1e-12
    )
    assert found.fov == pytest.approx(math.atan(cx / fl_x) + math.atan((40 - cx) / fl_x))


@given(st.floats(0.01, 3.1))
def test_blender_angle_has_square_pixels(raw: Path, angle: float) -> None:
    (frame,) = read(raw, camera_angle_x=angle, frames=[entry(file_path="./sub/b")])
    assert frame.image == "sub/b.jpg"
    assert frame.fov == pytest.approx(angle)
    assert frame.intrinsics.fx * 40 == pytest.approx(frame.intrinsics.fy * 30)
    assert (frame.intrinsics.cx, frame.intrinsics.cy) == (0.5, 0.5)


def test_train_val_and_test_files_tell_what_is_held_out(raw: Path) -> None:
    for name, image in (("transforms_test.json", "sub/b"), ("transforms_train.json", "a")):
        (raw / name).write_text(json.dumps({"camera_angle_x": 1, "frames": [entry(file_path=image)]}))
    try:
        frames = read_posed(raw, None)
    finally:
        for name in ("transforms_test.json", "transforms_train.json"):
            (raw / name).unlink()
    assert frames is not None
    assert [(frame.image, frame.held_out) for frame in frames] == [("a.png", False), ("sub/b.jpg", True)]


def test_nerfstudio_lists_tell_what_is_held_out(raw: Path) -> None:
    both = [entry(), entry(file_path="sub/b.jpg")]
    lists = {"train_filenames": ["./a.png"], "test_filenames": ["sub/b.jpg"]}
    assert [frame.held_out for frame in read(raw, camera_angle_x=1, frames=both, **lists)] == [False, True]
    assert [frame.held_out for frame in read(raw, camera_angle_x=1, frames=both)] == [None, None]


def test_objects_are_as_stated_or_one_a_frame(raw: Path) -> None:
    both = [entry(object=7), entry(file_path="sub/b.jpg")]
    assert [frame.object for frame in read(raw, camera_angle_x=1, frames=both)] == ["7", "sub/b.jpg"]


def test_folders_with_files_of_their_own_are_objects(tmp_path: Path) -> None:
    for folder in ("car1", "car2"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "a.png")
        (tmp_path / folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 1, "frames": [entry()]}))
    frames = read_posed(tmp_path, None)
    assert frames is not None
    assert [(frame.image, frame.object) for frame in frames] == [("car1/a.png", "car1"), ("car2/a.png", "car2")]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ({}, None),
        ({"depth_unit_scale_factor": 0.001}, 0.001),
        # nerfstudio scales its depth maps along with the poses, which already are
        ({"depth_unit_scale_factor": 0.001, "applied_scale": 0.5}, 0.0005),
        ({"integer_depth_scale": 0.0002, "applied_scale": 0.5}, 0.0002),
    ],
)
def test_unit_of_depth_maps(raw: Path, values: dict[str, float], unit: float | None) -> None:
    for key in ("depth_file_path", "depth_path"):
        (frame,) = read(raw, camera_angle_x=1, frames=[entry(**{key: "a.npy"})], **values)
        assert (frame.depth, frame.depth_unit, frame.depth_measure) == ("a.npy", unit, "z")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"frames": []}, "needs `frames`"),
        ({"frames": [entry()]}, "missing .camera_angle_x"),
        ({"camera_angle_x": 4, "frames": [entry()]}, "between 0 and pi"),
        ({"camera_angle_x": 1, "frames": [entry(file_path="../a.png")]}, "must be a path inside"),
        ({"camera_angle_x": 1, "frames": [entry(file_path="/etc/passwd")]}, "must be a path inside"),
        ({"camera_angle_x": 1, "frames": [entry(file_path="c.png")]}, "c.png' does not exist"),
        ({"camera_angle_x": 1, "frames": [entry(depth_file_path="c.exr")]}, "c.exr' does not exist"),
        ({"camera_angle_x": 1, "frames": [entry(transform_matrix=np.eye(3).tolist())]}, "not 4 x 4"),
        ({"camera_angle_x": 1, "frames": [entry(transform_matrix=np.diag([1, 1, -1, 1]).tolist())]}, "no rotation"),
        ({"camera_angle_x": 1, "frames": [entry(transform_matrix=np.diag([2, 2, 2, 1]).tolist())]}, "no rotation"),
        ({"camera_angle_x": 1, "frames": [entry(), entry()]}, "name this image twice"),
        ({"fl_x": 30, "k1": 0.02, "frames": [entry()]}, "undistort the images first"),
        ({"fl_x": 30, "frames": [entry(p2=-0.1)]}, "undistort the images first"),
        ({"fl_x": 30, "camera_model": "OPENCV_FISHEYE", "frames": [entry()]}, "OPENCV_FISHEYE: only pinholes"),
        ({"fl_x": 30, "camera_model": "EQUIRECTANGULAR", "frames": [entry()]}, "undistort the images first"),
        ({"fl_x": 30, "is_fisheye": True, "frames": [entry()]}, "undistort the images first"),
        ({"fl_x": 30, "from_na": True, "frames": [entry()]}, "convert the matrices first"),
        ({"fl_x": 30, "cx": 50, "w": 40, "h": 30, "frames": [entry()]}, "outside of it"),
        ({"fl_x": 30, "depth_unit_scale_factor": 0, "frames": [entry()]}, "not a positive number"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(raw: Path, content: dict[str, Any], told: str) -> None:
    with pytest.raises(PiganError, match=told) as caught:
        read(raw, **content)
    assert "\n" not in str(caught.value)
    assert str(raw) in str(caught.value)


@given(st.sampled_from(KEYS), GARBAGE, st.booleans(), st.sampled_from(["transforms.json", "transforms_val.json"]))
def test_garbage_in_any_place_is_told_or_harmless(raw: Path, key: str, value: Any, inside: bool, name: str) -> None:
    content: dict[str, Any] = {"fl_x": 30.0, "frames": [entry(depth_file_path="a.npy")]}
    (content["frames"][0] if inside else content)[key] = value
    check_told_or_read(lambda: read(raw, name, **content))


@given(GARBAGE)
def test_garbage_is_told(raw: Path, value: Any) -> None:
    path = raw / "transforms.json"
    path.write_text(json.dumps(value))
    try:
        with pytest.raises(PiganError):
            read_posed(raw, None)
    finally:
        path.unlink()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_no_json_is_told(tmp_path: Path, content: bytes) -> None:
    for name in ("transforms.json", "transforms_train.json", "dataset.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PiganError, match="cannot be read as JSON"):
            read_posed(tmp_path, None)
        (tmp_path / name).unlink()


def check_told_or_read(attempt: Callable[[], list[Frame]]) -> None:
    try:
        frames = attempt()
    except PiganError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(np.isfinite(frame.cam2world).all() and 0 < frame.fov < math.pi for frame in frames)
