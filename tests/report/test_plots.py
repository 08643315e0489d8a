"""Every figure has its numbers beside it: the same ones, linked from the page."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from pigan.config import Params
from pigan.report.armfigures import by_arm_numbers, precision_recall_numbers
from pigan.report.budgetfigure import budget_numbers
from pigan.report.collect import Collected, collect
from pigan.report.metrics import metrics_of
from pigan.report.page import make_report
from pigan.report.plots import Plot, files_of, shown, write_plots
from pigan.report.runfigures import cost_numbers
from pigan.report.speed import Speed
from pigan.report.speedfigures import roofline_numbers, scaling_numbers
from pigan.report.tables import ablation_table, intervals_table, metrics_table, stage_table

Tree = Callable[[Params], tuple[Path, Path]]
EXTRACTOR = "efficientnet_lite0"
FID, KID = f"fid_{EXTRACTOR}", f"kid_{EXTRACTOR}"


@pytest.fixture(scope="module")
def seeds(params_with: Callable[..., Params]) -> Params:
    return params_with(seeds=[0, 1, 2])


@pytest.fixture(scope="module")
def tree(seeds: Params, run_tree: Tree) -> tuple[Path, Path]:
    """A study in which one arm lacks a seed."""
    data, runs = run_tree(seeds)
    (runs / "concat" / "seed1" / "metrics.json").unlink()
    return data, runs


@pytest.fixture(scope="module")
def collected(seeds: Params, tree: tuple[Path, Path]) -> Collected:
    return collect(seeds, *tree)


@pytest.fixture(scope="module")
def folder(seeds: Params, tree: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(seeds, *tree, tmp_path_factory.mktemp("plots") / "demo").parent


def test_every_figure_lies_beside_its_numbers_and_the_page_links_them(folder: Path) -> None:
    drawn = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert drawn == {
        *("fid", "kid", "precision_recall", "training", "curve", "depth", "geometry", "cost", "budget"),
        *("speed", "roofline", "scaling", "data_poses", "data_depth"),
    }
    page = (folder / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r'<figure class="plot[^>]*>(.*?)</figure>', page, flags=re.S)
    links = [re.findall(r'data: <a href="(.*?)">(.*?)</a>', figure) for figure in figures]
    assert all(len(found) == 1 for found in links)
    assert {target for ((target, _),) in links} == {f"tables/{name}.csv" for name in drawn}
    for ((target, name),) in links:
        assert target == f"tables/{name}"
        assert len(pd.read_csv(folder / target)) > 0


def test_drawing_is_given_the_numbers_that_are_written(tmp_path: Path) -> None:
    seen: list[pd.DataFrame] = []

    def draw(path: Path, numbers: pd.DataFrame) -> None:
        seen.append(numbers)
        Figure().savefig(path)

    numbers = pd.DataFrame({"arm": ["a & b", "c"], "value": [0.1 + 0.2, np.nan]})
    plots = [Plot("one", "<One>", numbers, draw), Plot("two", "Two", numbers.iloc[:0], draw, measured=False)]
    write_plots(plots, tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == {*files_of("one"), *files_of("two")}
    assert (tmp_path / "tables/one.csv").read_text() == "arm,value\na & b,0.30000000000000004\nc,\n"
    assert seen[0] is numbers
    found = shown(plots, tmp_path)
    assert list(found) == ["one"] and found["one"].numbers == "tables/one.csv"
    assert 'aria-label="&lt;One&gt;"' in found["one"].drawing
    assert shown(plots, tmp_path, alone=True)["one"].numbers == ""


def test_numbers_by_arm_are_those_of_the_tables(collected: Collected) -> None:
    table, ablation = metrics_table(collected), ablation_table(collected).set_index("arm")
    metrics = [metric for metric in metrics_of(collected) if metric.key in (FID, KID)]
    intervals = intervals_table(collected)
    numbers = by_arm_numbers(metrics, table, intervals, {KID: f"kid_std_{EXTRACTOR}"})
    for metric in metrics:
        own = numbers[numbers["metric"] == metric.key]
        runs = own[own["what"] == "seed"].merge(table, on=["arm", "seed"])
        assert len(runs) == 11 and (runs["value"] == runs[metric.key]).all()
        within = runs.merge(intervals[intervals["metric"] == metric.key], on=["arm", "seed"], suffixes=("", "_of_run"))
        assert len(within) == 11 and (within["low"] == within["low_of_run"]).all()
        means = own[own["what"] == "mean"].set_index("arm")
        for mine, theirs in (("value", "mean"), ("low", "low"), ("high", "high")):
            np.testing.assert_allclose(means[mine], ablation[f"{metric.key}_{theirs}"][means.index], rtol=1e-12)
        assert means["spread"].notna().all() == (metric.key == KID)
    beside = numbers[numbers["what"] == "beside"]
    assert beside[["metric", "value"]].to_numpy().tolist() == [[FID, table[f"fid_real_{EXTRACTOR}"].mean()]]


def test_precision_recall_and_budget_are_those_of_the_tables(collected: Collected) -> None:
    table, ablation = metrics_table(collected), ablation_table(collected).set_index("arm")
    pairs, costs = precision_recall_numbers(EXTRACTOR, table), budget_numbers(EXTRACTOR, table)
    for numbers, columns in (
        (pairs, {"recall": f"recall_{EXTRACTOR}", "precision": f"precision_{EXTRACTOR}"}),
        (costs, {"fid": FID, "train_seconds": "train_seconds", "images_seen": "images_seen"}),
    ):
        runs = (
            numbers[numbers["what"] == "seed"].drop(columns="what").merge(table, on=["arm", "seed"], suffixes=("", "_"))
        )
        assert len(runs) == 11
        for mine, theirs in columns.items():
            other = theirs if mine != theirs else f"{theirs}_"
            assert (runs[mine] == runs[other]).all()
    means = costs[costs["what"] == "mean"].set_index("arm")
    np.testing.assert_allclose(means["low"], ablation[f"{FID}_low"][means.index])
    means = pairs[pairs["what"] == "mean"].set_index("arm")
    np.testing.assert_allclose(means["recall_high"], ablation[f"recall_{EXTRACTOR}_high"][means.index])


def test_costs_are_means_over_seeds(collected: Collected) -> None:
    table, stages = metrics_table(collected), stage_table(collected)
    numbers = cost_numbers(table, stages).set_index("arm")
    assert numbers["seeds"].to_dict() == {"baseline": 3, "relu-pe": 3, "concat": 2, "no-growing": 3}
    training = numbers.filter(regex=r"^train_\d+px_seconds$").sum(axis=1)
    np.testing.assert_allclose(training, table.groupby("arm")["train_seconds"].mean()[training.index])
    np.testing.assert_allclose(
        numbers["evaluate_seconds"], table.groupby("arm")["evaluate_seconds"].mean()[numbers.index]
    )


def test_roofline_and_scaling_can_be_drawn_again_from_their_numbers(make_speed: Callable[..., Speed]) -> None:
    speed = make_speed()
    numbers = roofline_numbers(speed)
    points = numbers[numbers["roof"].isna()]
    counted = [row for row in speed.rows if row.gflop]
    assert len(points) == len(counted) + len({(row.title, row.size) for row in counted})
    first = points[points["path"] == counted[0].path].iloc[0]
    assert first["gflop_per_second"] == pytest.approx(counted[0].gflop / counted[0].ours_ms.median * 1e3)
    assert first["flop_per_byte"] == pytest.approx(counted[0].gflop / counted[0].gbyte)
    assert numbers["gbyte_per_second"].dropna().tolist() == [speed.machine.bandwidth_gb_s]
    grown = scaling_numbers(speed)
    assert len(grown) == len(speed.scaling)
    for _, part in grown.groupby("what"):
        assert part["linear_ms_an_image"].iloc[-1] == pytest.approx(part["ms_an_image"].iloc[-1])
        assert part["linear_ms_an_image"].is_monotonic_increasing
    empty = make_speed(scaling=False).model_copy(update={"rows": []})
    assert len(roofline_numbers(empty)) == len(scaling_numbers(empty)) == 0
