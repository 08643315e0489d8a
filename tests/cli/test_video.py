"""`pigan video`: containers that read back, paths that close, and nothing that flickers."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from pigan import config, presets
from pigan.cli import app
from pigan.errors import PiganError
from pigan.models.generator import Generator
from pigan.synthesis.camera_paths import Aim, camera_path
from pigan.synthesis.movies import Film, codes_of_frames, film
from pigan.synthesis.trained import TrainedModel

CAMERA = presets.params("demo").camera
PATHS = ("orbit", "front", "spiral", "zoom", "still")


@pytest.fixture(scope="module")
def trained(tiny_params: config.Params) -> TrainedModel:
    """A network of random weights, dense enough to be seen."""
    torch.manual_seed(3)
    generator = Generator(tiny_params.model).eval().requires_grad_(False)
    generator.field.density_head.weight.mul_(60)
    return TrainedModel(generator, tiny_params, Path("model"))


@pytest.fixture(autouse=True)
def no_loading(monkeypatch: pytest.MonkeyPatch, trained: TrainedModel) -> None:
    monkeypatch.setattr("pigan.synthesis.trained.load_model", lambda name, device: trained)


def video(*call: str) -> None:
    result = CliRunner().invoke(app, ["video", "--model", "m", "--resolution", "16", *call], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_videos_read_back(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"turn{suffix}"
    video("--out", str(out), "--seeds", "0-2", "--frames", "5", "--fps", "10", "--depth")
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == 10
    frames = decoded(out)
    # two columns of colours, two of depth, each with a gap
    assert len(frames) == 5 and frames[0].shape == (34, 68, 3)


@pytest.mark.parametrize("suffix", [".gif", ".apng"])
def test_animations_read_back_and_loop(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"turn{suffix}"
    video("--out", str(out), "--frames", "4", "--fps", "20")
    with Image.open(out) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (4, (16, 16), 0)
        assert image.info["duration"] == 50


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".apng"])
def test_the_same_command_makes_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    one, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for out in (one, other):
        video("--out", str(out), "--frames", "3")
    assert one.read_bytes() == other.read_bytes()


def test_nothing_flickers(trained: TrainedModel) -> None:
    codes = trained.codes(trained.latents([0, 1]), 0.7)
    camera = trained.params.camera
    still = film(trained, [codes] * 3, camera_path("still", camera, 3), Film(16, 2, True))
    first, *others = still
    assert all(np.array_equal(first, frame) for frame in others)
    turning = np.stack(list(film(trained, [codes] * 24, camera_path("orbit", camera, 24), Film(16, 2, False))))
    change = np.abs(np.diff(turning.astype(float), axis=0)).mean((1, 2, 3))
    assert change.max() < 4 * np.median(change)


@given(st.sampled_from(PATHS), st.integers(8, 200))
def test_paths_are_closed_and_smooth(name: str, frames: int) -> None:
    aims = camera_path(name, CAMERA, frames)
    turned = [Aim(math.sin(aim.yaw), aim.pitch, aim.fov) for aim in aims]
    steps = np.abs(np.diff(np.array([*turned, turned[0]]), axis=0))
    # spirals turn fastest, four times round in a loop of sines
    assert steps.max() <= 1.1 * 4 * 2 * math.pi / frames
    assert all(0 < aim.pitch < math.pi and 0 < aim.fov < math.pi for aim in aims)


def test_an_orbit_goes_once_round_and_front_stays_inside() -> None:
    yaws = [aim.yaw for aim in camera_path("orbit", CAMERA, 8)]
    np.testing.assert_allclose(np.diff(yaws), math.pi / 4)
    for aim in camera_path("front", CAMERA, 30):
        assert abs(aim.yaw - CAMERA.yaw_mean) <= CAMERA.yaw_spread
        assert abs(aim.pitch - camera_path("still", CAMERA, 1)[0].pitch) <= CAMERA.pitch_spread


@pytest.mark.parametrize("morph", ["linear", "spherical"])
def test_a_morph_passes_through_its_objects_and_closes(trained: TrainedModel, morph: str) -> None:
    codes, centre = trained.codes(trained.latents([0, 1, 2])), trained.average_code
    shown = torch.cat(codes_of_frames(codes, centre, morph, 12))
    torch.testing.assert_close(shown[::4], codes, atol=1e-5, rtol=1e-5)
    steps = (torch.cat((shown[1:], shown[:1])) - shown).norm(dim=1)
    assert steps.max() < 2 * (codes - codes.roll(1, 0)).norm(dim=1).max() / 4
    distance = (shown - centre).norm(dim=1)
    own = (codes - centre).norm(dim=1)
    if morph == "spherical":
        assert own.min() - 1e-4 <= distance.min() and distance.max() <= own.max() + 1e-4
    else:
        assert distance.min() < own.min()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("--out", "turn.avi"), "turn.avi: no name of a video"),
        (("--out", "turn.mp4", "--morph", "linear"), "--morph linear: name several seeds"),
        (("--out", "a.gif", "--morph", "linear", "--seeds", "0-1", "--columns", "2"), "--columns is of objects"),
    ],
)
def test_what_cannot_be_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(app, ["video", "--model", "m", *call]).exception
    assert isinstance(error, PiganError) and said in str(error)
    assert not list(tmp_path.iterdir())
