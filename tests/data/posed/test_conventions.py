"""Axes and units, by reprojection: a scene is seen, written in every layout, read, and each pixel sent back to it.

The scene has no symmetry and its pictures show where in the world each pixel is, so that a mirrored, turned or
shifted axis anywhere between file and frame puts pixels in the wrong place.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray
from PIL import Image

from pigan.data.cars.render import render_cars
from pigan.data.posed.depth import read_depth
from pigan.data.posed.frames import Frame, crop_depth, pose_angles, square_view
from pigan.data.posed.layouts import read_posed
from pigan.dataset_sections import World

Array = NDArray[np.float64]

# x, y, z and radius of spheres around the origin
SPHERES = ((0.05, 0.02, -0.04, 0.22), (0.24, -0.1, 0.06, 0.1), (-0.1, 0.26, 0.12, 0.08))
REACH = 0.4


@dataclass(frozen=True)
class Pinhole:
    """In OpenCV's terms and in pixels, as a textbook has it: independent of the package's own conventions."""

    turn: Array
    """World to camera: x right, y down, z forward."""
    place: Array
    """Of the camera in the world."""
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @property
    def cam2world_opencv(self) -> Array:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.turn.T, self.place
        return matrix

    @property
    def cam2world_opengl(self) -> Array:
        matrix = self.cam2world_opencv
        matrix[:3, 1:3] *= -1
        return matrix

    @property
    def matrix(self) -> Array:
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixel coordinates (0, 0 is the upper left corner of the image) and depth of world points [..., 3]."""
        seen = (points - self.place) @ self.turn.T
        return (seen @ self.matrix.T)[..., :2] / seen[..., 2:], seen[..., 2]


def pinhole(
    yaw: float, pitch: float, roll: float = 0.0, radius: float = 1.3, size: tuple[int, int] = (40, 32),
    focal: tuple[float, float] = (45.0, 39.0), shift: tuple[float, float] = (2.5, -1.75),
) -> Pinhole:  # fmt: skip
    """A camera on a sphere that looks near the origin, rolled, with an off-centre principal point."""
    place = radius * np.array([np.sin(pitch) * np.cos(yaw), np.cos(pitch), np.sin(pitch) * np.sin(yaw)])
    forward = np.array([0.02, -0.03, 0.01]) - place
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1, 0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    turned = np.cos(roll) * right + np.sin(roll) * down
    width, height = size
    return Pinhole(
        turn=np.stack([turned, np.cross(forward, turned), forward]),
        place=place,
        fx=focal[0],
        fy=focal[1],
        cx=width / 2 + shift[0],
        cy=height / 2 + shift[1],
        width=width,
        height=height,
    )


def picture(camera: Pinhole) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """RGB that encodes the world position of what each pixel's centre shows, and z-depth (NaN: nothing)."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1) @ camera.turn
    depth = np.full(x.shape, np.inf)
    for *centre, radius in SPHERES:
        offset = camera.place - np.array(centre)
        a, b, c = (rays**2).sum(-1), rays @ offset, offset @ offset - radius**2
        root = b**2 - a * c
        near = (-b - np.sqrt(np.maximum(root, 0))) / a
        depth = np.where((root > 0) & (near > 0), np.minimum(depth, near), depth)
    found = np.isfinite(depth)
    points = camera.place + np.where(found, depth, 0.0)[..., None] * rays
    colours = np.where(found[..., None], points_to_colours(points), 0).astype(np.uint8)
    return colours, np.where(found, depth, np.nan)


def points_to_colours(points: Array) -> Array:
    return np.round((points / REACH + 1) / 2 * 254).clip(0, 254) + 1


def off_surface(points: Array) -> Array:
    """Distance of world points [n, 3] from the nearest surface of the scene."""
    return np.min([np.abs(np.linalg.norm(points - np.array(centre), axis=-1) - r) for *centre, r in SPHERES], axis=0)


CAMERAS = [pinhole(0.9, 1.2), pinhole(1.5, 1.0, roll=0.3), pinhole(-2.0, 1.9, roll=-0.2, radius=1.5)]
# layouts without a principal point, or with one focal length
PLAIN = [pinhole(yaw, 1.1, roll, 1.3, (40, 40), (46.0, 46.0), (0, 0)) for yaw, roll in ((0.4, 0.0), (2.5, 0.4))]
MILLIMETRES = 0.0001


def write_images(raw: Path, cameras: Sequence[Pinhole], names: Sequence[str]) -> None:
    for camera, name in zip(cameras, names, strict=True):
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(camera)[0]).save(raw / name)


def write_blender(raw: Path) -> list[Pinhole]:
    write_images(raw, PLAIN, ["train/r_0.png", "test/r_0.png"])
    for camera, part in zip(PLAIN, ("train", "test"), strict=True):
        frames = [{"file_path": f"./{part}/r_0", "transform_matrix": camera.cam2world_opengl.tolist()}]
        angle = 2 * np.arctan(camera.width / 2 / camera.fx)
        content = {"camera_angle_x": angle, "frames": frames}
        (raw / f"transforms_{part}.json").write_text(json.dumps(content))
    return PLAIN


def write_nerfstudio(raw: Path) -> list[Pinhole]:
    names = [f"images/frame_{number:05d}.png" for number in range(len(CAMERAS))]
    write_images(raw, CAMERAS, names)
    frames = [
        {
            "file_path": name,
            "transform_matrix": camera.cam2world_opengl.tolist(),
            "fl_x": camera.fx,
            "fl_y": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
        }
        for camera, name in zip(CAMERAS, names, strict=True)
    ]
    shared = {"camera_model": "OPENCV", "k1": 0.0, "p1": 0, "w": CAMERAS[0].width, "h": CAMERAS[0].height}
    informative = {"applied_transform": [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]], "applied_scale": 0.5}
    (raw / "transforms.json").write_text(json.dumps({**shared, **informative, "aabb_scale": 16, "frames": frames}))
    return CAMERAS


def write_eg3d(raw: Path) -> list[Pinhole]:
    names = [f"00000/img{number:08d}.png" for number in range(len(CAMERAS))]
    write_images(raw, CAMERAS, names)
    labels = []
    for camera, name in zip(CAMERAS, names, strict=True):
        inside = camera.matrix / [[camera.width], [camera.height], [1]]
        labels.append([name, [*camera.cam2world_opencv.ravel(), *inside.ravel()]])
    (raw / "dataset.json").write_text(json.dumps({"labels": labels}))
    return CAMERAS


def write_graf(raw: Path) -> list[Pinhole]:
    names = [f"images/{number:06d}.png" for number in range(len(PLAIN))]
    write_images(raw, PLAIN, names)
    poses = raw / "carla_poses"
    poses.mkdir()
    np.save(poses / "intrinsics.npy", PLAIN[0].matrix[None, None])
    for number, camera in enumerate(PLAIN):
        np.save(poses / f"{number:06d}_extrinsics.npy", camera.cam2world_opengl[:3])
    return PLAIN


WRITERS = {"blender": write_blender, "nerfstudio": write_nerfstudio, "eg3d": write_eg3d, "graf": write_graf}


def unprojected(frame: Frame, depth: Array) -> Array:
    """World points [h, w, 3] of a frame's pixels, by what pigan says of its axes and intrinsics."""
    height, width = depth.shape
    inside = frame.intrinsics
    x = ((np.arange(width) + 0.5) / width - inside.cx) / inside.fx
    y = ((np.arange(height) + 0.5) / height - inside.cy) / inside.fy
    rays = np.stack([*np.broadcast_arrays(x[None, :], -y[:, None]), -np.ones_like(depth)], -1)
    return (rays * depth[..., None]) @ frame.cam2world[:3, :3].T + frame.cam2world[:3, 3]


@pytest.mark.parametrize("layout", WRITERS)
def test_every_pixel_of_every_layout_returns_to_its_place(tmp_path: Path, layout: str) -> None:
    cameras = WRITERS[layout](tmp_path)
    frames = read_posed(tmp_path, None)
    assert frames is not None and len(frames) == len(cameras)
    for camera, frame in zip(cameras, frames, strict=True):
        colours, depth = picture(camera)
        seen = np.isfinite(depth)
        assert seen.mean() > 0.1
        points = unprojected(frame, depth)[seen]
        assert off_surface(points).max() < 1e-6
        with Image.open(tmp_path / frame.image) as image:
            shown = np.asarray(image)
        assert np.array_equal(shown, colours)
        assert np.abs(points_to_colours(points) - shown[seen].astype(float)).max() <= 1
        np.testing.assert_allclose(frame.cam2world, camera.cam2world_opengl, atol=1e-9)


def test_two_views_agree_on_the_world(tmp_path: Path) -> None:
    first, second = WRITERS["nerfstudio"](tmp_path)[:2]
    frames = read_posed(tmp_path, None)
    assert frames is not None
    points = unprojected(frames[0], picture(first)[1])
    pixels, depth = second.project(points)
    other = picture(second)[1]
    inside = np.isfinite(depth) & (pixels > 0).all(-1) & (pixels < [second.width, second.height]).all(-1)
    columns, rows = np.floor(pixels[inside]).astype(int).T
    found = other[rows, columns]
    # a pixel is 0.03 wide there: most of the first view lies on what the second sees, the rest behind it
    behind = (depth[inside] - found)[np.isfinite(found)]
    assert len(behind) > 0.8 * np.isfinite(picture(first)[1]).sum()
    assert np.median(np.abs(behind)) < 0.01
    assert np.quantile(behind, 0.05) > -0.03


def save_png16(path: Path, depth: Array) -> None:
    whole = np.nan_to_num(np.round(depth / MILLIMETRES)).astype(np.uint16)
    Image.fromarray(whole).save(path)


def save_exr(pixels: type, channel: str) -> Callable[[Path, Array], None]:
    def save(path: Path, depth: Array) -> None:
        values = np.where(np.isfinite(depth), depth, 1e10 if pixels is np.float32 else np.inf).astype(pixels)
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, {channel: values}) as file:
            file.write(str(path))

    return save


def save_npy(path: Path, depth: Array) -> None:
    np.save(path, depth.astype(np.float32))


def save_npz(path: Path, depth: Array) -> None:
    np.savez_compressed(path, depth=depth[None], mask=np.isfinite(depth))


SAVERS: dict[str, tuple[str, Callable[[Path, Array], None], float | None, float]] = {
    "PNG of 16 bits": ("png", save_png16, MILLIMETRES, 6e-5),
    "EXR of floats": ("exr", save_exr(np.float32, "Z"), None, 1e-6),
    "EXR of halves in Blender's layer": ("exr", save_exr(np.float16, "ViewLayer.Depth.V"), None, 1e-3),
    "NPY": ("npy", save_npy, None, 1e-6),
    "NPZ": ("npz", save_npz, None, 1e-6),
}


@pytest.mark.parametrize("measure", ["z", "ray"])
@pytest.mark.parametrize("kind", SAVERS)
def test_depth_of_every_kind_returns_to_the_surfaces(tmp_path: Path, kind: str, measure: Any) -> None:
    write_nerfstudio(tmp_path)
    frames = read_posed(tmp_path, None)
    assert frames is not None
    suffix, save, unit, tolerance = SAVERS[kind]
    for camera, frame in zip(CAMERAS, frames, strict=True):
        depth = picture(camera)[1]
        if measure == "ray":
            depth = np.linalg.norm(unprojected(frame, depth) - camera.place, axis=-1)
        path = tmp_path / f"depth.{suffix}"
        save(path, depth)
        found = read_depth(path, unit, measure, frame.intrinsics, 1.0)
        assert np.array_equal(np.isfinite(found), np.isfinite(depth))
        assert off_surface(unprojected(frame, found.astype(np.float64))[np.isfinite(depth)]).max() < tolerance


def test_depth_map_of_another_size_than_its_image(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path)
    frames = read_posed(tmp_path, None)
    assert frames is not None
    camera = CAMERAS[1]
    fine = Pinhole(
        camera.turn, camera.place, *(3 * value for value in (camera.fx, camera.fy, camera.cx, camera.cy)), 120, 96
    )
    ray = np.linalg.norm(unprojected(frames[1], picture(fine)[1]) - camera.place, axis=-1)
    np.save(tmp_path / "fine.npy", ray)
    found = read_depth(tmp_path / "fine.npy", None, "ray", frames[1].intrinsics, 1.0)
    assert found.shape == (96, 120)
    assert off_surface(unprojected(frames[1], found.astype(np.float64))[np.isfinite(ray)]).max() < 1e-6


@pytest.mark.parametrize("up", ["y", "-y", "z", "-z"])
def test_world_puts_the_object_at_the_origin_with_y_up(tmp_path: Path, up: Any) -> None:
    """The same scene, told in a world that is turned, moved and ten times as large."""
    world = World(up=up, center=[1.0, -2.0, 3.0], scale=0.1)
    columns = {
        "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
        "z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        "-z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    }
    # columns: where pigan's x, y, z are in the raw world
    from_pigan = np.array(columns[up], float)
    assert np.linalg.det(from_pigan) > 0
    assert from_pigan[:, 1] @ np.eye(3)["xyz".index(up[-1])] == (-1 if up[0] == "-" else 1)
    cameras = write_nerfstudio(tmp_path)
    content = json.loads((tmp_path / "transforms.json").read_text())
    for frame in content["frames"]:
        matrix = np.array(frame["transform_matrix"])
        matrix[:3] = from_pigan @ matrix[:3]
        matrix[:3, 3] = 10 * matrix[:3, 3] + world.center
        frame["transform_matrix"] = matrix.tolist()
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    frames = read_posed(tmp_path, world)
    assert frames is not None
    for camera, frame in zip(cameras, frames, strict=True):
        depth = picture(camera)[1]
        np.save(tmp_path / "raw.npy", 10 * depth)
        found = read_depth(tmp_path / "raw.npy", None, "z", frame.intrinsics, world.scale).astype(np.float64)
        points = unprojected(frame, found)[np.isfinite(depth)]
        assert off_surface(points).max() < 1e-6
        np.testing.assert_allclose(frame.cam2world, camera.cam2world_opengl, atol=1e-9)


def test_carla_in_its_own_world_has_the_angles_of_pigans(tmp_path: Path) -> None:
    """A GRAF camera ten lengths out, 30 degrees over the ground plane z = 0, at 20 degrees from x towards y."""
    elevation, azimuth = np.radians(30), np.radians(20)
    back = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    right = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    pose = np.stack([right, np.cross(back, right), back, 10 * back], 1)
    np.save(tmp_path / "000000_extrinsics.npy", pose)
    np.save(tmp_path / "intrinsics.npy", np.array([[[[955.405, 0, 256], [0, 955.405, 256], [0, 0, 1]]]]))
    Image.new("RGB", (512, 512)).save(tmp_path / "000000.png")
    frames = read_posed(tmp_path, World(up="z", center=[0.0, 0.0, 0.0], scale=0.1))
    assert frames is not None
    (frame,) = frames
    assert np.linalg.norm(frame.cam2world[:3, 3]) == pytest.approx(1)
    assert np.degrees(frame.fov) == pytest.approx(30, abs=1e-3)
    pitch, yaw = pose_angles(frame.cam2world[None], 0.0)
    assert np.degrees(pitch[0]) == pytest.approx(60)
    assert np.degrees(yaw[0]) == pytest.approx(-20)
    # upright: the image's up axis has the largest share of the world's up that a camera can have there
    assert frame.cam2world[1, 1] == pytest.approx(np.cos(elevation))


@pytest.mark.parametrize("side", [24, None])
def test_crop_of_an_off_centre_view_is_a_centred_one(tmp_path: Path, side: int | None) -> None:
    write_nerfstudio(tmp_path)
    frames = read_posed(tmp_path, None)
    assert frames is not None
    for camera, frame in zip(CAMERAS, frames, strict=True):
        (left, top, right, bottom), fov = square_view(frame.intrinsics, camera.width, camera.height, side)
        assert 0 <= left < right <= camera.width and 0 <= top < bottom <= camera.height
        depth = picture(camera)[1]
        shares = (left / camera.width, top / camera.height, right / camera.width, bottom / camera.height)
        size = 48
        cropped = crop_depth(depth, shares, size).astype(np.float64)
        across = ((np.arange(size) + 0.5) / size * 2 - 1) * np.tan(fov / 2)
        rays = np.stack([*np.meshgrid(across, -across), -np.ones((size, size))], -1)
        points = (rays * cropped[..., None]) @ frame.cam2world[:3, :3].T + frame.cam2world[:3, 3]
        seen = np.isfinite(cropped)
        pixels, _ = camera.project(points[seen])
        rows, columns = np.nonzero(seen)
        expected = np.stack(
            [left + (columns + 0.5) / size * (right - left), top + (rows + 0.5) / size * (bottom - top)], 1
        )
        # whole pixels cannot centre a box better than by half of one
        assert np.abs(pixels - expected).max() <= 0.5 + 0.5


def test_embedded_cars_agree_between_views(make_params: Any, tmp_path: Path) -> None:
    params = make_params(cars={"views": 3, "size": 64, "views_per_car": 3})
    render_cars(params.dataset.cars, params.camera, tmp_path, 1)
    frames = read_posed(tmp_path, None)
    assert frames is not None and {frame.object for frame in frames} == {"0"}
    depths = [
        read_depth(tmp_path / str(frame.depth), frame.depth_unit, frame.depth_measure, frame.intrinsics, 1.0)
        for frame in frames
    ]
    points = unprojected(frames[0], depths[0].astype(np.float64))
    inverse = np.linalg.inv(frames[1].cam2world)
    seen = points @ inverse[:3, :3].T + inverse[:3, 3]
    pixels = (seen[..., :2] / -seen[..., 2:] * [1, -1] * frames[1].intrinsics.fx + 0.5) * 64
    inside = np.isfinite(seen[..., 2]) & (pixels > 0).all(-1) & (pixels < 64).all(-1)
    assert inside.sum() == np.isfinite(depths[0]).sum()
    columns, rows = np.floor(pixels[inside]).astype(int).T
    found = depths[1][rows, columns]
    behind = -seen[..., 2][inside] - found
    assert np.isfinite(found).mean() > 0.9
    assert np.quantile(behind[np.isfinite(found)], 0.05) > -0.02
    assert (np.abs(behind) < 0.02).mean() > 0.2
