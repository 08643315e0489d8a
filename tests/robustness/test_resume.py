"""Training goes on from the checkpoint before a damaged one, keeps others out, and survives odd clocks."""

import json
import re
import time
from itertools import count
from pathlib import Path

import pytest

from pigan.chain.place import CHECKPOINT, NEXT, PREVIOUS
from pigan.errors import PiganError
from pigan.locks import sole_use
from pigan.training.checkpoint import describe
from pigan.training.loop import _cut_log

names = count()


@pytest.fixture
def stopped(project, disk):
    """A training that crashed with two checkpoints, a name for it each time."""
    name = f"stopped{next(names)}"
    with disk() as watch:
        project.train(f"{name}-counted")
    (end,) = [number for number, done in enumerate(watch.done) if done == "mkdir"][-1:]
    # just before the outputs are written
    with disk(end - 1) as watch, pytest.raises(watch.crash):
        project.train(name)
    work = project.work(name)
    steps = [describe(work / file)["counters"]["step"] for file in (CHECKPOINT, PREVIOUS)]
    assert steps == [6, 4]
    return name


def flip(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 4
    path.write_bytes(data)


DAMAGES = {
    "a bit of a weight": lambda path: flip(path, 0.9),
    "a bit of the header": lambda path: flip(path, 0.002),
    "its end": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "all of it": lambda path: path.write_bytes(b""),
    "lost": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_named_and_the_one_before_used(project, uninterrupted, stopped, damage, capsys):
    newest = project.work(stopped) / CHECKPOINT
    DAMAGES[damage](newest)
    project.train(stopped)
    said = capsys.readouterr().out.splitlines()
    named = [line for line in said if str(newest) in line]
    assert len(named) == (damage != "lost")
    assert all("damaged" in line and line.endswith("trying the checkpoint before it") for line in named)
    assert any(line.endswith("at step 4") for line in said)
    assert project.bits(stopped) == uninterrupted
    assert not [name for name in (CHECKPOINT, PREVIOUS, NEXT) if (project.work(stopped) / name).exists()]


def test_both_damaged_is_a_fresh_start(project, uninterrupted, stopped, capsys):
    for name in (CHECKPOINT, PREVIOUS):
        flip(project.work(stopped) / name, 0.8)
    project.train(stopped)
    said = capsys.readouterr().out
    assert said.count("damaged") == 2 and "; starting afresh" in said and "resuming" not in said
    assert project.bits(stopped) == uninterrupted


def test_damaged_checkpoint_never_takes_the_place_of_the_good_one(project, stopped, disk):
    flip(project.work(stopped) / CHECKPOINT, 0.9)
    # killed again before the next one is saved
    with disk(8) as watch, pytest.raises(watch.crash):
        project.train(stopped)
    kept = {name: (project.work(stopped) / name).exists() for name in (CHECKPOINT, PREVIOUS)}
    assert kept == {CHECKPOINT: False, PREVIOUS: True}
    assert describe(project.work(stopped) / PREVIOUS)["counters"]["step"] == 4


def test_missing_snapshot_is_made_again_from_the_checkpoint_before(project, uninterrupted, stopped, capsys):
    (project.work(stopped) / "snapshots/step_0000006.safetensors").unlink()
    project.train(stopped)
    assert "a snapshot is missing; trying the checkpoint before it" in capsys.readouterr().out
    assert project.bits(stopped) == uninterrupted


def test_damaged_snapshot_is_never_published(project, stopped):
    flip(project.work(stopped) / "snapshots/step_0000003.safetensors", 0.9)
    with pytest.raises(PiganError, match=r"step_0000003\.safetensors: damaged, .*; delete it and run its stage again"):
        project.train(stopped)
    assert not (project.folder / stopped / "r8/checkpoint.safetensors").exists()


def test_log_is_cut_whole_lines_at_a_time(tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    rows = [json.dumps({"step": step}) for step in (1, 2, 3, 4)]
    log.write_text("\n".join([rows[0], '{"ste\0', rows[1], "[]", *rows[2:], '{"step": 5']))
    _cut_log(log, 3)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3]
    said = capsys.readouterr().out.splitlines()
    assert [re.sub(".*: line", "line", line) for line in said] == [f"line {n} is damaged and left out" for n in (2, 4)]


def test_second_process_in_one_work_directory_is_told_who_is_there(project, uninterrupted):
    with (
        sole_use(project.work("shared"), "train"),
        pytest.raises(PiganError, match=r"^train baseline seed 0 8 px: process \d+ on \S+ is at work in .*/r8; wait"),
    ):
        project.train("shared")
    project.train("shared")
    assert project.bits("shared") == uninterrupted


@pytest.mark.parametrize("jump", [-3600.0, 1e6])
def test_clock_that_jumps_neither_stops_nor_stalls_training(project, uninterrupted, jump, monkeypatch):
    real, calls, saves = time.monotonic, count(), count()
    monkeypatch.setattr(time, "monotonic", lambda: real() + (jump if next(calls) > 12 else 0.0))
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + (jump if next(calls) > 12 else 0.0))
    from pigan.training import loop

    save = loop._save_progress
    monkeypatch.setattr(loop, "_save_progress", lambda *given: (next(saves), save(*given)))
    name = f"clock{jump:.0f}"
    project.train(name)
    assert next(calls) > 20
    # a jump ahead makes one more due; none is saved over and over
    assert next(saves) <= 4
    assert project.bits(name) == uninterrupted
    stage = project.folder / name / "r8"
    rows = [json.loads(line) for line in (stage / "log.jsonl").read_text().splitlines()]
    assert all(row[key] >= 0 for row in rows for key in ("seconds", "images_per_second"))
    assert json.loads((stage / "state.json").read_text())["seconds"] >= 0
