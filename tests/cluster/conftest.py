"""A copy of the project in which a scheduler's jobs run the real `pigan`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pigan import config
from pipeline_tree import Tree, TreeMaker, copy_pipeline

MakeProject = Callable[[str, dict[str, Any]], Tree]


@pytest.fixture(scope="session")
def make_project(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> MakeProject:
    """Call it with a name and changes of the tiny experiment, which has one arm and one seed here."""
    base = tmp_path_factory.mktemp("cluster")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_JOB", "SNAKEMAKE"))}
    env = {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "XDG_CACHE_HOME": str(base / "cache"),
        "PIGAN_GPU": "0",
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }

    def make(name: str, changes: dict[str, Any]) -> Tree:
        tree = Tree(base / name, env)
        copy_pipeline(tree.path)
        values = config.merge({**tiny_params.model_dump(), "arms": {"baseline": {}}}, changes)
        YAML().dump(values, tree.path / "params.yaml")
        return tree

    return make


@pytest.fixture(scope="session")
def make_tree(tmp_path_factory: pytest.TempPathFactory) -> TreeMaker:
    """Call it with a name for a fresh copy of the pipeline with a stand-in `pigan`."""
    return TreeMaker(tmp_path_factory.mktemp("pipeline"))
