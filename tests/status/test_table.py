"""The page that people read."""

import json
import re
import shutil

import pytest

from pigan.status.cells import STYLES, Paint
from pigan.status.choose import Shown, fold
from pigan.status.estimate import time_left
from pigan.status.look import look
from pigan.status.table import as_text
from pigan.status.words import duration, rate

PLAIN, ASCII, COLOUR = Paint(False, True), Paint(False, False), Paint(True, True)

BUSY = """tiny on cars: 4 runs, 25 stages
✓ 8 done  ▶ 1 running  ✗ 1 failed  ■ 1 stopped  · 14 waiting
about 18 min left with 1 running at a time

download · waiting  crop · waiting  real_stats_efficientnet_lite0 · waiting  bench · waiting  report · waiting

arm       seed  init       r8                          r16        generate   evaluate
baseline  0     ✓ done     ✓ done                      ✓ done     ✓ done     ✓ done
baseline  1     ✓ done     ▶ 40 % 12 img/s 2 min left  · waiting  · waiting  · waiting
relu-pe   0     ✓ done     ✓ done                      ✗ failed   · waiting  · waiting
relu-pe   1     ■ stopped  · waiting                   · waiting  · waiting  · waiting

Running
  ▶ baseline seed 1 r8
      step 40 of 100, 12 img/s, 2 min left
      process PID on HOST, job 4711

Stopped
  ■ relu-pe seed 1 init
      pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on
      log: logs/cars/relu-pe-seed1/init.log
      resume: pigan init --arm relu-pe --seed 1 --out runs/cars/relu-pe/seed1/init

Failed
  ✗ relu-pe seed 0 r16
      pigan: training diverged: loss_g is nan at step 20
      log: logs/cars/relu-pe-seed0/r16.log
      resume: pigan train --arm relu-pe --seed 0 --resolution 16 --data data/prepared/cars \
--init runs/cars/relu-pe/seed0/r8 --out runs/cars/relu-pe/seed0/r16"""


@pytest.fixture
def busy(tree):
    """Something of everything."""
    tree.all_done("baseline", 0)
    tree.done("baseline", 1, "init")
    tree.training("baseline", 1, "r8", 40)
    tree.process("baseline", 1, "r8", tree.elsewhere())
    tree.done("relu-pe", 0, "init", "r8")
    tree.log("relu-pe", 0, "r16", "pigan: training diverged: loss_g is nan at step 20\n")
    tree.log("relu-pe", 1, "init", "pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on\n")
    return tree


def page(tree, width=200, paint=PLAIN, most=None):
    study = look(tree.params)
    return as_text(study, Shown(study.runs), time_left(study, study.runs), paint, width, most)


def test_page_of_a_busy_study(busy):
    text = re.sub(r"process \d+ on not-\S+,", "process PID on HOST,", page(busy))
    assert text == BUSY


@pytest.mark.parametrize("width", [200, 110, 80, 60, 40])
def test_table_fits_where_it_can(busy, width):
    rows = [line for line in page(busy, width).splitlines() if re.match(r"(arm|baseline|relu-pe) ", line)]
    assert len(rows) == 5
    assert max(map(len, rows)) <= max(width, 52)
    # symbols without words are explained
    assert ("≠ other params" in page(busy, width)) == (width <= 60)


def test_training_that_generates_nothing_is_told_at_length(tree):
    path = tree.training("baseline", 0, "r8", 40)
    assert "nothing but background" not in page(tree)
    rows = [{"step": step, "seconds": 2.0 * step, "empty_rays": 1.0} for step in range(1, 13)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert (
        "\n      step 12 of 100, 3 min left\n      generates nothing but background now: no ray meets a surface "
    ) in page(tree)


def test_time_left_says_what_it_lacks(tree):
    assert "\nno run tells yet how long r8, r16, generate, evaluate takes\n" in page(tree)
    tree.training("baseline", 0, "r8", 40)
    tree.process("baseline", 0, "r8", tree.own())
    # 120 s of this run, 200 s of each of three others
    text = "at least 12 min left with 1 running at a time\nno run tells yet how long r16, generate, evaluate takes"
    assert f"\n{text}\n" in page(tree)
    shutil.rmtree(tree.root / "work")
    for arm in tree.params.arms:
        for seed in tree.params.seeds:
            tree.all_done(arm, seed)
    (tree.run("baseline", 0) / "metrics.json").unlink()
    assert "\nabout 20 s of work left, none of it running\n" in page(tree)
    tree.all_done("baseline", 0)
    assert "left" not in page(tree)


def test_colour_is_never_alone(busy):
    coloured = page(busy, paint=COLOUR)
    assert "\x1b[31m" in coloured and "\x1b[36m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured).replace(" ", "") == page(busy).replace(" ", "")
    assert "\x1b" not in page(busy)


def test_terminal_without_symbols_gets_letters(busy):
    page(busy, paint=ASCII).encode("ascii")
    assert len({style.plain for style in STYLES.values()}) == len({s.symbol for s in STYLES.values()}) == len(STYLES)


def test_only_so_many_are_told_of_at_length(busy):
    for seed in busy.params.seeds:
        busy.log("relu-pe", seed, "generate", "pigan: no\n")
    text = page(busy, most=1)
    assert "and 2 more (--failed shows them)" in text and text.count("resume:") == 2
    assert page(busy).count("resume:") == 4


def test_runs_with_nothing_to_tell_are_folded_when_there_are_too_many(busy):
    busy.done("relu-pe", 1, "init")
    runs = look(busy.params).runs
    assert fold(runs, 4) == Shown(runs)
    folded = fold(runs, 3)
    assert [(run.arm, run.seed) for run in folded.runs] == [("baseline", 1), ("relu-pe", 0), ("relu-pe", 1)]
    assert (folded.done, folded.waiting, folded.between) == (1, 0, 0)


def test_every_run_is_shown_or_counted(busy):
    for lines in range(6):
        found = fold(look(busy.params).runs, lines)
        assert len(found.runs) + found.done + found.waiting + found.between == 4


def test_page_of_nothing_but_folded_runs(tree):
    study = look(tree.params)
    text = as_text(study, fold(study.runs, 1), time_left(study, study.runs), PLAIN, 80, 5)
    assert "runs without a line: 4 all waiting (--all shows them)" in text and "baseline" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *(
            (-3, "0 s"),
            (0.4, "0 s"),
            (59.4, "59 s"),
            (59.6, "1 min"),
            (3570, "1 h"),
            (3599, "1 h"),
            (7800, "2 h 10 min"),
        ),
        *((86_399, "1 d"), (273_600, "3 d 4 h"), (1e9, "11574 d 2 h")),
    ],
)
def test_durations_have_two_units_at_most(seconds, words):
    assert duration(seconds) == words


def test_rates_have_two_digits():
    assert [rate(x) for x in (1234.5, 12.3, 1.23, 0.0123)] == ["1234 img/s", "12 img/s", "1.2 img/s", "0.012 img/s"]
