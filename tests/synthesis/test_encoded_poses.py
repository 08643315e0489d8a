from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pigan import config
from pigan.data.store import Prepared
from pigan.models.discriminator import Discriminator
from pigan.models.generator import Generator
from pigan.synthesis.encoded_poses import encoded_poses, write_encoded_poses
from pigan.synthesis.evaluation_set import write_evaluation_set
from pigan.training.loop import save_checkpoint
from pigan.training.state import initial_state

CPU = torch.device("cpu")


def params_with(tiny_params: config.Params, **changes: Any) -> config.Params:
    base = {"training": {"pose_weight": 1.0}}
    return config.parse(config.merge(config.merge(tiny_params.model_dump(), base), changes))


@pytest.fixture
def out(generator: Generator, tiny_params: config.Params, tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    write_evaluation_set(generator, tiny_params, tmp_path / "out")
    return tmp_path / "out"


def checkpoint(params: config.Params, folder: Path) -> tuple[Path, Discriminator]:
    state = initial_state(params, CPU, 0)
    save_checkpoint(folder / "c", params, state)
    return folder / "c", state.discriminator


def test_generated_and_held_out_images_are_read_beside_the_truth(
    tiny_params: config.Params, prepared: Prepared, out: Path, tmp_path: Path
) -> None:
    params = params_with(tiny_params)
    path, judge = checkpoint(params, tmp_path)
    assert write_encoded_poses(path, params, prepared, out, CPU) is None
    with np.load(out / "pose.npz") as file:
        said = dict(file)
    held_out, cameras = prepared.held_out, prepared.cameras
    assert cameras is not None
    shapes = {name: (array.shape, array.dtype.name) for name, array in said.items()}
    assert shapes == {
        **dict.fromkeys(("generated", "generated_true"), ((10, 2), "float32")),
        **dict.fromkeys(("real", "real_true"), ((len(held_out), 2), "float32")),
    }
    with np.load(out / "cameras.npz") as truth:
        assert np.array_equal(said["generated_true"], np.stack([truth["pitch"], truth["yaw"]], 1))
    np.testing.assert_allclose(said["real_true"][:, 0], cameras.pitch[held_out], rtol=1e-6)
    np.testing.assert_allclose(said["real_true"][:, 1], cameras.yaw[held_out], rtol=1e-6)
    for name, images in (("generated", np.load(out / "images_16.npy")), ("real", prepared.images(16)[held_out])):
        pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            pose = judge(pixels).pose
        assert pose is not None
        np.testing.assert_allclose(said[name], pose.numpy(), rtol=1e-4, atol=1e-5)


def test_larger_images_are_shrunk_to_what_was_trained(tiny_params: config.Params) -> None:
    _, judge = params_with(tiny_params), initial_state(params_with(tiny_params), CPU, 0).discriminator
    flat = np.full((3, 32, 32, 3), 77, np.uint8)
    # a checkerboard averages to grey when it is shrunk with care
    board = (np.indices((32, 32)).sum(0) % 2 * 154).astype(np.uint8)
    board = np.broadcast_to(board[None, :, :, None], flat.shape).copy()
    np.testing.assert_allclose(encoded_poses(judge, board, 16), encoded_poses(judge, flat, 16), atol=0.02)


def test_batches_make_no_difference(tiny_params: config.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = initial_state(params_with(tiny_params), CPU, 0).discriminator
    images = np.random.default_rng(0).integers(0, 255, (7, 16, 16, 3), dtype=np.uint8)
    whole = encoded_poses(judge, images, 16)
    monkeypatch.setattr("pigan.synthesis.encoded_poses.IMAGES_A_PASS", 3)
    np.testing.assert_allclose(encoded_poses(judge, images, 16), whole, rtol=1e-5, atol=1e-6)
    assert encoded_poses(judge, images[:0], 16).shape == (0, 2)


def test_data_without_cameras_has_no_real_part(
    tiny_params: config.Params, without: Callable[..., Prepared], out: Path, tmp_path: Path
) -> None:
    params = params_with(tiny_params)
    path, _ = checkpoint(params, tmp_path)
    for less in ("cameras", "held out"):
        assert write_encoded_poses(path, params, without(less), out, CPU) is None
        with np.load(out / "pose.npz") as file:
            assert file["real"].shape == file["real_true"].shape == (0, 2) and file["generated"].shape == (10, 2)


def test_head_that_never_learned_says_why(
    tiny_params: config.Params, prepared: Prepared, out: Path, tmp_path: Path
) -> None:
    headless = {"training": {"pose_weight": 0.0}, "model": {"discriminator": {"encoder": False}}}
    for params, reason in (
        (params_with(tiny_params, **headless), "model.discriminator.encoder is false"),
        (tiny_params, "training.pose_weight is 0, so the encoder never learned poses"),
        (
            params_with(tiny_params, generate={"resolution": 12}),
            "generate.resolution 12 is no side that the discriminator takes",
        ),
    ):
        path, _ = checkpoint(params, tmp_path)
        assert write_encoded_poses(path, params, prepared, out, CPU) == reason
    assert not (out / "pose.npz").exists()
