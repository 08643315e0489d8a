"""The whole chain as jobs of a real SLURM, two of them preempted; skipped where none runs on this machine.

`tests/cluster/slurm_single_node.sh start` starts one. One training is stopped without a warning and requeued by SLURM,
the next one is warned, saves and leaves, and is submitted again by Snakemake. `pytest -s` shows the list of jobs.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline_tree import ROOT, Tree

PARTITIONS = {"gpu", "preemptible", "urgent"}
RUN = "runs/cars/baseline/seed0"
# of one part; on an idle machine of two cores the whole takes a minute or two
LIMIT_SECONDS = 600
CHANGES = {
    "seeds": [0],
    "curriculum": {"stages": {"r8": {"steps": 400}, "r16": {"steps": 200}}},
    # what a stopped training has is then what it saved when it was told to stop
    "training": {"checkpoint_steps": 100_000, "log_steps": 5, "snapshot_steps": 150, "sample_steps": 100_000},
}


def there_is_slurm() -> bool:
    try:
        done = subprocess.run(["sinfo", "-h", "-o", "%R"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return set(done.stdout.split()) >= PARTITIONS


pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not there_is_slurm(), reason="no test SLURM: tests/cluster/slurm_single_node.sh starts one"),
]


@dataclass(frozen=True)
class Job:
    """What SLURM remembers of a job."""

    number: int
    rule: str
    partition: str
    state: str
    restarts: int
    seconds: str
    code: str


def jobs_of(tree: Tree) -> list[Job]:
    """The jobs of a project, by their numbers."""
    told = subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True, text=True, check=True)
    found = []
    for line in told.stdout.splitlines():
        fields = dict(re.findall(r"(\w+(?:/\w+)?)=(\S*)", line))
        if fields.get("WorkDir") == str(tree.path):
            rule = fields.get("Comment", "").removeprefix("rule_").split("_wildcards")[0]
            found.append(
                Job(
                    *(int(fields["JobId"]), rule or fields["JobName"], fields["Partition"], fields["JobState"]),
                    *(int(fields["Restarts"]), fields["RunTime"], fields["ExitCode"]),
                )
            )
    return sorted(found, key=lambda job: job.number)


def make_room(tree: Tree, stage: str, engine: "subprocess.Popen[bytes]") -> None:
    """Waits until a training is under way and submits a job that needs every GPU."""
    log = tree.path / f"work/cars/baseline/seed0/{stage}/log.jsonl"
    until = time.monotonic() + LIMIT_SECONDS
    while not (log.exists() and log.read_text().count("\n") >= 2):
        assert engine.poll() is None and time.monotonic() < until, (tree.path / "snakemake.log").read_text()[-4000:]
        time.sleep(0.05)
    command = ["sbatch", "-p", "urgent", "--gpus=2", "--mem=100", "-J", f"urgent-{stage}", "-o", "/dev/null"]
    subprocess.run([*command, "--wrap", "sleep 1"], cwd=tree.path, check=True, capture_output=True)


@pytest.fixture(scope="module")
def preempted(make_project: Any) -> Tree:
    """The report, made by SLURM jobs while others were more important."""
    tree: Tree = make_project("slurm", CHANGES)
    profile = tree.path / "workflow/profiles/slurm-preemptible/config.yaml"
    values = YAML().load(profile)
    # of the GPUs of this cluster only trainings have any, so that they are what must make room
    values["set-resources"]["train_r16"]["slurm_partition"] = "gpu"
    for rule in ("bench", "real_stats", "generate", "evaluate"):
        values["set-resources"][rule]["gpu"] = 0
    YAML().dump(values, profile)
    command = [
        *(sys.executable, "-m", "snakemake", "--workflow-profile", str(profile.parent), "report"),
        # no accounting here; and the first look at a job is early
        *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
        *("--retries", "3", "--local-cores", "1"),
    ]
    with (tree.path / "snakemake.log").open("wb") as said:
        engine = subprocess.Popen(
            command, cwd=tree.path, env=tree.env, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        for stage in ("r8", "r16"):
            make_room(tree, stage, engine)
        assert engine.wait(LIMIT_SECONDS) == 0, (tree.path / "snakemake.log").read_text()[-4000:]
    finally:
        if engine.poll() is None:
            os.killpg(engine.pid, signal.SIGKILL)
        for job in jobs_of(tree):
            print(
                f"{job.number:4} {job.rule:12} {job.partition:12} {job.state:10} "
                f"restarts {job.restarts}  {job.seconds}  exit {job.code}"
            )
            subprocess.run(["scancel", str(job.number)], capture_output=True, check=False)
    return tree


def jobs_named(tree: Tree, rule: str) -> list[Job]:
    return [job for job in jobs_of(tree) if job.rule == rule]


def test_every_stage_but_the_smallest_was_a_job_and_the_report_is_there(preempted: Tree) -> None:
    assert (preempted.path / "reports/tiny/report.html").stat().st_size > 10_000
    done = {job.rule for job in jobs_of(preempted) if job.state == "COMPLETED" and job.code == "0:0"}
    assert done >= {"download", "crop", "real_stats", "bench", "train_r8", "train_r16", "generate", "evaluate"}
    again = preempted.run(sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "report")
    assert "Nothing to be done" in again


def test_a_job_that_was_not_warned_is_started_again_by_slurm(preempted: Tree) -> None:
    (job,) = jobs_named(preempted, "train_r8")
    assert (job.partition, job.state, job.restarts) == ("preemptible", "COMPLETED", 1)
    assert "resuming baseline seed 0 8 px" in (preempted.path / "logs/cars/baseline-seed0/r8.log").read_text()


def test_a_job_that_was_warned_leaves_and_is_submitted_again_by_snakemake(preempted: Tree) -> None:
    first, second = jobs_named(preempted, "train_r16")
    assert (first.partition, first.state) == ("gpu", "FAILED") and second.state == "COMPLETED"
    assert "resuming baseline seed 0 16 px" in (preempted.path / "logs/cars/baseline-seed0/r16.log").read_text()


def test_preempted_trainings_end_with_the_bits_of_undisturbed_ones(preempted: Tree) -> None:
    whole = preempted.path / "undisturbed"
    shutil.copytree(preempted.path / RUN / "init", whole / "init")
    for resolution, before in ((8, "init"), (16, "r8")):
        preempted.run(
            *(sys.executable, "-m", "pigan", "train", "--arm", "baseline", "--seed", "0"),
            *("--resolution", str(resolution), "--data", "data/prepared/cars"),
            *("--init", str(whole / before), "--out", str(whole / f"r{resolution}")),
        )
    compared = 0
    for stage in ("r8", "r16"):
        for file in [whole / stage / "checkpoint.safetensors", *(whole / stage / "snapshots").iterdir()]:
            assert (preempted.path / RUN / file.relative_to(whole)).read_bytes() == file.read_bytes(), file
            compared += 1
    steps = json.loads((whole / "r16/state.json").read_text())["global_step"]
    assert (steps, compared) == (600, 2 + 2 + 2 + 4)


def test_slurm_tells_a_training_when_its_time_ends(tmp_path: Path) -> None:
    ask = "from pigan.training.deadline import seconds_left; print(seconds_left())"
    command = [
        "sbatch",
        "--wait",
        "-p",
        "gpu",
        "--mem=500",
        "--time=10",
        "-o",
        str(tmp_path / "out"),
        "-D",
        str(tmp_path),
    ]
    subprocess.run([*command, "--wrap", f"{sys.executable} -c '{ask}'"], check=True, timeout=120, capture_output=True)
    assert 500 < float((tmp_path / "out").read_text()) <= 600


STAND_IN_DVC = """#!/bin/sh
# ends well when it is run again; before, as DVC does when a training left with 75, or when it is told to end
echo run >> runs.txt
[ "$(wc -l < runs.txt)" = 1 ] || exit 0
[ "$2" = late ] && { echo "ERROR: failed to run: pigan train, exited with 75" >&2; exit 255; }
trap 'exit 143' TERM
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize(("ending", "runs"), [("late", 2), ("preempted", 2), ("cancelled", 1)])
def test_dvc_in_a_job_comes_back_unless_it_was_cancelled(tmp_path: Path, ending: str, runs: int) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "bin/dvc").write_text(STAND_IN_DVC)
    (tmp_path / "bin/dvc").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"}
    submit = [
        "sbatch",
        "--parsable",
        "--cpus-per-task=1",
        "--mem=500",
        ROOT / "workflow/cluster/dvc_repro.sbatch",
        ending,
    ]
    done = subprocess.run(submit, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    number = done.stdout.strip()

    def job() -> dict[str, str]:
        told = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True).stdout
        return dict(re.findall(r"(\w+)=(\S*)", told))

    def wait_for(what: Callable[[], bool]) -> None:
        until = time.monotonic() + 90
        while not what():
            assert time.monotonic() < until, (job(), (tmp_path / f"logs/slurm-{number}.log").read_text())
            time.sleep(0.1)

    wait_for(lambda: (tmp_path / "runs.txt").exists())
    if ending == "preempted":
        urgent = ["sbatch", "-p", "urgent", "--gpus=2", "--mem=100", "-o", "/dev/null", "--wrap", "true"]
        subprocess.run(urgent, check=True, capture_output=True)
    elif ending == "cancelled":
        subprocess.run(["scancel", number], check=True)
    if runs == 2:
        wait_for(lambda: job()["Restarts"] == "1")
    wait_for(lambda: job()["JobState"] in ("COMPLETED", "CANCELLED", "FAILED"))
    told = (tmp_path / f"logs/slurm-{number}.log").read_text()
    assert job()["JobState"] == ("COMPLETED" if runs == 2 else "CANCELLED"), (job(), told)
    assert (tmp_path / "runs.txt").read_text().count("run") == runs
