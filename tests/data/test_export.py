import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pigan.data.export import export_eg3d
from pigan.data.posed.layouts import read_posed
from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.rendering.cameras import look_at_origin

COUNT = 1003


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data with cameras, as the crop writes it."""
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    np.save(folder / "images_8.npy", rng.integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8))
    yaw, pitch = rng.uniform(0, 6, COUNT), rng.uniform(0.2, 2.5, COUNT)
    cam2world = look_at_origin(torch.from_numpy(yaw), torch.from_numpy(pitch), 1.3).numpy()
    np.savez(
        folder / "cameras.npz",
        cam2world=cam2world.astype(np.float32),
        fov=rng.uniform(0.1, 2, COUNT).astype(np.float32),
        pitch=pitch.astype(np.float32),
        yaw=yaw.astype(np.float32),
    )
    names = [f"{index}.png" for index in range(COUNT)]
    split = {"train": list(range(COUNT - 2)), "held_out": [COUNT - 2, COUNT - 1]}
    hashes = {name: sha256_file(folder / name) for name in ("images_8.npy", "cameras.npz")}
    info = {"name": "made", "count": COUNT, "names": names, "resolutions": [8], "split": split, "sha256": hashes}
    (folder / "dataset.json").write_text(json.dumps(info))
    return folder


def test_cameras_images_and_split_come_back(prepared: Path, tmp_path: Path) -> None:
    export_eg3d(prepared, 8, tmp_path / "made.zip")
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
        archive.extractall(tmp_path / "raw")
    frames = read_posed(tmp_path / "raw", None)
    assert frames is not None and len(frames) == COUNT
    assert frames[7].image == "00000/img00000007.png"
    assert frames[1001].image == "00001/img00001001.png"
    cameras = np.load(prepared / "cameras.npz")
    np.testing.assert_allclose([frame.cam2world for frame in frames], cameras["cam2world"], atol=1e-6)
    np.testing.assert_allclose([frame.fov for frame in frames], cameras["fov"], atol=1e-6)
    assert [index for index, frame in enumerate(frames) if frame.held_out] == [COUNT - 2, COUNT - 1]
    images = np.load(prepared / "images_8.npy")
    for index in (0, 999, 1002):
        with Image.open(tmp_path / "raw" / frames[index].image) as image:
            assert np.array_equal(np.asarray(image), images[index])


def test_labels_are_as_eg3d_reads_them(prepared: Path, tmp_path: Path) -> None:
    """OpenCV: the third column looks from the camera to the origin, the second points down."""
    export_eg3d(prepared, 8, tmp_path / "made.zip")
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        labels = dict(json.loads(archive.read("dataset.json"))["labels"])
    numbers = np.array(list(labels.values()))
    assert numbers.shape == (COUNT, 25)
    pose, inside = numbers[:, :16].reshape(-1, 4, 4), numbers[:, 16:].reshape(-1, 3, 3)
    np.testing.assert_allclose(pose[:, :3, 2], -pose[:, :3, 3] / 1.3, atol=1e-6)
    assert (pose[:, 1, 1] < 0).all()
    fov = np.load(prepared / "cameras.npz")["fov"]
    np.testing.assert_allclose(0.5 / inside[:, 0, 0], np.tan(fov / 2), rtol=1e-6)
    np.testing.assert_array_equal(inside[:, :2, 2], 0.5)


def test_same_data_is_the_same_bytes(prepared: Path, tmp_path: Path) -> None:
    digests = set()
    for name in ("a.zip", "b.zip"):
        export_eg3d(prepared, 8, tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip"]


def test_without_cameras_labels_are_null(prepared: Path, tmp_path: Path) -> None:
    info = json.loads((prepared / "dataset.json").read_text())
    del info["sha256"]["cameras.npz"]
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "dataset.json").write_text(json.dumps(info))
    (bare / "images_8.npy").write_bytes((prepared / "images_8.npy").read_bytes())
    export_eg3d(bare, 8, tmp_path / "made.zip")
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert json.loads(archive.read("dataset.json"))["labels"] is None
        archive.extractall(tmp_path / "raw")
    assert read_posed(tmp_path / "raw", None) is None


def test_mistakes_leave_nothing(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PiganError, match=r"end with \.zip"):
        export_eg3d(prepared, 8, tmp_path / "made.tar")
    with pytest.raises(PiganError, match="not prepared at 16 px"):
        export_eg3d(prepared, 16, tmp_path / "made.zip")
    with pytest.raises(PiganError, match="no prepared data"):
        export_eg3d(tmp_path / "none", 8, tmp_path / "made.zip")

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)
    with pytest.raises(KeyboardInterrupt):
        export_eg3d(prepared, 8, tmp_path / "made.zip")
    assert list(tmp_path.iterdir()) == []
