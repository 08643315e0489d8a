import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from pigan.data.posed.eg3d import camera_of, label_of
from pigan.data.posed.frames import Intrinsics
from pigan.data.posed.layouts import read_posed
from pigan.errors import PiganError

# the camera of a face as EG3D labels them: level, from the front, 2.7 away, looking along -z in the world
FRONT = [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 2.7, 0, 0, 0, 1, 4.2647, 0, 0.5, 0, 4.2647, 0.5, 0, 0, 1]
PARTS = st.floats(-1, 1)
TURNS = st.tuples(PARTS, PARTS, PARTS, PARTS).filter(lambda parts: sum(part**2 for part in parts) > 0.01)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked StyleGAN3 zip with two images."""
    folder = tmp_path_factory.mktemp("raw")
    with zipfile.ZipFile(folder / "made.zip", "w", zipfile.ZIP_STORED) as archive:
        for number in range(2):
            name = f"00000/img{number:08d}.png"
            with archive.open(name, "w") as file:
                Image.new("RGB", (16, 16), (number, 0, 0)).save(file, "PNG")
        archive.writestr("dataset.json", json.dumps({"labels": None}))
    with zipfile.ZipFile(folder / "made.zip") as archive:
        archive.extractall(folder)
    return folder


def read(raw: Path, labels: Any, **more: Any) -> Any:
    (raw / "dataset.json").write_text(json.dumps({"labels": labels, **more}))
    return read_posed(raw, None)


@pytest.mark.parametrize("kind", [list, dict])
def test_front_view_of_a_face(raw: Path, kind: Any) -> None:
    labels = kind([("00000/img00000001.png", FRONT), ("00000/img00000000.png", FRONT)])
    frames = read(raw, labels)
    assert [frame.image for frame in frames] == ["00000/img00000001.png", "00000/img00000000.png"]
    expected = np.eye(4)
    expected[2, 3] = 2.7
    assert np.array_equal(frames[0].cam2world, expected)
    assert math.degrees(frames[0].fov) == pytest.approx(13.37, abs=0.01)
    assert [frame.held_out for frame in frames] == [None, None]


@given(TURNS, st.floats(-100, 100), st.floats(0.1, 30), st.floats(0.1, 30), st.floats(0.01, 0.99))
def test_any_camera_is_read_back(turn: tuple[float, ...], x: float, fx: float, fy: float, cx: float) -> None:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(turn).as_matrix(), (x, 1, 2)
    intrinsics = Intrinsics(fx, fy, cx, 0.5)
    found, inside = camera_of(label_of(pose, intrinsics))
    assert np.array_equal(found, pose)
    assert inside == intrinsics


@pytest.mark.parametrize("labels", [None, [], [["00000/img00000000.png", 3], ["00000/img00000001.png", 0]]])
def test_no_labels_and_classes_are_no_cameras(raw: Path, labels: Any) -> None:
    assert read(raw, labels) is None


def test_held_out_images_are_as_named(raw: Path) -> None:
    labels = [[f"00000/img{number:08d}.png", FRONT] for number in range(2)]
    frames = read(raw, labels, held_out=["00000/img00000001.png"])
    assert [frame.held_out for frame in frames] == [False, True]


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (["00000/img00000000.png", FRONT[:24]], "label 0: a camera is 25 numbers"),
        (["00000/img00000000.png", None], "a camera is 25 numbers"),
        (["00000/img00000000.png"], "label 0: None is no file name"),
        ("00000/img00000000.png", "label 0"),
        (["img.png", FRONT], "does not exist"),
        (["../img.png", FRONT], "must be a path inside"),
        (["00000/img00000000.png", [*FRONT[:17], 0.1, *FRONT[18:]]], "intrinsics"),
        (["00000/img00000000.png", [-1, *FRONT[1:]]], "no rotation"),
        (["00000/img00000000.png", [*FRONT[:16], -1, *FRONT[17:]]], "focal lengths"),
    ],
)
def test_broken_labels_are_named(raw: Path, label: Any, told: str) -> None:
    with pytest.raises(PiganError, match=told) as caught:
        read(raw, [label])
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("00000/img00000000.png"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["labels", "label", "value", "held_out"]),
)
def test_garbage_is_told_or_no_cameras(raw: Path, value: Any, place: str) -> None:
    label: Any = ["00000/img00000000.png", FRONT]
    label = value if place == "label" else [label[0], value] if place == "value" else label
    labels = value if place == "labels" else [label]
    try:
        frames = read(raw, labels, **({"held_out": value} if place == "held_out" else {}))
    except PiganError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert frames is None or len(frames) == 1
