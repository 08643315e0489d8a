import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pigan.config import Params
from pigan.data.crop import crop, depth_outside, told_reasons
from pigan.data.sources.download import download
from pigan.errors import PiganError
from pigan.files import sha256_file


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Forty good images, a truncated one and a tiny one."""
    folder = tmp_path / "raw"
    rng = np.random.default_rng(0)
    (folder / "sub").mkdir(parents=True)
    for number in range(40):
        pixels = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "sub" / f"{number:02d}.png")
    (folder / "cut.png").write_bytes((folder / "sub" / "00.png").read_bytes()[:900])
    Image.new("RGB", (3, 3)).save(folder / "tiny.png")
    return folder


RUNS = (("first", 1), ("again", 1), ("two", 2))


def crop_to(params: Params, folder: Path, name: str, workers: int = 1) -> Path:
    """`folder`/raw cropped into `folder`/`name`."""
    crop(params, folder / "raw", folder / name, workers)
    return folder / name


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_folder_becomes_arrays_with_rejects_named(make_params: Any, images: Path, tmp_path: Path) -> None:
    params = make_params(kind="folder", source="x", cars=None, held_out=0.1)
    info = crop(params, images, tmp_path / "out", workers=1)
    assert info == json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert (info["found"], info["count"]) == (42, 40)
    assert [reject["file"] for reject in info["rejected"]] == ["cut.png", "tiny.png"]
    assert [line.partition(": ")[0] for line in told_reasons(info["rejected"])] == [
        "1 such as 'cut.png'",
        "1 such as 'tiny.png'",
    ]
    assert info["names"] == [f"sub/{number:02d}.png" for number in range(40)]
    assert len(info["split"]["held_out"]) == 4
    assert sorted(info["split"]["train"] + info["split"]["held_out"]) == list(range(40))
    for size in (16, 32):
        array = np.load(tmp_path / "out" / f"images_{size}.npy", mmap_mode="r")
        assert array.shape == (40, size, size, 3)
        assert array.dtype == np.uint8
        with Image.open(images / "sub" / "07.png") as image:
            square = image.crop((5, 0, 35, 30)).resize((size, size), Image.Resampling.LANCZOS)
        assert np.array_equal(array[7], np.asarray(square))
        assert info["sha256"][f"images_{size}.npy"] == sha256_file(tmp_path / "out" / f"images_{size}.npy")
    assert not (tmp_path / "out" / "cameras.npz").exists()
    assert not list((tmp_path / "out").glob("depth*"))


def test_folders_are_equal_byte_by_byte_whatever_the_number_of_workers(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 40, "size": 16})
    download(params, tmp_path / "raw", workers=2)
    (tmp_path / "raw" / "images" / "00003.png").write_bytes(b"broken")
    first, again, two = (contents(crop_to(params, tmp_path, name, workers)) for name, workers in RUNS)
    assert sorted(first) == [
        *("cameras.npz", "dataset.json", "depth_16.npy", "depth_32.npy", "images_16.npy", "images_32.npy"),
    ]
    assert first == again == two


def test_cars_keep_cameras_and_depth(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 8, "size": 32})
    download(params, tmp_path / "raw", workers=1)
    info = crop(params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert sorted(info["sha256"]) == [
        *("cameras.npz", "depth_16.npy", "depth_32.npy", "images_16.npy", "images_32.npy"),
    ]
    depth = np.load(tmp_path / "out" / "depth_32.npy")
    assert np.array_equal(depth[3], np.load(tmp_path / "raw" / "depth" / "00003.npy"), equal_nan=True)
    assert depth_outside(tmp_path / "out", params.camera) is None
    told = depth_outside(tmp_path / "out", params.camera.model_copy(update={"near": 3.0, "far": 4.0}))
    assert told is not None and told.startswith("warning: 100% of the depth is not between camera.near and camera.far")
    cameras = np.load(tmp_path / "out" / "cameras.npz")
    assert {name: cameras[name].dtype for name in cameras} == dict.fromkeys(cameras, np.dtype(np.float32))
    np.testing.assert_allclose(cameras["fov"], params.camera.fov, rtol=1e-6)
    position = cameras["cam2world"][:, :3, 3]
    around = np.sin(cameras["pitch"])
    law = np.stack([around * np.cos(cameras["yaw"]), np.cos(cameras["pitch"]), around * np.sin(cameras["yaw"])], axis=1)
    np.testing.assert_allclose(position, law, atol=1e-6)
    assert (np.abs(cameras["yaw"] - params.camera.yaw_mean) <= np.pi + 1e-5).all()


def test_rejected_frames_take_their_cameras_with_them(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 5, "views_per_car": 1})
    download(params, tmp_path / "raw", workers=1)
    whole = crop(params, tmp_path / "raw", tmp_path / "whole", workers=1)
    (tmp_path / "raw" / "images" / "00001.png").write_bytes(b"broken")
    (tmp_path / "raw" / "depth" / "00003.npy").write_bytes(b"broken")
    info = crop(params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert [reject["file"] for reject in info["rejected"]] == ["images/00001.png", "images/00003.png"]
    kept = [0, 2, 4]
    assert info["names"] == [whole["names"][index] for index in kept]
    for name in ("cam2world", "yaw"):
        before, after = (
            np.load(tmp_path / "whole" / "cameras.npz")[name],
            np.load(tmp_path / "out" / "cameras.npz")[name],
        )
        assert np.array_equal(before[kept], after)


def test_models_that_were_not_rendered_are_named_too(make_params: Any, images: Path, tmp_path: Path) -> None:
    (images / "rejected.json").write_text(json.dumps([{"file": "b.glb", "reason": "has no faces"}]))
    info = crop(make_params(kind="folder", source="x", cars=None), images, tmp_path / "out", workers=1)
    assert info["rejected"][-1] == {"file": "b.glb", "reason": "3-D model not rendered: has no faces"}
    assert (info["found"], info["count"], len(info["rejected"])) == (42, 40, 3)


def test_all_rejected_and_missing_are_one_line_errors(make_params: Any, tmp_path: Path) -> None:
    params = make_params(kind="folder", source="x", cars=None)
    with pytest.raises(PiganError, match="pigan download"):
        crop(params, tmp_path / "none", tmp_path / "out")
    (tmp_path / "raw").mkdir()
    with pytest.raises(PiganError, match="no image"):
        crop(params, tmp_path / "raw", tmp_path / "out")
    Image.new("RGB", (3, 3)).save(tmp_path / "raw" / "a.png")
    with pytest.raises(PiganError, match=r"all 1 images were rejected, a\.png: too small") as caught:
        crop(params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("out", ["raw", ".", "raw/../raw"])
def test_originals_are_never_replaced(make_params: Any, images: Path, tmp_path: Path, out: str) -> None:
    # as EG3D's data has it
    (images / "dataset.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(PiganError, match="holds the raw files, which would be replaced"):
        crop(make_params(kind="folder", source="x", cars=None), images, tmp_path / out, workers=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_failed_crop_leaves_the_previous_result(make_params: Any, images: Path, tmp_path: Path) -> None:
    params = make_params(kind="folder", source="x", cars=None)
    crop(params, images, tmp_path / "out", workers=1)
    before = hashlib.sha256((tmp_path / "out" / "dataset.json").read_bytes()).digest()
    shutil.rmtree(images / "sub")
    with pytest.raises(PiganError):
        crop(params, images, tmp_path / "out", workers=1)
    assert hashlib.sha256((tmp_path / "out" / "dataset.json").read_bytes()).digest() == before


def test_dataset_json_says_what_the_contract_names(make_params: Any, images: Path, tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(images / "large.png")
    Image.new("RGB", (200, 70)).save(images / "larger.png")
    params = make_params(kind="folder", source="x", cars=None)
    info = crop(params, images, tmp_path / "out", workers=1)
    assert set(info) == {
        *("name", "kind", "source", "licence", "citation", "description", "expected", "found", "count", "large_enough"),
        *("rejected", "crop", "resolutions", "names", "duplicates", "owners", "split", "sha256"),
    }
    assert info["large_enough"] == {"64": 2, "128": 0}
    # both are black
    first = info["names"].index("large.png")
    assert info["duplicates"] == [[first, first + 1]]
    assert info["owners"] == info["count"] - 1


def test_near_duplicates_stay_on_one_side(make_params: Any, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        picture = coarse.resize((48, 48), Image.Resampling.BICUBIC)
        picture.save(raw / f"{number:02d}.png")
        picture.save(raw / f"{number + 50}.jpg", quality=80)
    params = make_params(kind="folder", source="x", cars=None, held_out=0.2)
    info = crop(params, raw, tmp_path / "out", workers=1)
    names, held_out = info["names"], set(info["split"]["held_out"])
    pairs = [[names.index(f"{number:02d}.png"), names.index(f"{number + 50}.jpg")] for number in range(30)]
    assert info["duplicates"] == pairs
    assert info["owners"] == 30
    assert len(held_out) == 12
    assert all(len({index in held_out for index in pair}) == 1 for pair in pairs)


def test_cats_are_selected_and_counted_by_the_size_of_their_faces(make_params: Any, tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "CAT_00"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    # ears this far apart, pixels
    for number, width in enumerate([30, 63, 64, 100, 127, 128, 200]):
        scale = width / 80
        points = np.array(
            [[80, 90], [120, 90], [100, 120], [60, 80], [62, 40], [80, 70], [120, 70], [138, 40], [140, 80]]
        )
        Image.fromarray(rng.integers(0, 256, (500, 600, 3), dtype=np.uint8)).save(raw / f"00000001_{number:03d}.jpg")
        label = "9 " + " ".join(str(round(value * scale)) for value in points.ravel())
        (raw / f"00000001_{number:03d}.jpg.cat").write_text(label)
    Image.new("RGB", (600, 500)).save(raw / "00000001_900.jpg")
    params = make_params(kind="cats", cars=None, crop={"rule": "cat-landmarks", "min_pixels": 100})
    info = crop(params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert info["large_enough"] == {"64": 5, "128": 2}
    assert (info["found"], info["count"], info["expected"]) == (8, 4, 9997)
    reasons = {reject["file"][-7:]: reject["reason"] for reject in info["rejected"]}
    assert reasons["000.jpg"] == "too small: a face of 30 pixels, not 100"
    assert reasons["900.jpg"] == "no landmarks: there is no 00000001_900.jpg.cat beside it"


def test_split_of_the_files_wins(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 12, "size": 16, "views_per_car": 1}, held_out=0.5)
    download(params, tmp_path / "raw", workers=1)
    path = tmp_path / "raw" / "transforms.json"
    content = json.loads(path.read_text())
    path.unlink()
    for name, frames in (("train", content["frames"][:9]), ("test", content["frames"][9:])):
        (path.parent / f"transforms_{name}.json").write_text(json.dumps({**content, "frames": frames}))
    info = crop(params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert info["split"] == {"train": list(range(9)), "held_out": [9, 10, 11]}
    assert info["owners"] is None


def test_world_and_depth_of_the_params_apply(make_params: Any, tmp_path: Path) -> None:
    world, depth = {"up": "y", "center": [0.0, 0.0, 0.0], "scale": 0.5}, {"unit": 3.0, "measure": "z"}
    plain = make_params(cars={"views": 3, "size": 16})
    download(plain, tmp_path / "raw", workers=1)
    moved = make_params(cars={"views": 3, "size": 16}, world=world, depth=depth)
    before, after = crop_to(plain, tmp_path, "before"), crop_to(moved, tmp_path, "after")
    np.testing.assert_allclose(np.load(after / "depth_16.npy"), 1.5 * np.load(before / "depth_16.npy"), rtol=1e-6)
    cameras = [np.load(folder / "cameras.npz")["cam2world"] for folder in (before, after)]
    np.testing.assert_allclose(cameras[1][:, :3, 3], 0.5 * cameras[0][:, :3, 3], atol=1e-6)


def test_landmarks_and_cameras_exclude_each_other(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 2, "size": 16}, crop={"rule": "cat-landmarks"})
    download(params, tmp_path / "raw", workers=1)
    with pytest.raises(PiganError, match="cat-landmarks is for photos without cameras"):
        crop(params, tmp_path / "raw", tmp_path / "out")


def test_thousands_of_rejects_are_one_line(make_params: Any, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for number in range(2000):
        (tmp_path / "raw" / f"{number}.png").touch()
    with pytest.raises(PiganError, match="all 2000 images were rejected") as caught:
        crop(make_params(kind="folder", source="x", cars=None), tmp_path / "raw", tmp_path / "out", workers=1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
