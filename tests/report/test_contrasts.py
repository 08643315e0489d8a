"""What is called better, what is not told apart, and what is left unsaid."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.contrasts import against_main, contrast_cautions, contrasts
from pigan.report.metrics import Metric, metrics_of
from pigan.report.metricsection import arm_tables, headline_tables
from pigan.report.ranking import leaders, ranking
from pigan.report.tables import ablation_table
from pigan.report.verdict import cautions, comparison

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]
Make = Callable[..., Collected]
FID = "fid_efficientnet_lite0"
ARMS = ("baseline", "relu-pe", "concat", "no-growing")


@pytest.fixture
def made(params_with: MakeParams, run_tree: Tree) -> Make:
    """Runs that have no metric but FID; the values of each arm, seed by seed, `None`: not complete."""

    def make(values: dict[str, list[float | None]], **changes: float) -> Collected:
        params = params_with(seeds=list(range(len(values["baseline"]))))
        data, runs = run_tree(params)
        for arm in ARMS:
            for seed, value in enumerate(values[arm]):
                path = runs / arm / f"seed{seed}" / "metrics.json"
                protocol = json.loads(path.read_text())["protocol"]
                path.write_text(json.dumps({FID: value, **changes, "protocol": protocol}))
                if value is None:
                    path.unlink()
        return collect(params, data, runs)

    return make


def fid_of(collected: Collected) -> Metric:
    return next(metric for metric in metrics_of(collected) if metric.key == FID)


def test_arms_are_better_worse_or_not_told_apart(made: Make) -> None:
    collected = made(
        {
            "baseline": [40.0, 50.0, 60.0],
            "relu-pe": [45.1, 55.0, 64.9],
            "concat": [39.0, 49.1, 58.9],
            "no-growing": [30.0, 52.0, 55.0],
        }
    )
    ablation = ablation_table(collected)
    text = "Against baseline, paired by seed (3 seeds), relu-pe is worse on FID; concat is better on FID. "
    text += "no-growing is not told apart from baseline by 3 seeds on any metric."
    assert against_main(collected, ablation) == comparison(collected, ablation) == text
    outcomes = {
        contrast.arm: (len(contrast.better), len(contrast.worse)) for contrast in contrasts(collected, ablation)
    }
    assert outcomes == {"relu-pe": (0, 1), "concat": (1, 0), "no-growing": (0, 0)}
    # the lowest mean is that of no-growing, whose distance to the others changes much from seed to seed
    assert ranking(fid_of(collected), ablation)[0] == "no-growing"
    assert leaders(collected, fid_of(collected), ablation) == ["no-growing", "concat", "baseline", "relu-pe"]


def test_mark_is_on_one_arm_only_when_the_seeds_tell(made: Make) -> None:
    clear = {"baseline": [40.0, 50.0], "relu-pe": [60.0, 70.0], "concat": [50.0, 60.1], "no-growing": [70.0, 80.1]}
    collected = made(clear)
    ablation = ablation_table(collected)
    assert leaders(collected, fid_of(collected), ablation) == ["baseline"]
    assert headline_tables(collected, ablation)[0].rows[0].best == "baseline"
    collected = made(clear | {"concat": [41.0, 50.1]})
    ablation = ablation_table(collected)
    row = arm_tables(collected, ablation)[0].rows[0]
    assert row.best == "baseline and concat not told apart"
    assert [cell.arm for cell in row.cells if cell.best] == ["baseline", "concat"]
    collected = made({arm: [40.0 + place, 50.0 - place] for place, arm in enumerate(ARMS)} | {"concat": [41.0, 50.0]})
    assert arm_tables(collected, ablation_table(collected))[0].rows[0].best == "4 arms not told apart"


def test_arm_of_one_seed_is_neither_ranked_nor_compared_among_others_of_several(made: Make) -> None:
    collected = made(
        {"baseline": [40.0, 50.0], "relu-pe": [60.0, 70.1], "concat": [1.0, None], "no-growing": [80.0, 90.1]}
    )
    ablation = ablation_table(collected)
    assert ranking(fid_of(collected), ablation) == ["baseline", "relu-pe", "no-growing"]
    assert "concat" not in comparison(collected, ablation)
    notes = contrast_cautions(collected, ablation)
    assert "concat shares fewer than two seeds with baseline: nothing is told apart there." in notes
    cells = {cell.arm: cell for cell in arm_tables(collected, ablation)[0].rows[0].cells}
    assert cells["concat"].interval == "" and cells["concat"].difference == "−39.00"
    assert cells["baseline"].interval and cells["relu-pe"].difference.startswith("+20.05 [+19.41, +20.69]")


def test_lead_that_may_be_chance_is_told_with_its_direction(made: Make) -> None:
    alone = {"concat": [None, None], "no-growing": [None, None]}
    collected = made({"baseline": [40.0, 50.0], "relu-pe": [30.0, 52.0], **alone})
    told = comparison(collected, ablation_table(collected))
    assert told == (
        "relu-pe is not told apart from baseline by 2 seeds on any metric. relu-pe has the lower mean FID, 41.0 "
        "against 45.0, which may be chance: relu-pe less baseline is −4.0 [−80.2, +72.2]."
    )
    collected = made({"baseline": [40.0, 50.0], "relu-pe": [52.0, 51.0], **alone})
    assert "baseline has the lower mean FID, 45.0 against 51.5" in comparison(collected, ablation_table(collected))
    collected = made({"baseline": [40.0, 50.0], "relu-pe": [30.0, 40.1], **alone})
    assert "chance" not in comparison(collected, ablation_table(collected))


def test_small_differences_are_told_apart_only_where_the_interval_is_without_zero(made: Make) -> None:
    collected = made(
        {
            "baseline": [40.0, 50.0],
            "relu-pe": [40.1, 50.0],
            "concat": [40.4, 50.45],
            "no-growing": [39.6, 49.55],
        }
    )
    found = {contrast.arm: contrast for contrast in contrasts(collected, ablation_table(collected))}
    fid = [fid_of(collected)]
    assert found["relu-pe"].level == found["concat"].worse == found["no-growing"].better == fid


def test_lead_that_may_be_chance_is_told_of_each_of_two_arms(made: Make) -> None:
    alone = {"no-growing": [None, None]}
    collected = made({"baseline": [40.0, 50.0], "relu-pe": [30.0, 52.0], "concat": [52.0, 51.0], **alone})
    told = comparison(collected, ablation_table(collected))
    assert "relu-pe has the lower mean FID, 41.0 against 45.0" in told
    assert "baseline has the lower mean FID, 45.0 against 51.5" in told


def test_of_metrics_not_told_apart_only_the_leading_ones_are_named(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    collected = collect(params, *run_tree(params))
    ablation = ablation_table(collected)
    assert any(metric.group == "shape" for contrast in contrasts(collected, ablation) for metric in contrast.level)
    told = against_main(collected, ablation)
    assert "not told apart on" in told
    for part in told.split("; "):
        _, _, level = part.partition("not told apart on ")
        assert "shape" not in level and "error" not in level and "depth" not in level


def test_seeds_that_agree_to_the_last_digit_tell_nothing(made: Make) -> None:
    values = {arm: [40.0, 50.0 + place] for place, arm in enumerate(ARMS)}
    collected = made(values, hollow_share=0.0)
    ablation = ablation_table(collected)
    assert {contrast.tests for contrast in contrasts(collected, ablation)} == {1}
    (row,) = [
        row for table in arm_tables(collected, ablation) for row in table.rows if row.metric.key == "hollow_share"
    ]
    assert {(cell.value, cell.interval) for cell in row.cells} == {("0.0", "")}
    assert {cell.difference for cell in row.cells[1:]} == {"+0.00"}


def test_seeds_that_no_arm_shares_with_the_main_one_compare_nothing(made: Make) -> None:
    collected = made(
        {"baseline": [40.0, None], "relu-pe": [60.0, 70.0], "concat": [1.0, 2.0], "no-growing": [80.0, 90.0]}
    )
    ablation = ablation_table(collected)
    assert comparison(collected, ablation) == ""
    assert any(
        "relu-pe, concat and no-growing share fewer than two seeds" in note for note in cautions(collected, ablation)
    )


def test_many_comparisons_are_warned_of(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    collected = collect(params, *run_tree(params))
    (note, *_) = contrast_cautions(collected, ablation_table(collected))
    tests = sum(contrast.tests for contrast in contrasts(collected, ablation_table(collected)))
    assert tests == 3 * 21
    assert note.startswith("63 differences to baseline were looked at, each with an interval of 95 %: about 3 of them")


def test_shape_is_compared_only_where_both_show_surfaces(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    data, runs = run_tree(params)
    path = runs / "concat" / "seed1" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_consistency": None}))
    collected = collect(params, data, runs)
    found = {contrast.arm: contrast for contrast in contrasts(collected, ablation_table(collected))}
    told = [*found["concat"].better, *found["concat"].worse, *found["concat"].level]
    assert {metric.group for metric in told} == {"image"}
    assert {metric.group for metric in [*found["relu-pe"].worse, *found["relu-pe"].level]} == {"image", "shape"}


def test_of_many_arms_the_plainest_are_named(params_with: MakeParams, run_tree: Tree) -> None:
    names = ["baseline", *(f"arm{number}" for number in range(9))]
    params = params_with(seeds=[0, 1]).model_copy(update={"arms": {name: {} for name in names}})
    data, runs = run_tree(params)
    for place, arm in enumerate(names):
        for seed in (0, 1):
            path = runs / arm / f"seed{seed}" / "metrics.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {FID: 40.0 + 10 * place + 0.01 * place * seed}))
    collected = collect(params, data, runs)
    text = against_main(collected, ablation_table(collected))
    assert text.count(";") == 5
    assert "3 further arms differ from it too" in text
