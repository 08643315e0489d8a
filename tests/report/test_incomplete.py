"""Runs that are not complete are told of, and the page is built."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from pigan.cli import app
from pigan.config import Params
from pigan.report.collect import Collected, Run, collect
from pigan.report.incomplete import Incomplete
from pigan.report.page import make_report
from pigan.report.tables import ablation_table, curve_table, metrics_table, stage_table, training_table
from pigan.report.verdict import cautions, comparison, headline, subject
from pigan.training.checkpoint import FORMAT

pytestmark = pytest.mark.usefixtures("quick_figures")
Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]
FID = "fid_efficientnet_lite0"


def lacking(collected: Collected) -> Incomplete:
    """The only run that is not complete."""
    (run,) = collected.incomplete
    return run


@pytest.mark.parametrize(
    ("name", "stage", "later", "command"),
    [
        ("r16/state.json", "r16", ["r32", "generate", "evaluate"], "pigan train --arm concat --seed 0 --resolution 16"),
        ("r32/log.jsonl", "r32", ["generate", "evaluate"], "pigan train --arm concat --seed 0 --resolution 32"),
        ("generated/generated.json", "generate", ["evaluate"], "pigan generate --arm concat --seed 0"),
        ("metrics.json", "evaluate", [], "pigan evaluate --data"),
    ],
)
def test_missing_file_names_the_stage_and_its_command(
    demo: Params, run_tree: Tree, name: str, stage: str, later: list[str], command: str
) -> None:
    data, runs = run_tree(demo)
    (runs / "concat" / "seed0" / name).unlink()
    collected = collect(demo, data, runs)
    run = lacking(collected)
    assert (run.arm, run.seed, run.stage, run.later) == ("concat", 0, stage, later)
    assert run.problem == f"{name}: no such file"
    assert run.resume.startswith(command)
    assert (run.last_line, run.progress, run.failed) == ("", "", False)
    assert [found.arm for found in collected.runs] == ["baseline", "relu-pe", "no-growing"]


def test_commands_are_those_of_the_engines(demo: Params, run_tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    data, runs = run_tree(demo)
    root = runs.parent.parent
    monkeypatch.chdir(root)
    folder = runs / "concat" / "seed0"
    found = []
    for made in ("metrics.json", "generated", "r32", "r16", "init"):
        path = folder / made
        path.unlink() if path.is_file() else shutil.rmtree(path)
        run = lacking(collect(demo, data.relative_to(root), runs.relative_to(root)))
        found.append(run.resume)
    own, below = "--arm concat --seed 0", "runs/cars/concat/seed0"
    made = f"--generated {below}/generated --pictures {below}/evaluated"
    assert found == [
        f"pigan evaluate --data data/prepared/cars --stats data/stats/cars {made} --out {below}/metrics.json",
        f"pigan generate {own} --model {below}/r32 --data data/prepared/cars --out {below}/generated",
        f"pigan train {own} --resolution 32 --data data/prepared/cars --init {below}/r16 --out {below}/r32",
        f"pigan train {own} --resolution 16 --data data/prepared/cars --init {below}/init --out {below}/r16",
        f"pigan init {own} --out {below}/init",
    ]


def test_stage_whose_input_is_gone_begins_before(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    shutil.rmtree(runs / "concat" / "seed0" / "r32")
    (runs / "concat" / "seed0" / "r16" / "checkpoint.safetensors").unlink()
    assert lacking(collect(demo, data, runs)).stage == "r16"


@pytest.mark.parametrize("content", ["[1, 2]", "{}", "nonsense", '{"resolution": "big"}', "\xff\xfe"])
def test_damaged_state_is_one_line(demo: Params, run_tree: Tree, content: str) -> None:
    data, runs = run_tree(demo)
    (runs / "concat" / "seed0" / "r16" / "state.json").write_bytes(content.encode("latin-1"))
    run = lacking(collect(demo, data, runs))
    assert run.stage == "r16"
    assert run.problem.startswith("r16/state.json: ")
    assert "\n" not in run.problem


def test_damaged_log_line_is_named(demo: Params, run_tree: Tree) -> None:
    data, runs = run_tree(demo)
    log = runs / "concat" / "seed0" / "r16" / "log.jsonl"
    lines = log.read_text().splitlines()
    lines[4] = lines[4][:20]
    log.write_text("\n".join(lines))
    assert lacking(collect(demo, data, runs)).problem == "r16/log.jsonl: line 5 is no JSON object"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"intervals": {"a": [1]}}, "metrics.json: intervals.a"),
        ({"intervals": 3}, "metrics.json: intervals: "),
        ({"curve": [{"step": 1}]}, "metrics.json: curve.0.images_seen: "),
        ({"protocol": {"checkpoint_sha256": "00" * 32}}, "metrics.json: not measured on what is in generated/"),
        ({FID: ...}, f"metrics.json: holds no {FID}, the metric that params.yaml asks for"),
    ],
)
def test_unusable_metrics_are_to_be_measured_again(
    demo: Params, run_tree: Tree, values: dict[str, object], problem: str
) -> None:
    data, runs = run_tree(demo)
    path = runs / "concat" / "seed0" / "metrics.json"
    found = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not ...}))
    run = lacking(collect(demo, data, runs))
    assert run.stage == "evaluate" and run.problem.startswith(problem)


def test_every_extractor_of_the_params_is_needed(params_with: MakeParams, run_tree: Tree) -> None:
    data, runs = run_tree(params_with())
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2"]})
    collected = collect(params, data, runs)
    assert not collected.runs
    assert {run.problem for run in collected.incomplete} == {
        "metrics.json: holds no fid_dinov2, the metric that params.yaml asks for"
    }


def test_log_and_state_in_progress_are_told(demo: Params, run_tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIGAN_WORK", raising=False)
    data, runs = run_tree(demo)
    root = runs.parent.parent
    shutil.rmtree(runs / "concat" / "seed0" / "r32")
    log = root / "logs" / "cars" / "concat-seed0" / "r32.log"
    log.parent.mkdir(parents=True)
    log.write_text("resuming\n\npigan: out of GPU memory at 32 px\n\n")
    work = root / "work" / "cars" / "concat" / "seed0" / "r32" / "checkpoint.safetensors"
    work.parent.mkdir(parents=True)
    about = {"pigan": json.dumps({"format": FORMAT, "counters": {"step": 200}})}
    save_file({"nothing": np.zeros(1)}, work, metadata=about)
    run = lacking(collect(demo, data, runs))
    assert run.failed and run.last_line == "pigan: out of GPU memory at 32 px"
    assert run.progress == "step 200 of 500 is kept in work/"
    log.write_text("pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on\n")
    work.write_bytes(b"half")
    run = lacking(collect(demo, data, runs))
    assert not run.failed and "begin afresh" in run.progress
    monkeypatch.setenv("PIGAN_WORK", str(root / "elsewhere"))
    assert lacking(collect(demo, data, runs)).progress == ""


def test_numbers_are_over_complete_runs_only(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1, 2])
    data, runs = run_tree(params)
    (runs / "concat" / "seed1" / "metrics.json").unlink()
    collected = collect(params, data, runs)
    table = ablation_table(collected).set_index("arm")
    assert table["n"].to_dict() == {"baseline": 3, "relu-pe": 3, "concat": 2, "no-growing": 3}
    values = [run.metrics[FID] for run in collected.of_arm("concat")]
    assert table[f"{FID}_mean"]["concat"] == pytest.approx(np.mean(values))
    assert len(metrics_table(collected)) == 11
    # what was trained stands in the training curves all the same, in its place
    log = training_table(collected)
    assert list(log.groupby(["arm", "seed"], sort=False).groups) == [(a, s) for a in params.arms for s in (0, 1, 2)]
    notes = " ".join(cautions(collected, ablation_table(collected)))
    assert "1 of 12 runs is not complete and in no number of this page" in notes
    assert "different numbers of seeds: baseline 3, relu-pe 3, concat 2 and no-growing 3." in notes


def test_main_arm_without_a_complete_run_has_no_verdict(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    (runs / "baseline" / "seed0" / "metrics.json").unlink()
    collected = collect(demo, data, runs)
    ablation = ablation_table(collected)
    assert subject(collected).startswith("The main arm, baseline, has no complete run: there is no verdict yet.")
    assert headline(collected, ablation) == ""
    assert "Of 3 arms, one seed each, " in comparison(collected, ablation)
    assert ablation[f"{FID}_difference"].isna().all()
    text = make_report(demo, data, runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "has no complete run: there is no verdict yet" in text
    assert "Runs that are not complete" in text and "pigan evaluate --data" in text
    # its pictures are there already
    assert "<h3>Depth</h3>" in text


def test_study_without_any_complete_run_makes_a_page(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    for arm in demo.arms:
        shutil.rmtree(runs / arm / "seed0" / "generated")
        (runs / arm / "seed0" / "metrics.json").unlink()
    (runs / "speed.json").unlink()
    collected = collect(demo, data, runs)
    assert not collected.runs and len(collected.incomplete) == 4
    for table in (metrics_table, curve_table, stage_table):
        assert len(table(collected)) == 0
    assert (ablation_table(collected)["n"] == 0).all()
    assert len(training_table(collected)) == 3 * 140 + 50
    out = make_report(demo, data, runs, tmp_path / "out")
    text = out.read_text(encoding="utf-8")
    assert "4 of 4 runs are not complete" in text
    assert "Not measured: " in text and "run pigan bench --quick" in text
    drawn = {f"figures/{path.name}" for path in (out.parent / "figures").glob("*.svg")}
    plots = {"fid", "kid", "precision_recall", "training", "curve", "depth", "geometry", "cost", "budget"}
    # none of speed, which was not measured
    assert drawn == {f"figures/{name}.svg" for name in plots | {"data_poses", "data_depth"}}
    # and none of what is drawn lacks its numbers
    for name in drawn:
        numbers = pd.read_csv(out.parent / name.replace("figures", "tables").replace(".svg", ".csv"))
        assert len(numbers) == 0 or name in ("figures/training.svg", "figures/data_poses.svg", "figures/data_depth.svg")


def test_empty_study_makes_a_page(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, _ = run_tree(demo)
    text = make_report(demo, data, tmp_path / "runs" / "cars", tmp_path / "out").read_text(encoding="utf-8")
    assert text.count("pigan init --arm") == 4


def test_incomplete_runs_are_a_table(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    out = make_report(demo, data, runs, tmp_path / "whole").parent
    columns = "arm,seed,stage,failed,problem,last_line,progress,resume"
    assert (out / "tables" / "incomplete.csv").read_text() == f"{columns}\n"
    assert "Runs that are not complete" not in (out / "report.html").read_text(encoding="utf-8")
    (runs / "concat" / "seed0" / "metrics.json").write_text("{broken")
    out = make_report(demo, data, runs, tmp_path / "half").parent
    table = pd.read_csv(out / "tables" / "incomplete.csv")
    assert table[["arm", "stage"]].to_numpy().tolist() == [["concat", "evaluate"]]
    assert "cannot be read" in table["problem"][0]


def test_nothing_that_runs_say_becomes_markup(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    root = runs.parent.parent
    odd = root / "<img src=x onerror=alert(2)>" / "cars"
    odd.parent.mkdir()
    runs.rename(odd)
    shutil.rmtree(odd / "concat" / "seed0" / "r32")
    (odd / "relu-pe" / "seed0" / "r16" / "state.json").write_text('{"resolution": "<script>alert(3)</script>"}')
    log = root / "logs" / "cars" / "concat-seed0" / "r32.log"
    log.parent.mkdir(parents=True)
    log.write_text("pigan: <script>alert(1)</script> & \"quotes\" 'more'\n")
    (odd / "speed.json").unlink()
    text = make_report(demo, data, odd, tmp_path / "out").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;quotes&#34;" in text
    assert "<script>alert" not in text and "<img src=x" not in text


def test_many_incomplete_runs_are_folded_away(params_with: MakeParams, run_tree: Tree, tmp_path: Path) -> None:
    params = params_with(seeds=[0, 1, 2])
    data, runs = run_tree(params)
    for arm in ("relu-pe", "concat", "no-growing"):
        shutil.rmtree(runs / arm)
    text = make_report(params, data, runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "<summary>3 more</summary>" in text
    assert text.count("pigan init --arm") == 9


def test_pictures_are_of_the_first_run_that_has_any(params_with: MakeParams, run_tree: Tree) -> None:
    params = params_with(seeds=[0, 1])
    data, runs = run_tree(params)
    shutil.rmtree(runs / "baseline" / "seed0" / "generated")
    (runs / "concat" / "seed0" / "metrics.json").unlink()
    for seed in (0, 1):
        (runs / "relu-pe" / f"seed{seed}" / "metrics.json").unlink()
    shutil.rmtree(runs / "relu-pe" / "seed0" / "generated")
    collected = collect(params, data, runs)
    assert (collected.main.seed, isinstance(collected.main, Run)) == (1, True)
    assert collected.first_seed("concat").seed == 1
    assert collected.first_seed("relu-pe").seed == 1


def test_command_line_reports_while_a_study_runs(demo: Params, run_tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    _, runs = run_tree(demo)
    root = runs.parent.parent
    monkeypatch.chdir(root)
    (root / "params.yaml").write_text(json.dumps(demo.model_dump()))
    shutil.rmtree(runs / "no-growing")
    (runs / "concat" / "seed0" / "metrics.json").unlink()
    call = ["report", "--data", "data/prepared/cars", "--runs", "runs/cars", "--out", "reports/demo"]
    misspelt = CliRunner().invoke(app, ["runs/carz" if word == "runs/cars" else word for word in call])
    assert str(misspelt.exception).startswith("runs/carz: there is no such folder")
    assert not (root / "reports").exists()
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    text = (root / "reports" / "demo" / "report.html").read_text(encoding="utf-8")
    assert "2 of 4 runs are not complete" in text
    assert "pigan init --arm no-growing --seed 0 --out runs/cars/no-growing/seed0/init" in text
