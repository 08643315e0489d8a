"""Plots of metrics by arm and along training."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pigan.config import Params
from pigan.report.armfigures import by_arm_numbers, draw_by_arm, draw_precision_recall, precision_recall_numbers
from pigan.report.collect import Collected, collect
from pigan.report.figures import arm_styles
from pigan.report.metrics import DEPTH_PLOT, metrics_of
from pigan.report.runfigures import draw_curve
from pigan.report.tables import curve_table, intervals_table, metrics_table, training_table

Tree = Callable[[Params], tuple[Path, Path]]
FID = "fid_efficientnet_lite0"


@pytest.fixture
def collected(demo: Params, run_tree: Tree) -> Collected:
    return collect(demo, *run_tree(demo))


def by_arm(collected: Collected, keys: Sequence[str], path: Path, intervals: bool = True) -> str:
    metrics = [metric for metric in metrics_of(collected) if metric.key in keys]
    styles = arm_styles(list(collected.params.arms), "baseline")
    table = intervals_table(collected)
    numbers = by_arm_numbers(metrics, metrics_table(collected), table if intervals else table.iloc[:0])
    draw_by_arm(path, numbers, metrics, styles)
    return path.read_text(encoding="utf-8")


def along_training(collected: Collected, curve: pd.DataFrame, path: Path) -> str:
    styles = arm_styles(list(collected.params.arms), "baseline")
    draw_curve(path, curve, "efficientnet_lite0", training_table(collected), styles)
    return path.read_text(encoding="utf-8")


def test_floor_and_interval_are_drawn(collected: Collected, tmp_path: Path) -> None:
    text = by_arm(collected, [FID], tmp_path / "fid.svg")
    assert "real against real 12.3" in text
    bare = by_arm(collected, [FID], tmp_path / "bare.svg", intervals=False)
    assert text.count("<path") > bare.count("<path")
    unknown = [replace(run, metrics=run.metrics | {f"fid_real_{FID[4:]}": math.nan}) for run in collected.runs]
    assert "real against real" not in by_arm(replace(collected, runs=unknown), [FID], tmp_path / "none.svg")


def test_rows_say_how_many_seeds_they_stand_on(
    params_with: Callable[..., Params], run_tree: Tree, tmp_path: Path
) -> None:
    params = params_with(seeds=[0, 1])
    data, runs = run_tree(params)
    (runs / "concat" / "seed1" / "metrics.json").unlink()
    for seed in (0, 1):
        (runs / "relu-pe" / f"seed{seed}" / "metrics.json").unlink()
    collected = collect(params, data, runs)
    text = by_arm(collected, [FID], tmp_path / "fid.svg")
    for name in ("baseline (n = 2)", "no-growing (n = 2)", "concat (one seed)", "relu-pe (no complete run)"):
        assert name in text
    assert text.count("no value") == 1
    # an arm of one seed has no whisker among others of several: the interval within its run says something else
    assert text == by_arm(collected, [FID], tmp_path / "bare.svg", intervals=False)
    numbers = precision_recall_numbers("efficientnet_lite0", metrics_table(collected))
    draw_precision_recall(tmp_path / "pr.svg", numbers, arm_styles(list(params.arms), "baseline"))
    text = (tmp_path / "pr.svg").read_text(encoding="utf-8")
    assert "concat (one seed)" in text and "relu-pe" not in text


def test_whisker_is_the_interval_over_seeds(collected: Collected, tmp_path: Path) -> None:
    table = metrics_table(collected)
    twice = pd.concat([table, table.assign(seed=1, **{FID: table[FID] + 200.0})], ignore_index=True)
    metrics = [metric for metric in metrics_of(collected) if metric.key == FID]
    styles = arm_styles(list(collected.params.arms), "baseline")
    numbers = by_arm_numbers(metrics, twice, intervals_table(collected))
    draw_by_arm(tmp_path / "fid.svg", numbers, metrics, styles)
    text = (tmp_path / "fid.svg").read_text(encoding="utf-8")
    # 12.7 times 100 above the mean of the two; below it the interval ends with FID itself
    mean = numbers[(numbers["what"] == "mean") & (numbers["arm"] == "baseline")].iloc[0]
    assert mean["low"] == 0 and mean["high"] == pytest.approx(mean["value"] + 1270.62, rel=1e-5)
    assert ">1000<" in text and "−1000" not in text


def test_many_metrics_are_a_grid_and_none_say_so(collected: Collected, tmp_path: Path) -> None:
    text = by_arm(collected, DEPTH_PLOT, tmp_path / "depth.svg")
    for label in ("Reprojection error", "Depth reprojection error", "Depth variance", "Hollow share", "Empty rays"):
        assert label in text
    # the arms' names stand once a row of panels
    assert text.count("relu-pe") == 2
    assert "not measured" in by_arm(collected, [], tmp_path / "empty.svg")


def test_arm_without_value_says_so(collected: Collected, tmp_path: Path) -> None:
    runs = [
        replace(run, metrics=run.metrics | {FID: math.nan}) if run.arm == "concat" else run for run in collected.runs
    ]
    assert "no value" in by_arm(replace(collected, runs=runs), [FID], tmp_path / "fid.svg")


def test_curve_has_a_line_an_arm_and_the_places_where_resolutions_change(collected: Collected, tmp_path: Path) -> None:
    curve = curve_table(collected)
    text = along_training(collected, curve, tmp_path / "curve.svg")
    assert "FID ↓" in text and "KID ↓" in text and "Training images seen" in text and "32 px" in text
    assert all(arm in text for arm in collected.params.arms)
    assert "not measured" not in text
    some = along_training(collected, curve.drop(columns="kid_efficientnet_lite0"), tmp_path / "some.svg")
    assert some.count("not measured") == 1


def test_curve_that_spans_much_is_logarithmic(collected: Collected, tmp_path: Path) -> None:
    curve = curve_table(collected)
    curve.loc[curve["step"] == 200, FID] = 9000.0
    assert "5000" in along_training(collected, curve, tmp_path / "curve.svg")


def test_no_snapshots_are_not_measured(collected: Collected, tmp_path: Path) -> None:
    empty = curve_table(collected).iloc[:0]
    assert along_training(collected, empty, tmp_path / "curve.svg").count("not measured") == 2
