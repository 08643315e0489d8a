"""Commands and outputs are those of dvc.yaml, which tests/workflow holds equal to Snakemake's rules."""

import re
import shlex
from pathlib import Path

from ruamel.yaml import YAML

from pigan.chain.place import Place, command, stages_of_run
from pigan.chain.study import after_runs, before_runs
from pigan.config import load

ROOT = Path(__file__).parents[2]


def filled(text, values):
    """`text` with its ${...}: those of params.yaml, and those of the matrix."""

    def look(match):
        found = values
        for key in match[1].split("."):
            found = found[key]
        return str(found)

    return re.sub(r"\$\{([^}]+)\}", look, text)


def test_commands_are_those_of_dvc():
    params = load(ROOT / "params.yaml")
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    dataset, link = params.dataset.name, params.curriculum.order[-1]
    own = {"arm": "concat", "seed": 3, "extractor": params.evaluate.extractors[0], "link": link.model_dump()}
    values = {**params.model_dump(), "item": {**own, "stage": link.model_dump(), "resolution": link.resolution}}
    place = Place(Path("runs") / dataset, Path("data/prepared") / dataset, "concat", 3)
    ours = {stage.name: stage.command for stage in (*before_runs(params), after_runs(params))}
    ours |= {stage: command(params, place, stage) for stage in stages_of_run(params)}
    ours["real_stats"] = ours.pop(f"real_stats_{params.evaluate.extractors[0]}")
    ours["train"] = ours.pop(link.name)
    names = [name for name in ours if name in stages]
    assert sorted(names) == sorted(stages)
    for name in names:
        assert shlex.split(filled(stages[name]["cmd"], values)) == ours[name], name


def test_outputs_are_what_the_commands_write():
    params = load(ROOT / "params.yaml")
    for stage in (*before_runs(params), after_runs(params)):
        out = Path(stage.command[stage.command.index("--out") + 1])
        assert stage.output == out or stage.output.parent == out
