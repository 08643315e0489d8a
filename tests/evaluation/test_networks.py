import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from pigan.errors import PiganError
from pigan.evaluation import networks
from pigan.evaluation.networks import estimated_depth_error, identity_similarity
from pigan.sections import DepthEstimator, Network

CPU = torch.device("cpu")
SIDE = 16


class Brightness(torch.nn.Module):
    """One map an image: the mean of its channels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(1, keepdim=True)


class Means(torch.nn.Module):
    """One vector an image: the means of its channels."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images.mean((2, 3)), images.sum()


class Total(torch.nn.Module):
    """One number a batch."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum()


def torchscript(path: Path, module: torch.nn.Module) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        torch.jit.script(module).save(path)
    return path


def onnx_mean(path: Path, axes: list[int], batch: str | int = "batch", keepdims: int = 1) -> Path:
    """An ONNX file that averages its input [batch, 3, SIDE, SIDE] over `axes`."""
    node = helper.make_node("ReduceMean", ["images", "axes"], ["out"], keepdims=keepdims)
    graph = helper.make_graph(
        [node],
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def network(path: Path, kind: type = Network, **changes):
    settings = {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "0" * 64,
        "side": SIDE,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
    }
    return kind(**{**settings, **changes})


def estimator(path: Path, says: str = "depth", **changes):
    return network(path, DepthEstimator, says=says, **changes)


def ask(*question) -> np.ndarray:
    return np.concatenate(list(networks.ask(*question)))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(params=["onnx", "pt"])
def brightness(request, tmp_path: Path) -> Path:
    """The same network in both formats."""
    if request.param == "onnx":
        return onnx_mean(tmp_path / "net.onnx", [1])
    return torchscript(tmp_path / "net.pt", Brightness())


def test_images_arrive_scaled_and_normalised_whatever_the_batch(brightness, images, capsys):
    asked = network(brightness, mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0])
    whole, parts = (ask(asked, images, size, CPU, "brightness") for size in (8, 2))
    expected = ((images / 255 - [0.1, 0.2, 0.3]) / [0.5, 1.0, 2.0]).mean(-1)[:, None]
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert "brightness: 5/5 images" in capsys.readouterr().err


def test_images_are_resized_without_aliasing(tmp_path):
    stripes = np.zeros((1, 4 * SIDE, 4 * SIDE, 3), np.uint8)
    stripes[:, :, ::2] = 255
    said = ask(network(torchscript(tmp_path / "net.pt", Brightness())), stripes, 1, CPU, "stripes")
    assert said.shape == (1, 1, SIDE, SIDE)
    np.testing.assert_allclose(said[..., 1:-1], 0.5, atol=0.02)


def as_images(maps):
    """Grey images whose brightness is `maps` (0..1)."""
    return np.repeat((maps * 255).round().astype(np.uint8)[..., None], 3, -1)


def ramps(count=3):
    """Maps of 0.2..0.9, each another."""
    return np.random.default_rng(1).uniform(0.2, 0.9, (count, SIDE, SIDE)).astype(np.float32)


def test_depth_that_the_estimator_agrees_with_has_no_error(brightness):
    maps = ramps()
    found = estimated_depth_error(as_images(maps), 3 * maps + 1, estimator(brightness), 2, CPU)
    assert found.zscore_mse.value == pytest.approx(0, abs=1e-3)
    assert (found.images, found.dropped) == (3, 0)
    hollow = estimated_depth_error(as_images(maps), 2 - maps, estimator(brightness), 2, CPU)
    assert hollow.zscore_mse.value == pytest.approx(4, abs=1e-2)
    flat = estimated_depth_error(as_images(maps), np.ones_like(maps), estimator(brightness), 2, CPU)
    assert flat.zscore_mse.value == pytest.approx(1, abs=1e-2)


def test_disparity_is_inverted_and_what_is_not_positive_is_unknown(brightness):
    maps = ramps()
    shown = as_images(maps)
    shown[:, :4] = 0
    told = estimator(brightness, "disparity")
    found = estimated_depth_error(shown, 1 / maps, told, 2, CPU)
    assert found.zscore_mse.value == pytest.approx(0, abs=1e-3)
    assert estimated_depth_error(shown, maps, told, 2, CPU).zscore_mse.value > 3


def test_images_without_surface_are_dropped_and_counted(brightness):
    maps = ramps()
    depth = maps.copy()
    depth[1] = np.nan
    depth[2, :4] = np.nan
    found = estimated_depth_error(as_images(maps), depth, estimator(brightness), 2, CPU)
    assert (found.images, found.dropped) == (2, 1)
    assert found.zscore_mse.value == pytest.approx(0, abs=1e-3)
    nothing = estimated_depth_error(as_images(maps), np.full_like(maps, np.nan), estimator(brightness), 2, CPU)
    assert nothing == (None, 0, 3)


def test_only_so_many_images_are_looked_at(brightness, monkeypatch):
    monkeypatch.setattr("pigan.evaluation.networks.DEPTH_IMAGES", 2)
    maps = ramps()
    assert estimated_depth_error(as_images(maps), maps, estimator(brightness), 8, CPU).images == 2


def test_maps_of_another_side_are_brought_to_the_images(tmp_path):
    ramp = np.broadcast_to(np.linspace(0.2, 0.9, 2 * SIDE, dtype=np.float32), (2, 2 * SIDE, 2 * SIDE)).copy()
    asked = estimator(torchscript(tmp_path / "net.pt", Brightness()))
    assert estimated_depth_error(as_images(ramp), ramp, asked, 2, CPU).zscore_mse.value < 0.01


def test_identity_is_the_cosine_of_two_views(tmp_path):
    pairs = np.zeros((3, 2, SIDE, SIDE, 3), np.uint8)
    pairs[0] = (200, 100, 50)
    pairs[1, 0], pairs[1, 1] = (255, 0, 0), (0, 255, 0)
    pairs[2, 0], pairs[2, 1] = (255, 0, 0), (255, 255, 0)
    for path in (torchscript(tmp_path / "net.pt", Means()), onnx_mean(tmp_path / "net.onnx", [2, 3])):
        found = identity_similarity(pairs, network(path), 4, CPU)
        assert found.value == pytest.approx((1 + 0 + 0.5**0.5) / 3, abs=1e-5)
        low, high = found.interval
        assert low < found.value < high
        assert identity_similarity(pairs[:0], network(path), 4, CPU) is None
    # black has no direction here
    assert identity_similarity(np.zeros_like(pairs), network(path), 4, CPU) is None


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_missing_file_is_a_clear_error(tmp_path, images):
    with pytest.raises(PiganError, match=r"net\.onnx: cannot be read .*correct its path") as error:
        ask(network(tmp_path / "net.onnx"), images, 2, CPU, "x")
    one_line(error)


def test_a_file_that_is_not_trusted_is_not_opened(tmp_path, images):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "net.pt"
    torch.save(Trap(), path)
    with pytest.raises(PiganError, match="is not opened") as error:
        ask(network(path, sha256="0" * 64), images, 2, CPU, "x")
    assert hashlib.sha256(path.read_bytes()).hexdigest() in one_line(error)
    # nor is a trusted one unpickled
    with pytest.raises(PiganError, match="cannot be opened") as error:
        ask(network(path), images, 2, CPU, "x")
    one_line(error)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", ["onnx", "pt"])
def test_a_broken_file_is_a_clear_error(suffix, tmp_path, images):
    path = tmp_path / f"net.{suffix}"
    path.write_bytes(b"no network")
    with pytest.raises(PiganError, match="cannot be opened") as error:
        ask(network(path), images, 2, CPU, "x")
    one_line(error)


def test_other_formats_are_refused(tmp_path, images):
    path = tmp_path / "net.pth"
    path.write_bytes(b"weights")
    with pytest.raises(PiganError, match=r"neither \.onnx nor \.pt"):
        ask(network(path), images, 2, CPU, "x")


def test_wrong_inputs_and_outputs_are_clear_errors(tmp_path, images):
    path = onnx_mean(tmp_path / "side.onnx", [1])
    with pytest.raises(PiganError, match=r"cannot be run on float32 images \[2, 3, 8, 8\]") as error:
        ask(network(path, side=8), images, 2, CPU, "x")
    one_line(error)
    fixed = onnx_mean(tmp_path / "fixed.onnx", [1], batch=2)
    with pytest.raises(PiganError, match="free batch size") as error:
        ask(network(fixed), images, 3, CPU, "x")
    one_line(error)
    total = torchscript(tmp_path / "total.pt", Total())
    with pytest.raises(PiganError, match=r"answers \[\] to 2 images") as error:
        ask(network(total), images, 2, CPU, "x")
    one_line(error)
    vectors, maps = onnx_mean(tmp_path / "v.onnx", [2, 3], keepdims=0), onnx_mean(tmp_path / "m.onnx", [1])
    with pytest.raises(PiganError, match=r"answers \[2, 3\] to 2 images, not one map") as error:
        estimated_depth_error(images, np.ones((5, SIDE, SIDE), np.float32), estimator(vectors), 2, CPU)
    one_line(error)
    with pytest.raises(PiganError, match=r"answers \[10, 1, 16, 16\] to 10 images, not one vector") as error:
        identity_similarity(np.stack([images, images], 1), network(maps), 2, CPU)
    one_line(error)
