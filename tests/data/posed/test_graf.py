from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from pigan.data.posed.frames import Frame
from pigan.data.posed.layouts import read_posed
from pigan.errors import PiganError

MATRIX = np.array([[60.0, 0, 16], [0, 60, 16], [0, 0, 1]])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two images and their cameras, in the two archives' folders."""
    for folder in ("images", "carla_poses"):
        (tmp_path / folder).mkdir()
    for number in (1, 0):
        Image.new("RGB", (32, 32)).save(tmp_path / "images" / f"{number:06d}.png")
        pose = np.eye(4)[:3]
        pose[2, 3] = 10 + number
        np.save(tmp_path / "carla_poses" / f"{number:06d}_extrinsics.npy", pose)
    np.save(tmp_path / "carla_poses" / "intrinsics.npy", MATRIX[None, None])
    return tmp_path


def frames_of(raw: Path) -> list[Frame]:
    frames = read_posed(raw, None)
    assert frames is not None
    return frames


def test_images_meet_their_poses_by_stem(raw: Path) -> None:
    (raw / "__MACOSX").mkdir()
    (raw / "__MACOSX" / "000000.png").write_bytes(b"shadow")
    frames = frames_of(raw)
    assert [frame.image for frame in frames] == ["images/000000.png", "images/000001.png"]
    assert [frame.cam2world[2, 3] for frame in frames] == [10, 11]
    assert all(frame.intrinsics.fx == 60 / 32 and frame.intrinsics.cx == 0.5 for frame in frames)


def test_images_without_the_poses_archive_have_no_cameras(raw: Path) -> None:
    for path in (raw / "carla_poses").iterdir():
        path.unlink()
    assert read_posed(raw, None) is None


def test_broken_images_are_left_to_the_crop(raw: Path) -> None:
    (raw / "images" / "000000.png").write_bytes(b"broken")
    assert frames_of(raw)[0].intrinsics == frames_of(raw)[1].intrinsics


def test_mistakes_are_named(raw: Path) -> None:
    poses = raw / "carla_poses"
    Image.new("RGB", (32, 32)).save(raw / "images" / "000002.png")
    with pytest.raises(PiganError, match=r"images/000002\.png has no 000002_extrinsics\.npy"):
        read_posed(raw, None)
    (raw / "images" / "000002.png").rename(raw / "000001.png")
    with pytest.raises(PiganError, match=r"000001\.png and images/000001\.png would share"):
        read_posed(raw, None)
    (raw / "000001.png").unlink()
    np.save(raw / "intrinsics.npy", MATRIX)
    with pytest.raises(PiganError, match="more than one intrinsics"):
        read_posed(raw, None)
    (raw / "intrinsics.npy").unlink()
    np.save(poses / "intrinsics.npy", np.stack([MATRIX, 2 * MATRIX]))
    with pytest.raises(PiganError, match="several different matrices"):
        read_posed(raw, None)
    np.save(poses / "intrinsics.npy", 16 * MATRIX)
    with pytest.raises(PiganError, match=r"its centre \(16, 16\) is far from \(256, 256\); give images of the size"):
        read_posed(raw, None)
    (poses / "intrinsics.npy").unlink()
    with pytest.raises(PiganError, match="there is no intrinsics"):
        read_posed(raw, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["intrinsics.npy", "000000_extrinsics.npy"]),
    st.binary(max_size=40)
    | st.binary(max_size=40).map(lambda tail: b"\x93NUMPY\x01\x00\x46\x00" + tail)
    | st.sampled_from([(3, 4), (4, 4), (1, 3, 3), (2,), (0, 3)]).flatmap(lambda shape: arrays(np.float32, shape)),
)
def test_garbage_is_told_or_read(raw: Path, name: str, content: bytes | np.ndarray) -> None:
    path = raw / "carla_poses" / name
    before = path.read_bytes()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    try:
        assert all(np.isfinite(frame.cam2world).all() for frame in frames_of(raw))
    except PiganError as error:
        assert name in str(error)  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
    finally:
        path.write_bytes(before)
