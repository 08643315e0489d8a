"""The ends of logs."""

import json

import pytest

from pigan.chain.logs import counted, is_error, is_stop, last_line, last_rows
from pigan.progress import Progress


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\n\n", "two"),
        (b"  10 %\r  90 %\r100 %", "100 %"),
        (b"\x1b[31mred\x1b[0m\x07 and\tblue", "red and blue"),
        (b"\xff\xfeodd", "��odd"),
        (b"a" * 1000, "a" * 299 + "…"),
        (b"x" * 200_000 + b"\nlast", "last"),
        (b"pigan: no such arm\nWarning: semaphores leaked\n  warn(\n", "pigan: no such arm"),
        (b"pigan: of an attempt before\n" + b"step\n" * 30, "step"),
    ],
)
def test_last_line_of_a_log(tmp_path, content, line):
    path = tmp_path / "r16.log"
    path.write_bytes(content)
    assert last_line(path) == line
    assert last_line(tmp_path / "none.log") == ""


@pytest.mark.parametrize(
    ("line", "error", "stop"),
    [
        ("pigan: training diverged: loss_g is nan", True, False),
        ("pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on", False, True),
        ("pigan: the time limit is near; the checkpoint is saved, run again to go on", False, True),
        ("ValueError: no", True, False),
        ("torch.cuda.OutOfMemoryError: CUDA", True, False),
        ("Killed", True, False),
        ("train baseline seed 0 32 px: 9/10 step, 1.0 step/s, 00:01 left", False, False),
        ("wrote runs/cars", False, False),
        ("", False, False),
    ],
)
def test_errors_and_stops(line, error, stop):
    assert (is_error(line), is_stop(line)) == (error, stop)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train a seed 0 8 px: 280/650 step, 1.2 step/s, 05:10 left, loss_d=0.70, img_s=12.3", (280, 650, 310.0, 12.3)),
        ("train a seed 0 8 px: 2/650 step, 0.0 step/s, ? left", (2, 650, None, None)),
        ("images: 1/5 batch, 0.1 batch/s, 1:02:03 left", (1, 5, 3723.0, None)),
        ("x: 1/5 batch, 0.1 batch/s, 00:40 left, img_s=1.2.3", (1, 5, 40.0, None)),
    ],
)
def test_lines_of_progress(line, expected):
    found = counted(line)
    assert (found.done, found.total, found.seconds_left, found.images_per_second) == expected


@pytest.mark.parametrize("line", ["", "12/50", "1/2 MB, fast", "resuming baseline seed 0 8 px at step 4"])
def test_other_lines_tell_of_no_progress(line):
    assert counted(line) is None


def test_what_progress_writes_is_what_status_reads(capsys):
    with Progress(4, "train baseline seed 0 32 px", "step", 1) as shown:
        shown.advance(3, loss_d="0.70", img_s="12.3")
    found = counted(capsys.readouterr().err.strip())
    assert (found.done, found.total, found.seconds_left, found.images_per_second) == (4, 4, 0.0, 12.3)


def test_only_the_end_of_a_log_is_read_and_damaged_lines_are_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    with path.open("w") as handle:
        for step in range(50_000):
            handle.write(json.dumps({"step": step, "text": "x" * 50}) + "\n")
        handle.write('[1, 2]\nnonsense\n17\n{"step": 50000}\n{"step": 500')
    rows = last_rows(path, 1000)
    assert [row["step"] for row in rows] == [*range(50_001 - len(rows), 50_001)] and 3 < len(rows) < 20
    assert last_rows(tmp_path / "none.jsonl", 1000) == []
    path.write_bytes(b"[" * 5000 + b"\n\xff\xfe\n{}")
    assert last_rows(path, 10_000) == [{}]
