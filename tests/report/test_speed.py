"""Reading and writing what `pigan bench` measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pigan.errors import PiganError
from pigan.report.speed import Speed, Times, by_case, read_speed, write_speed

MakeSpeed = Callable[..., Speed]


def test_what_is_written_is_read_again(make_speed: MakeSpeed, tmp_path: Path) -> None:
    speed = make_speed()
    write_speed(speed, tmp_path / "speed.json")
    assert read_speed(tmp_path / "speed.json") == speed


def test_whole_numbers_in_the_file_are_numbers(make_speed: MakeSpeed, tmp_path: Path) -> None:
    values = make_speed().model_dump(mode="json")
    values["rows"][0]["gflop"] = 2
    (tmp_path / "speed.json").write_text(json.dumps(values))
    assert read_speed(tmp_path / "speed.json").rows[0].gflop == 2.0


def test_times_are_median_and_range() -> None:
    assert Times.of([3.0, 1.0, 2.0, 8.0]) == Times(median=2.5, low=1.0, high=8.0, repeats=4)
    with pytest.raises(ValidationError):
        Times.of([1.0, float("nan")])


def test_rows_are_grouped_by_case_and_size(make_speed: MakeSpeed) -> None:
    cases = by_case(make_speed().rows)
    assert [(title, size, len(rows)) for (title, size), rows in cases.items()] == [
        ("Rendering <one> image", "8 px", 2),
        ("Step", "16 px", 2),
        ("Step", "32 px", 2),
        ("Data loading", "8 images", 1),
    ]


def broken(values: dict[str, Any], key: str, value: Any) -> str:
    inner: Any = values
    *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    for part in path:
        inner = inner[part]
    inner[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("date", "yesterday"),
        ("machine.matmul_gflops", {}),
        ("machine.bandwidth_gb_s", 0.0),
        ("rows.0.case", "Step 32"),
        ("rows.1.ratio", "2"),
        ("rows.1.bound", "disk"),
        ("rows.1.speedup", 2.0),
        ("rows.2.ours_ms.repeats", 0),
        ("scaling.0.what", "weather"),
    ],
)
def test_what_bench_does_not_write_is_one_line_that_names_the_place(
    make_speed: MakeSpeed, tmp_path: Path, key: str, value: Any
) -> None:
    path = tmp_path / "speed.json"
    path.write_text(broken(make_speed().model_dump(mode="json"), key, value))
    with pytest.raises(PiganError) as caught:
        read_speed(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {key}: ") and "run pigan bench " in message and "\n" not in message


@pytest.mark.parametrize("content", ["[]", "{}", "nonsense", "NaN"])
def test_other_files_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "speed.json").write_text(content)
    with pytest.raises(PiganError, match=r"speed\.json: ") as caught:
        read_speed(tmp_path / "speed.json")
    assert "\n" not in str(caught.value)
