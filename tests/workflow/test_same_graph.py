"""dvc.yaml and the Snakefile describe one and the same graph, with the same commands."""

import re
import warnings
from pathlib import Path

import pytest

from pipeline_tree import Tree, TreeMaker

# output -> (what it is made from, command)
Graph = dict[str, tuple[frozenset[str], str]]


def dvc_graph(path: Path) -> Graph:
    """As DVC resolves dvc.yaml; the source files that DVC watches besides are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dvc.dependency.param import ParamsDependency
        from dvc.repo import Repo

        graph: Graph = {}
        with Repo(str(path)) as repo:
            for stage in repo.index.stages:
                deps = [dep.def_path for dep in stage.deps if not isinstance(dep, ParamsDependency)]
                made_from = frozenset(dep for dep in deps if not dep.startswith("pigan/"))
                graph |= {out.def_path: (made_from, " ".join(stage.cmd.split())) for out in stage.outs}
        return graph


def snakemake_graph(tree: Tree) -> Graph:
    """As Snakemake would run everything, less the redirection into the log."""
    graph: Graph = {}
    made_from: frozenset[str] = frozenset()
    outs: list[str] = []
    for line in tree.snakemake("--dry-run", "--forceall", "--printshellcmds", "--nolock").splitlines():
        if re.fullmatch(r"(local)?rule \w+:", line):
            made_from, outs = frozenset(), []
        elif found := re.match(r" +(input|output): (.*)", line):
            files = found[2].split(", ")
            if found[1] == "input":
                made_from = frozenset(files)
            else:
                outs = files
        elif found := re.match(r"Shell command: (.*) > logs/\S+ 2>&1$", line):
            graph |= {out: (made_from, " ".join(found[1].split())) for out in outs}
    return graph


def owner(path: str, graph: Graph) -> str:
    """The DVC output that `path` is or lies in."""
    inside = [out for out in graph if path == out or path.startswith(f"{out}/")]
    assert len(inside) == 1, f"{path} is in {inside or 'no DVC output'}"
    return inside[0]


def expanded(deps: frozenset[str], graph: Graph) -> set[str]:
    """`deps` with a folder of several outputs replaced by these outputs."""
    whole = {dep for dep in deps if dep in graph}
    return whole | {out for out in graph for dep in deps - whole if out.startswith(f"{dep}/")}


@pytest.fixture(scope="module")
def graphs(make_tree: TreeMaker) -> tuple[Graph, Graph]:
    tree = make_tree("graph")
    tree.edit("seeds:\n  - 0\n  - 1\n", "seeds:\n  - 0\n  - 7\n")
    return dvc_graph(tree.path), snakemake_graph(tree)


def test_both_engines_make_the_same_outputs(graphs: tuple[Graph, Graph]) -> None:
    dvc, snakemake = graphs
    assert {owner(out, dvc) for out in snakemake} == set(dvc)


def test_every_output_is_made_from_the_same_files(graphs: tuple[Graph, Graph]) -> None:
    dvc, snakemake = graphs
    for out, (made_from, _) in snakemake.items():
        assert {owner(path, dvc) for path in made_from} == expanded(dvc[owner(out, dvc)][0], dvc), out


def test_every_output_is_made_by_the_same_command(graphs: tuple[Graph, Graph]) -> None:
    dvc, snakemake = graphs
    for out, (_, command) in snakemake.items():
        assert command == dvc[owner(out, dvc)][1], out


def test_each_arm_seed_and_resolution_has_its_stage(graphs: tuple[Graph, Graph]) -> None:
    dvc, _ = graphs
    checkpoints = [out for out in dvc if out.endswith("checkpoint.safetensors")]
    assert len(checkpoints) == 2 * 2 * 3  # arms x seeds x (init, r16, r32)


def test_nothing_runs_beside_a_measurement(make_tree: TreeMaker) -> None:
    plan = make_tree("alone").snakemake("--dry-run", "--forceall", "--nolock")
    bench = plan[plan.index("rule bench:") :].split("\n\n")[0].split("rule ")[1]
    assert "threads: 4\n" in bench and "priority: 100\n" in bench
    others = [int(found) for found in re.findall(r"priority: (\d+)", plan.replace(bench, ""))]
    assert others and sum(others) < 100
