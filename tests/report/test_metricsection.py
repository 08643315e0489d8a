"""The tables of metrics on the page."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.metricsection import (
    MetricRow,
    MetricTable,
    arm_tables,
    context,
    further_tables,
    headline_tables,
    inversion_rows,
    seed_tables,
    unmeasured_sentence,
)
from pigan.report.tables import ablation_table, metrics_table

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]
FID = "fid_efficientnet_lite0"


@pytest.fixture
def one(demo: Params, run_tree: Tree) -> Collected:
    return collect(demo, *run_tree(demo))


@pytest.fixture
def several(params_with: MakeParams, run_tree: Tree) -> Collected:
    params = params_with(seeds=[0, 1, 2])
    return collect(params, *run_tree(params))


def row_of(tables: list[MetricTable], key: str) -> MetricRow:
    return next(row for table in tables for row in table.rows if row.metric.key == key)


def test_tables_are_two_groups(one: Collected) -> None:
    tables = arm_tables(one, ablation_table(one))
    assert [(table.title, table.group) for table in tables] == [
        ("Image quality", "image"),
        ("Shape and views", "shape"),
    ]
    assert all(len(row.cells) == 4 for table in tables for row in table.rows)
    assert [cell.arm for cell in tables[0].rows[0].cells] == list(one.params.arms)


def test_one_seed_shows_its_interval_with_the_digits_of_the_value(one: Collected) -> None:
    cell = row_of(headline_tables(one, ablation_table(one)), FID).cells[0]
    value = one.main.metrics[FID]
    assert cell.text == f"{value:.1f}"
    assert cell.interval == f"[{value * 0.96:.1f}, {value * 1.05:.1f}]"
    assert cell.spread == "" and cell.difference == ""


def test_several_seeds_show_their_spread_and_the_interval_over_them(several: Collected) -> None:
    ablation = ablation_table(several)
    table = ablation.set_index("arm")
    cells = row_of(arm_tables(several, ablation), FID).cells
    for cell in cells:
        low, high = (table[f"{FID}_{end}"][cell.arm] for end in ("low", "high"))
        assert cell.spread and cell.interval == f"[{low:.1f}, {high:.1f}]" and not cell.count
        parts = [table[f"{FID}_difference{end}"][cell.arm] for end in ("", "_low", "_high")]
        away = "" if cell.arm == "baseline" else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*parts)
        assert cell.difference == away
    assert arm_tables(several, ablation)[0].counts == dict.fromkeys(several.params.arms, "n = 3")
    runs = row_of(seed_tables(several, metrics_table(several)), FID).cells
    assert len(runs) == 12
    assert all(cell.interval and not cell.spread for cell in runs)
    assert [cell.seed for cell in runs[:3]] == ["0", "1", "2"]


def test_cell_of_fewer_seeds_than_its_arm_says_so(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1, 2])
    data, runs = run_tree(params)
    path = runs / "concat" / "seed2" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_rmse": None}))
    collected = collect(params, data, runs)
    counts = {
        cell.arm: cell.count for cell in row_of(arm_tables(collected, ablation_table(collected)), "depth_rmse").cells
    }
    assert counts == {"baseline": "", "relu-pe": "", "concat": "n = 2", "no-growing": ""}


def test_floor_stands_beside_fid(one: Collected) -> None:
    rows = arm_tables(one, ablation_table(one))
    assert row_of(rows, FID).context == "real against real 12.3 at equal counts"
    assert row_of(rows, "empty_rays").context == "in the data 0.742"
    assert row_of(rows, "reprojection_error").context == "exact renderer 0.0106"
    assert row_of(rows, "visible_share").context == "exact renderer 0.951"
    assert row_of(rows, "depth_rmse").context == ""
    one.main.protocol["notes"] = [f"fid_real_{FID[4:]} is that of 30 images, not 512: there are no more"]
    assert "at fewer images, which makes it larger" in context(one, row_of(rows, FID).metric)


def test_further_extractors_have_a_table_each(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2"]})
    collected = collect(params, *run_tree(params))
    (table,) = further_tables(collected, ablation_table(collected))
    assert table.title == "DINOv2"
    assert [row.metric.key for row in table.rows] == [f"{s}_dinov2" for s in ("fid", "kid", "precision", "recall")]
    assert table.rows[0].context == "real against real 61.5 at equal counts"
    main = arm_tables(collected, ablation_table(collected))
    assert not [row for part in main for row in part.rows if "dinov2" in row.metric.key]


def test_arm_without_value_has_a_dash_and_no_interval(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    path = runs / "concat" / "seed0" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_rmse": None}))
    collected = collect(demo, data, runs)
    cells = row_of(arm_tables(collected, ablation_table(collected)), "depth_rmse").cells
    empty = next(cell for cell in cells if cell.arm == "concat")
    assert (empty.text, empty.value, empty.interval, empty.difference, empty.best) == ("–", "", "", "", False)
    assert sum(cell.best for cell in cells) == 1


def test_arm_without_surfaces_is_never_marked_best_on_shape(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    path = runs / "concat" / "seed0" / "metrics.json"
    nothing = {"reprojection_error": None, "depth_variance": 0.0, "inversion_psnr": 99.0, "hollow_share": 0.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | nothing))
    collected = collect(demo, data, runs)
    _, shape = arm_tables(collected, ablation_table(collected))
    assert not [row.metric.key for row in shape.rows for cell in row.cells if cell.arm == "concat" and cell.best]
    assert all(row.best for row in shape.rows if row.metric.better != "neither")


def test_inversion_has_its_numbers(one: Collected) -> None:
    keys = [row.metric.key for row in inversion_rows(one, ablation_table(one))]
    assert keys[:2] == ["inversion_psnr", "depth_rmse"] and "normal_error" in keys


def test_what_is_null_is_one_sentence(one: Collected) -> None:
    assert unmeasured_sentence(one) == (
        "Not measured: Identity similarity (evaluate.face_embedder is <null>); "
        "Depth against estimator (evaluate.depth_estimator is null)."
    )
