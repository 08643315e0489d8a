"""The sentences at the top are computed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.tables import ablation_table
from pigan.report.verdict import cautions, comparison, headline, subject

Tree = Callable[[Params], tuple[Path, Path]]
FID, RECALL = "fid_efficientnet_lite0", "recall_efficientnet_lite0"


def with_metrics(params: Params, tree: tuple[Path, Path], values: dict[tuple[str, int], dict[str, float]]) -> Collected:
    data, runs = tree
    for (arm, seed), changes in values.items():
        path = runs / arm / f"seed{seed}" / "metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return collect(params, data, runs)


def test_best_and_worst_arm_are_named(demo: Params, run_tree: Tree) -> None:
    changes = {("concat", 0): {FID: 1.0, RECALL: 0.01}, ("no-growing", 0): {FID: 999.0, RECALL: 0.99}}
    collected = with_metrics(demo, run_tree(demo), changes)
    best, worst = comparison(collected, ablation_table(collected)).split(" Conversely, ")
    assert best.startswith("Of 4 arms, ")
    assert "concat is best on FID" in best or "concat on FID" in best
    assert "no-growing on recall" in best
    assert "no-growing is worst on FID" in worst or "no-growing on FID" in worst
    assert "concat on recall" in worst


def test_arm_without_surfaces_is_best_on_no_depth_metric(demo: Params, run_tree: Tree) -> None:
    empty = {"depth_variance": 0.0, "reprojection_error": None, "depth_consistency": None}
    collected = with_metrics(demo, run_tree(demo), {("concat", 0): empty})
    best, _ = comparison(collected, ablation_table(collected)).split(" Conversely, ")
    assert "all depth metrics" in best and "concat" not in best


def test_headline_has_the_main_arms_numbers(demo: Params, run_tree: Tree) -> None:
    collected = with_metrics(demo, run_tree(demo), {("baseline", 0): {FID: 41.66, RECALL: 0.205}})
    text = headline(collected, ablation_table(collected))
    assert "FID 41.7" in text
    assert "recall 0.205" in text
    assert "(EfficientNet-Lite0 features, one seed)" in text
    assert "±" not in text
    assert "16 → 32 px, seeing 18,400 images" in subject(collected)


def test_lead_within_the_spread_is_called_out(params_with: Callable[..., Params], run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    changes = {("baseline", 0): {FID: 40.0}, ("baseline", 1): {FID: 44.0}}
    changes |= {("concat", 0): {FID: 42.0}, ("concat", 1): {FID: 42.5}}
    collected = with_metrics(params, run_tree(params), changes)
    notes = cautions(collected, ablation_table(collected))
    assert any("FID (baseline before concat)" in note for note in notes)
    assert not any("One seed" in note for note in notes)
    assert "FID 42.0 ± 2.8" in headline(collected, ablation_table(collected))


@pytest.mark.parametrize("key", ["real_images", "filter"])
def test_unequal_protocols_are_called_out(demo: Params, run_tree: Tree, key: str) -> None:
    data, runs = run_tree(demo)
    path = runs / "concat" / "seed0" / "metrics.json"
    values = json.loads(path.read_text())
    values["protocol"][key] = "other"
    path.write_text(json.dumps(values))
    collected = collect(demo, data, runs)
    assert f"The runs were not all measured alike: they differ in {key}." in cautions(
        collected, ablation_table(collected)
    )


def test_unequal_training_is_called_out(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    collected = collect(demo, data, runs)
    # without the first resolution an arm sees fewer images
    notes = cautions(collected, ablation_table(collected))
    assert any("not trained equally: they saw 4,000 to 18,400 images" in note for note in notes)
    for path in runs.glob("*/seed0/r32/state.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"images_seen": 18_400}))
    collected = collect(demo, data, runs)
    assert not any("not trained equally" in note for note in cautions(collected, ablation_table(collected)))
