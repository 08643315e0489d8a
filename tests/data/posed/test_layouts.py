import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pigan.data.posed.layouts import read_posed
from pigan.errors import PiganError

FRAME = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
TRANSFORMS = json.dumps({"camera_angle_x": 1, "frames": [FRAME]})
LABEL = [*np.diag([1.0, -1, -1, 1]).ravel().tolist(), 4, 0, 0.5, 0, 4, 0.5, 0, 0, 1]
LABELS = json.dumps({"labels": [["a.png", LABEL]]})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """An image below a folder, as archives have them."""
    (tmp_path / "top").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "top" / "a.png")
    return tmp_path


def test_plain_images_have_no_cameras(raw: Path) -> None:
    (raw / "notes.json").write_text("{}")
    (raw / "dataset.json").write_text(json.dumps({"name": "something else"}))
    assert read_posed(raw, None) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("transforms.json", TRANSFORMS), ("transforms_val.json", TRANSFORMS), ("dataset.json", LABELS)],
)
def test_camera_files_are_found_below(raw: Path, name: str, content: str) -> None:
    (raw / "top" / name).write_text(content)
    frames = read_posed(raw, None)
    assert frames is not None
    assert [frame.image for frame in frames] == ["top/a.png"]
    assert np.array_equal(frames[0].cam2world, np.eye(4))


def test_hidden_folders_are_left_out(raw: Path) -> None:
    for folder in (".cache", "__MACOSX"):
        (raw / folder).mkdir()
        (raw / folder / "transforms.json").write_text("broken")
    assert read_posed(raw, None) is None


def test_two_kinds_contradict_each_other(raw: Path) -> None:
    (raw / "top" / "transforms.json").write_text(TRANSFORMS)
    (raw / "top" / "dataset.json").write_text(LABELS)
    with pytest.raises(PiganError, match=r"cameras as transforms\.json and as dataset\.json; keep only"):
        read_posed(raw, None)
    # labels that are no cameras contradict nothing
    (raw / "top" / "dataset.json").write_text(json.dumps({"labels": None}))
    assert len(read_posed(raw, None) or []) == 1
    (raw / "top" / "transforms_train.json").write_text(TRANSFORMS)
    with pytest.raises(PiganError, match=r"as transforms\.json and as transforms_train\.json"):
        read_posed(raw, None)
    (raw / "top" / "transforms_train.json").unlink()
    np.save(raw / "a_extrinsics.npy", np.eye(4))
    with pytest.raises(PiganError, match=r"as transforms\.json and as \*_extrinsics\.npy"):
        read_posed(raw, None)


def test_image_in_two_splits_is_told(raw: Path) -> None:
    for name in ("transforms_train.json", "transforms_test.json"):
        (raw / "top" / name).write_text(TRANSFORMS)
    with pytest.raises(PiganError, match=r"a\.png: the camera files name this image twice"):
        read_posed(raw, None)
