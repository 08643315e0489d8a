"""From folders of arrays to metrics.json: which metrics there are, what they say of themselves, what is refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from torch import nn

from pigan import config
from pigan.errors import PiganError
from pigan.evaluation import evaluate as stage
from pigan.evaluation import stats
from pigan.evaluation.evaluate import evaluate
from pigan.evaluation.extractors import Classifier, Extractor
from pigan.evaluation.measured import ACROSS_VIEWS
from pigan.evaluation.stats import real_stats
from pigan.files import write_json
from pigan.rendering.cameras import look_at_origin

CPU = torch.device("cpu")
SIDE = 16
DEMO = Path(config.__file__).parent / "presets" / "demo.yaml"
GENERATED, OBJECTS, VIEWS, HELD_OUT = 12, 3, 5, 4
# of the extractors that have classes, with true depth
OF_IMAGES = ("fid", "fid_infinity", "fid_real", "kid", "kid_std", "precision", "recall", "memorisation")
OF_SHAPES = (
    *("reprojection_error", "depth_reprojection_error", "visible_share", "depth_consistency", "depth_variance"),
    *("hollow_share", "empty_rays", "empty_rays_real"),
)
EXACT = tuple(f"{name}_exact" for name in ACROSS_VIEWS)
OF_TRUTH = (
    *("inversion_psnr", "depth_rmse", "depth_abs_rel", "depth_delta", "depth_zscore_mse", "normal_error"),
    *("pose_error_generated", "pose_error_real"),
)


class Blocks(nn.Module):
    """Mean colours of the four quarters."""

    def forward(self, images):
        return (nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1),)


def load(name, _):
    """A network that is loaded in no time; only one of the two has classes."""
    has_classes = name == "efficientnet_lite0"
    weight = np.random.default_rng(1).normal(0, 0.05, (6, 12)).astype(np.float32)
    return Extractor(name, Blocks(), 12, Classifier(weight, None) if has_classes else None)


@pytest.fixture(autouse=True)
def _quick_networks(monkeypatch):
    for module in (stats, stage):
        monkeypatch.setattr(module, "load_extractor", load)
    monkeypatch.setattr(stats, "weights_sha256", lambda name, _: hashlib.sha256(name.encode()).hexdigest())


def params(**changes):
    evaluation = {"real_images": 14, "half_samples": 5, "infinity_points": 3, "kid_subsets": 3, "kid_subset_size": 100}
    evaluation |= {"neighbours": 2, "inception_splits": 2, "batch_size": 5, **changes}
    values = config.load(DEMO).model_dump()
    generation = {"resolution": SIDE, "images": GENERATED, "consistency_latents": OBJECTS}
    return config.parse(config.merge(values, {"generate": generation, "evaluate": evaluation}))


def ball_depth(shape):
    """z-depth of a ball before nothing."""
    across = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    under = 0.6 - across[:, None] ** 2 - across**2
    depth = np.where(under > 0, 1 - 0.2 * np.sqrt(np.maximum(under, 0)), np.nan).astype(np.float32)
    return np.broadcast_to(depth, (*shape, SIDE, SIDE)).copy()


def cameras(yaw):
    yaw = torch.as_tensor(yaw, dtype=torch.float32)
    return look_at_origin(yaw, torch.full_like(yaw, 1.3), 1.0).numpy()


def write_prepared(folder, rng, depth=True):
    folder.mkdir(parents=True)
    count = 30
    images = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    np.save(folder / f"images_{SIDE}.npy", images)
    hashes = {f"images_{SIDE}.npy": "ab" * 32}
    if depth:
        np.save(folder / f"depth_{SIDE}.npy", ball_depth((count,)))
        hashes[f"depth_{SIDE}.npy"] = "ac" * 32
    write_json(
        folder / "dataset.json",
        {
            "name": "cars",
            "count": count,
            "names": [f"{number}.png" for number in range(count)],
            "resolutions": [SIDE],
            "crop": {"filter": "lanczos"},
            "split": {"train": list(range(HELD_OUT, count)), "held_out": list(range(HELD_OUT))},
            "sha256": hashes,
        },
    )


def write_generated(folder, rng):
    folder.mkdir(parents=True)

    def noise(*shape):
        return rng.integers(0, 256, (*shape, SIDE, SIDE, 3), dtype=np.uint8)

    np.save(folder / f"images_{SIDE}.npy", noise(GENERATED))
    np.save(folder / f"depth_{SIDE}.npy", ball_depth((GENERATED,)))
    few = np.full(GENERATED, 0.5, np.float32)
    np.savez(folder / "geometry.npz", depth_variance=few * 4e-4, opacity=few, empty=few)
    np.savez(
        folder / "consistency.npz",
        images=noise(OBJECTS, VIEWS),
        depth=ball_depth((OBJECTS, VIEWS)),
        cam2world=cameras(np.linspace(1.2, 2.0, VIEWS)),
        fov=np.float64(0.5),
    )
    np.savez(
        folder / "pairs.npz", images=noise(OBJECTS, 2), yaw=rng.random((OBJECTS, 2)), pitch=rng.random((OBJECTS, 2))
    )
    target = noise(HELD_OUT)
    np.savez(
        folder / "inversion.npz",
        rows=np.arange(HELD_OUT),
        target=target,
        images=target,
        # as good as true: of another scale, and shifted
        depth=np.nan_to_num(2 * ball_depth((HELD_OUT,)) + 1, nan=1.25),
        true_depth=ball_depth((HELD_OUT,)),
        cam2world=cameras(np.linspace(0, 3, HELD_OUT)),
        fov=np.full(HELD_OUT, 0.5, np.float32),
    )
    true = rng.uniform(0.5, 1.0, (GENERATED, 2)).astype(np.float32)
    np.savez(folder / "pose.npz", generated=true, generated_true=true, real=true[:3], real_true=true[:3] + 0.1)
    (folder / "snapshots").mkdir()
    shown = []
    for step in (100, 200):
        np.save(folder / "snapshots" / f"images_{step:07d}.npy", noise(6))
        shown.append({"step": step, "images_seen": 16 * step, "resolution": 16, "weights": "ema"})
        shown[-1]["file"] = f"images_{step:07d}.npy"
    write_json(folder / "snapshots" / "index.json", {"snapshots": shown})
    write_json(
        folder / "generated.json",
        {
            "resolution": SIDE,
            "images": GENERATED,
            "truncation": 0.7,
            "weights": "ema",
            "checkpoint_sha256": "cd" * 32,
            "sampling": {"camera": {"pose_law": "gaussian"}},
            "missing": {},
        },
    )


@pytest.fixture
def folder(tmp_path):
    """Prepared data, its statistics and generated arrays."""
    rng = np.random.default_rng(0)
    write_prepared(tmp_path / "data", rng)
    write_generated(tmp_path / "generated", rng)
    measure_real(tmp_path, params())
    return tmp_path


def measure_real(folder, used):
    for name in used.evaluate.extractors:
        real_stats(used, folder / "data", name, folder / "stats" / f"{name}_{SIDE}.npz", [CPU])


def run(folder, used=None):
    out, pictures = folder / "metrics.json", folder / "evaluated"
    evaluate(used or params(), folder / "data", folder / "stats", folder / "generated", pictures, out, [CPU])
    return json.loads(out.read_text())


def edit(path, **changes):
    write_json(path, {**json.loads(path.read_text()), **changes})


def edit_arrays(path, **changes):
    with np.load(path) as stored:
        arrays = {**stored}
    np.savez(path, **(arrays | changes))


def test_every_metric_is_there_with_interval_and_protocol(folder):
    metrics = run(folder)
    named = [f"{name}_efficientnet_lite0" for name in (*OF_IMAGES, "inception_score", "fid_depth", "kid_depth")]
    assert {*named, *OF_SHAPES, *EXACT, *OF_TRUTH} == set(metrics) - {"intervals", "curve", "seconds", "protocol"}
    assert all(isinstance(metrics[name], float) for name in (*named, *OF_SHAPES, *EXACT, *OF_TRUTH))
    for name, (low, high) in metrics["intervals"].items():
        assert low <= metrics[name] <= high, name
    assert {"fid_efficientnet_lite0", "kid_efficientnet_lite0", "depth_rmse"} <= set(metrics["intervals"])
    # the inverted views are the targets, and their depth is the truth but for scale and shift
    assert metrics["depth_rmse"] == pytest.approx(0, abs=1e-6) and metrics["depth_delta"] == 1
    assert metrics["hollow_share"] == 0 and metrics["empty_rays"] == 0.5
    assert metrics["depth_variance"] == pytest.approx(2)
    assert metrics["pose_error_generated"] == pytest.approx(0, abs=1e-4) and metrics["pose_error_real"] > 1
    protocol = metrics["protocol"]
    assert (protocol["real_images"], protocol["fake_images"], protocol["kid_subset_size"]) == (14, 12, 12)
    assert (protocol["weights"], protocol["truncation"], protocol["protocol"]) == ("ema", 0.7, "clean")
    assert protocol["sampling"]["camera"]["pose_law"] == "gaussian"
    assert protocol["checkpoint_sha256"] == "cd" * 32 and len(protocol["weights_sha256"]) == 64
    assert not [note for note in protocol["notes"] if "is null" in note]


def test_metrics_along_training_are_of_equally_many_images(folder):
    curve = run(folder)["curve"]
    assert [row["images_seen"] for row in curve] == [1600, 3200]
    assert all(row["images"] == 6 and row["fid_efficientnet_lite0"] > 0 for row in curve)
    assert all(isinstance(row["kid_efficientnet_lite0"], float) for row in curve)


def test_pictures_show_neighbours_and_inversions(folder):
    run(folder)
    with Image.open(folder / "evaluated" / "neighbours.png") as sheet:
        assert sheet.width > sheet.height > 6 * SIDE
    with Image.open(folder / "evaluated" / "inversion.png") as sheet:
        # five rows of four views
        assert sheet.height > sheet.width


def test_each_extractor_measures_once_and_under_its_own_name(folder, monkeypatch):
    used, calls = params(extractors=["dinov2", "efficientnet_lite0"]), []
    measure_real(folder, used)
    original = stage.extract
    monkeypatch.setattr(stage, "extract", lambda *arguments: calls.append(arguments[4]) or original(*arguments))
    metrics = run(folder, used)
    assert metrics["fid_dinov2"] == metrics["fid_efficientnet_lite0"]
    # without classes there is no Inception score
    assert "inception_score_efficientnet_lite0" in metrics and "inception_score_dinov2" not in metrics
    assert "fid_dinov2" in metrics["curve"][0]
    assert len(calls) == len(set(calls)) == 2 * 2 + 2
    hashes = {name: of["weights_sha256"] for name, of in metrics["protocol"]["extractors"].items()}
    assert len(set(hashes.values())) == 2


def test_two_devices_measure_the_same(folder):
    one = run(folder)
    evaluate(
        params(),
        folder / "data",
        folder / "stats",
        folder / "generated",
        folder / "two",
        folder / "two.json",
        [CPU, CPU],
    )
    two = json.loads((folder / "two.json").read_text())
    assert one | {"seconds": 0} == two | {"seconds": 0}


def test_what_was_not_made_is_null_with_its_reason(folder):
    edit(
        folder / "generated" / "generated.json",
        missing={"inversion": "no cameras", "pose": "training.pose_weight is 0"},
    )
    for name in ("inversion.npz", "pose.npz"):
        (folder / "generated" / name).unlink()
    metrics = run(folder)
    assert all(metrics[name] is None for name in OF_TRUTH)
    notes = metrics["protocol"]["notes"]
    assert "depth_rmse is null: no cameras" in notes and "pose_error_real is null: training.pose_weight is 0" in notes
    assert not (folder / "evaluated" / "inversion.png").exists()


def test_geometry_of_nothing_is_null_with_a_reason(folder):
    nothing = np.full((OBJECTS, VIEWS, SIDE, SIDE), np.nan, np.float32)
    edit_arrays(folder / "generated" / "consistency.npz", depth=nothing)
    metrics = run(folder)
    for name in ("reprojection_error", "depth_reprojection_error", "depth_consistency", "hollow_share"):
        assert metrics[name] is None
        assert any(note.startswith(f"{name} is null: nothing") for note in metrics["protocol"]["notes"])


def test_data_without_depth_has_no_metrics_of_true_depth(folder):
    shutil.rmtree(folder / "data")
    write_prepared(folder / "data", np.random.default_rng(0), depth=False)
    unknown = np.full((HELD_OUT, SIDE, SIDE), np.nan, np.float32)
    edit_arrays(folder / "generated" / "inversion.npz", true_depth=unknown)
    measure_real(folder, params())
    metrics = run(folder)
    assert metrics["depth_rmse"] is None and metrics["inversion_psnr"] is not None
    assert metrics["empty_rays_real"] is None
    assert not any(name.startswith("fid_depth") for name in metrics)


def test_data_without_an_exact_renderer_says_so(folder):
    values = params().model_dump()
    used = config.parse(config.merge(values, {"dataset": {"kind": "folder", "source": "photos", "cars": None}}))
    metrics = run(folder, used)
    assert all(metrics[name] is None for name in EXACT)
    assert all(isinstance(metrics[name], float) for name in ACROSS_VIEWS)
    said = "depth_consistency_exact is null: dataset.kind folder has no exact renderer here, only cars has"
    assert said in metrics["protocol"]["notes"]


def write_network(path, outputs):
    """Colours in, mean over everything but `outputs` axes out."""
    shape = [None, 3, SIDE, SIDE]
    node = helper.make_node("ReduceMean", ["images", "axes"], ["answer"], keepdims=0)
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(outputs)], outputs)
    graph = helper.make_graph(
        [node],
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [axes],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    trusted = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"path": str(path), "sha256": trusted, "side": SIDE, "mean": [0.5] * 3, "std": [0.5] * 3}


def test_networks_of_the_user_are_asked_when_there_are_some(folder):
    depth = write_network(folder / "depth.onnx", [1]) | {"says": "disparity"}
    face = write_network(folder / "face.onnx", [2, 3])
    metrics = run(folder, params(depth_estimator=depth, face_embedder=face))
    assert metrics["depth_estimated_zscore_mse"] > 0
    assert -1 <= metrics["identity_similarity"] <= 1
    assert metrics["protocol"]["face_embedder"] == face["sha256"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"real_images": 9}, "count 14, not 9"), ({"seed": 3}, "rows_sha256 .*, not .*"), ({"kid_subsets": 7}, None)],
)
def test_statistics_of_other_params_are_refused(folder, changes, said):
    if said is None:
        # only what the real features depend on
        run(folder, params(**changes))
        return
    with pytest.raises(PiganError, match=f"made with {said}; run `pigan real-stats` again"):
        run(folder, params(**changes))
    assert not (folder / "metrics.json").exists() and not (folder / "evaluated").exists()


def test_images_of_another_resolution_are_refused(folder):
    edit(folder / "generated" / "generated.json", resolution=64)
    with pytest.raises(PiganError, match="made at 64 pixels, params say 16"):
        run(folder)


@pytest.mark.parametrize(
    "missing",
    [
        f"stats/efficientnet_lite0_{SIDE}.npz",
        "data/dataset.json",
        f"generated/images_{SIDE}.npy",
        f"generated/depth_{SIDE}.npy",
        "generated/consistency.npz",
        "generated/inversion.npz",
        "generated/snapshots/index.json",
    ],
)
def test_a_missing_input_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(PiganError, match=missing.rpartition("/")[2]):
        run(folder)
