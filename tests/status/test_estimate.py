"""How long is left."""

import shutil

import pytest

from pigan.status.estimate import time_left
from pigan.status.look import look
from pigan.status.training import pace_of


def left(tree):
    study = look(tree.params)
    return time_left(study, study.runs)


def test_nothing_is_estimated_from_nothing(tree):
    found = left(tree)
    assert (found.work, found.wait, found.slots) == (0.0, None, 0)
    assert found.unknown == ["r8", "r16", "generate", "evaluate"]


def test_study_that_is_done_has_nothing_left(tree):
    for arm in tree.params.arms:
        for seed in tree.params.seeds:
            tree.all_done(arm, seed)
    assert (left(tree).work, left(tree).unknown) == (0.0, [])


def test_what_waits_takes_as_long_as_elsewhere(tree):
    # 200 s a training stage, 40 s and 20 s for the two after it
    tree.all_done("baseline", 0)
    found = left(tree)
    assert found.work == pytest.approx(3 * (200 + 200 + 40 + 20))
    assert (found.wait, found.unknown) == (None, [])
    # 60 of 100 steps are left of one, and it runs
    tree.training("baseline", 1, "r8", 40)
    tree.process("baseline", 1, "r8", tree.own())
    found = left(tree)
    assert found.work == pytest.approx(2 * 460 + 120 + 260)
    assert (found.slots, found.wait) == (1, pytest.approx(found.work))
    for seed in tree.params.seeds:
        tree.training("relu-pe", seed, "r8", 0)
        tree.process("relu-pe", seed, "r8", tree.own())
    found = left(tree)
    # at least as long as the longest run
    assert found.slots == 3 and found.wait == pytest.approx(460)


def test_killed_stage_goes_on_from_where_it_was(tree):
    tree.all_done("baseline", 0)
    before = left(tree).work
    tree.training("baseline", 1, "r8", 40)
    tree.process("baseline", 1, "r8", tree.dead())
    assert left(tree).work == pytest.approx(before - 80)
    # and tells of its pace
    shutil.rmtree(tree.run("baseline", 0))
    assert left(tree).unknown == ["r16", "generate", "evaluate"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seconds": "x"}', '{"seconds": -1}', '{"seconds_of_parts": 3}'])
def test_damaged_times_are_not_used(tree, text):
    tree.all_done("baseline", 0)
    (tree.run("baseline", 0) / "metrics.json").write_text(text)
    found = left(tree)
    assert found.unknown == ["evaluate"] and found.work == pytest.approx(3 * 440)


def test_pace_is_that_of_the_last_lines():
    rows = [{"step": 10 * n, "seconds": 100 + 20.0 * n, "images_per_second": n} for n in range(1, 21)]
    found = pace_of(rows)
    assert (found.step, found.images_per_second, found.seconds) == (200, 20, 500.0)
    assert found.seconds_per_step == pytest.approx(2) and found.interval == pytest.approx(20)
    assert found.seconds_left(300) == pytest.approx(200) and found.seconds_left(100) == 0
    # of one line alone: since the stage began
    assert pace_of(rows[:1]).seconds_per_step == pytest.approx(12)
    assert pace_of([]) is None
