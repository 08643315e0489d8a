"""Progress: plain lines in a log, a bar on a terminal."""

import functools
import io
import itertools
import sys
from collections.abc import Iterator

import pytest

from pigan import progress
from pigan.progress import Progress, heard_by, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four seconds pass between any two looks at the clock."""
    ticks = itertools.count(100.0, 4.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))


@pytest.mark.usefixtures("clock")
def test_log_gets_a_line_with_rate_and_time_left_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(6, "crop", "image") as shown:
        for _ in range(6):
            shown.advance()
    out, err = capsys.readouterr()
    # every third tick is more than ten seconds later; the last one is always told
    assert err.splitlines() == [
        "crop: 3/6 image, 0.2 image/s, 00:12 left",
        "crop: 6/6 image, 0.2 image/s, 00:00 left",
    ]
    assert out == ""


@pytest.mark.usefixtures("clock")
def test_work_of_earlier_attempts_does_not_count_for_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1000, "train", "step", start=900) as shown:
        for step in range(3):
            shown.advance(2, loss_d=1.5, step=step)
    assert capsys.readouterr().err == "train: 906/1000 step, 0.5 step/s, 03:08 left, loss_d=1.5, step=2\n"


@pytest.mark.usefixtures("clock")
def test_notes_that_are_functions_are_only_asked_when_they_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def note(step: int) -> str:
        asked.append(step)
        return f"{step} dB"

    with Progress(7, "invert", "step") as shown:
        for step in range(1, 8):
            shown.advance(psnr=functools.partial(note, step))
    lines = capsys.readouterr().err.splitlines()
    assert asked == [3, 6, 7]
    assert [line.split(", ")[-1] for line in lines] == ["psnr=3 dB", "psnr=6 dB", "psnr=7 dB"]


@pytest.mark.usefixtures("clock")
def test_bytes_are_shown_in_handy_units_and_the_total_may_come_later(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(None, "get", "B", start=1000) as shown:
        for _ in range(3):
            shown.advance(4_000_000)
        shown.total = 1_500_000_000
        for _ in range(3):
            shown.advance(4_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "get: 12.0 MB, 1.00 MB/s, ? left",
        "get: 24.0 MB/1.50 GB, 1.00 MB/s, 24:35 left",
    ]


def test_quick_work_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", 3, "letters")) == ["a", "b", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("letters: 3/3 it, ") and lines[0].endswith(" 00:00 left")


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([], 0, "nothing")) == []
    with Progress(5, "already done", start=5):
        pass
    assert capsys.readouterr().err == ""


def test_failure_leaves_no_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(track(items(), 3, "half"))
    assert capsys.readouterr().err == ""


def test_terminal_gets_one_bar_that_redraws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(4, "train", "step", start=1) as shown:
        assert shown.terminal
        for _ in range(3):
            shown.advance(loss_d=0.25)
    written = terminal.getvalue()
    assert "train: " in written and "4/4" in written and "loss_d=0.25" in written
    assert written.count("\r") >= 2 and written.count("\n") == 1


def test_listeners_hear_what_is_counted_meanwhile_and_can_end_it() -> None:
    heard: list[tuple[int, int | None]] = []
    with heard_by(lambda done, total: heard.append((done, total))), Progress(5, "mesh") as shown:
        shown.advance(2)
        shown.advance(3)
    with Progress(1, "other") as shown:
        shown.advance()
    assert heard == [(2, 5), (5, 5)]

    def enough(done: int, total: int | None) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), heard_by(enough):
        list(track(range(3), 3, "mesh"))
