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


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("r16/state.json", "pigan train --arm baseline --seed 0 --resolution 16"),
        ("r32/log.jsonl", "pigan train --arm baseline --seed 0 --resolution 32"),
        ("generated/generated.json", "pigan generate --arm baseline --seed 0"),
        ("metrics.json", "pigan evaluate"),
    ],
)
def test_missing_file_names_the_stage_to_run(demo: Params, run_tree: Tree, name: str, stage: str) -> None:
    data, runs = run_tree(demo)
    (runs / "baseline" / "seed0" / name).unlink()
    with pytest.raises(PiganError, match=stage) as caught:
        collect(demo, data, runs)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_speed_names_bench(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    (runs / "speed.json").unlink()
    with pytest.raises(
        PiganError, match=r"cars/speed\.json: no such file; run pigan bench --quick --params .*speed\.json"
    ):
        collect(demo, data, runs)


def test_missing_data_names_crop(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    (data / "dataset.json").unlink()
    with pytest.raises(PiganError, match="run pigan crop"):
        collect(demo, data, runs)


def test_metrics_of_another_extractor_are_refused(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    path = runs / "baseline" / "seed0" / "metrics.json"
    path.write_text(path.read_text().replace("efficientnet_lite0", "inception"))
    with pytest.raises(PiganError, match="holds no fid_efficientnet_lite0"):
        collect(demo, data, runs)


@pytest.mark.parametrize("content", ["[1, 2]", "{}", "nonsense", '{"resolution": "big"}'])
def test_damaged_state_is_one_line(demo: Params, run_tree: Tree, content: str) -> None:
    data, runs = run_tree(demo)
    (runs / "concat" / "seed0" / "r16" / "state.json").write_text(content)
    with pytest.raises(PiganError, match=r"r16/state\.json") as caught:
        collect(demo, data, runs)
    assert "\n" not in str(caught.value)


def test_damaged_log_line_is_named(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    log = runs / "concat" / "seed0" / "r16" / "log.jsonl"
    lines = log.read_text().splitlines()
    lines[4] = lines[4][:20]
    log.write_text("\n".join(lines))
    with pytest.raises(PiganError, match="line 5"):
        collect(demo, data, runs)


def test_metrics_of_another_checkpoint_are_refused(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    path = runs / "concat" / "seed0" / "generated" / "generated.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"checkpoint_sha256": "00" * 32}))
    with pytest.raises(PiganError, match="not measured on what is in generated/"):
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


@pytest.mark.parametrize("broken", [{"intervals": {"a": [1]}}, {"intervals": 3}, {"curve": [{"step": 1}]}])
def test_broken_intervals_and_curves_are_one_line(demo: Params, run_tree: Tree, broken: dict[str, object]) -> None:
    data, runs = run_tree(demo)
    change_metrics(runs, "concat", **broken)
    with pytest.raises(PiganError, match=r"concat/seed0/metrics\.json: .*run pigan evaluate") as caught:
        collect(demo, data, runs)
    assert "\n" not in str(caught.value)


def test_every_extractor_of_the_params_is_needed(params_with: Callable[..., Params], run_tree: Tree) -> None:
    data, runs = run_tree(params_with())
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2"]})
    with pytest.raises(PiganError, match="holds no fid_dinov2, the metric that params"):
        collect(params, data, runs)


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
