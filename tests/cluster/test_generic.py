"""PBS, Grid Engine and LSF: commands as each wants them, answers as each gives them, and a chain through a fake one.

The answers follow the manuals' formats; the fake is a folder of scripts with Grid Engine's interface.
"""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline_tree import ROOT, TreeMaker

pytestmark = pytest.mark.cluster

SCHEDULER = ROOT / "workflow/profiles/cluster-generic/scheduler.py"
ASKED = ("--name", "train_r64", "--threads", "8", "--memory", "16000", "--minutes", "1445", "--gpus", "2")

PBS_RUNNING = "Job Id: 12.head\n    Job_Name = train\n    job_state = R\n    queue = gpu\n"
PBS_DONE = "Job Id: 12.head\n    Job_Name = train\n    job_state = F\n    Exit_status = {code}\n"
TORQUE_DONE = "Job Id: 12.head\n    job_state = C\n    exit_status = {code}\n"
SGE_QUEUE = (
    "job-ID  prior   name       user         state submit/start at     queue            slots ja-task-ID\n"
    "---------------------------------------------------------------------------------------------------\n"
    "     12 0.55500 train_r64  ada          {state}    11/26/2026 03:09:05 all.q@node1          8\n"
)
SGE_DONE = (
    "==============================\nqname        all.q\nfailed       {failed}\nexit_status  {code}\nru_wallclock 12s\n"
)
SGE_GONE = "echo 'Following jobs do not exist: ' >&2; echo 12 >&2; exit 1"


def tell(folder: Path, name: str, script: str) -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def say(folder: Path, name: str, text: str, code: int = 0) -> None:
    (folder / f"{name}.txt").write_text(text)
    tell(folder, name, f"cat '{folder}/{name}.txt'; exit {code}")


def scheduler(folder: Path, *words: str, fails: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, SCHEDULER, *words],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout.strip()


@pytest.mark.parametrize(
    ("kind", "tool", "answer", "number", "words"),
    [
        (
            *("pbs", "qsub", "1234.head.lab.org\n", "1234.head.lab.org"),
            ["-l", "select=1:ncpus=8:mem=16000mb:ngpus=2", "-l", "walltime=24:05:00", "-A", "lab of ada; id"],
        ),
        ("sge", "qsub", "77\n", "77", ["-pe", "smp", "8", "-l", "h_rt=86700", "-l", "mem_free=2000M", "-l", "gpu=2"]),
        (
            *("lsf", "bsub", "Job <99> is submitted to queue <normal>.\n", "99"),
            ["-n", "8", "-R", "span[hosts=1] rusage[mem=16000]", "-W", "1445", "-gpu", "num=2:mode=exclusive_process"],
        ),
    ],
)
def test_a_job_is_asked_for_in_words_that_no_shell_reads(
    tmp_path: Path, kind: str, tool: str, answer: str, number: str, words: list[str]
) -> None:
    (tmp_path / "answer").write_text(answer)
    tell(tmp_path, tool, f'for word; do printf "%s\\n" "$word"; done > {tmp_path}/words; cat {tmp_path}/answer')
    given = ("--queue", "gpu$(touch injected)", "--account", "lab of ada; id")
    assert scheduler(tmp_path, "submit", kind, *ASKED, *given, "it's a job.sh") == number
    told = (tmp_path / "words").read_text().splitlines()
    joined = "\n".join(told)
    assert "\n".join(words[:-2]) in joined and "\n".join(words[-2:]) in joined
    assert told[-1] == str(tmp_path / "it's a job.sh") and "gpu$(touch injected)" in told and "lab of ada; id" in told
    assert "PIGAN_DEADLINE=+86640" in joined
    assert not (tmp_path / "injected").exists() and (tmp_path / "logs/cluster").is_dir()


def test_a_job_without_gpus_asks_for_none(tmp_path: Path) -> None:
    for kind, tool, answer in (("pbs", "qsub", "1"), ("sge", "qsub", "1"), ("lsf", "bsub", "Job <1> is submitted")):
        tell(tmp_path, tool, f'echo "$@" > {tmp_path}/words; echo "{answer}"')
        scheduler(tmp_path, "submit", kind, "--name", "crop", "job.sh")
        assert not re.search(r"gpus?=|-gpu|num=", (tmp_path / "words").read_text())


def test_a_refused_job_is_one_line(tmp_path: Path) -> None:
    tell(tmp_path, "qsub", "echo 'qsub: Unknown queue\ntry another' >&2; exit 170")
    said = scheduler(tmp_path, "submit", "pbs", "job.sh", fails=True)
    assert said == "scheduler.py: qsub failed: qsub: Unknown queue try another\n"
    assert "no job id in" in (
        tell(tmp_path, "bsub", "echo hello") or scheduler(tmp_path, "submit", "lsf", "j", fails=True)
    )
    assert "qdel is not here" in scheduler(tmp_path, "cancel", "pbs", "1", fails=True)


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        (PBS_RUNNING, 0, "running"),
        (PBS_RUNNING.replace("= R", "= Q"), 0, "running"),
        (PBS_DONE.format(code=0), 0, "success"),
        (PBS_DONE.format(code=143), 0, "failed"),
        (PBS_DONE.format(code=-29), 0, "failed"),
        (TORQUE_DONE.format(code=0), 0, "success"),
        (TORQUE_DONE.format(code=271), 0, "failed"),
        (PBS_DONE.split("    Exit")[0], 0, "failed"),
        ("", 1, "running"),
    ],
)
def test_pbs(tmp_path: Path, text: str, code: int, status: str) -> None:
    say(tmp_path, "qstat", text, code)
    assert scheduler(tmp_path, "status", "pbs", "12.head") == status


def test_pbs_forgets_jobs_and_torque_has_no_history(tmp_path: Path) -> None:
    tell(tmp_path, "qstat", "echo 'qstat: Unknown Job Id 12.head' >&2; exit 153")
    assert scheduler(tmp_path, "status", "pbs", "12.head") == "failed"
    done = TORQUE_DONE.format(code=0)
    tell(tmp_path, "qstat", f"[ $1 = -x ] && {{ echo 'qstat: invalid option -- x' >&2; exit 2; }}; echo '{done}'")
    assert scheduler(tmp_path, "status", "pbs", "12.head") == "success"


@pytest.mark.parametrize(("state", "status"), [("r  ", "running"), ("qw ", "running"), ("Eqw", "failed")])
def test_grid_engine_in_the_queue(tmp_path: Path, state: str, status: str) -> None:
    say(tmp_path, "qstat", SGE_QUEUE.format(state=state))
    assert scheduler(tmp_path, "status", "sge", "12") == status


@pytest.mark.parametrize(
    ("account", "status"),
    [
        (SGE_DONE.format(failed=0, code=0), "success"),
        (SGE_DONE.format(failed=0, code=75), "failed"),
        (SGE_DONE.format(failed="100 : assumedly after job", code=137), "failed"),
        (SGE_DONE.format(failed=0, code=99) + SGE_DONE.format(failed=0, code=0), "success"),
    ],
)
def test_grid_engine_after_the_job(tmp_path: Path, account: str, status: str) -> None:
    tell(tmp_path, "qstat", SGE_GONE)
    say(tmp_path, "qacct", account)
    assert scheduler(tmp_path, "status", "sge", "12") == status


def test_grid_engine_that_is_late_or_not_there(tmp_path: Path) -> None:
    tell(tmp_path, "qstat", "echo 'error: commlib error: got select error' >&2; exit 1")
    assert scheduler(tmp_path, "status", "sge", "12") == "running"
    tell(tmp_path, "qstat", SGE_GONE)
    done = SGE_DONE.format(failed=0, code=0)
    tell(
        tmp_path,
        "qacct",
        f"[ -e {tmp_path}/asked ] && {{ echo '{done}'; exit 0; }}; touch {tmp_path}/asked; "
        "echo 'error: job id 12 not found' >&2; exit 1",
    )
    assert scheduler(tmp_path, "status", "sge", "12") == "success"


@pytest.mark.parametrize(
    ("script", "status"),
    [
        *[(f"echo {state}", "running") for state in ("PEND", "RUN", "USUSP", "SSUSP", "UNKWN", "WAIT")],
        *[
            (f"echo {state}", status)
            for state, status in (("DONE", "success"), ("EXIT", "failed"), ("ZOMBI", "failed"))
        ],
        ("echo 'Job <12> is not found' >&2; exit 255", "failed"),
        ("echo 'Failed in an LSF library call: LIM is down; try later' >&2; exit 255", "running"),
    ],
)
def test_lsf(tmp_path: Path, script: str, status: str) -> None:
    tell(tmp_path, "bjobs", script)
    assert scheduler(tmp_path, "status", "lsf", "12") == status


GRID = '''#!{python} -IS
"""Grid Engine as far as scheduler.py knows it: jobs are processes, their records are files."""
import os, subprocess, sys
from pathlib import Path

records, tool, words = Path({records!r}), Path(sys.argv[0]).name, sys.argv[1:]
if tool == "qsub":
    job = str(1 + len(list(records.glob("*.name"))))
    name = words[words.index("-N") + 1]
    first = not any(file.read_text() == name for file in records.glob("*.name"))
    (records / (job + ".name")).write_text(name)
    for number, word in enumerate(words):
        if word == "-v":
            os.environ.update([words[number + 1].split("=", 1)])
    # the node of the first training is switched off under it
    command = "exit 137" if name == "train_r32" and first else '"$1"'
    script = command + '; echo $? > "$2.tmp"; mv "$2.tmp" "$2"'
    if command.startswith("exit"):
        script = 'echo 137 > "$2"'
    log = open(records / (job + ".log"), "wb")
    subprocess.Popen(["sh", "-c", script, "sh", words[-1], str(records / (job + ".code"))],
                     stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    print(job)
elif tool == "qstat" and words[0] == "-j":
    if (records / (words[1] + ".code")).exists():
        sys.exit("Following jobs do not exist: " + words[1])
elif tool == "qacct":
    print("failed       0\\nexit_status  " + (records / (words[1] + ".code")).read_text())
'''


def test_the_chain_runs_through_a_submitter_whose_first_training_is_lost(make_tree: TreeMaker, tmp_path: Path) -> None:
    tree = make_tree("generic")
    params = tree.path / "params.yaml"
    values = YAML().load(params)
    values["arms"], values["seeds"] = {values["report"]["main_arm"]: {}}, [0]
    YAML().dump(values, params)
    records, tools = tmp_path / "records", tmp_path / "tools"
    records.mkdir()
    tools.mkdir()
    for name in ("qsub", "qstat", "qacct", "qdel"):
        (tools / name).write_text(GRID.format(python=sys.executable, records=str(records)))
        (tools / name).chmod(0o755)
    tree.env = {**tree.env, "PATH": f"{tools}{os.pathsep}{tree.env['PATH']}"}
    profile = tree.path / "workflow/profiles/cluster-generic"
    text = (profile / "config.yaml").read_text()
    # as the profile says how to adapt it, and without waiting
    (profile / "config.yaml").write_text(text.replace(" pbs", " sge").replace("checks: 30", "checks: 1"))
    tree.run(sys.executable, "-m", "snakemake", "--workflow-profile", str(profile), "report")
    assert (tree.path / "reports/demo/report.html").exists()
    names = [(records / f"{number}.name").read_text() for number in range(1, 1 + len(list(records.glob("*.name"))))]
    expected = [
        "bench",
        "crop",
        "download",
        "evaluate",
        "generate",
        "real_stats",
        "train_r16",
        "train_r32",
        "train_r32",
    ]
    assert sorted(names) == expected
    assert not list(tree.path.glob("runs/**/*.old")) and (tree.path / "logs/cluster").is_dir()
