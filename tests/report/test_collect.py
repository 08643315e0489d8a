"""Reading what the stages left behind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.collect import collect

Tree = Callable[[Params], tuple[Path, Path]]


def test_all_arms_and_seeds_are_read_in_order(params_with: Callable[..., Params], run_tree: Tree) -> None:
    params = params_with(seeds=[3, 1])
    collected = collect(params, *run_tree(params))
    assert [(run.arm, run.seed) for run in collected.runs] == [(arm, seed) for arm in params.arms for seed in (3, 1)]
    assert collected.main.seed == 3
    assert collected.main.images_seen == 900 * 16 + 500 * 8
    assert len(collected.main.log) == 90 + 50
    skipped = collected.first_seed("no-growing")
    assert skipped.images_seen == 500 * 8
    assert len(skipped.log) == 50


def test_missing_data_names_crop(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    (data / "dataset.json").unlink()
    with pytest.raises(PiganError, match="run pigan crop"):
        collect(demo, data, runs)


def test_null_metric_is_not_a_number(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    path = runs / "baseline" / "seed0" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"depth_variance": None}))
    value = collect(demo, data, runs).main.metrics["depth_variance"]
    assert value != value


def change_metrics(runs: Path, arm: str, **values: object) -> None:
    """Other values in an arm's metrics.json; what is `...` is removed."""
    path = runs / arm / "seed0" / "metrics.json"
    found = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))


def test_intervals_and_curve_are_read(demo: Params, run_tree: Tree) -> None:
    main = collect(demo, *run_tree(demo)).main
    low, high = main.intervals["depth_rmse"]
    assert low < main.metrics["depth_rmse"] < high
    assert "fid_real_efficientnet_lite0" not in main.intervals
    assert main.curve["images_seen"].tolist() == [3200, 9600, 15_200, 18_400]
    assert (main.curve["fid_efficientnet_lite0"].diff().dropna() < 0).all()
    assert set(main.curve["arm"]) == {"baseline"}


def test_older_metrics_have_neither_intervals_nor_curve(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    change_metrics(runs, "baseline", intervals=..., curve=...)
    main = collect(demo, data, runs).main
    assert main.intervals == {}
    assert len(main.curve) == 0


def test_interval_without_ends_is_none(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    change_metrics(runs, "baseline", intervals={"a": None, "b": [None, None], "c": [1, 2]})
    assert collect(demo, data, runs).main.intervals == {"c": (1.0, 2.0)}


def test_pictures_come_from_generating_and_evaluating(demo: Params, run_tree: Tree) -> None:
    main = collect(demo, *run_tree(demo)).main
    found = {name: main.picture(name) for name in ("samples.png", "neighbours.png", "inversion.png", "nothing.png")}
    folders = {name: path.parent.name if path else None for name, path in found.items()}
    assert folders == {
        "samples.png": "generated",
        "neighbours.png": "evaluated",
        "inversion.png": "evaluated",
        "nothing.png": None,
    }
