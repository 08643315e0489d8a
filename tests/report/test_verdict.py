"""The sentences at the top are computed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.metrics import metrics_of
from pigan.report.ranking import ranking
from pigan.report.sections import arm_changes
from pigan.report.tables import ablation_table
from pigan.report.verdict import cautions, comparison, headline, subject

Tree = Callable[[Params], tuple[Path, Path]]
Changes = dict[tuple[str, int], dict[str, float | None]]
FID, RECALL = "fid_efficientnet_lite0", "recall_efficientnet_lite0"


def with_metrics(
    params: Params, tree: tuple[Path, Path], values: dict[tuple[str, int], dict[str, float | None]]
) -> Collected:
    data, runs = tree
    for (arm, seed), changes in values.items():
        path = runs / arm / f"seed{seed}" / "metrics.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return collect(params, data, runs)


def test_best_and_worst_arm_are_named(demo: Params, run_tree: Tree) -> None:
    changes = {("concat", 0): {FID: 1.0, RECALL: 0.01}, ("no-growing", 0): {FID: 999.0, RECALL: 0.99}}
    collected = with_metrics(demo, run_tree(demo), changes)
    best, worst = comparison(collected, ablation_table(collected)).split(" Conversely, ")
    assert best.startswith("Of 4 arms, one seed each, ")
    assert "concat is best on FID" in best or "concat on FID" in best
    assert "no-growing on recall" in best
    assert "no-growing is worst on FID" in worst or "no-growing on FID" in worst
    assert "concat on recall" in worst


def test_metrics_of_shape_are_counted_when_they_are_many(demo: Params, run_tree: Tree) -> None:
    collected = with_metrics(demo, run_tree(demo), {("concat", 0): {"depth_rmse": 1e-4, "normal_error": 0.1}})
    best, _ = comparison(collected, ablation_table(collected)).split(" Conversely, ")
    assert "concat on depth RMSE and normal error" in best
    assert "11 of 13 metrics of shape and views" in best
    assert "endlessly" not in best and "at infinity" not in best


@pytest.mark.parametrize("missing", ["reprojection_error", "depth_reprojection_error", "depth_consistency"])
def test_arm_without_surfaces_is_best_on_no_metric_of_shape(demo: Params, run_tree: Tree, missing: str) -> None:
    empty = {"depth_variance": 0.0, "hollow_share": 0.0, "inversion_psnr": 99.0, missing: None}
    collected = with_metrics(demo, run_tree(demo), {("concat", 0): empty})
    ablation = ablation_table(collected)
    best, _ = comparison(collected, ablation).split(" Conversely, ")
    assert "all metrics of shape and views" in best and "concat" not in best
    assert any(
        note.startswith("concat shows views without surfaces: it is ranked") for note in cautions(collected, ablation)
    )
    assert ablation.set_index("arm")["surfaces"].to_dict() == {arm: arm != "concat" for arm in demo.arms}


def test_one_seed_without_surfaces_keeps_its_arm_out(params_with: Callable[..., Params], run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    empty = {"depth_variance": 0.0, "depth_reprojection_error": None}
    collected = with_metrics(params, run_tree(params), {("baseline", 1): empty})
    metric = next(metric for metric in metrics_of(collected) if metric.key == "depth_variance")
    assert "baseline" not in ranking(metric, ablation_table(collected))


def test_arm_without_an_encoder_is_still_ranked_elsewhere(demo: Params, run_tree: Tree) -> None:
    collected = with_metrics(demo, run_tree(demo), {("baseline", 0): {"pose_error_generated": None}})
    orders = {metric.key: ranking(metric, ablation_table(collected)) for metric in metrics_of(collected)}
    assert "baseline" not in orders["pose_error_generated"]
    assert orders["depth_rmse"][0] == "baseline"
    assert orders["empty_rays"] == orders["memorisation_efficientnet_lite0"] == []


def test_overlapping_intervals_are_called_out(demo: Params, run_tree: Tree) -> None:
    collected = with_metrics(demo, run_tree(demo), {("baseline", 0): {FID: 53.9}, ("no-growing", 0): {FID: 54.0}})
    for arm in ("baseline", "no-growing"):
        collected.first_seed(arm).intervals[FID] = (50.0, 60.0)
    notes = cautions(collected, ablation_table(collected))
    assert any(
        note.startswith("The runs' intervals overlap on these leads: baseline before no-growing on FID")
        for note in notes
    )
    assert "FID was measured on 512 generated images." in " ".join(notes)
    assert "Real images against other real ones have 12.3." in " ".join(notes)
    collected.main.protocol["notes"] = [f"fid_real_{FID[4:]} is that of 30 images, not 512: there are no more"]
    told = " ".join(cautions(collected, ablation_table(collected)))
    assert "Real images against other real ones, of which there are fewer, have 12.3." in told


def test_intervals_that_are_apart_are_not_called_out(demo: Params, run_tree: Tree) -> None:
    collected = with_metrics(demo, run_tree(demo), {("baseline", 0): {FID: 53.9}, ("no-growing", 0): {FID: 57.0}})
    collected.first_seed("no-growing").intervals[FID] = (56.0, 60.0)
    for end, overlaps in ((55.0, False), (56.5, True)):
        collected.first_seed("baseline").intervals[FID] = (50.0, end)
        told = [note for note in cautions(collected, ablation_table(collected)) if "overlap" in note]
        assert any("baseline before no-growing on FID" in note for note in told) == overlaps


def test_two_arms_of_one_seed_are_compared_and_cautioned_of(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    for arm in ("relu-pe", "no-growing"):
        (runs / arm / "seed0" / "metrics.json").unlink()
    collected = collect(demo, data, runs)
    ablation = ablation_table(collected)
    assert comparison(collected, ablation).startswith("Of 2 arms, one seed each, baseline is best on ")
    assert "One seed: differences may be noise." in cautions(collected, ablation)


def test_sides_that_the_main_arm_was_not_trained_at_are_not_named(
    params_with: Callable[..., Params], run_tree: Tree
) -> None:
    params = params_with(report={"main_arm": "no-growing"})
    assert " at 32 px, seeing 4,000 images" in subject(collect(params, *run_tree(params)))


def test_headline_names_only_what_has_a_value(demo: Params, run_tree: Tree) -> None:
    stems = ("fid", "kid", "precision", "recall")
    nulls = {f"{stem}_efficientnet_lite0": None for stem in stems}
    changes = {(arm, 0): {"kid_efficientnet_lite0": None} for arm in demo.arms}
    collected = with_metrics(demo, run_tree(demo), changes)
    assert "KID" not in headline(collected, ablation_table(collected))
    collected = with_metrics(demo, run_tree(demo), {(arm, 0): nulls for arm in demo.arms})
    assert headline(collected, ablation_table(collected)) == "Its image metrics have no value."


def test_headline_has_the_main_arms_numbers(demo: Params, run_tree: Tree) -> None:
    collected = with_metrics(demo, run_tree(demo), {("baseline", 0): {FID: 41.66, RECALL: 0.205}})
    text = headline(collected, ablation_table(collected))
    assert "FID 41.7" in text
    assert "recall 0.205" in text
    assert "(EfficientNet-Lite0 features, one seed)" in text
    assert "±" not in text
    assert "16 → 32 px, seeing 18,400 images" in subject(collected)


def test_several_seeds_are_in_the_sentence_and_no_luck_is_claimed(
    params_with: Callable[..., Params], run_tree: Tree
) -> None:
    params = params_with(seeds=[0, 1])
    changes = {("baseline", 0): {FID: 40.0}, ("baseline", 1): {FID: 44.0}}
    collected = with_metrics(params, run_tree(params), changes)
    notes = cautions(collected, ablation_table(collected))
    assert not any("One seed" in note for note in notes)
    assert "FID 42.0 ± 2.8" in headline(collected, ablation_table(collected))
    assert "mean ± standard deviation over 2 seeds" in headline(collected, ablation_table(collected))


@pytest.mark.parametrize(("empty", "told"), [(0.23, True), (0.7, False), (0.9, False), (None, False)])
def test_painted_background_is_called_out(demo: Params, run_tree: Tree, empty: float | None, told: bool) -> None:
    collected = with_metrics(demo, run_tree(demo), {("concat", 0): {"empty_rays": empty, "empty_rays_real": 0.79}})
    notes = [note for note in cautions(collected, ablation_table(collected)) if "background" in note]
    assert len(notes) == told
    if told:
        assert notes[0].startswith(
            "concat paints part of the background as a surface: 23% of its rays meet nothing, 79%"
        )
        assert "opacity_weight, 0.3 here" in notes[0]


@pytest.mark.parametrize("real", [None, 0.79, 1.0])
@pytest.mark.parametrize(("empty", "told"), [(1.0, True), (0.9995, True), (0.99, False), (None, False)])
def test_nothing_but_background_is_called_out(
    demo: Params, run_tree: Tree, empty: float | None, real: float | None, told: bool
) -> None:
    collected = with_metrics(demo, run_tree(demo), {("concat", 0): {"empty_rays": empty, "empty_rays_real": real}})
    notes = [note for note in cautions(collected, ablation_table(collected)) if "background" in note]
    assert len(notes) == told
    if told:
        assert notes[0].startswith(f"concat generates nothing but background: {empty:.1%} of its rays meet no surface.")
        assert "training.density_noise_steps, 300 here" in notes[0]


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


def test_arms_that_start_from_a_model_are_named(params_with: Callable[..., Params], run_tree: Tree) -> None:
    start = {"training": {"pretrained": {"path": "cars-32", "sha256": "cd" * 32}}}
    params = params_with(arms={"relu-pe": start, "concat": start})
    collected = collect(params, *run_tree(params))
    told = [note for note in cautions(collected, ablation_table(collected)) if "started from" in note]
    assert len(told) == 1 and told[0].startswith("relu-pe and concat started from the weights of cars-32: what that")
    assert arm_changes(params, "concat") == [
        "model.field: film-siren → concat-siren",
        "training.pretrained.path: None → cars-32",
        f"training.pretrained.sha256: None → {'cd' * 32}",
    ]


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
