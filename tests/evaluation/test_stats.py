"""Statistics of the real images: which images they are of, and that everything that determines them is in them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pigan import config
from pigan.errors import PiganError
from pigan.evaluation import stats
from pigan.evaluation.extractors import Extractor
from pigan.evaluation.features import depth_images, extract
from pigan.evaluation.stats import expected_meta, load_stats, read_arrays, read_depth, read_images, real_stats
from pigan.files import write_json

CPU = torch.device("cpu")
SIDE = 16
TRAIN = [11, 1, 2, 3, 5, 9, 6, 7, 8, 10]
HELD_OUT = [4, 0]
DEMO = Path(config.__file__).parent / "presets" / "demo.yaml"


class Sums(nn.Module):
    """Three features that tell an image, and its mirror image, from every other."""

    def forward(self, images):
        ramp = torch.arange(1.0, images.shape[3] + 1)
        return ((images.double() * ramp).mean((2, 3)),)


@pytest.fixture(autouse=True)
def _quick_network(monkeypatch):
    monkeypatch.setattr(stats, "load_extractor", lambda name, _: Extractor(name, Sums(), 3, None))


def params(dataset=None, camera=None, **evaluate):
    values = config.load(DEMO).model_dump()
    changes = {"generate": {"resolution": SIDE, "images": 4}, "evaluate": {"real_images": 5, "batch_size": 3}}
    small = config.parse(
        config.merge(values, config.merge(changes, {"dataset": dataset or {}, "camera": camera or {}}))
    )
    # in full params the official protocol needs all that the authors do
    return small.model_copy(update={"evaluate": small.evaluate.model_copy(update=evaluate)})


@pytest.fixture
def data(tmp_path):
    """Twelve prepared images, two held out, with depth maps of all but one."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / f"images_{SIDE}.npy", rng.integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8))
    depth = rng.uniform(0.75, 1.25, (12, SIDE, SIDE)).astype(np.float32)
    depth[:, :4] = np.nan
    depth[3] = np.nan
    np.save(folder / f"depth_{SIDE}.npy", depth)
    describe_as(folder)
    return folder


def describe_as(folder, train=TRAIN, held_out=HELD_OUT, depth=True):
    digests = {f"images_{SIDE}.npy": "ab" * 32} | ({f"depth_{SIDE}.npy": "cd" * 32} if depth else {})
    split = {"train": train, "held_out": held_out}
    write_json(folder / "dataset.json", {"crop": {"filter": "lanczos"}, "split": split, "sha256": digests})


def made(settings, data, name="stats.npz", devices=(CPU,)):
    out = data.parent / name
    real_stats(settings, data, "efficientnet_lite0", out, list(devices))
    return load_stats(out)


def features_of(data, rows, settings, mirrored=None):
    network = Extractor("clip", Sums(), 3, None)
    images = np.load(data / f"images_{SIDE}.npy")
    return extract(images, network, settings.evaluate, [CPU], rows=np.array(rows), mirrored=mirrored)


def test_parts_are_different_images_of_the_right_split(data):
    settings = params()
    found = made(settings, data)
    rows = found.rows.tolist()
    assert rows == sorted(set(rows)) and set(rows) < set(TRAIN) and len(rows) == 5
    np.testing.assert_array_equal(found.features, features_of(data, rows, settings))
    # generate.images of the others, in ascending order too
    others = features_of(data, sorted(set(TRAIN) - set(rows)), settings)
    places = [int((others == one).all(1).nonzero()[0][0]) for one in found.other_features]
    assert places == sorted(set(places)) and len(places) == 4
    np.testing.assert_array_equal(found.held_out_features, features_of(data, [0, 4], settings))
    np.testing.assert_allclose(found.fitted.mean, found.features.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(found.fitted.covariance, np.cov(found.features.astype(np.float64), rowvar=False))
    assert found.fitted.covariance.dtype == np.float64


def test_no_more_held_out_images_than_compared_ones(data):
    found = made(params(real_images=2), data)
    assert (len(found.features), len(found.other_features), len(found.held_out_features)) == (2, 4, 2)
    describe_as(data, train=TRAIN[:8], held_out=[0, 4, 9, 10])
    assert made(params(real_images=3), data).held_out_features.shape == (3, 3)


def test_rows_are_drawn_from_the_whole_list_by_the_seed(data):
    """Lists have the views of an object, or the frames of a video, one behind the other."""
    chosen = [made(params(seed=seed), data) for seed in range(30)]
    often = np.bincount(np.concatenate([found.rows for found in chosen]), minlength=12)
    assert not often[HELD_OUT].any() and (often[TRAIN] > 5).all() and (often[TRAIN] < 25).all()
    np.testing.assert_array_equal(made(params(seed=3), data).rows, chosen[3].rows)


def test_depth_maps_of_the_same_rows_are_images_too(data):
    settings = params()
    found = made(settings, data)
    # row 3 has no depth at all
    maps = np.load(data / f"depth_{SIDE}.npy")[found.rows[found.rows != 3]]
    expected = extract(
        depth_images(maps, settings.camera.near, settings.camera.far),
        Extractor("clip", Sums(), 3, None),
        settings.evaluate,
        [CPU],
    )
    np.testing.assert_array_equal(found.depth_features, expected)
    assert found.meta["depth_range"] == [settings.camera.near, settings.camera.far]


def test_data_without_depth_or_further_images_has_empty_parts(data):
    describe_as(data, train=TRAIN[:5], held_out=[], depth=False)
    found = made(params(), data)
    assert found.features.shape == (5, 3)
    assert found.other_features.shape == found.held_out_features.shape == found.depth_features.shape == (0, 3)
    assert found.meta["depth_sha256"] is None and found.meta["depth_range"] is None
    assert (found.meta["other_count"], found.meta["held_out_count"]) == (0, 0)


def test_no_part_of_training_sees_held_out_images(data):
    before = made(params(), data)
    images = np.load(data / f"images_{SIDE}.npy")
    images[HELD_OUT] = 255
    np.save(data / f"images_{SIDE}.npy", images)
    after = made(params(), data)
    for part in ("features", "other_features", "depth_features"):
        np.testing.assert_array_equal(getattr(after, part), getattr(before, part))
    assert (after.held_out_features != before.held_out_features).all()


def test_same_inputs_give_the_same_bytes_on_one_device_and_on_two(data):
    made(params(), data, "first.npz")
    made(params(), data, "again.npz")
    made(params(), data, "two.npz", devices=[CPU, CPU])
    first = (data.parent / "first.npz").read_bytes()
    assert (data.parent / "again.npz").read_bytes() == first
    assert (data.parent / "two.npz").read_bytes() == first


def mirrored_rows(settings, data):
    """Which of the five compared rows are mirrored, judged by the features."""
    found = made(settings, data)
    plain = features_of(data, found.rows, settings)
    turned = features_of(data, found.rows, settings, np.ones(5, bool))
    assert ((found.features == plain).all(1) | (found.features == turned).all(1)).all()
    return (found.features == turned).all(1)


def test_official_protocol_mirrors_half_of_the_images_where_training_does(data):
    flips = {"dataset": {"flip": True}}
    drawn = [mirrored_rows(params(**flips, protocol="official", seed=seed), data) for seed in range(20)]
    # 100 coins: 4 standard deviations
    assert 30 < np.sum(drawn) < 70
    again = mirrored_rows(params(**flips, protocol="official", seed=3), data)
    np.testing.assert_array_equal(again, drawn[3])
    assert not mirrored_rows(params(**flips), data).any()
    assert not mirrored_rows(params(protocol="official"), data).any()
    meta = expected_meta(params(**flips, protocol="official", seed=3), data, "efficientnet_lite0")
    assert (meta["flip"], meta["flip_seed"]) == (True, 3)
    assert expected_meta(params(**flips), data, "efficientnet_lite0")["flip_seed"] is None


def test_mirroring_a_row_does_not_depend_on_the_other_rows(data):
    settings = {"dataset": {"flip": True}, "protocol": "official"}
    few, many = made(params(**settings, real_images=3), data), made(params(**settings, real_images=8), data)
    for row, features in zip(few.rows, few.features, strict=True):
        np.testing.assert_array_equal(many.features[many.rows == row][0], features)


def test_depth_maps_are_mirrored_with_their_images(data):
    settings = params(dataset={"flip": True}, protocol="official")
    depth = np.load(data / f"depth_{SIDE}.npy")
    np.save(data / f"images_{SIDE}.npy", depth_images(depth, settings.camera.near, settings.camera.far))
    found = made(settings, data)
    np.testing.assert_array_equal(found.depth_features, found.features[found.rows != 3])


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"protocol": "official"}, {"protocol"}),
        ({"real_images": 6}, {"count", "rows_sha256"}),
        ({"dataset": {"flip": True}, "protocol": "official"}, {"protocol", "flip", "flip_seed"}),
        ({"camera": {"far": 1.5}}, {"depth_range"}),
        ({"seed": 5}, {"rows_sha256"}),
        ({"batch_size": 7}, set()),
    ],
)
def test_meta_changes_with_what_determines_the_features(data, changes, keys):
    before = expected_meta(params(), data, "efficientnet_lite0")
    after = expected_meta(params(**changes), data, "efficientnet_lite0")
    assert {key for key in before if before[key] != after[key]} == keys


def test_meta_changes_with_the_split_and_the_extractor(data, monkeypatch):
    before = expected_meta(params(), data, "efficientnet_lite0")
    describe_as(data, held_out=[0])
    other_split = expected_meta(params(), data, "efficientnet_lite0")
    assert {key for key in before if before[key] != other_split[key]} == {"held_out_count", "rows_sha256"}
    describe_as(data)
    monkeypatch.setattr(stats, "weights_sha256", lambda *_: "ef" * 32)
    other = expected_meta(params(), data, "clip")
    assert {key for key in before if before[key] != other[key]} == {"extractor", "weights_sha256"}


def test_meta_is_what_the_file_says(data):
    assert made(params(), data).meta == expected_meta(params(), data, "efficientnet_lite0")
    with np.load(data.parent / "stats.npz") as stored:
        assert json.loads(str(stored["meta"]))["count"] == 5
        assert stored["features"].dtype == np.float32 and stored["rows"].dtype == np.int64


def test_too_few_images_and_other_resolutions_are_refused(data):
    describe_as(data, train=[1])
    with pytest.raises(PiganError, match="1 training images; at least 2"):
        made(params(), data)
    write_json(
        data / "dataset.json", {"split": {"train": TRAIN, "held_out": []}, "sha256": {}, "crop": {"filter": "lanczos"}}
    )
    with pytest.raises(PiganError, match="not prepared at 16 pixels"):
        made(params(), data)


@pytest.mark.parametrize("broken", [b"no array", None])
def test_depth_maps_that_cannot_be_read_are_refused(data, broken):
    path = data / f"depth_{SIDE}.npy"
    if broken is None:
        np.save(path, np.zeros((12, 8, 8), np.float32))
    else:
        path.write_bytes(broken)
    with pytest.raises(PiganError, match=r"depth_16.npy: .*run `pigan crop` again") as caught:
        made(params(), data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_files_that_cannot_be_read_are_told_in_one_line(tmp_path, content):
    for path, read in (
        (tmp_path / "stats.npz", load_stats),
        (tmp_path / "images.npy", read_images),
        (tmp_path / "arrays.npz", lambda path: read_arrays(path, ("a",))),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(PiganError, match="no such file" if content is None else "cannot be read") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_arrays_that_are_no_images_or_lack_a_name_are_refused(tmp_path):
    np.save(tmp_path / "depth.npy", np.zeros((2, 4, 4), np.float32))
    with pytest.raises(PiganError, match="no RGB images"):
        read_images(tmp_path / "depth.npy")
    assert read_depth(tmp_path / "depth.npy").shape == (2, 4, 4)
    for array in (
        np.zeros((2, 4, 4, 3), np.float32),
        np.zeros((2, 4, 4, 1), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8),
    ):
        np.save(tmp_path / "images.npy", array)
        with pytest.raises(PiganError, match="no RGB images"):
            read_images(tmp_path / "images.npy")
    for array in (np.zeros((2, 4, 4)), np.zeros((2, 4), np.float32)):
        np.save(tmp_path / "depth.npy", array)
        with pytest.raises(PiganError, match="no depth maps"):
            read_depth(tmp_path / "depth.npy")
    np.savez(tmp_path / "arrays.npz", a=np.zeros(2))
    with pytest.raises(PiganError, match="cannot be read"):
        read_arrays(tmp_path / "arrays.npz", ("a", "b"))
