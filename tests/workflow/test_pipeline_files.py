"""Files of the pipeline that must be in step with the package, and what a user sees who makes a mistake."""

import json
import re

import pytest
import yaml

from pigan import presets
from pigan.chain.settings import learning_settings
from pigan.config import json_schema
from pigan.report.figures import COLOURS
from pipeline_tree import ROOT, Tree, TreeMaker


@pytest.fixture(scope="module")
def tree(make_tree: TreeMaker) -> Tree:
    return make_tree("mistakes")


def test_dvc_trains_again_for_all_that_weights_depend_on() -> None:
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["params"]
    found = [name.removeprefix("training.") for name in listed if name.startswith("training.")]
    assert found == list(learning_settings(presets.values("demo")["training"])) and "training" not in listed


def test_shipped_params_are_the_demo_preset() -> None:
    assert (ROOT / "params.yaml").read_text() == (ROOT / "pigan/presets/demo.yaml").read_text()


def test_schema_is_the_one_of_the_package() -> None:
    written = json.loads((ROOT / "workflow/schemas/params.schema.json").read_text())
    assert written == json_schema(), "make schema"


def test_plots_of_dvc_have_the_colours_of_the_report() -> None:
    page = (ROOT / ".dvc/plots/page.html").read_text()
    found = re.search(r"const COLOURS = (\[.*?\]);", page)
    assert found and json.loads(found[1]) == COLOURS


def test_unknown_key_is_one_line(tree: Tree) -> None:
    tree.edit("kid_subsets:", "kid_subset:")
    message = tree.snakemake("--dry-run", "report", fails=True)
    tree.edit("kid_subset:", "kid_subsets:")
    assert "did you mean 'kid_subsets'?" in message
    assert "Traceback" not in message


def test_values_from_the_command_line_are_refused(tree: Tree) -> None:
    message = tree.snakemake("--dry-run", "report", "--config", "experiment=other", fails=True)
    assert "the stages read params.yaml" in message
    assert "Traceback" not in message


def test_same_value_from_the_command_line_is_accepted(tree: Tree) -> None:
    assert "rule report:" in tree.snakemake("report", "--dry-run", "--config", "experiment=demo")
