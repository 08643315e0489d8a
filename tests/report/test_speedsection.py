"""The section on speed: sentence, table, page."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pigan.report.plots import shown, write_plots
from pigan.report.speed import Row, Speed
from pigan.report.speedsection import sentence, speed_plots, speed_section, speed_table, write_error
from pigan.report.templating import environment

MakeSpeed = Callable[..., Speed]


def changed(speed: Speed, case: str, **values: object) -> Speed:
    rows = [row.model_copy(update=values) if row.case == case else row for row in speed.rows]
    return speed.model_copy(update={"rows": rows})


def page(speed: Speed, folder: Path) -> str:
    plots = speed_plots(speed)
    write_plots(plots, folder)
    section = speed_section(speed, shown(plots, folder))
    return environment().get_template("speed.html.jinja").render(speed=section)


def test_sentence_is_about_the_best_path_at_the_largest_side(make_speed: MakeSpeed) -> None:
    # 190 ms against 25 ms, 300 MB of 900 MB
    assert sentence(make_speed()) == (
        "On this machine, CPU, 2 threads, a training step at 32 px (folded bf16) is 7.60 times as fast as the plain "
        "reference and uses 33 % of its memory."
    )


def test_sentence_tells_what_is_slower_and_leaves_out_what_was_not_measured(make_speed: MakeSpeed) -> None:
    slow = changed(make_speed(), "step_32", ratio=0.5, peak_mb=None)
    assert sentence(slow).endswith("(folded fp32) takes 2.00 times as long as the plain reference.")


def test_sentence_without_a_training_step_says_so(make_speed: MakeSpeed) -> None:
    speed = make_speed()
    assert "no training step was measured" in sentence(speed.model_copy(update={"rows": speed.rows[:2]}))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (3.24e-6, "3.2 × 10⁻⁶"), (9.99e-3, "1.0 × 10⁻²"), (12.0, "1.2 × 10¹")],
)
def test_errors_are_written_as_powers_of_ten(value: float | None, text: str) -> None:
    assert write_error(value) == text


def test_table_holds_every_number(make_speed: MakeSpeed, tmp_path: Path) -> None:
    speed = make_speed()
    write_plots(speed_plots(speed), tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "speed.csv")
    assert len(table) == len(speed.rows)
    for number, row in enumerate(speed.rows):
        assert table["ours_ms_low"][number] == row.ours_ms.low
        assert table["ratio"][number] == row.ratio
        assert table["gbyte"].isna()[number] == (row.gbyte is None)
    assert {key for key in Row.model_fields if not key.endswith("_ms")} <= set(table.columns)


def test_empty_table_has_columns(make_speed: MakeSpeed) -> None:
    assert "ratio" in speed_table(make_speed().model_copy(update={"rows": []})).columns


def test_page_shows_every_row_with_its_numbers(make_speed: MakeSpeed, tmp_path: Path) -> None:
    speed = make_speed()
    text = page(speed, tmp_path)
    body = re.sub(r"<svg.*?</svg>", "", text, flags=re.S)
    for row in speed.rows:
        assert f"{row.ratio:.2f}×" in body
        assert html.escape(row.title) in body
    assert body.count("3.2 × 10⁻⁶") == 3 and body.count("2.1 × 10⁻²") == 3
    assert '<strong class="slower">0.80×</strong>' in body
    # one measurement has no range
    assert "0.80 – 0.80" not in body
    for part in ("2026-02-03", "CPU, 2 threads", speed.command, "demo &amp; co", "fp32 90.0 GFLOP/s, bf16 200 GFLOP/s"):
        assert part in body
    assert "The machine was &lt;busy&gt;." in body
    assert text.count("<svg") == 3
    assert [plot.name for plot in speed_plots(speed)] == ["speed", "roofline", "scaling"]
    assert all(f'aria-label="{plot.label}"' in text for plot in speed_plots(speed))


def test_estimates_are_marked_as_estimates(make_speed: MakeSpeed, tmp_path: Path) -> None:
    text = page(make_speed(), tmp_path)
    assert "Estimated, not measured" in text
    assert "≈ 51 d 10 h" in text and "≈ 3.21 GB" in text and "≈ 2.52" in text
    assert "stimate" not in page(make_speed(estimates=False), tmp_path)


def test_what_was_not_measured_is_left_out(make_speed: MakeSpeed, tmp_path: Path) -> None:
    speed = make_speed(scaling=False)
    only_data = speed.model_copy(update={"rows": speed.rows[-1:]})
    text = page(only_data, tmp_path)
    assert "How cost grows" not in text and "What limits it" not in text
    assert text.count("<svg") == 1
