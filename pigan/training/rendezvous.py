"""Which of several training processes this one is, and where they meet: told by torchrun, by SLURM, or by pigan."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from pigan.errors import PiganError

LOOPBACK = "127.0.0.1"
# below the ports that systems hand out by themselves
FIRST_PORT, PORTS = 12000, 20000
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# SLURM_NTASKS is none of them: in a batch script, which is one process, it counts tasks that are yet to be started
SLURM = (
    *("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_NUM_NODES", "SLURM_NODEID"),
    *("SLURM_JOB_ID", "SLURM_STEP_ID"),
)


@dataclass(frozen=True)
class Place:
    """A rank among others."""

    rank: int
    size: int
    local_rank: int
    """Among those of its machine."""
    local_size: int
    address: str
    port: int
    started_by: Literal["pigan", "torchrun", "srun"]
    """The first two keep the store at which ranks meet, or say who does; of tasks of srun the first one keeps it."""

    @property
    def one_machine(self) -> bool:
        """All ranks are on this machine."""
        return self.local_size == self.size


def place_of(environment: Mapping[str, str]) -> Place | None:
    """The place that torchrun, or srun with several tasks, gave this process; None: it was started alone.

    MASTER_ADDR and MASTER_PORT, where they are set, win over what SLURM's variables tell.

    Raises:
        PiganError: half of the variables are there, or they hold no numbers.
    """
    if "RANK" in environment and "WORLD_SIZE" in environment:
        rank, size, local_rank, local_size = _numbers(environment, TORCHRUN, "torchrun")
        (port,) = _numbers(environment, ("MASTER_PORT",), "torchrun")
        return _checked(
            Place(rank, size, local_rank, local_size, _text(environment, "MASTER_ADDR", "torchrun"), port, "torchrun")
        )
    if environment.get("SLURM_STEP_NUM_TASKS", "1") == "1":
        return None
    rank, size, local_rank, nodes, node, job, step = _numbers(environment, SLURM, "srun")
    host = LOOPBACK if nodes == 1 else first_host(_text(environment, "SLURM_STEP_NODELIST", "srun"))
    (port,) = _numbers({"MASTER_PORT": str(port_of(job, step)), **environment}, ("MASTER_PORT",), "srun")
    local_size = tasks_of(_text(environment, "SLURM_STEP_TASKS_PER_NODE", "srun"), node)
    return _checked(Place(rank, size, local_rank, local_size, environment.get("MASTER_ADDR") or host, port, "srun"))


def first_host(nodes: str) -> str:
    """The first host of a list as SLURM writes it: `gpu[003-010,12],login1` begins with gpu003.

    Raises:
        PiganError: it is no such list.
    """
    first = re.match(r"((?:[^\[\],\s]|\[[0-9][0-9,-]*\])+)(?:,|$)", nodes)
    if first is None:
        raise PiganError(f"SLURM_STEP_NODELIST: {nodes!r} is no list of hosts; set MASTER_ADDR to the host of rank 0")
    return re.sub(r"\[([0-9]+)[0-9,-]*\]", r"\1", first[1])


def tasks_of(per_node: str, node: int) -> int:
    """Tasks on a node (from 0), from `2(x3),1`: two on each of three nodes, one on the fourth.

    Raises:
        PiganError: it is no such list, or has no such node.
    """
    counts: list[int] = []
    for part in per_node.split(","):
        match = re.fullmatch(r"([0-9]+)(?:\(x([0-9]+)\))?", part)
        counts += [int(match[1])] * int(match[2] or 1) if match else []
    if node >= len(counts):
        raise PiganError(f"SLURM_STEP_TASKS_PER_NODE: {per_node!r} does not tell of node {node}; start by torchrun")
    return counts[node]


def port_of(job: int, step: int) -> int:
    """A port that all ranks of a job's step derive alike, and other jobs on the same host hardly ever."""
    # a prime apart: the steps of one job do not meet those of the next
    return FIRST_PORT + (job + 7919 * step) % PORTS


def count_devices(asked: Literal["auto"] | int, device: torch.device, place: Place | None) -> int:
    """How many devices train together.

    Raises:
        PiganError: fewer GPUs than `training.devices` asks for, or another number of processes was started.
    """
    if place is not None:
        if asked not in ("auto", place.size):
            raise PiganError(
                f"training.devices: {asked}, but {place.size} processes were started; start as many, "
                f"or set it to {place.size} or auto"
            )
        return place.size
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if asked == "auto":
        return there
    if device.type == "cuda" and asked > there:
        raise PiganError(f"training.devices: {asked}, but PyTorch sees {there} here; set it to {there} or auto")
    return asked


def device_of(device: torch.device, place: Place | None) -> torch.device:
    """This rank's own device; a GPU that is the only one it sees was chosen for it by whoever started it.

    Raises:
        PiganError: more ranks than GPUs.
    """
    if device.type != "cuda" or place is None:
        return device
    there = torch.cuda.device_count()
    if there == 1:
        return torch.device("cuda", 0)
    if place.local_rank >= there:
        raise PiganError(
            f"rank {place.rank}: the {place.local_rank + 1}. process of a machine on which PyTorch sees {there} GPUs; "
            "start a process a GPU"
        )
    return torch.device("cuda", place.local_rank)


def _checked(place: Place) -> Place:
    if not 0 < place.port < 1 << 16:
        raise PiganError(f"MASTER_PORT: {place.port} is no port; set it to one that is free on the host of rank 0")
    if not (0 <= place.rank < place.size and 0 <= place.local_rank < place.local_size <= place.size):
        raise PiganError(
            f"rank {place.rank} of {place.size}, {place.local_rank} of {place.local_size} on its machine: there is no "
            "such rank; start ranks by torchrun or srun alone"
        )
    return place


def _numbers(environment: Mapping[str, str], names: tuple[str, ...], by: str) -> list[int]:
    values = [_text(environment, name, by) for name in names]
    for name, value in zip(names, values, strict=True):
        if not value.isdecimal():
            raise PiganError(f"{name}: {value!r} is no number; start ranks by {by} alone, or unset it")
    return [int(value) for value in values]


def _text(environment: Mapping[str, str], name: str, by: str) -> str:
    if not environment.get(name):
        raise PiganError(f"{name} is not set, as {by} would; start ranks by {by} alone, or unset what is left of it")
    return environment[name]
