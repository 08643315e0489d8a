import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pigan import config
from pigan.errors import PiganError
from pigan.evaluation.evaluate import evaluate
from pigan.evaluation.stats import load_stats, real_stats
from pigan.files import write_json

CPU = torch.device("cpu")
SIDE = 16
TRAIN = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]


def small_params(**changes):
    values = config.load(Path(config.__file__).parent / "presets" / "demo.yaml").model_dump()
    section = {"real_images": 8, "kid_subsets": 3, "kid_subset_size": 100, "neighbours": 2, **changes}
    return config.parse(config.merge(values, {"generate": {"resolution": SIDE, "images": 6}, "evaluate": section}))


def write_prepared(folder, rng):
    folder.mkdir(parents=True)
    images = rng.integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
    np.save(folder / f"images_{SIDE}.npy", images)
    dataset = {
        "crop": {"filter": "lanczos"},
        "split": {"train": TRAIN, "held_out": [0, 4]},
        "sha256": {f"images_{SIDE}.npy": "ab" * 32},
    }
    write_json(folder / "dataset.json", dataset)
    return images


def write_generated(folder, rng):
    folder.mkdir(parents=True)
    np.save(folder / f"images_{SIDE}.npy", rng.integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8))
    depth = np.full((2, 3, SIDE, SIDE), np.nan, dtype=np.float32)
    depth[..., 4:12, 4:12] = 1.0
    np.savez(
        folder / "consistency.npz",
        images=rng.integers(0, 256, (2, 3, SIDE, SIDE, 3), dtype=np.uint8),
        depth=depth,
        cam2world=np.stack([np.eye(4, dtype=np.float32)] * 3),
        fov=np.float64(0.5),
    )
    np.savez(folder / "geometry.npz", depth_variance=np.full(6, 2e-4, np.float32), opacity=np.full(6, 0.5, np.float32))
    made = {
        "resolution": SIDE,
        "truncation": 0.7,
        "weights": "ema",
        "checkpoint_sha256": "cd" * 32,
    }
    write_json(folder / "generated.json", made)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A prepared dataset, its statistics and generated images."""
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    write_prepared(folder / "data", rng)
    write_generated(folder / "generated", rng)
    real_stats(small_params(), folder / "data", folder / "stats.npz", CPU)
    return folder


@pytest.fixture
def copied(inputs, tmp_path):
    return Path(shutil.copytree(inputs, tmp_path / "inputs"))


def run(folder, params=None):
    out = folder / "metrics.json"
    evaluate(params or small_params(), folder / "data", folder / "stats.npz", folder / "generated", out, CPU)
    return json.loads(out.read_text())


def test_statistics_hold_the_first_training_images_and_their_provenance(inputs):
    stats = load_stats(inputs / "stats.npz")
    assert stats.features.shape == (8, 1280)
    assert stats.features.dtype == np.float32
    np.testing.assert_allclose(stats.fitted.mean, stats.features.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(stats.fitted.covariance, np.cov(stats.features, rowvar=False), rtol=1e-3, atol=1e-4)
    assert stats.meta["count"] == 8
    assert stats.meta["extractor"] == "efficientnet_lite0"
    assert stats.meta["dataset_sha256"] == "ab" * 32


def test_statistics_never_see_held_out_images(copied):
    images = np.load(copied / "data" / f"images_{SIDE}.npy")
    images[[0, 4]] = 255
    np.save(copied / "data" / f"images_{SIDE}.npy", images)
    before = load_stats(copied / "stats.npz")
    real_stats(small_params(), copied / "data", copied / "again.npz", CPU)
    np.testing.assert_array_equal(load_stats(copied / "again.npz").features, before.features)


def test_statistics_are_the_same_bytes_each_time(copied):
    real_stats(small_params(), copied / "data", copied / "again.npz", CPU)
    assert (copied / "again.npz").read_bytes() == (copied / "stats.npz").read_bytes()


def test_metrics_are_numbers_with_their_whole_protocol(copied):
    metrics = run(copied)
    protocol = metrics["protocol"]
    for name in ("fid", "kid", "kid_std", "precision", "recall"):
        assert isinstance(metrics[f"{name}_efficientnet_lite0"], float)
    assert metrics["fid_efficientnet_lite0"] > 0
    assert metrics["depth_consistency"] == 0
    assert metrics["depth_variance"] == pytest.approx(2)
    # noise that is reprojected onto other noise in -1..1: twice a uniform's variance of 1/3
    assert metrics["reprojection_error"] == pytest.approx(2 / 3, rel=0.2)
    assert protocol["real_images"] == 8
    assert protocol["fake_images"] == 6
    assert protocol["kid_subset_size"] == 6
    assert protocol["truncation"] == 0.7
    assert protocol["weights"] == "ema"
    assert protocol["checkpoint_sha256"] == "cd" * 32
    assert protocol["filter"] == "lanczos"
    assert any("KID subsets hold 6 images, not 100" in note for note in protocol["notes"])
    assert any("biased upwards" in note for note in protocol["notes"])


def test_geometry_of_nothing_is_null_with_a_reason(copied, monkeypatch):
    # slow, and tested elsewhere
    monkeypatch.setattr("pigan.evaluation.evaluate.frechet_distance", lambda *_: 1.0)
    path = copied / "generated" / "consistency.npz"
    with np.load(path) as stored:
        views = dict(stored)
    np.savez(path, **{**views, "depth": np.full_like(views["depth"], np.nan)})
    metrics = run(copied)
    assert metrics["reprojection_error"] is None
    assert metrics["depth_consistency"] is None
    assert any(note.startswith("reprojection_error is null: nothing") for note in metrics["protocol"]["notes"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"protocol": "official"}, "made with protocol clean, not official"), ({"real_images": 9}, "count 8, not 9")],
)
def test_statistics_of_another_protocol_are_refused(copied, changes, said):
    with pytest.raises(PiganError, match=said):
        run(copied, small_params(**changes))


def test_images_of_another_resolution_are_refused(copied):
    path = copied / "generated" / "generated.json"
    write_json(path, {**json.loads(path.read_text()), "resolution": 64})
    with pytest.raises(PiganError, match="made at 64 pixels, params say 16"):
        run(copied)


@pytest.mark.parametrize(
    "missing", ["stats.npz", "data/dataset.json", f"generated/images_{SIDE}.npy", "generated/consistency.npz"]
)
def test_a_missing_input_is_named(copied, missing):
    (copied / missing).unlink()
    with pytest.raises(PiganError, match=missing.rpartition("/")[2]):
        run(copied)


def test_broken_and_foreign_arrays_are_refused(copied):
    stats = copied / "stats.npz"
    stats.write_bytes(stats.read_bytes()[:1000])
    with pytest.raises(PiganError, match="delete it and run its stage again"):
        load_stats(stats)
    np.save(copied / "data" / f"images_{SIDE}.npy", np.zeros((2, 2)))
    with pytest.raises(PiganError, match="no RGB images"):
        real_stats(small_params(), copied / "data", copied / "again.npz", CPU)


def test_data_prepared_at_other_resolutions_says_which_is_missing(copied):
    values = small_params().model_dump()
    params = config.parse(config.merge(values, {"generate": {"resolution": 64}}))
    with pytest.raises(PiganError, match="not prepared at 64 pixels"):
        real_stats(params, copied / "data", copied / "again.npz", CPU)
