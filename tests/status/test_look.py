"""Each state, told from files alone."""

import json
import os
import shutil
from dataclasses import replace

import hypothesis
import pytest
from hypothesis import strategies

from pigan.config import merge, parse
from pigan.status.choose import count
from pigan.status.look import look
from pigan.status.stage import STATES

MINUTE, HOUR = 60.0, 3600.0
DIVERGED = "pigan: training diverged: loss_g is nan at step 20"
STOPPED = "pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on"
BAR = "train baseline seed 0 8 px: 40/100 step, 2.0 step/s, 00:30 left, loss_d=0.70, img_s=8.0"


def test_empty_project_waits(tree, find):
    study = look(tree.params)
    assert {stage.state for stage in study.stages} == {"waiting"}
    assert [stage.stage for stage in study.shared] == [
        *("download", "crop", "real_stats_efficientnet_lite0", "bench", "report")
    ]
    assert len(study.runs) == 4 and [s.stage for s in study.runs[0].stages] == [
        *("init", "r8", "r16", "generate", "evaluate")
    ]
    assert find("r8").steps == 100


def test_outputs_are_done(tree, find):
    tree.all_done("baseline", 0)
    assert {find(stage).state for stage in ("init", "r8", "r16", "generate", "evaluate")} == {"done"}
    assert (find("r8").step, find("r8").seconds, find("r8").other_params) == (100, 200.0, False)
    assert find("r8", seed=1).state == "waiting"


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "state.json", "log.jsonl", "snapshots"])
def test_an_output_that_is_missing_is_not_done(tree, find, name):
    tree.done("baseline", 0, "init", "r8")
    path = tree.run("baseline", 0) / "r8" / name
    path.rmdir() if path.is_dir() else path.unlink()
    assert (find("r8").state, find("init").state) == ("waiting", "done")


@pytest.mark.parametrize("text", ["", "{broken", "[]", "{}", '{"params": {}}', '{"params": 3}', "[" * 9999])
def test_damaged_state_says_what_to_delete(tree, find, text):
    tree.done("baseline", 0, "init", "r8")
    (tree.run("baseline", 0) / "r8" / "state.json").write_text(text)
    assert find("r8").state == "failed"
    assert "delete runs/cars/baseline/seed0/r8 and run its stage again" in find("r8").error


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"training": {"log_steps": 3}, "generate": {"images": 12}}, []),
        ({"curriculum": {"stages": {"r16": {"steps": 50}}}}, ["r16", "generate", "evaluate"]),
        ({"curriculum": {"stages": {"r8": {"steps": 50}}}}, ["r8", "r16", "generate", "evaluate"]),
        ({"training": {"r1_weight": 9.0}}, ["r8", "r16", "generate", "evaluate"]),
        ({"model": {"hidden": 16}}, ["init", "r8", "r16", "generate", "evaluate"]),
        ({"arms": {"relu-pe": {"model": {"hidden": 16}}}}, []),
    ],
)
def test_what_was_made_with_other_params_is_told(tree, find, changes, others):
    tree.all_done("baseline", 0)
    tree.params = parse(merge(tree.params.model_dump(), changes))
    found = [stage for stage in ("init", "r8", "r16", "generate", "evaluate") if find(stage).other_params]
    assert found == others
    assert find("evaluate").state == "done"


def test_what_comes_after_a_training_that_waits_is_of_other_weights(tree, find):
    tree.all_done("baseline", 0)
    (tree.run("baseline", 0) / "r16" / "checkpoint.safetensors").unlink()
    assert find("r16").state == "waiting"
    assert [find(stage).other_params for stage in ("r8", "generate", "evaluate")] == [False, True, True]


def test_living_process_runs_with_pace_and_time_left(tree, find):
    tree.done("baseline", 0, "init")
    tree.training("baseline", 0, "r8", 40, ago=HOUR)
    tree.process("baseline", 0, "r8", tree.own(), ago=2 * HOUR)
    found = find("r8")
    assert (found.state, found.step, found.steps, found.images_per_second) == ("running", 40, 100, 12.5)
    # two seconds a step
    assert found.seconds_left == pytest.approx(120) and found.fraction == pytest.approx(0.4)
    assert found.pid == os.getpid() and found.silent == pytest.approx(HOUR, abs=5)


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ([0.5, *[1.0] * 10], True),
        ([1.0] * 9, False),
        ([*[1.0] * 10, 0.999], False),
        ([*[1.0] * 10, None], False),
        ([None] * 12, False),
    ],
)
def test_training_that_generates_nothing_is_told(tree, find, shares, told):
    path = tree.training("baseline", 0, "r8", 0)
    rows = [{"step": step, "seconds": 2.0 * step, "empty_rays": share} for step, share in enumerate(shares, start=1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree.process("baseline", 0, "r8", tree.own())
    assert find("r8").state == "running" and find("r8").only_background == told


def test_dead_process_on_this_machine_was_killed(tree, find):
    tree.training("baseline", 0, "r8", 40)
    tree.process("baseline", 0, "r8", tree.dead())
    found = find("r8")
    assert found.state == "killed" and "is gone without a word" in found.error
    assert found.command.startswith("pigan train --arm baseline --seed 0 --resolution 8 ")
    assert (found.step, found.seconds_left) == (40, None)


def test_process_elsewhere_is_judged_by_its_silence(tree, find):
    beat = tree.elsewhere()
    tree.training("baseline", 0, "r8", 40, ago=MINUTE)
    tree.process("baseline", 0, "r8", beat, ago=HOUR)
    assert (find("r8").state, find("r8").job) == ("running", "4711")
    tree.training("baseline", 0, "r8", 40, ago=12 * MINUTE)
    assert find("r8").state == "killed"
    assert find("r8").error == f"no sign of life from {beat.host} for 12 min"


def test_slow_training_may_be_silent_for_longer(tree, find):
    tree.process("baseline", 0, "r8", tree.elsewhere(), ago=HOUR)
    path = tree.training("baseline", 0, "r8", 0, ago=0)
    rows = [{"step": step, "seconds": 300.0 * step, "images_per_second": 0.1} for step in (1, 2)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree.age(path, 20 * MINUTE)
    tree.age(path.parent / "checkpoint.safetensors", 20 * MINUTE)
    assert find("r8").state == "running"
    tree.age(path, 26 * MINUTE)
    tree.age(path.parent / "checkpoint.safetensors", 26 * MINUTE)
    assert find("r8").state == "killed"


def test_error_of_the_heartbeat_is_told_where_no_engine_keeps_logs(tree, find):
    tree.process("baseline", 0, "r8", replace(tree.dead(), error=DIVERGED), ago=HOUR)
    assert (find("r8").state, find("r8").error) == ("failed", DIVERGED)
    tree.process("baseline", 0, "r8", replace(tree.dead(), error=STOPPED), ago=HOUR)
    assert (find("r8").state, find("r8").error) == ("stopped", STOPPED)


def test_log_explains_more_than_the_heartbeat_unless_it_is_of_an_attempt_before(tree, find):
    tree.process("baseline", 0, "r8", replace(tree.dead(), error="OutOfMemoryError: CUDA"), ago=HOUR)
    tree.log("baseline", 0, "r8", f"{DIVERGED}\n", ago=HOUR - 1)
    assert find("r8").error == DIVERGED
    tree.log("baseline", 0, "r8", f"{DIVERGED}\n", ago=2 * HOUR)
    assert find("r8").error == "OutOfMemoryError: CUDA"
    tree.process("baseline", 0, "r8", tree.dead(), ago=HOUR)
    assert find("r8").state == "killed"


@pytest.mark.parametrize("stage", ["init", "r8", "generate", "evaluate"])
def test_stages_without_a_heartbeat_are_told_from_their_logs(tree, find, stage):
    log = tree.log("baseline", 0, stage, "")
    assert find(stage).state == "running"
    log.write_text("images: 3/12 image, 0.5 image/s, 00:18 left\n")
    found = find(stage)
    assert found.state == "running" and found.says.startswith("images: 3/12")
    tree.age(log, 11 * MINUTE)
    assert find(stage).state == "killed" and find(stage).error.startswith("no sign of life for 11 min; last line: ")
    log.write_text("pigan: the disk is full\n")
    assert (find(stage).state, find(stage).error) == ("failed", "pigan: the disk is full")
    tree.age(log, HOUR)
    assert find(stage).state == "failed"


def test_shared_stages_have_their_logs_too(tree, find):
    path = tree.root / "logs" / "cars" / "crop.log"
    path.parent.mkdir(parents=True)
    path.write_text("crop: 5/10 image, 2.0 image/s, 00:02 left\n")
    assert find("crop", None, None).state == "running"
    path.write_text("pigan: data/raw/cars: no such folder\n")
    assert find("crop", None, None).state == "failed"
    (tree.root / "data/raw/cars").mkdir(parents=True)
    assert find("download", None, None).state == "done"


def test_finished_log_whose_outputs_were_taken_away_waits(tree, find):
    tree.log("baseline", 0, "r8", "wrote runs/cars/baseline/seed0/r8\n")
    tree.training("baseline", 0, "r8", 100, kept=False)
    assert find("r8").state == "waiting"


def test_later_attempt_at_what_is_done(tree, find):
    tree.done("baseline", 0, "init", "r8", ago=HOUR)
    # the last words of the attempt that made it
    tree.log("baseline", 0, "r8", "wrote runs/cars/baseline/seed0/r8\n", ago=MINUTE)
    assert find("r8").state == "done"
    tree.log("baseline", 0, "r8", BAR, ago=MINUTE)
    assert find("r8").state == "running"
    tree.log("baseline", 0, "r8", BAR, ago=20 * MINUTE)
    assert find("r8").state == "done"
    tree.log("baseline", 0, "r8", DIVERGED, ago=20 * MINUTE)
    assert find("r8").state == "failed"
    tree.log("baseline", 0, "r8", DIVERGED, ago=2 * HOUR)
    assert find("r8").state == "done"
    tree.process("baseline", 0, "r8", tree.dead(), ago=2 * HOUR)
    assert find("r8").state == "done"
    tree.process("baseline", 0, "r8", tree.own())
    assert find("r8").state == "running"


def test_empty_log_beside_outputs_is_of_who_touched_them(tree, find):
    """`snakemake --touch` makes logs that were not there; who begins again takes the outputs away first."""
    tree.done("baseline", 0, "init", "r8", "r16", "generate")
    for name in ("generated", "r16/checkpoint.safetensors"):
        tree.age(tree.run("baseline", 0) / name, 100)
    for stage in ("generate", "r16"):
        tree.log("baseline", 0, stage, "")
    assert {find("generate").state, find("r16").state} == {"done"}


def test_new_attempt_that_says_nothing_yet_is_running(tree, find):
    tree.process("baseline", 0, "r8", tree.dead(), ago=MINUTE)
    assert find("r8").state == "killed"
    tree.log("baseline", 0, "r8", "")
    assert find("r8").state == "running"


def test_progress_of_a_log_stands_in_for_a_state_that_cannot_be_seen(tree, find):
    tree.log("baseline", 0, "r8", BAR)
    found = find("r8")
    assert (found.state, found.step, found.images_per_second) == ("running", 40, 8.0)
    assert found.seconds_left == pytest.approx(30)


def test_state_in_progress_elsewhere(tree, find, monkeypatch):
    monkeypatch.setenv("PIGAN_WORK", str(tree.root / "scratch"))
    tree.process("baseline", 0, "r8", tree.own())
    assert find("r8").state == "waiting"
    (tree.root / "work").rename(tree.root / "scratch")
    assert find("r8").state == "running"


def test_clocks_that_are_ahead_neither_crash_nor_show_negative_ages(tree, find):
    tree.all_done("baseline", 0)
    for path in (tree.run("baseline", 0) / "r8").iterdir():
        tree.age(path, -HOUR)
    assert find("r8").state == "done"
    tree.log("baseline", 1, "generate", "", ago=-HOUR)
    found = find("generate", seed=1)
    assert (found.state, found.silent) == ("running", 0.0)
    # that is no other clock but a wrong time
    tree.log("baseline", 1, "generate", "half\n", ago=-40 * 24 * HOUR)
    found = find("generate", seed=1)
    assert (found.state, found.silent) == ("killed", 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        '{"step": 1',
        "[]\n3\nnull\n",
        '{"step": null, "seconds": "x"}\n',
        '{"step": -4, "seconds": -1, "images_per_second": 1e400}\n',
        '{"step": 30, "seconds": 5}\n{"step": 20, "seconds": 4}\n',
        "\x00" * 100,
    ],
)
def test_damaged_training_log_is_no_obstacle(tree, find, text):
    path = tree.training("baseline", 0, "r8", 0)
    path.write_text(text)
    tree.process("baseline", 0, "r8", tree.own())
    found = find("r8")
    assert found.state == "running"
    assert found.seconds_left is None or found.seconds_left >= 0
    assert found.fraction is None or 0 <= found.fraction <= 1


def test_cut_off_line_at_the_end_is_left_out(tree, find):
    path = tree.training("baseline", 0, "r8", 40)
    with path.open("a") as handle:
        handle.write('{"step": 50, "sec')
    tree.process("baseline", 0, "r8", tree.own())
    assert find("r8").step == 40


def test_huge_logs_are_read_from_their_end(tree, find, monkeypatch):
    path = tree.training("baseline", 0, "r8", 40)
    with path.open("r+b") as handle:
        tail = handle.read()
        handle.truncate(2**33)
        handle.seek(0, 2)
        handle.write(b"\n" + tail)
    tree.process("baseline", 0, "r8", tree.own())
    assert find("r8").step == 40


def test_links_to_nothing_and_files_for_folders_are_not_done(tree, find):
    folder = tree.run("baseline", 0)
    folder.mkdir(parents=True)
    (folder / "r8").write_text("a file")
    (folder / "metrics.json").symlink_to(folder / "nowhere")
    (folder / "evaluated").mkdir()
    assert (find("r8").state, find("evaluate").state) == ("waiting", "waiting")
    shutil.rmtree(tree.runs)
    tree.runs.write_text("a file")
    assert find("r8").state == "waiting"


Part = strategies.sampled_from(["init", "r8", "r16", "generate", "evaluate"])
Line = strategies.sampled_from(["", "wrote x\n", f"{DIVERGED}\n", f"{STOPPED}\n", f"{BAR}\n", "odd\n", "Killed\n"])
Age = strategies.sampled_from([-1e9, -HOUR, 0.0, 5.0, 11 * MINUTE, HOUR, 1e9])
Event = strategies.tuples(
    strategies.sampled_from(["done", "log", "training", "own", "dead", "elsewhere", "error"]),
    strategies.sampled_from(["baseline", "relu-pe"]),
    strategies.sampled_from([0, 1]),
    Part,
    Line,
    Age,
)


@hypothesis.given(strategies.lists(Event, max_size=12))
@hypothesis.settings(
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
def test_whatever_happened_the_counts_add_up(tree, events):
    for folder in ("runs", "work", "logs"):
        shutil.rmtree(tree.root / folder, ignore_errors=True)
    beats = {"own": tree.own, "dead": tree.dead_by_number, "elsewhere": tree.elsewhere}
    for what, arm, seed, stage, line, ago in events:
        if what == "done":
            tree.done(arm, seed, stage, ago=ago)
        elif what == "log":
            tree.log(arm, seed, stage, line, ago)
        elif what == "training":
            tree.training(arm, seed, stage, 40, ago)
        elif what == "error":
            tree.process(arm, seed, stage, replace(tree.own(), error=line.strip()), ago)
        else:
            tree.process(arm, seed, stage, beats[what](), ago)
    study = look(tree.params)
    counts = count(study.stages)
    assert tuple(counts) == STATES and sum(counts.values()) == len(study.stages) == 5 + 4 * 5
    for stage in study.stages:
        assert stage.silent is None or stage.silent >= 0
        assert stage.seconds_left is None or stage.seconds_left >= 0
        assert stage.fraction is None or 0 <= stage.fraction <= 1
        assert bool(stage.error) == (stage.state in ("failed", "killed", "stopped"))
        assert "\n" not in stage.error + stage.says
