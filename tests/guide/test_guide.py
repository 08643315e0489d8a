"""The guide as a whole, on folders as people have them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pigan import config
from pigan.config import Params
from pigan.data.cars.render import render_cars
from pigan.errors import PiganError
from pigan.files import write_json
from pigan.guide.guide import guide
from pigan.guide.heuristics import measure, preset_camera
from pigan.guide.heuristics import suggest as suggest_by_looks
from pigan.guide.preview import outlines
from pigan.guide.proxy import render_proxies
from pigan.guide.suggestion import number, snippet
from pigan.rendering.cameras import look_at_origin


def pasted(params: Params, text: str) -> Params:
    """The params with the printed snippet in its place; fails where it is not valid or not complete."""
    values = YAML(typ="safe", pure=True).load(text)
    assert set(values["camera"]) == set(type(params.camera).model_fields)
    base = params.model_dump()
    if "dataset" in values:
        base["dataset"]["world"] = values["dataset"]["world"]
    return config.parse({**base, "camera": values["camera"]})


@pytest.fixture(scope="module")
def cars(tiny_params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "cars"
    render_cars(
        tiny_params.dataset.cars.model_copy(update={"views": 70, "size": 24}), tiny_params.camera, folder, workers=1
    )
    return folder


def save(images: np.ndarray, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return folder


def test_embedded_cars_give_their_true_camera(tiny_params: Params, cars: Path, tmp_path: Path) -> None:
    text = guide(tiny_params, cars, tmp_path / "look")
    found, truth = pasted(tiny_params, text).camera, tiny_params.camera
    assert "measured: the cameras are in pigan's world already" in text.replace("\n#  ", "")
    assert found.fov_degrees == pytest.approx(truth.fov_degrees, abs=0.01)
    assert found.near == pytest.approx(truth.near, abs=0.03)
    assert found.far == pytest.approx(truth.far, abs=0.03)
    assert found.pose_law == "spherical_uniform"
    assert found.yaw_spread == pytest.approx(truth.yaw_spread, abs=0.01)
    assert found.pitch_mean == pytest.approx(truth.pitch_mean, abs=0.1)
    assert found.pitch_spread == pytest.approx(truth.pitch_spread, abs=0.1)
    assert (tmp_path / "look" / "camera.yaml").read_text(encoding="utf-8") == text
    with Image.open(tmp_path / "look" / "cameras.png") as picture:
        assert min(picture.size) > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 1000


def test_cars_in_another_world_give_that_world(tiny_params: Params, cars: Path, tmp_path: Path) -> None:
    content = json.loads((cars / "transforms.json").read_text())
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    for frame in content["frames"]:
        matrix = np.array(frame["transform_matrix"])
        matrix[:3, :3] = turn @ matrix[:3, :3]
        matrix[:3, 3] = 4.0 * turn @ matrix[:3, 3] + [1.0, 2.0, 3.0]
        frame["transform_matrix"] = matrix.tolist()
        frame["file_path"] = str(frame["file_path"])
        frame.pop("depth_file_path")
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "images").symlink_to(cars / "images")
    (raw / "transforms.json").write_text(json.dumps(content))
    world = pasted(tiny_params, guide(tiny_params, raw)).dataset.world
    assert world is not None
    assert world.up == "z"
    assert world.center == pytest.approx([1.0, 2.0, 3.0], abs=2e-3)
    assert world.scale == pytest.approx(0.25, rel=1e-3)


def test_prepared_data_gives_the_same_as_raw(tiny_params: Params, cars: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    frames = json.loads((cars / "transforms.json").read_text())["frames"]
    count = len(frames)
    np.save(data / "images_24.npy", np.stack([np.asarray(Image.open(cars / frame["file_path"])) for frame in frames]))
    np.save(data / "depth_24.npy", np.stack([np.load(cars / frame["depth_file_path"]) for frame in frames]))
    matrices = np.array([frame["transform_matrix"] for frame in frames], np.float32)
    zero = np.zeros(count, np.float32)
    fov = np.full(count, tiny_params.camera.fov, np.float32)
    np.savez(data / "cameras.npz", cam2world=matrices, fov=fov, pitch=zero, yaw=zero)
    info = {"name": "cars", "count": count, "names": [frame["file_path"] for frame in frames], "resolutions": [24]}
    info |= {"split": {"train": list(range(count)), "held_out": []}, "sha256": {"depth_24.npy": "", "cameras.npz": ""}}
    write_json(data / "dataset.json", info)
    raw, prepared = (pasted(tiny_params, guide(tiny_params, folder)).camera for folder in (cars, data))
    assert prepared.near == pytest.approx(raw.near, abs=0.02)
    assert prepared.pose_law == raw.pose_law
    assert prepared.pitch_spread == pytest.approx(raw.pitch_spread, abs=1e-3)


def test_heads_that_fill_the_frame_give_the_camera_of_faces(tiny_params: Params, tmp_path: Path) -> None:
    heads = render_proxies("head", preset_camera("celeba"), 0.12, 24, 32, 4)
    text = guide(tiny_params, save(heads, tmp_path / "faces"), tmp_path / "look")
    assert pasted(tiny_params, text).camera == preset_camera("celeba")
    assert "# assumed: one kind of thing fills the frame" in text
    assert "dataset:" not in text
    assert (tmp_path / "look" / "cameras.png").stat().st_size > 10_000


@pytest.mark.parametrize("reach", [0.12, 0.24])
def test_objects_on_white_give_bounds_that_hold_them(reach: float) -> None:
    found = suggest_by_looks(render_proxies("car", preset_camera("carla"), reach, 12, 48, 2))
    camera = found.camera
    assert (camera.fov_degrees, camera.pose_law) == (30.0, "spherical_uniform")
    assert 1 - 1.6 * reach < camera.near < 1 - 0.9 * reach
    assert 1 + 0.9 * reach < camera.far < 1 + 1.6 * reach
    assert any("the ground is white" in note for note in found.notes)


def test_looks_are_measured() -> None:
    images = np.full((10, 32, 32, 3), 30, np.uint8)
    images[:, 8:24, 4:20] = 200
    looks = measure(images)
    assert looks.plain == 1
    assert looks.colour == (30, 30, 30)
    assert looks.box == pytest.approx((4 / 32, 8 / 32, 20 / 32, 24 / 32))
    assert looks.size == pytest.approx(0.5)
    assert looks.mean_symmetry < 0.9
    centred = np.roll(images, 4, axis=2)
    assert measure(centred).mean_symmetry == pytest.approx(1)
    assert measure(centred).asymmetry == pytest.approx(0, abs=1e-6)


def test_heads_that_turn_more_are_less_symmetric() -> None:
    found = [
        measure(
            render_proxies("head", preset_camera("celeba").model_copy(update={"yaw_spread": spread}), 0.12, 24, 32, 1)
        ).asymmetry
        for spread in (0.0, 0.3, 0.6)
    ]
    assert found == sorted(found)
    assert found[2] > 1.5 * found[0]


def test_outline_of_a_ball_is_where_rays_touch_it() -> None:
    import torch

    matrix = look_at_origin(torch.tensor(0.7).double(), torch.tensor(1.1).double(), 1.0).numpy()
    fov = math.radians(30)
    edge, tips = outlines(matrix, fov, math.sin(fov / 2))
    assert np.hypot(*(edge - 0.5).T) == pytest.approx(0.5)
    assert tips[0] == pytest.approx([0.5, 0.5])
    assert tips[2, 1] < 0.5


def test_numbers_are_floats_to_any_yaml_reader() -> None:
    assert [number(value) for value in (1.0, 0.1, 1e-5, 3.14159265, -2e-9, 0.0, 123456.789)] == [
        "1.0",
        "0.1",
        "0.00001",
        "3.1415927",
        "-0.000000002",
        "0.0",
        "123456.79",
    ]


def test_long_notes_stay_comments() -> None:
    found = suggest_by_looks(np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3)).astype(np.uint8))
    lines = snippet(found).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line.startswith("#") for line in lines[: lines.index("camera:")])


def test_no_folder_no_image_and_broken_images_are_told(tiny_params: Params, tmp_path: Path) -> None:
    with pytest.raises(PiganError, match="no such folder"):
        guide(tiny_params, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PiganError, match="image"):
        guide(tiny_params, tmp_path / "empty")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no picture")
    with pytest.raises(PiganError, match=r"none of the images looked at can be used, a\.png"):
        guide(tiny_params, broken)
    (broken / "transforms.json").write_text("{}")
    with pytest.raises(PiganError, match=r"transforms\.json"):
        guide(tiny_params, broken)


def test_images_that_cannot_be_used_are_told(tiny_params: Params, tmp_path: Path) -> None:
    for name in "abc":
        Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / f"{name}.png")
    assert "cannot be used" not in guide(tiny_params, tmp_path)
    (tmp_path / "d.png").write_bytes(b"no picture")
    told = "# warning: 1 of 4 images looked at cannot be used, such as d.png: cannot be read: "
    assert guide(tiny_params, tmp_path).startswith(told)


def test_folder_for_the_picture_keeps_what_is_in_it(tiny_params: Params, tmp_path: Path) -> None:
    own = tmp_path / "look" / "notes.txt"
    own.parent.mkdir()
    own.write_text("mine")
    guide(
        tiny_params, save(render_proxies("car", preset_camera("carla"), 0.2, 6, 32, 0), tmp_path / "cars"), own.parent
    )
    assert {path.name for path in own.parent.iterdir()} == {"notes.txt", "camera.yaml", "cameras.png"}
