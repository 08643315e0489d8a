import errno
import json
import os
import shutil
import sys
import tarfile
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pigan.data.sources.download import DOWNLOADED, download, find_images
from pigan.errors import PiganError


def picture(path: Path, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


def posed(folder: Path) -> None:
    picture(folder / "images" / "a.png")
    (folder / "depth").mkdir(exist_ok=True)
    np.save(folder / "depth" / "a.npy", np.ones((20, 20), np.float32))
    frame = {"file_path": "images/a.png", "depth_file_path": "depth/a.npy", "transform_matrix": np.eye(4).tolist()}
    (folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.5, "frames": [frame]}))


def tree(folder: Path) -> list[str]:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(name for name in found if name != DOWNLOADED)


def pack(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as opened:
        for name in tree(folder):
            opened.write(folder / name, name)
    return archive


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
    for name in ("file.zip", "file.7z"):
        (tmp_path / name).write_text("x")
    for source, told in (
        ("nowhere", "no folder"),
        ("empty", "no image"),
        ("file.zip", "no archive"),
        ("file.7z", "is a file"),
    ):
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


def test_posed_folder_is_copied_whole(make_params: Any, tmp_path: Path) -> None:
    source = tmp_path / "mine"
    posed(source)
    for name in ("depth/b.exr", "dataset.json", "poses/0_extrinsics.npy", "train/notes.txt", ".cache/c.json"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("{}")
    download(make_params(kind="deepview", source=str(source), cars=None), tmp_path / "raw")
    expected = {"dataset.json", "depth/a.npy", "depth/b.exr", "images/a.png", "poses/0_extrinsics.npy"}
    assert set(tree(tmp_path / "raw")) == expected | {"transforms.json"}


def test_posed_images_may_be_an_archive_or_lie_in_one(make_params: Any, tmp_path: Path) -> None:
    posed(tmp_path / "mine")
    (tmp_path / "apart").mkdir()
    archive = pack(tmp_path / "mine", tmp_path / "apart" / "eg3d.zip")
    for number, source in enumerate((archive, archive.parent)):
        out = tmp_path / f"raw{number}"
        download(make_params(kind="deepview", source="none", cars=None), out, source=source)
        assert tree(out) == ["depth/a.npy", "images/a.png", "transforms.json"]


def test_posed_images_need_cameras(make_params: Any, tmp_path: Path) -> None:
    picture(tmp_path / "mine" / "a.png")
    with pytest.raises(PiganError, match=r"mine: holds no cameras \(transforms.*kind folder does without them"):
        download(make_params(kind="deepview", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("form", ["w:gz", "w:bz2", "w:xz", "w"])
def test_photos_may_come_in_a_tar(make_params: Any, tmp_path: Path, form: str) -> None:
    for name in ("b.JPG", "sub/a.png", ".hidden/d.png"):
        picture(tmp_path / "mine" / name)
    archive = tmp_path / f"mine.tar{form.replace('w', '').replace(':', '.')}"
    with tarfile.open(archive, form) as opened:
        opened.add(tmp_path / "mine", ".")
    download(make_params(kind="folder", source=str(archive), cars=None), tmp_path / "raw")
    assert tree(tmp_path / "raw") == ["b.JPG", "sub/a.png"]


def test_archives_beside_images_are_left_aside_and_told(make_params: Any, tmp_path: Path, capsys: Any) -> None:
    picture(tmp_path / "mine" / "a.png")
    (tmp_path / "mine" / "old.zip").write_bytes(b"whatever")
    download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")
    assert tree(tmp_path / "raw") == ["a.png"]
    assert "holds images, so its archives are left aside (old.zip)" in capsys.readouterr().err


def test_bad_archive_leaves_the_last_download_as_it_was(make_params: Any, tmp_path: Path) -> None:
    picture(tmp_path / "mine" / "a.png")
    download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as opened:
        opened.write(tmp_path / "mine" / "a.png", "fine.png")
        opened.write(tmp_path / "mine" / "a.png", "../evil.png")
    with pytest.raises(PiganError, match=r"bad\.zip: member '\.\./evil\.png' is refused"):
        download(make_params(kind="folder", source="none", cars=None), tmp_path / "raw", source=tmp_path / "bad.zip")
    assert tree(tmp_path / "raw") == ["a.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "mine", "raw"]


def test_cars_read_no_files(make_params: Any, tmp_path: Path) -> None:
    with pytest.raises(PiganError, match="--from: kind cars is rendered"):
        download(make_params(), tmp_path / "raw", source=tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_models_are_rendered_from_a_folder_or_an_archive(
    make_params: Any, tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.obj").write_text("v 0 0 0")
    seen = []

    def render_meshes(meshes: Any, camera: Any, source: Path, out: Path, workers: int) -> None:
        seen.append((tree(source), workers))
        picture(out / "images" / "a.png")

    # what is rendered is another module's matter
    module = types.ModuleType("pigan.data.meshes.render")
    monkeypatch.setattr(module, "render_meshes", render_meshes, raising=False)
    monkeypatch.setitem(sys.modules, "pigan.data.meshes.render", module)
    source = pack(models, tmp_path / "models.zip") if packed else models
    settings = {
        "views": 4,
        "size": 16,
        "supersampling": 1,
        "up": "y",
        "hue": 0.0,
        "light": 0.0,
        "max_faces": 9,
        "seed": 0,
    }
    params = make_params(kind="meshes", source=str(source), cars=None, meshes=settings)
    download(params, tmp_path / "raw", workers=3)
    assert seen == [(["a.obj"], 3)] and tree(tmp_path / "raw") == ["images/a.png"]
    assert {path.name for path in tmp_path.iterdir()} <= {"models", "models.zip", "raw"}


def test_unreadable_file_is_named(make_params: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(
        PiganError, match=r"mine/a\.png: cannot be read \(No such file or directory\); mend or remove it"
    ):
        download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")


def test_a_full_disk_is_not_the_fault_of_a_file(
    make_params: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    picture(tmp_path / "mine" / "a.png")
    monkeypatch.setattr(shutil, "copyfile", fails)
    with pytest.raises(PiganError, match=r"raw: the disk is full; free some space"):
        download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")


def test_what_is_no_file_is_named(make_params: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    os.mkfifo(tmp_path / "mine" / "a.png")
    with pytest.raises(PiganError, match=r"mine/a\.png: no regular file; remove it"):
        download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")


def test_name_that_is_no_text_is_refused(make_params: Any, tmp_path: Path) -> None:
    picture(tmp_path / "mine" / os.fsdecode(b"caf\xe9.png"))
    with pytest.raises(PiganError, match=r"^'caf.udce9\.png': its name is no UTF-8; rename the file"):
        download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")


def test_what_is_left_aside_is_told(make_params: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "mine" / "a.png")
    for name in ("b.heic", "c.HEIC", "notes"):
        (tmp_path / "mine" / name).touch()
    (tmp_path / "mine" / "more").symlink_to(tmp_path)
    download(make_params(kind="folder", source=str(tmp_path / "mine"), cars=None), tmp_path / "raw")
    assert tree(tmp_path / "raw") == ["a.png"]
    told = capsys.readouterr().err
    assert "mine: left aside what is no file of this kind of data (2 .heic, 1 without suffix)" in told
    assert "mine/more: a link to a folder, which is not followed" in told
