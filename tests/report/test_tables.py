"""Tables and the way numbers are written."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.config import Params
from pigan.report.collect import collect
from pigan.report.tables import (
    CURVE_COLUMNS,
    ablation_table,
    curve_table,
    decimals,
    intervals_table,
    stage_table,
    training_table,
    write_duration,
    write_interval,
    write_number,
    write_spread,
)

Tree = Callable[[Params], tuple[Path, Path]]


def test_ablation_is_mean_deviation_and_difference_over_seeds(
    params_with: Callable[..., Params], run_tree: Tree
) -> None:
    params = params_with(seeds=[0, 1, 2], report={"main_arm": "concat"})
    collected = collect(params, *run_tree(params))
    table = ablation_table(collected).set_index("arm")
    values = {arm: [run.metrics["fid_efficientnet_lite0"] for run in collected.of_arm(arm)] for arm in params.arms}
    for arm, numbers in values.items():
        assert table["fid_efficientnet_lite0_mean"][arm] == pytest.approx(np.mean(numbers))
        assert table["fid_efficientnet_lite0_std"][arm] == pytest.approx(np.std(numbers, ddof=1))
        away = np.mean(numbers) - np.mean(values["concat"])
        assert table["fid_efficientnet_lite0_difference"][arm] == pytest.approx(away)
    assert list(table.index) == list(params.arms)
    assert (table["n"] == 3).all()


def test_ablation_has_all_extractors_and_no_accompanying_numbers(
    params_with: Callable[..., Params], run_tree: Tree
) -> None:
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2"]})
    columns = set(ablation_table(collect(params, *run_tree(params))).columns)
    assert {"fid_efficientnet_lite0_mean", "fid_dinov2_mean", "recall_dinov2_std"} <= columns
    assert not {"fid_real_dinov2_mean", "kid_std_dinov2_mean", "empty_rays_real_mean"} & columns
    assert "depth_consistency_mean" in columns and "depth_consistency_exact_mean" not in columns
    # classes are needed for the Inception score
    assert "inception_score_dinov2_mean" not in columns
    assert "inception_score_efficientnet_lite0_mean" in columns


def test_intervals_are_one_row_a_number(params_with: Callable[..., Params], run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    collected = collect(params, *run_tree(params))
    table = intervals_table(collected)
    assert list(table.columns) == ["arm", "seed", "metric", "value", "low", "high"]
    assert len(table) == sum(len(run.intervals) for run in collected.runs) > 0
    row = table[(table["arm"] == "concat") & (table["seed"] == 1) & (table["metric"] == "depth_rmse")]
    value = collected.of_arm("concat")[1].metrics["depth_rmse"]
    assert row[["value", "low", "high"]].to_numpy().tolist() == [[value, value * 0.96, value * 1.05]]


def test_curve_is_one_row_a_snapshot(demo: Params, run_tree: Tree) -> None:
    collected = collect(demo, *run_tree(demo))
    table = curve_table(collected)
    assert len(table) == 4 * len(demo.arms)
    assert list(table.columns) == [*CURVE_COLUMNS, "fid_efficientnet_lite0", "kid_efficientnet_lite0"]
    empty = [replace(run, curve=run.curve.iloc[:0]) for run in collected.runs]
    assert list(curve_table(replace(collected, runs=empty)).columns) == CURVE_COLUMNS


def test_training_table_is_every_line_of_every_log(demo: Params, run_tree: Tree) -> None:
    table = training_table(collect(demo, *run_tree(demo)))
    assert len(table) == 3 * 140 + 50
    assert list(table.columns[:6]) == ["arm", "seed", "resolution", "step", "global_step", "images_seen"]
    assert table.groupby(["arm", "seed"])["images_seen"].is_monotonic_increasing.all()


def test_stage_images_add_up(demo: Params, run_tree: Tree) -> None:
    table = stage_table(collect(demo, *run_tree(demo)))
    assert table.groupby("arm")["images"].sum().to_dict() == {
        "baseline": 18_400,
        "concat": 18_400,
        "relu-pe": 18_400,
        "no-growing": 4_000,
    }
    assert math.isnan(table[(table["arm"] == "no-growing") & (table["resolution"] == 16)]["images_per_second"].item())


@pytest.mark.parametrize(
    ("values", "digits", "text"),
    [
        ([41.66, 89.4], 1, "41.7"),
        ([0.02131, 0.0611], 4, "0.0213"),
        ([12345.6], 0, "12,346"),
        ([-0.25, 0.5], 3, "−0.250"),
        ([3.2e-7], None, "3.20e−07"),
        ([0.0, math.nan], 2, "0.00"),
    ],
)
def test_columns_share_their_digits(values: list[float], digits: int | None, text: str) -> None:
    assert decimals(values) == digits
    assert write_number(values[0], digits) == text


@given(st.lists(st.floats(-1e12, 1e12), max_size=6))
def test_any_column_can_be_written(values: list[float]) -> None:
    digits = decimals(values)
    for value in values:
        back = float(write_number(value, digits).replace("−", "-").replace(",", ""))
        closeness = {"rel": 5e-3} if digits is None else {"rel": 1e-12, "abs": 0.5001 * 10**-digits}
        assert back == pytest.approx(value, **closeness)


def test_interval_has_the_digits_of_its_value() -> None:
    assert write_interval((151.2, 163.4), 0) == "[151, 163]"
    assert write_interval((-0.0123, 0.02), 3) == "[−0.012, 0.020]"


def test_small_spread_is_never_a_plain_zero() -> None:
    assert write_spread(0.3, 1) == "0.3"
    assert write_spread(0.004, 1) == "0.004"
    assert write_spread(0.0, 1) == "0.0"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (3.21, "3.2 s"),
        (59.99, "60.0 s"),
        (86.0, "1 min 26 s"),
        (7260.0, "2 h 1 min"),
        (200_000.0, "2 d 7 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert write_duration(seconds) == text
