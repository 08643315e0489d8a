"""Plots of the measurements."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pigan.report.speed import Speed
from pigan.report.speedfigures import draw_roofline, draw_scaling, draw_speed, spread

MakeSpeed = Callable[..., Speed]
Draw = Callable[[Speed, Path], None]
DRAWS = [draw_speed, draw_roofline, draw_scaling]


def texts(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("draw", DRAWS)
def test_same_measurements_give_the_same_bytes(draw: Draw, make_speed: MakeSpeed, tmp_path: Path) -> None:
    for name in ("first", "second"):
        draw(make_speed(), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("draw", DRAWS)
def test_nothing_measured_is_said(draw: Draw, make_speed: MakeSpeed, tmp_path: Path) -> None:
    empty = make_speed(scaling=False).model_copy(update={"rows": []})
    draw(empty, tmp_path / "empty.svg")
    assert texts(tmp_path / "empty.svg") == ["not measured"]


def test_every_ratio_is_written_beside_its_dot(make_speed: MakeSpeed, tmp_path: Path) -> None:
    speed = make_speed()
    draw_speed(speed, tmp_path / "speed.svg")
    written = texts(tmp_path / "speed.svg")
    assert [row.path for row in speed.rows] == [text for text in written if text in {row.path for row in speed.rows}]
    for row in speed.rows:
        assert f"{row.ratio:.2f}×" in written and row.size in written


def test_roofline_names_the_roofs_and_the_cases_that_were_counted(make_speed: MakeSpeed, tmp_path: Path) -> None:
    draw_roofline(make_speed(), tmp_path / "roofline.svg")
    written = " | ".join(texts(tmp_path / "roofline.svg"))
    for part in ("fp32 matrix multiplication, 90.0 GFLOP/s", "bf16 matrix multiplication, 200 GFLOP/s"):
        assert part in written
    assert "copying memory, 11.0 GB/s" in written
    assert "Step, 16 px" in written and "Step, 32 px" in written
    assert "plain reference" in written and "folded bf16" in written
    assert "Data loading" not in written and "packed arrays" not in written


def test_scaling_has_a_panel_a_size_that_grew(make_speed: MakeSpeed, tmp_path: Path) -> None:
    speed = make_speed()
    draw_scaling(speed, tmp_path / "all.svg")
    assert {"Image side, px", "Samples a ray", "Images a step"} <= set(texts(tmp_path / "all.svg"))
    some = speed.model_copy(update={"scaling": [point for point in speed.scaling if point.what == "batch"]})
    draw_scaling(some, tmp_path / "some.svg")
    assert "Samples a ray" not in texts(tmp_path / "some.svg")


@pytest.mark.parametrize("heights", [[], [0.5], [0.1, 0.5, 0.9], [0.5, 0.5, 0.5, 0.51], [0.97, 0.98, 1.0], [0.0, 0.0]])
def test_labels_are_spread_inside_the_axes(heights: list[float]) -> None:
    before = np.array(heights)
    places = spread(before, 0.1)
    assert (np.diff(places) >= 0.1 - 1e-9).all()
    assert ((places > -1e-9) & (places < 1 + 1e-9)).all()
    if (np.diff(before) >= 0.1).all():
        assert (places == before).all()
