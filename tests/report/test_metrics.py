"""Which numbers are metrics, what they are called, and what is said of those that are null."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.metrics import (
    further_metrics,
    headline_metrics,
    image_metrics,
    known_metrics,
    metrics_of,
    shape_metrics,
    unmeasured,
)
from pigan.report.tables import metrics_table

Tree = Callable[[Params], tuple[Path, Path]]


def changed(params: Params, tree: tuple[Path, Path], arms: list[str], **values: Any) -> Collected:
    data, runs = tree
    for arm in arms:
        path = runs / arm / "seed0" / "metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return collect(params, data, runs)


def test_names_carry_the_extractor_and_what_accompanies_is_no_metric(demo: Params, run_tree: Tree) -> None:
    collected = collect(demo, *run_tree(demo))
    keys = [metric.key for metric in metrics_of(collected)]
    stems = ["fid", "fid_infinity", "kid", "precision", "recall", "inception_score", "memorisation"]
    assert keys[:7] == [f"{stem}_efficientnet_lite0" for stem in stems]
    beside = {"kid_std_efficientnet_lite0", "fid_real_efficientnet_lite0", "empty_rays_real"}
    beside |= {"reprojection_error_exact", "visible_share_exact"}
    assert not beside & set(keys)
    assert beside <= set(metrics_table(collected).columns)


def test_every_metric_says_what_it_means_in_its_group() -> None:
    metrics = known_metrics("clip")
    assert len({metric.key for metric in metrics}) == len({metric.label for metric in metrics}) == len(metrics)
    assert all(metric.meaning and metric.arrow in "↓↑" for metric in metrics)
    assert {metric.group for metric in image_metrics("clip")} == {"image"}
    assert {metric.group for metric in shape_metrics()} == {"shape"}
    sides = {metric.key: metric.better for metric in metrics}
    assert sides["memorisation_clip"] == sides["empty_rays"] == sides["visible_share"] == "neither"
    assert sides["depth_delta"] == sides["inversion_psnr"] == sides["identity_similarity"] == "higher"
    assert sides["normal_error"] == sides["pose_error_generated"] == sides["hollow_share"] == "lower"


def test_labels_in_sentences_keep_their_names() -> None:
    written = {metric.key: metric.in_text for metric in known_metrics("inception")}
    assert written["fid_infinity_inception"] == "FID at infinity"
    assert written["inception_score_inception"] == "Inception score"
    assert written["inversion_psnr"] == "PSNR of inversions"
    assert written["depth_rmse"] == "depth RMSE"


def test_unknown_number_becomes_a_metric_of_its_own(demo: Params, run_tree: Tree) -> None:
    metric = metrics_of(changed(demo, run_tree(demo), ["baseline"], chairs_counted=3))[-1]
    assert (metric.key, metric.better, metric.group) == ("chairs_counted", "neither", "other")


def test_nested_keys_are_no_metrics(demo: Params, run_tree: Tree) -> None:
    keys = {metric.key for metric in metrics_of(collect(demo, *run_tree(demo)))}
    assert not {"intervals", "curve", "protocol", "seconds"} & keys


def test_metric_that_is_null_everywhere_is_left_out_and_named_with_its_reason(demo: Params, run_tree: Tree) -> None:
    notes = [
        "depth_rmse and depth_abs_rel are null: the data has no depth",
        "normal_error is null: the data has no depth",
    ]
    tree, nulls = (
        run_tree(demo),
        {"depth_rmse": None, "depth_abs_rel": None, "normal_error": None, "hollow_share": None},
    )
    collected = changed(demo, tree, list(demo.arms), **nulls, protocol={"notes": notes})
    assert not set(nulls) & {metric.key for metric in metrics_of(collected)}
    found = unmeasured(collected)
    assert found["the data has no depth"] == ["Depth RMSE", "Depth AbsRel", "Normal error"]
    assert "Hollow share" in found["no reason was noted"]


def test_metric_that_is_null_in_some_runs_stays(demo: Params, run_tree: Tree) -> None:
    collected = changed(demo, run_tree(demo), ["concat"], depth_rmse=None)
    assert "depth_rmse" in {metric.key for metric in metrics_of(collected)}
    assert "Depth RMSE" not in [label for labels in unmeasured(collected).values() for label in labels]


def test_further_extractors_have_their_own_metrics(params_with: Callable[..., Params], run_tree: Tree) -> None:
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2", "inception"]})
    collected = collect(params, *run_tree(params))
    further = further_metrics(collected)
    assert [metric.key for metric in further["dinov2"]] == [
        f"{s}_dinov2" for s in ("fid", "kid", "precision", "recall")
    ]
    assert "inception_score_inception" in [metric.key for metric in further["inception"]]
    assert all(
        metric.key.endswith("_efficientnet_lite0") for metric in metrics_of(collected) if metric.group == "image"
    )


def test_headline_is_a_selection(demo: Params, run_tree: Tree) -> None:
    collected = collect(demo, *run_tree(demo))
    keys = [metric.key for metric in headline_metrics(collected)]
    assert keys[0] == "fid_efficientnet_lite0"
    assert {"memorisation_efficientnet_lite0", "depth_rmse", "hollow_share"} <= set(keys)
    assert len(keys) < len(metrics_of(collected))
