import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pigan.data.crop import RowWriter, crop, split
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


def test_folder_becomes_arrays_with_rejects_named(make_params: Any, images: Path, tmp_path: Path) -> None:
    params = make_params(kind="folder", source="x", cars=None, held_out=0.1)
    info = crop(params, images, tmp_path / "out", workers=1)
    assert info == json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert (info["found"], info["count"]) == (42, 40)
    assert [reject["file"] for reject in info["rejected"]] == ["cut.png", "tiny.png"]
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


def test_arrays_do_not_depend_on_the_number_of_workers(make_params: Any, images: Path, tmp_path: Path) -> None:
    params = make_params(kind="folder", source="x", cars=None)
    one = crop(params, images, tmp_path / "one", workers=1)
    two = crop(params, images, tmp_path / "two", workers=2)
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_cars_keep_cameras_and_depth(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 8, "size": 32})
    download(params, tmp_path / "raw", workers=1)
    info = crop(params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert sorted(info["sha256"]) == [
        *("cameras.npz", "depth_16.npy", "depth_32.npy", "images_16.npy", "images_32.npy"),
    ]
    depth = np.load(tmp_path / "out" / "depth_32.npy")
    assert np.array_equal(depth[3], np.load(tmp_path / "raw" / "depth" / "00003.npy"), equal_nan=True)
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


def test_failed_crop_leaves_the_previous_result(make_params: Any, images: Path, tmp_path: Path) -> None:
    params = make_params(kind="folder", source="x", cars=None)
    crop(params, images, tmp_path / "out", workers=1)
    before = hashlib.sha256((tmp_path / "out" / "dataset.json").read_bytes()).digest()
    shutil.rmtree(images / "sub")
    with pytest.raises(PiganError):
        crop(params, images, tmp_path / "out", workers=1)
    assert hashlib.sha256((tmp_path / "out" / "dataset.json").read_bytes()).digest() == before


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60),
    st.floats(0, 0.5),
    st.text(max_size=5),
)
def test_split_keeps_objects_whole_and_something_to_train_on(owners: list[str], share: float, salt: str) -> None:
    train, held_out = split(owners, share, salt)
    assert sorted(train + held_out) == list(range(len(owners)))
    assert train
    assert not {owners[index] for index in train} & {owners[index] for index in held_out}
    assert split(owners, share, salt) == (train, held_out)
    if share == 0:
        assert not held_out


def test_split_has_the_share_asked_for_and_depends_on_the_salt() -> None:
    owners = [f"{number}.png" for number in range(1000)]
    first, other = split(owners, 0.05, "cars")[1], split(owners, 0.05, "cats")[1]
    assert len(first) == len(other) == 50
    assert first != other
    # more images move few of the old ones
    grown = set(split([*owners, *(f"new{number}.png" for number in range(20))], 0.05, "cars")[1])
    assert len(set(first) - grown) <= 3


@given(st.integers(0, 12), st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_growing_array_equals_numpy_save(
    tmp_path_factory: pytest.TempPathFactory, rows: int, shape: tuple[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    array = np.random.default_rng(0).random((rows, *shape)).astype(np.float32)
    with RowWriter(folder / "a.npy", shape, np.float32) as writer:
        for row in array:
            writer.append(row)
    np.save(folder / "b.npy", array)
    assert (folder / "a.npy").read_bytes() == (folder / "b.npy").read_bytes()


def test_growing_array_refuses_another_shape(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.npy", (2,), np.uint8) as writer, pytest.raises(ValueError, match="shape"):
        writer.append(np.zeros(3, np.uint8))
