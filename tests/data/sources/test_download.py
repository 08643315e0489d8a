import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pigan.data.sources.download import download, find_images
from pigan.errors import PiganError


def picture(path: Path, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


def posed(folder: Path, **changes: Any) -> None:
    picture(folder / "images" / "a.png")
    (folder / "depth").mkdir(exist_ok=True)
    np.save(folder / "depth" / "a.npy", np.ones((20, 20), np.float32))
    frame = {"file_path": "images/a.png", "depth_file_path": "depth/a.npy", "transform_matrix": np.eye(4).tolist()}
    content = {"camera_angle_x": 0.5, "frames": [{**frame, **changes}]}
    (folder / "transforms.json").write_text(json.dumps(content))


def test_cars_are_rendered(make_params: Any, tmp_path: Path) -> None:
    download(make_params(), tmp_path / "raw", workers=1)
    assert len(list((tmp_path / "raw" / "images").iterdir())) == 6


def test_folder_is_copied_with_its_structure(make_params: Any, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    for name in ("b.JPG", "sub/a.png", "sub/deep/c.webp", ".hidden/d.png"):
        picture(source / name)
    (source / "notes.txt").write_text("no image")
    download(make_params(kind="folder", source=str(source), cars=None), tmp_path / "raw")
    assert find_images(tmp_path / "raw") == ["b.JPG", "sub/a.png", "sub/deep/c.webp"]
    copied = tmp_path / "raw" / "b.JPG"
    assert copied.read_bytes() == (source / "b.JPG").read_bytes() and not copied.samefile(source / "b.JPG")


def test_second_download_replaces_the_first(make_params: Any, tmp_path: Path) -> None:
    source, out = tmp_path / "mine", tmp_path / "raw"
    picture(source / "a.png")
    params = make_params(kind="folder", source=str(source), cars=None)
    download(params, out)
    (source / "a.png").rename(source / "b.png")
    download(params, out)
    assert find_images(out) == ["b.png"]


def test_missing_and_empty_folders_are_told_in_one_line(make_params: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_text("x")
    for source, told in (("nowhere", "no folder"), ("empty", "no image"), ("file.zip", "is a file")):
        params = make_params(kind="folder", source=str(tmp_path / source), cars=None)
        with pytest.raises(PiganError, match=told) as caught:
            download(params, tmp_path / "raw")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("out", ["mine", "mine/raw", "."])
def test_originals_are_never_replaced(make_params: Any, tmp_path: Path, out: str) -> None:
    picture(tmp_path / "mine" / "a.png")
    with pytest.raises(PiganError, match="overlap"):
        download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / out)
    assert (tmp_path / "mine" / "a.png").exists()


def test_deepview_is_validated_and_copied(make_params: Any, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    posed(source)
    download(make_params(kind="deepview", source=str(source), cars=None), tmp_path / "raw")
    found = sorted(path.relative_to(tmp_path / "raw").as_posix() for path in (tmp_path / "raw").rglob("*.*"))
    assert found == ["depth/a.npy", "images/a.png", "transforms.json"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"file_path": "images/none.png"}, "does not exist"),
        ({"file_path": "../secret.png"}, "inside"),
        ({"depth_file_path": "images/a.png"}, r"no \.npy"),
        ({"transform_matrix": [[1, 0], [0, 1]]}, "4 x 4"),
        ({"transform_matrix": (2 * np.eye(4)).tolist()}, "rotation"),
        ({"camera_angle_x": 30.0}, "radians"),
        ({"file_path": None}, "does not exist"),
    ],
)
def test_broken_frames_are_told_in_one_line(make_params: Any, tmp_path: Path, changes: Any, told: str) -> None:
    posed(tmp_path / "mine", **changes)
    with pytest.raises(PiganError, match=told) as caught:
        download(make_params(kind="deepview", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")
    assert "frame 0" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"frames": []}', '{"frames": 3}'])
def test_transforms_without_frames_are_refused(make_params: Any, tmp_path: Path, text: str) -> None:
    posed(tmp_path / "mine")
    (tmp_path / "mine" / "transforms.json").write_text(text)
    with pytest.raises(PiganError, match=r"transforms\.json"):
        download(make_params(kind="deepview", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")
