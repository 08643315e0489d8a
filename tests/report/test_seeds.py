"""Means, intervals and paired differences over seeds, against their closed forms."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.config import Params
from pigan.evaluation.intervals import bounds_of
from pigan.report.collect import Collected, collect
from pigan.report.seeds import count_text, counts, difference, over, paired, seeds_text, several_seeds
from pigan.report.tables import ablation_table

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]
FID = "fid_efficientnet_lite0"
# quantile 0.975 of Student's t by degrees of freedom, from a table
T = {1: 12.7062, 2: 4.30265, 3: 3.18245}


def with_fid(params: Params, tree: tuple[Path, Path], values: dict[str, list[float | None]]) -> Collected:
    """The FID of an arm's seeds; `None`: its metrics.json is not there."""
    data, runs = tree
    for arm, numbers in values.items():
        for seed, number in zip(params.seeds, numbers, strict=True):
            path = runs / arm / f"seed{seed}" / "metrics.json"
            if number is None:
                path.unlink()
            else:
                path.write_text(json.dumps(json.loads(path.read_text()) | {FID: number}))
    return collect(params, data, runs)


def test_interval_of_two_seeds_is_half_their_distance_times_t() -> None:
    mean = over(pd.Series({0: 40.0, 1: 44.0}))
    half = T[1] * 2.0
    assert mean.value == 42.0 and mean.seeds == 2
    assert mean.interval == pytest.approx((42 - half, 42 + half), rel=1e-5)


def test_interval_ends_where_the_metric_does() -> None:
    shares = pd.Series({0: 0.02, 1: 0.06})
    assert over(shares, "recall_efficientnet_lite0").interval == pytest.approx((0, 0.04 + T[1] * 0.02), rel=1e-5)
    assert over(1 - shares, "depth_delta").ends[1] == 1 and over(shares, "fid_clip").ends[0] == 0
    assert over(-shares, "kid_clip").interval == over(-shares).interval
    assert [bounds_of(key)[1] for key in ("empty_rays", "fid_clip", "inversion_psnr")] == [1, math.inf, math.inf]
    # a word more is another metric
    assert bounds_of("precisions") == bounds_of("") == (-math.inf, math.inf)


def test_one_seed_is_a_point_and_none_is_nothing() -> None:
    one, none = over(pd.Series({3: 40.0})), over(pd.Series(dtype=float))
    assert (one.value, one.interval, one.seeds, one.told_apart) == (40.0, None, 1, False)
    assert math.isnan(none.value) and none.interval is None and none.seeds == 0
    assert all(math.isnan(end) for end in none.ends)
    assert over(pd.Series({0: 1.0, 1: math.nan})).seeds == 1


def test_difference_is_paired_so_that_what_seeds_share_cancels() -> None:
    others = pd.Series({0: 10.0, 1: 50.0, 2: 90.0})
    values = others + pd.Series({0: 1.0, 1: 2.0, 2: 3.0})
    away = paired(values, others)
    half = T[2] * 1.0 / math.sqrt(3)
    assert away.interval == pytest.approx((2 - half, 2 + half), rel=1e-5)
    assert not away.told_apart
    assert paired(values + 2, others).told_apart and paired(values - 9, others).told_apart
    # unpaired, the spread of the seeds would hide it
    low, high = over(values).ends
    assert high - low > 40 * 2 * half


def test_only_seeds_that_both_have_are_paired() -> None:
    away = paired(pd.Series({0: 5.0, 1: 7.0, 5: 100.0}), pd.Series({1: 6.0, 0: 2.0, 9: -100.0}))
    assert (away.value, away.seeds) == (2.0, 2)
    assert away.interval == pytest.approx((2 - T[1], 2 + T[1]), rel=1e-5)
    none = paired(pd.Series({0: 5.0}), pd.Series({1: 6.0}))
    assert math.isnan(none.value) and none.seeds == 0


def test_equal_differences_are_certain() -> None:
    values = pd.Series({0: 1.0, 1: 2.0})
    assert paired(values + 0.5, values).told_apart
    assert not paired(values, values).told_apart


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6))
def test_interval_lies_round_the_mean_and_follows_the_sign(values: list[float]) -> None:
    series = pd.Series(values)
    mean, other = over(series), over(-series)
    low, high = mean.ends
    assert low <= mean.value <= high
    assert other.ends == pytest.approx((-high, -low), rel=1e-9, abs=1e-9)
    assert mean.told_apart == other.told_apart


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        low, high = over(pd.Series(rng.normal(5, 2, 3))).ends
        hits += low <= 5 <= high
    assert 0.935 < hits / 2000 < 0.965


def test_table_has_the_statistics_of_every_metric(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1, 2])
    values: dict[str, list[float | None]] = {"baseline": [40.0, 44.0, 42.0], "concat": [43.0, 45.0, 46.0]}
    table = ablation_table(with_fid(params, run_tree(params), values)).set_index("arm")
    half, apart = T[2] * 2 / math.sqrt(3), T[2] * math.sqrt(7 / 3) / math.sqrt(3)
    row = {name.removeprefix(f"{FID}_"): value for name, value in table.loc["concat"].items() if FID in str(name)}
    expected = {"mean": 134 / 3, "std": math.sqrt(7 / 3), "low": 134 / 3 - apart, "high": 134 / 3 + apart, "n": 3}
    # the differences are 3, 1 and 4
    expected |= {"difference": 8 / 3, "difference_low": 8 / 3 - apart, "difference_high": 8 / 3 + apart, "pairs": 3}
    assert row == pytest.approx(expected, rel=1e-5)
    main = table.loc["baseline"]
    assert (main[f"{FID}_low"], main[f"{FID}_high"]) == pytest.approx((42 - half, 42 + half), rel=1e-5)
    assert main[f"{FID}_difference"] == 0 and math.isnan(main[f"{FID}_difference_low"])


def test_unequal_seeds_are_paired_where_both_are_there(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1, 2])
    values = {"baseline": [40.0, None, 42.0], "concat": [43.0, 99.0, 46.0], "relu-pe": [None, 50.0, None]}
    collected = with_fid(params, run_tree(params), values)
    table = ablation_table(collected).set_index("arm")
    assert table["n"].to_dict() == {"baseline": 2, "relu-pe": 1, "concat": 3, "no-growing": 3}
    assert table[f"{FID}_difference"]["concat"] == 3.5 and table[f"{FID}_pairs"]["concat"] == 2
    assert table[f"{FID}_mean"]["concat"] - table[f"{FID}_mean"]["baseline"] != 3.5
    assert table[f"{FID}_pairs"]["relu-pe"] == 0 and math.isnan(table[f"{FID}_difference"]["relu-pe"])
    assert difference(collected, FID, "concat", "baseline").seeds == 2
    assert counts(collected)["relu-pe"] == "one seed" and several_seeds(collected)


def test_null_in_one_seed_counts_there_only(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    data, runs = run_tree(params)
    path = runs / "concat" / "seed1" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_rmse": None}))
    row = ablation_table(collect(params, data, runs)).set_index("arm").loc["concat"]
    assert (row["n"], row["depth_rmse_n"], row["depth_rmse_pairs"], row[f"{FID}_n"]) == (2, 1, 1, 2)
    assert math.isnan(row["depth_rmse_low"]) and not math.isnan(row["depth_rmse_mean"])


def test_numbers_of_seeds_are_words() -> None:
    assert [count_text(count) for count in (0, 1, 3)] == ["no complete run", "one seed", "n = 3"]
    assert [seeds_text(numbers) for numbers in ([3, 3], [2, 3], [1])] == ["3 seeds", "2 to 3 seeds", "1 seed"]
