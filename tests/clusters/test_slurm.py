"""What sinfo and its kin say, recorded, beside what rules want; and the real ones where a test SLURM runs."""

import os
import socket
import stat
from pathlib import Path

import pytest

from pigan.clusters import examine, slurm
from pigan.clusters.profile import Profile, Want
from pigan.clusters.slurm import bookkeeping, fits, gpus_of, minutes_of, parse_nodes, slurm_facts
from pigan.config import Params
from pigan.machine import Fact
from pipeline_tree import ROOT

SINFO = """gpu*|1-00:00:00|gpu:a100:4(S:0-1)|515000+|64|mixed|node01
gpu*|1-00:00:00|gpu:a100:4(S:0-1)|515000+|64|drained*|node02
short|30:00|(null)|191000|40|idle|node03
big|infinite|gpu:h200:8,shard:64|2000000|192|allocated|node04
dead|2-12:30:00|gpu:2|64000|16|down*|node05
"""
SACCT = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
SQUEUE = Profile("p", Path("p"), {"executor": "slurm", "slurm-status-command": "squeue"})
PLAIN = Profile("p", Path("p"), {"executor": "slurm"})


def want(partition: str = "gpu", gpus: int = 1, memory: int = 16000, minutes: int = 60, threads: int = 8) -> Want:
    return Want("train_r32", partition, threads, gpus, memory, minutes)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of SLURM that answer as recorded, and no others; write a script over one to change its answer."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tmp_path / "sinfo.txt").write_text(SINFO)
    tell(tools, "sinfo", f"cat {tmp_path}/sinfo.txt")
    tell(tools, "sacct", SACCT)
    tell(tools, "scontrol", "echo 'MinJobAge               = 300 sec'")
    for name in ("sbatch", "squeue", "scancel"):
        tell(tools, name, "exit 0")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tools


def tell(tools: Path, name: str, script: str) -> None:
    tool = tools / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def by_name(facts: list[Fact]) -> dict[str, Fact]:
    return {fact.name: fact for fact in facts}


def test_partitions_are_read() -> None:
    found = parse_nodes(SINFO)
    assert [(part.name, part.default, part.minutes) for part in found.values()] == [
        ("gpu", True, 1440),
        ("short", False, 30),
        ("big", False, None),
        ("dead", False, 3630),
    ]
    assert [(node.gpus, node.memory, node.threads, node.usable) for node in found["gpu"].nodes] == [
        (4, 515000, 64, True),
        (4, 515000, 64, False),
    ]
    assert [part.nodes[0].gpus for part in found.values()] == [4, 0, 8, 2] and not found["dead"].nodes[0].usable


@pytest.mark.parametrize(
    ("text", "minutes"), [("infinite", None), ("5:00", 5), ("1:00:00", 60), ("7-00:00:00", 10080), ("n/a", None)]
)
def test_limits_are_minutes(text: str, minutes: int | None) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize(("text", "count"), [("(null)", 0), ("gpu:2", 2), ("gpu:a:1,gpu:b:3(S:0)", 4), ("shard:8", 0)])
def test_gpus_are_counted(text: str, count: int) -> None:
    assert gpus_of(text) == count


@pytest.mark.parametrize(
    ("wanted", "name", "part"),
    [
        (want("gup"), "partitions", "train_r32 names gup"),
        (want("short", gpus=0, minutes=31), "time", "train_r32 wants 31 min, short gives 30"),
        (want(gpus=5), "nodes", "train_r32 wants 5 GPUs, 16000 MB, 8 threads: no node of gpu has them (node01: 4 GPUs"),
        (want("short", minutes=10), "nodes", "no node of short has them"),
        (want("big", memory=2_000_001), "nodes", "2000001 MB"),
        (want(threads=65), "nodes", "65 threads"),
        (want("dead"), "nodes", "no node of dead is up, for train_r32"),
    ],
)
def test_what_does_not_fit_is_told_with_what_there_is(wanted: Want, name: str, part: str) -> None:
    facts = by_name(fits([want(), wanted], parse_nodes(SINFO)))
    assert part in facts[name].value and facts[name].state == "missing" and facts[name].advice
    assert [fact.state for fact in facts.values()].count("missing") == 1


def test_a_rule_without_a_partition_gets_the_default_one() -> None:
    assert {fact.state for fact in fits([want("")], parse_nodes(SINFO))} == {"ok"}


def test_the_last_attempt_is_named() -> None:
    late = Want("generate", "gpu", 1, 1, 0, 2880, 6)
    assert "generate (attempt 6) wants 2880 min" in by_name(fits([late], parse_nodes(SINFO)))["time"].value


@pytest.mark.usefixtures("cluster")
def test_sacct_without_accounting_is_answered_with_squeue() -> None:
    facts = by_name(slurm_facts(PLAIN, [want()]))
    assert facts["accounting"].state == "missing" and "slurm-status-command: squeue" in facts["accounting"].advice
    assert [fact.state for name, fact in facts.items() if name != "accounting"] == ["ok"] * 5
    assert by_name(slurm_facts(SQUEUE, [want()]))["accounting"].state == "ok"


def test_squeue_that_forgets_too_early_is_told(cluster: Path) -> None:
    tell(cluster, "scontrol", "echo 'MinJobAge               = 60 sec'")
    fact = bookkeeping(SQUEUE)
    assert fact.state == "missing" and fact.advice.endswith("to 20 at most")


def test_a_machine_that_is_no_login_node_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (fact,) = slurm_facts(PLAIN, [])
    assert (fact.state, fact.value) == ("missing", "no sbatch, squeue, scancel, sinfo here")


def test_a_controller_that_does_not_answer_is_told(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(cluster, "sinfo", "echo 'slurm_load_partitions: Unable to contact slurm controller' >&2; exit 1")
    assert by_name(slurm_facts(PLAIN, []))["scheduler"].value.startswith("sinfo fails: slurm_load_partitions: Unable")
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.2)
    tell(cluster, "sinfo", "exec sleep 5")
    assert "does not answer within" in by_name(slurm_facts(PLAIN, []))["scheduler"].value


def test_only_a_cluster_of_this_machine_alone_has_its_files(cluster: Path) -> None:
    assert not slurm.nodes_are_here()
    (cluster.parent / "sinfo.txt").write_text(f"gpu*|1:00:00|gpu:1|1000|2|idle|{socket.gethostname().split('.')[0]}\n")
    assert slurm.nodes_are_here()


def test_a_training_on_several_devices_asks_for_as_many(tiny_params: Params) -> None:
    training = tiny_params.training.model_copy(update={"devices": 2})
    params = tiny_params.model_copy(update={"training": training})
    (fact,) = examine.devices(params, [want()])
    assert fact.state == "missing" and "training.devices is 2, and train_r32 asks for 1 GPU" in fact.value
    assert examine.devices(params, [want(gpus=2)]) == examine.devices(tiny_params, [want()]) == []
    # a cluster without GPUs
    assert examine.devices(params, [want(gpus=0)]) == []


@pytest.mark.cluster
def test_the_real_ones_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("no test SLURM: tests/cluster/slurm_single_node.sh starts one")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(examine, "wants", lambda profile: [want(gpus=2, memory=64000, threads=16)])
    facts = by_name(examine.examine_profile("slurm"))
    assert {facts[name].state for name in ("commands", "scheduler", "partitions", "time", "nodes")} == {"ok"}
    assert facts["accounting"].state == "missing" and "accounting storage is disabled" in facts["accounting"].value
    assert "where the jobs run too" in facts["project"].value
    monkeypatch.setattr(examine, "wants", lambda profile: [want(gpus=3)])
    assert by_name(examine.examine_profile("slurm"))["nodes"].state == "missing"
