import math
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pigan import config, sections
from pigan.errors import PiganError
from pigan.models.generator import Generator
from pigan.synthesis import video
from pigan.synthesis.video import turntable_path, write_turntable, write_video


def decoded(path: Path) -> tuple[av.VideoStream, list[np.ndarray]]:
    with av.open(str(path)) as container:
        (stream,) = container.streams
        return stream, [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def clip(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """A bright bar that moves to the right over grey."""
    frames = [np.full((height, width, 3), 90, np.uint8) for _ in range(count)]
    for i, frame in enumerate(frames):
        frame[:, 4 * i : 4 * i + 12] = (230, 200, 40)
    return frames


def test_video_is_h264_with_every_frame_in_order(tmp_path: Path) -> None:
    frames = clip(9)
    write_video(tmp_path / "a.mp4", frames)
    stream, seen = decoded(tmp_path / "a.mp4")
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert stream.average_rate == video.FRAMES_A_SECOND
    assert len(seen) == stream.frames == 9
    for frame, original in zip(seen, frames, strict=True):
        assert np.abs(frame.astype(int) - original).mean() < 4


def test_same_frames_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, clip(6))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_odd_sides_are_cut_to_even_ones(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", clip(2, 33, 51))
    assert decoded(tmp_path / "a.mp4")[1][0].shape == (32, 50, 3)


@pytest.mark.parametrize("law", ["spherical_uniform", "gaussian", "uniform", "fixed"])
@pytest.mark.parametrize("spread", [0.0, 0.3, math.pi])
@pytest.mark.parametrize("frames", [2, 5, 36])
def test_turntable_path_closes_without_a_stop(
    law: sections.PoseLaw, spread: float, frames: int, tiny_params: config.Params
) -> None:
    camera = tiny_params.camera.model_copy(update={"pose_law": law, "yaw_spread": spread, "pitch_spread": 0.2})
    path = np.array(turntable_path(camera, frames))
    assert path.shape == (frames, 2)
    assert (path[:, 1] > 0).all() and (path[:, 1] < math.pi).all()
    # positions on the sphere: from the last frame to the first is a step like the others
    yaw, pitch = path.T
    place = np.stack([np.sin(pitch) * np.cos(yaw), np.cos(pitch), np.sin(pitch) * np.sin(yaw)], axis=1)
    steps = np.linalg.norm(np.diff(place, axis=0), axis=1)
    assert np.linalg.norm(place[0] - place[-1]) <= steps.max() + 1e-6
    if spread < math.pi:
        assert np.abs(yaw - camera.yaw_mean).max() <= spread + 1e-9
    else:
        assert np.diff(yaw) == pytest.approx(np.full(frames - 1, 2 * math.pi / frames))


def test_turntable_has_its_frames_and_a_strip_and_repeats_bit_for_bit(
    generator: Generator, tiny_params: config.Params, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_turntable(generator, tiny_params, tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["turntable.mp4", "turntable.png"]
    for name in ("turntable.mp4", "turntable.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    seen = decoded(tmp_path / "one/turntable.mp4")[1]
    assert len(seen) == tiny_params.generate.turntable_frames
    height, width, _ = seen[0].shape
    assert height % 2 == width % 2 == 0 and width >= 400
    with Image.open(tmp_path / "one/turntable.png") as strip:
        assert strip.width > 7 * strip.height


def test_without_the_package_av_the_turntable_is_a_gif(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "av" else object())
    write_turntable(generator, tiny_params, tmp_path)
    with Image.open(tmp_path / "turntable.gif") as film:
        assert film.n_frames == tiny_params.generate.turntable_frames
    with pytest.raises(PiganError, match="needs the package av"):
        write_video(tmp_path / "film.mp4", iter([]))
