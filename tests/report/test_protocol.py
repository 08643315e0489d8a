"""How numbers were measured, as rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.report.collect import Collected, collect
from pigan.report.protocol import differing_protocol, flat, protocol_rows
from pigan.report.provenance import hashes

Tree = Callable[[Params], tuple[Path, Path]]


@pytest.fixture
def collected(params_with: Callable[..., Params], run_tree: Tree) -> Collected:
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2"]})
    return collect(params, *run_tree(params))


def test_nested_settings_are_lines_of_words(collected: Collected) -> None:
    rows = dict(protocol_rows(collected))
    assert rows["Feature extractors"] == [
        f"EfficientNet-Lite0, SHA-256 of the weights: {'0b' * 32}",
        f"DINOv2, SHA-256 of the weights: {'1b' * 32}",
    ]
    sampling = rows["Sampling"]
    assert {"generator weights: ema", "truncation ψ: 1", "background: white", "samples a ray: 8"} <= set(sampling)
    assert "law of cameras: spherical_uniform" in sampling and "angle spans pixel centres: no" in sampling
    assert rows["Random halves behind an interval"] == ["50"]
    assert rows["Feature extractor"] == ["EfficientNet-Lite0"]
    assert not [line for lines in rows.values() for line in lines if "{" in line or "[" in line]


def test_every_note_has_a_line_and_its_runs_when_not_all_have_it(collected: Collected) -> None:
    collected.main.protocol["notes"].append("only here")
    notes = dict(protocol_rows(collected))["Notes"]
    assert "depth_estimated_zscore_mse is null: evaluate.depth_estimator is null" in notes
    assert "baseline/seed0: only here" in notes


def test_values_that_differ_stand_after_their_runs(collected: Collected) -> None:
    collected.main.protocol["sampling"]["samples"] = 16
    assert differing_protocol(collected) == ["sampling.samples"]
    lines = dict(protocol_rows(collected))["Sampling"]
    assert "baseline/seed0: samples a ray: 16" in lines
    assert "relu-pe/seed0, concat/seed0, no-growing/seed0: samples a ray: 8" in lines


def test_flat_joins_keys() -> None:
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}


def test_hashes_name_the_models_that_arms_start_from(collected: Collected) -> None:
    start = {"path": "cars-32", "sha256": "cd" * 32}
    arms = {**collected.params.arms, "concat": {"training": {"pretrained": start}}}
    changed = replace(collected, params=collected.params.model_copy(update={"arms": arms}))
    rows = dict(hashes(changed))
    assert rows["concat starts from cars-32"] == "cd" * 32 and len(rows) == len(hashes(collected)) + 1


def test_hashes_name_every_extractor_once(collected: Collected) -> None:
    rows = dict(hashes(collected))
    assert rows["efficientnet_lite0 weights"] == "0b" * 32
    assert rows["dinov2 weights"] == "1b" * 32
    old = {"extractor": "inception", "weights_sha256": "ab" * 32}
    for run in collected.runs:
        run.protocol.clear()
        run.protocol.update(old)
    assert dict(hashes(collected))["inception weights"] == "ab" * 32
