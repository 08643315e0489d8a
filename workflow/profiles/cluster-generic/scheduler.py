#!/usr/bin/env python3
"""Submits, asks about and cancels jobs of PBS, Grid Engine and LSF for Snakemake's cluster-generic executor.

    scheduler.py submit {pbs,sge,lsf} --name train_r64 --threads 8 --memory 16000 --minutes 1440 --gpus 1 JOBSCRIPT
    scheduler.py status {pbs,sge,lsf} JOB
    scheduler.py cancel {pbs,sge,lsf} JOB...

Commands are lists of words, which no shell reads. Needs Python 3.7 and nothing else, since it runs on login nodes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

LOGS = Path("logs/cluster")
# Grid Engine writes its accounting a while after the job has left the queue
ACCOUNTING_SECONDS = 30.0
# pigan's end of the time counts from its own start, a little after the job's (docs/cluster.md)
STARTING_SECONDS = 60


class Job(NamedTuple):
    """What is asked for a job."""

    name: str
    threads: int
    memory: int
    """MB."""
    minutes: int
    gpus: int
    queue: str
    account: str
    script: str

    @property
    def deadline(self) -> str:
        """PIGAN_DEADLINE, so that a training saves and leaves in time."""
        return f"PIGAN_DEADLINE=+{max(60 * self.minutes - STARTING_SECONDS, 0)}"


def pbs(job: Job) -> list[str]:
    """A chunk of one node; `ngpus` is the resource that PBS Professional's manual names."""
    gpus = f":ngpus={job.gpus}" if job.gpus else ""
    chunk = f"select=1:ncpus={job.threads}:mem={job.memory}mb{gpus}"
    return [
        *("qsub", "-V", "-v", job.deadline, "-N", job.name, "-j", "oe", "-o", f"{LOGS}/"),
        *("-l", chunk, "-l", f"walltime={job.minutes // 60}:{job.minutes % 60:02}:00"),
        *_given("-q", job.queue),
        *_given("-A", job.account),
        job.script,
    ]


def sge(job: Job) -> list[str]:
    """Slots of a parallel environment `smp`; `gpu` and `h_vmem`'s kin are complexes that each site names itself."""
    return [
        *("qsub", "-terse", "-cwd", "-V", "-v", job.deadline, "-N", job.name, "-j", "y", "-o", f"{LOGS}/"),
        *("-pe", "smp", str(job.threads), "-l", f"h_rt={60 * job.minutes}"),
        # per slot
        *("-l", f"mem_free={-(-job.memory // job.threads)}M"),
        *(("-l", f"gpu={job.gpus}") if job.gpus else ()),
        *_given("-q", job.queue),
        *_given("-P", job.account),
        job.script,
    ]


def lsf(job: Job) -> list[str]:
    """Slots of one host; memory in MB, which is LSF_UNIT_FOR_LIMITS where the site did not set another."""
    return [
        *("bsub", "-env", f"all, {job.deadline}", "-J", job.name, "-o", f"{LOGS}/%J.log"),
        *("-n", str(job.threads), "-R", f"span[hosts=1] rusage[mem={job.memory}]", "-W", str(job.minutes)),
        *(("-gpu", f"num={job.gpus}:mode=exclusive_process") if job.gpus else ()),
        *_given("-q", job.queue),
        *_given("-P", job.account),
        job.script,
    ]


def _given(option: str, value: str) -> list[str]:
    return [option, value] if value else []


def job_id(kind: str, said: str) -> str:
    """The job's id in what the submit command printed."""
    line = next((line.strip() for line in said.splitlines() if line.strip()), "")
    found = re.match(r"Job <(\d+)>", line) if kind == "lsf" else re.match(r"([A-Za-z0-9_.\[\]-]+)$", line)
    if not found:
        sys.exit(f"scheduler.py: no job id in {said!r}")
    return found[1]


def status_pbs(job: str) -> str:
    """PBS Professional keeps finished jobs for `qstat -x`; Torque has no -x, and keeps them for a while."""
    done = run(["qstat", "-x", "-f", job])
    if done.returncode and "nknown" not in done.stderr:
        done = run(["qstat", "-f", job])
    if done.returncode:
        return "failed" if "nknown" in done.stderr else "running"
    state = re.search(r"^\s*job_state\s*=\s*(\S+)", done.stdout, re.MULTILINE)
    code = re.search(r"^\s*exit_status\s*=\s*(-?\d+)", done.stdout, re.MULTILINE | re.IGNORECASE)
    if not state or state[1] not in ("F", "C"):
        return "running"
    return "success" if code and code[1] == "0" else "failed"


def status_sge(job: str) -> str:
    """In the queue, or else in the accounting; a job whose state begins with E cannot start."""
    asked = run(["qstat", "-j", job])
    if asked.returncode == 0:
        rows = [line.split() for line in run(["qstat", "-u", "*"]).stdout.splitlines()]
        state = next((row[4] for row in rows if len(row) > 4 and row[0] == job), "")
        return "failed" if state.startswith("E") else "running"
    if "do not exist" not in asked.stderr + asked.stdout:
        return "running"
    until = time.monotonic() + ACCOUNTING_SECONDS
    while True:
        done = run(["qacct", "-j", job])
        # once for each time that it was started
        codes = re.findall(r"^(failed|exit_status)\s+(\d+)", done.stdout, re.MULTILINE)
        if len(codes) >= 2:
            return "success" if {code for _, code in codes[-2:]} == {"0"} else "failed"
        if time.monotonic() > until:
            return "failed"
        time.sleep(1)


def status_lsf(job: str) -> str:
    """EXIT is any failure; a job that is requeued or suspended is still running."""
    done = run(["bjobs", "-noheader", "-o", "stat", job])
    state = done.stdout.strip()
    if state == "DONE":
        return "success"
    if state in ("EXIT", "ZOMBI") or "is not found" in done.stderr:
        return "failed"
    return "running"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What the scheduler says; one that does not answer says nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "no answer")


SUBMIT: dict[str, Callable[[Job], list[str]]] = {"pbs": pbs, "sge": sge, "lsf": lsf}
STATUS: dict[str, Callable[[str], str]] = {"pbs": status_pbs, "sge": status_sge, "lsf": status_lsf}
CANCEL: dict[str, str] = {"pbs": "qdel", "sge": "qdel", "lsf": "bkill"}


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["submit", "status", "cancel"])
    parser.add_argument("kind", choices=list(SUBMIT))
    parser.add_argument("--name", default="pigan")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=int, default=4000, help="MB")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--queue", default="")
    parser.add_argument("--account", default="")
    parser.add_argument("what", nargs="+", help="the job script, or the ids of jobs")
    told = parser.parse_args()
    try:
        if told.action == "submit":
            LOGS.mkdir(parents=True, exist_ok=True)
            job = Job(
                *(told.name, told.threads, told.memory, told.minutes, told.gpus, told.queue, told.account),
                script=str(Path(told.what[0]).absolute()),
            )
            done = run(SUBMIT[told.kind](job))
            if done.returncode:
                sys.exit(f"scheduler.py: {SUBMIT[told.kind](job)[0]} failed: {' '.join(done.stderr.split())}")
            print(job_id(told.kind, done.stdout))
        elif told.action == "status":
            print(STATUS[told.kind](told.what[0]))
        else:
            done = run([CANCEL[told.kind], *told.what])
            sys.exit(done.returncode)
    except FileNotFoundError as error:
        sys.exit(f"scheduler.py: {error.filename} is not here; run Snakemake on a login node of the cluster")


if __name__ == "__main__":
    main()
