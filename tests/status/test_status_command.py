"""`pigan status` as people and scripts call it."""

import json
import os
import resource
import subprocess
import sys
import time

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pigan.cli import app
from pigan.config import merge, parse
from pigan.status.stage import STATES

KEYS = [
    *("schema", "experiment", "dataset", "time", "runs", "totals", "work_seconds_left", "seconds_left"),
    *("running_at_once", "without_estimate", "stages"),
]
STAGE_KEYS = [
    *("stage", "arm", "seed", "state", "other_params", "step", "steps", "images_per_second", "seconds"),
    *("seconds_left", "silent_seconds", "only_background", "last_line", "error", "log", "command"),
    *("host", "pid", "job"),
]


@pytest.fixture
def project(tree):
    YAML().dump(tree.params.model_dump(), tree.root / "params.yaml")
    tree.all_done("baseline", 0)
    tree.training("baseline", 1, "r8", 40)
    tree.process("baseline", 1, "r8", tree.own())
    return tree


def call(*arguments, code=0):
    done = CliRunner().invoke(app, ["status", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def table(output):
    return [tuple(line.split()[:2]) for line in output.splitlines() if line.startswith(("baseline", "relu-pe"))]


def test_json_keeps_its_keys(project):
    found = json.loads(call("--json"))
    assert list(found) == KEYS and found["schema"] == 1
    assert list(found["totals"]) == list(STATES)
    assert all(list(stage) == STAGE_KEYS for stage in found["stages"])
    assert sum(found["totals"].values()) == len(found["stages"]) == 25
    (running,) = [stage for stage in found["stages"] if stage["state"] == "running"]
    assert (running["arm"], running["seed"], running["stage"], running["step"]) == ("baseline", 1, "r8", 40)
    assert (running["steps"], running["seconds_left"], running["pid"]) == (100, 120.0, os.getpid())
    assert running["command"].startswith("pigan train ") and running["error"] is None
    (done,) = [s for s in found["stages"] if (s["arm"], s["seed"], s["stage"]) == ("baseline", 0, "r8")]
    assert (done["state"], done["seconds"], done["command"]) == ("done", 200.0, None)


def test_filters(project):
    assert table(call()) == [("baseline", "0"), ("baseline", "1"), ("relu-pe", "0"), ("relu-pe", "1")]
    assert table(call("--arm", "baseline", "--seed", "1")) == [("baseline", "1")]
    assert table(call("--running")) == [("baseline", "1")]
    assert table(call("--failed")) == []
    project.log("relu-pe", 0, "init", "pigan: no\n")
    assert table(call("--failed")) == [("relu-pe", "0")]
    assert table(call("--failed", "--running")) == [("baseline", "1"), ("relu-pe", "0")]
    found = json.loads(call("--json", "--arm", "relu-pe", "--failed"))
    assert {(stage["arm"], stage["seed"]) for stage in found["stages"]} == {(None, None), ("relu-pe", 0)}
    assert found["runs"] == 2


def test_unknown_arm_or_seed_names_those_there_are(project):
    for arguments, message in ((("--arm", "basline"), "did you mean 'baseline'"), (("--seed", "7"), "there are 0, 1")):
        done = subprocess.run([sys.executable, "-m", "pigan", "status", *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_check_tells_scripts_of_failures(project):
    call("--check")
    project.log("relu-pe", 0, "init", "pigan: no\n")
    call(code=0)
    call("--check", code=1)
    call("--check", "--arm", "baseline", code=0)
    call("--check", "--json", code=1)


def test_colour_is_for_terminals(project):
    assert "\x1b" not in call()


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_terminal_gets_colour_unless_it_is_not_wanted(project, environment, coloured):
    known = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    reader, writer = os.openpty()
    command = [sys.executable, "-m", "pigan", "status", "--arm", "relu-pe"]
    with subprocess.Popen(
        command, stdout=writer, env={**known, "TERM": "xterm", "PYTHONUTF8": "1", **environment}
    ) as shown:
        os.close(writer)
        output = b""
        try:
            while part := os.read(reader, 65_536):
                output += part
        except OSError:
            # Linux's way to say that the other end is closed
            pass
    os.close(reader)
    assert shown.returncode == 0 and b"waiting" in output
    assert (b"\x1b[" in output) is coloured


def test_watch_looks_again_until_it_is_interrupted(project, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    assert call("--watch", "--interval", "2").count("tiny on cars") == 3
    assert looks == [2.0] * 3


def test_status_needs_no_torch(project):
    code = (
        "import sys; from pigan.cli import app; app(['status'], standalone_mode=False); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False" and "25 stages" in done.stdout


def test_five_hundred_runs(project):
    """Prints how long it takes; bounds it only loosely, since others may use the machine."""
    arms = {f"arm-{number}": {"training": {"r1_weight": 1.0 + number}} for number in range(50)}
    values = merge(project.params.model_dump(), {"seeds": list(range(10)), "report": {"main_arm": "arm-0"}})
    project.params = parse({**values, "arms": arms})
    YAML().dump(project.params.model_dump(), project.root / "params.yaml")
    for number, arm in enumerate(arms):
        for seed in range(10):
            if number < 40:
                project.all_done(arm, seed)
            elif number < 44:
                project.training(arm, seed, "r8", 40)
                project.process(arm, seed, "r8", project.own_once)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "pigan", "status"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"500 runs: {work:.2f} s of work, {time.monotonic() - began:.2f} s by the clock")
    assert "500 runs, 2,505 stages\n✓ 2,000 done  ▶ 40 running  · 465 waiting" in done.stdout
    assert "runs without a line: 400 all done, 60 all waiting (--all shows them)" in done.stdout
    assert work < 5
