"""What a SLURM cluster offers, beside what the rules ask for."""

import re
import shutil
import socket
import subprocess
from collections import defaultdict
from dataclasses import dataclass

from pigan.clusters.profile import Profile, Want
from pigan.errors import PiganError
from pigan.machine import Fact

ANSWER_SECONDS = 30
# of the plugin, when the profile says nothing
FIRST_LOOK_SECONDS = 40
# partition, its time limit, and of a node its GPUs, memory (MB), processors, state, name
NODES = ["sinfo", "--noheader", "--Node", "--format", "%P|%l|%G|%m|%c|%T|%n"]
DEAD = ("down", "drain", "fail", "unknown", "powered_down", "invalid")


@dataclass(frozen=True)
class Node:
    """One node of a partition."""

    name: str
    gpus: int
    memory: int
    threads: int
    usable: bool


@dataclass(frozen=True)
class Partition:
    """Nodes with one time limit."""

    name: str
    default: bool
    minutes: int | None
    """None: no limit."""
    nodes: tuple[Node, ...]


def slurm_facts(profile: Profile, wanted: list[Want]) -> list[Fact]:
    """Whether SLURM can run what is wanted, and can be asked about it afterwards."""
    lacking = [name for name in ("sbatch", "squeue", "scancel", "sinfo") if shutil.which(name) is None]
    if lacking:
        advice = "run Snakemake on a login node of the cluster, or load its SLURM module"
        return [Fact("commands", f"no {', '.join(lacking)} here", "missing", advice)]
    facts = [Fact("commands", "sbatch, squeue, scancel, sinfo")]
    try:
        partitions = parse_nodes(answer(NODES))
    except PiganError as error:
        return [*facts, Fact("scheduler", str(error), "missing")]
    facts.append(Fact("scheduler", ", ".join(_told(partition) for partition in partitions.values())))
    facts += fits(wanted, partitions)
    facts.append(bookkeeping(profile))
    return facts


def parse_nodes(text: str) -> dict[str, Partition]:
    """Partitions by their names, from lines as `NODES` asks for."""
    rows: dict[str, list[list[str]]] = defaultdict(list)
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 7:
            rows[parts[0]].append(parts)
    return {
        name.rstrip("*"): Partition(
            name.rstrip("*"),
            name.endswith("*"),
            minutes_of(lines[0][1]),
            tuple(
                Node(row[6], gpus_of(row[2]), _number(row[3]), _number(row[4]), not row[5].lower().startswith(DEAD))
                for row in lines
            ),
        )
        for name, lines in rows.items()
    }


def minutes_of(limit: str) -> int | None:
    """Minutes of a limit as SLURM writes it: 30:00, 1:00:00, 7-00:00:00; None for infinite."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if not match:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def gpus_of(gres: str) -> int:
    """GPUs of a node, from `gpu:a100:4(S:0-1),shard:8`."""
    return sum(int(count) for count in re.findall(r"\bgpu:(?:[A-Za-z]\w*:)?(\d+)", gres))


def fits(wanted: list[Want], partitions: dict[str, Partition]) -> list[Fact]:
    """Partitions exist, and one usable node of each has what each rule wants; times are within the limits."""
    default = next((name for name, partition in partitions.items() if partition.default), "")
    complaints: dict[str, list[str]] = {name: [] for name in ("partitions", "time", "nodes")}
    for want in wanted:
        name = want.partition or default
        where = f"{want.rule}{f' (attempt {want.attempt})' if want.attempt > 1 else ''}"
        partition = partitions.get(name)
        if partition is None:
            told = f"{want.rule} names {name}" if name else f"{want.rule} names none and none is the default"
            complaints["partitions"].append(told)
            continue
        if partition.minutes is not None and want.minutes > partition.minutes:
            complaints["time"].append(f"{where} wants {want.minutes} min, {name} gives {partition.minutes}")
        usable = [node for node in partition.nodes if node.usable]
        if not usable:
            complaints["nodes"].append(f"no node of {name} is up, for {want.rule}")
        elif not any(_has(node, want) for node in usable):
            most = max(usable, key=lambda node: (node.gpus, node.memory))
            complaints["nodes"].append(
                f"{where} wants {want.gpus} GPUs, {want.memory} MB, {want.threads} threads: no node of {name} has them "
                f"({most.name}: {most.gpus} GPUs, {most.memory} MB, {most.threads} threads)"
            )
    advice = {
        "partitions": f"there are {', '.join(partitions)}: name one in default-resources or set-resources",
        "time": "such a job is refused or waits for ever: lower runtime in set-resources",
        "nodes": "ask for less in set-resources, or for another partition",
    }
    good = {
        "partitions": ", ".join(sorted({want.partition or default for want in wanted})),
        "time": "every rule within its partition's limit",
        "nodes": "every rule fits on a node",
    }
    return [
        Fact(name, _few(told), "missing", advice[name]) if told else Fact(name, good[name])
        for name, told in complaints.items()
    ]


def bookkeeping(profile: Profile) -> Fact:
    """How Snakemake learns that a job has ended; without accounting it would wait for ever."""
    asked = str(profile.values.get("slurm-status-command", "sacct"))
    if asked == "sacct":
        try:
            answer(["sacct", "--noheader", "--allocations", "--format", "JobID"])
        except PiganError as error:
            advice = "set slurm-status-command: squeue in the profile, or Snakemake waits for ever for the first job"
            return Fact("accounting", str(error), "missing", advice)
        return Fact("accounting", "sacct answers")
    first = int(profile.values.get("slurm-init-seconds-before-status-checks", FIRST_LOOK_SECONDS))
    kept = re.search(r"MinJobAge\s*=\s*(\d+)", answer(["scontrol", "show", "config"]))
    if kept and int(kept[1]) < 3 * first:
        advice = f"set slurm-init-seconds-before-status-checks to {int(kept[1]) // 3} at most"
        return Fact("accounting", f"squeue forgets jobs after {kept[1]} s, before it is asked", "missing", advice)
    return Fact("accounting", f"squeue, which knows ended jobs for {kept[1] if kept else '?'} s")


def nodes_are_here() -> bool:
    """Whether this machine is the only node, so that its files are those of the jobs."""
    try:
        nodes = {node.name for partition in parse_nodes(answer(NODES)).values() for node in partition.nodes}
    except PiganError:
        return False
    return nodes == {socket.gethostname().split(".")[0]}


def answer(command: list[str]) -> str:
    """What a command prints.

    Raises:
        PiganError: it fails, or says nothing for half a minute.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PiganError(f"{command[0]} does not answer within {ANSWER_SECONDS} s") from None
    except OSError:
        raise PiganError(f"{command[0]} is not here") from None
    if done.returncode:
        raise PiganError(f"{command[0]} fails: {' '.join(done.stderr.split()) or f'exit code {done.returncode}'}")
    return done.stdout


def _has(node: Node, want: Want) -> bool:
    return node.gpus >= want.gpus and node.memory >= want.memory and node.threads >= want.threads


def _told(partition: Partition) -> str:
    up = [node for node in partition.nodes if node.usable]
    gpus = sum(node.gpus for node in up)
    limit = "no limit" if partition.minutes is None else f"{partition.minutes} min"
    return f"{partition.name} ({limit}, {len(up)} of {len(partition.nodes)} nodes up, {gpus} GPUs)"


def _few(complaints: list[str]) -> str:
    """The first ones, and how many more there are."""
    rest = len(complaints) - 3
    return "; ".join(complaints[:3]) + (f"; and {rest} more" if rest > 0 else "")


def _number(text: str) -> int:
    """16000 of 16000+."""
    match = re.match(r"\d+", text)
    return int(match[0]) if match else 0
