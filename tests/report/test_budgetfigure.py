"""FID against what it cost."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.config import Params
from pigan.report.budgetfigure import apart, budget_numbers, draw_budget
from pigan.report.collect import collect
from pigan.report.figures import arm_styles
from pigan.report.tables import metrics_table

Tree = Callable[[Params], tuple[Path, Path]]


def drawn(table: pd.DataFrame, arms: list[str], path: Path) -> str:
    draw_budget(path, budget_numbers("efficientnet_lite0", table), arm_styles(arms, arms[0]))
    return path.read_text(encoding="utf-8")


def test_every_arm_has_its_name_and_its_seeds(
    params_with: Callable[..., Params], run_tree: Tree, tmp_path: Path
) -> None:
    params = params_with(seeds=[0, 1, 2])
    data, runs = run_tree(params)
    (runs / "concat" / "seed1" / "metrics.json").unlink()
    table = metrics_table(collect(params, data, runs))
    text = drawn(table, list(params.arms), tmp_path / "budget.svg")
    for name in ("baseline (n = 3)", "relu-pe (n = 3)", "concat (n = 2)", "no-growing (n = 3)"):
        assert text.count(f">{name}<") == 2
    assert "Training time, " in text and "Training images seen" in text


def test_names_of_many_arms_and_of_no_time_at_all_are_drawn(tmp_path: Path) -> None:
    arms = [f"arm{number}" for number in range(20)]
    rows = [
        {"arm": arm, "seed": 0, "fid_efficientnet_lite0": 40.0, "train_seconds": 0.0, "images_seen": 0} for arm in arms
    ]
    text = drawn(pd.DataFrame(rows), arms, tmp_path / "budget.svg")
    assert all(text.count(f">{arm} (one seed)<") == 2 for arm in arms)


def test_nothing_measured_says_so(tmp_path: Path) -> None:
    empty = pd.DataFrame(columns=["arm", "seed", "images_seen", "train_seconds"])
    assert drawn(empty, ["baseline"], tmp_path / "budget.svg").count("not measured") == 2


@pytest.mark.parametrize(
    ("places", "moved"),
    [
        ([5.0], [5.0]),
        ([0.0, 10.0], [0.0, 10.0]),
        ([4.0, 4.0], [3.0, 5.0]),
        ([10.0, 0.0, 0.0], [10.0, -1.0, 1.0]),
        ([0.0, 1.0, 2.0], [-1.0, 1.0, 3.0]),
    ],
)
def test_places_move_apart_and_no_further(places: list[float], moved: list[float]) -> None:
    assert apart(places, 2.0) == pytest.approx(moved)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20))
def test_places_keep_their_order_and_their_middle(places: list[float]) -> None:
    moved = apart(places, 9.0)
    inorder = sorted(zip(places, moved, strict=True))
    gaps = [later[1] - sooner[1] for sooner, later in pairwise(inorder)]
    assert all(gap >= 9.0 - 1e-6 for gap in gaps)
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)
