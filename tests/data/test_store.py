import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.data.store import Prepared, TrainingImages, batch_indices
from pigan.errors import PiganError


@pytest.fixture
def prepared(make_params: Any, tmp_path: Path) -> Path:
    params = make_params(cars={"views": 8, "size": 16, "views_per_car": 1}, held_out=0.25)
    download(params, tmp_path / "raw", workers=1)
    crop(params, tmp_path / "raw", tmp_path / "prepared", workers=1)
    return tmp_path / "prepared"


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**40), st.integers(0, 30))
@settings(deadline=None)
def test_every_epoch_visits_every_image_once(count: int, batch_size: int, seed: int, first: int) -> None:
    steps = -(-3 * count // batch_size) + first
    drawn = torch.cat([batch_indices(count, batch_size, step, seed) for step in range(steps)])
    assert len(drawn) == steps * batch_size
    for epoch in range(len(drawn) // count):
        assert sorted(drawn[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))
    again = batch_indices(count, batch_size, first, seed)
    assert torch.equal(again, drawn[first * batch_size : (first + 1) * batch_size])


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [tuple(batch_indices(100, 100, step, seed).tolist()) for step in range(3) for seed in range(3)]
    assert len(set(orders)) == 9


def test_batches_cannot_be_spoilt_by_their_users() -> None:
    batch_indices(10, 10, 0, 0).zero_()
    assert sorted(batch_indices(10, 10, 0, 0).tolist()) == list(range(10))


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 100), st.integers(1, 9))
@settings(deadline=None)
def test_ranks_share_the_batch_of_one_device(count: int, batch_size: int, step: int, ranks: int) -> None:
    parts = [batch_indices(count, batch_size, step, 3, rank, ranks) for rank in range(ranks)]
    assert torch.equal(torch.cat(parts), batch_indices(count, batch_size, step, 3))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(("rank", "ranks"), [(-1, 2), (2, 2), (0, 0)])
def test_ranks_that_are_not_there_are_refused(rank: int, ranks: int) -> None:
    with pytest.raises(ValueError, match="no rank"):
        batch_indices(4, 4, 0, 0, rank, ranks)


@pytest.mark.parametrize("arguments", [(0, 4, 0, 0), (4, 0, 0, 0), (4, 4, -1, 0)])
def test_impossible_batches_are_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="no batch"):
        batch_indices(*arguments)


def test_prepared_data_is_mapped(prepared: Path) -> None:
    data = Prepared(prepared)
    assert (data.count, data.resolutions, data.name) == (8, [16, 32], "cars")
    assert data.images(16).shape == (8, 16, 16, 3)
    assert isinstance(data.images(16), np.memmap)
    depth, cameras = data.depth(32), data.cameras
    assert depth is not None
    assert cameras is not None
    assert depth.shape == (8, 32, 32)
    assert cameras.cam2world.shape == (8, 4, 4)
    assert len(data.train) == 6
    assert len(data.held_out) == 2


def test_training_images_are_the_training_split_in_minus_one_to_one(prepared: Path) -> None:
    data = Prepared(prepared)
    images = TrainingImages(data, 16, torch.device("cpu"))
    assert images.count == 6
    batch = images.images(torch.tensor([5, 0, 5]))
    raw = data.images(16)[data.train[[5, 0, 5]]]
    assert batch.dtype == torch.float32
    expected = torch.from_numpy(raw.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
    assert torch.equal(batch, expected)
    assert batch.abs().max() <= 1
    poses = images.poses(torch.tensor([5, 0]))
    assert poses is not None
    assert data.cameras is not None
    np.testing.assert_array_equal(poses[:, 0], data.cameras.pitch[data.train[[5, 0]]])
    np.testing.assert_array_equal(poses[:, 1], data.cameras.yaw[data.train[[5, 0]]])


def test_flip_mirrors_image_and_yaw_together(prepared: Path) -> None:
    images = TrainingImages(Prepared(prepared), 16, torch.device("cpu"))
    indices, flip = torch.tensor([1, 2]), torch.tensor([True, False])
    plain, mirrored = images.images(indices), images.images(indices, flip)
    assert torch.equal(mirrored[0], plain[0].flip(2))
    assert torch.equal(mirrored[1], plain[1])
    straight, turned = images.poses(indices), images.poses(indices, flip)
    assert straight is not None
    assert turned is not None
    torch.testing.assert_close(turned[0], torch.stack([straight[0, 0], torch.pi - straight[0, 1]]))
    assert torch.equal(turned[1], straight[1])


def test_data_without_cameras_has_no_poses(prepared: Path) -> None:
    info = json.loads((prepared / "dataset.json").read_text())
    info["sha256"] = {name: value for name, value in info["sha256"].items() if name.startswith("images")}
    (prepared / "dataset.json").write_text(json.dumps(info))
    (prepared / "cameras.npz").unlink()
    data = Prepared(prepared)
    assert data.depth(16) is None
    assert data.cameras is None
    assert TrainingImages(data, 16, torch.device("cpu")).poses(torch.tensor([0])) is None


def test_images_are_handed_out_contiguous_and_apart(prepared: Path) -> None:
    data = Prepared(prepared)
    images = TrainingImages(data, 16, torch.device("cpu"))
    before = data.images(16).copy()
    batch = images.images(torch.tensor([0, 1]), torch.tensor([True, False]))
    assert batch.is_contiguous()
    batch.zero_()
    assert np.array_equal(data.images(16), before)
    assert images.images(torch.tensor([0, 1])).abs().max() > 0


def test_unusable_data_is_told_in_one_line(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(PiganError, match="pigan crop"):
        Prepared(tmp_path / "nowhere")
    data = Prepared(prepared)
    with pytest.raises(PiganError, match="not prepared at 64 px, only at 16, 32"):
        data.images(64)
    (prepared / "images_16.npy").write_bytes((prepared / "images_16.npy").read_bytes()[:500])
    with pytest.raises(PiganError, match=r"images_16\.npy: cannot be read"):
        data.images(16)
    np.save(prepared / "images_32.npy", np.zeros((3, 32, 32, 3), np.uint8))
    with pytest.raises(PiganError, match=r"images_32\.npy: holds"):
        data.images(32)
    (prepared / "depth_16.npy").unlink()
    with pytest.raises(PiganError, match=r"depth_16\.npy: cannot be read"):
        data.depth(16)
    (prepared / "cameras.npz").write_bytes(b"")
    with pytest.raises(PiganError, match=r"cameras\.npz: cannot be read"):
        _ = data.cameras
    (prepared / "dataset.json").write_text("{}")
    with pytest.raises(PiganError, match="incomplete"):
        Prepared(prepared)
    (prepared / "dataset.json").unlink()
    with pytest.raises(PiganError, match=r"dataset\.json: no such file"):
        Prepared(prepared)


def test_nothing_to_train_on_is_an_error(prepared: Path) -> None:
    info = json.loads((prepared / "dataset.json").read_text())
    info["split"] = {"train": [], "held_out": list(range(8))}
    (prepared / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(PiganError, match="no image to train on"):
        TrainingImages(Prepared(prepared), 16, torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_images_on_the_gpu_equal_those_on_the_cpu(prepared: Path) -> None:
    data, indices, flip = Prepared(prepared), torch.tensor([3, 1, 0]), torch.tensor([True, False, True])
    here, there = (TrainingImages(data, 16, torch.device(name)) for name in ("cpu", "cuda"))
    assert there.images(indices).device.type == "cuda"
    # a GPU divides by 127.5 to one unit in the last place
    assert torch.allclose(there.images(indices, flip).cpu(), here.images(indices, flip), atol=1e-6)
