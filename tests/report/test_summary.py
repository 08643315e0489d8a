"""summary.json: what it holds, that it is read again, and what is said of folders that have none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.collect import collect
from pigan.report.page import make_report
from pigan.report.summary import FORMAT, read_summary, summarise, write_summaries
from pigan.report.tables import ablation_table

pytestmark = pytest.mark.usefixtures("quick_figures")
Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]


@pytest.fixture(scope="module")
def folder(demo: Params, run_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    collected = collect(demo, *run_tree(demo))
    out = tmp_path_factory.mktemp("reports")
    write_summaries(collected, ablation_table(collected), out)
    return out


def test_every_report_has_the_files(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    out = make_report(demo, data, runs, tmp_path / "out").parent
    for name in ("summary.json", "summary.md", "tables/ablation.tex", "tables/headline.tex"):
        assert (out / name).stat().st_size


def test_summary_has_params_numbers_costs_and_protocol(folder: Path, demo: Params) -> None:
    values = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert (values["format"], values["experiment"], values["main_arm"]) == (FORMAT, "demo", "baseline")
    assert values["params"] == demo.model_dump(mode="json")
    assert [(run["arm"], run["seed"]) for run in values["runs"]] == [(arm, 0) for arm in demo.arms]
    run = values["runs"][0]
    assert run["metrics"]["identity_similarity"] is None and "seconds" not in run["metrics"]
    low, high = run["intervals"]["fid_efficientnet_lite0"]
    assert low < run["metrics"]["fid_efficientnet_lite0"] < high
    assert run["costs"]["images_seen"] == 18_400 and run["costs"]["peak_memory_mb"] == 812.5
    # the runs differ in their checkpoints alone, which are no part of how they were measured
    assert {run["protocol"] for run in values["runs"]} == set(values["protocols"])
    assert len(values["protocols"]) == 1 and "checkpoint_sha256" not in values["protocols"][run["protocol"]]


def test_summary_is_read_as_it_was_made(folder: Path, demo: Params) -> None:
    summary = read_summary(folder)
    assert summary == read_summary(folder / "summary.json")
    assert summary.arms == list(demo.arms)
    assert [run.seed for run in summary.of_arm("concat")] == [0]


@pytest.mark.parametrize(
    ("commit", "known", "dirty"),
    [("abc with uncommitted changes", "abc", True), ("abc", "abc", False), (None, None, False)],
)
def test_commit_and_its_changes_are_apart(
    demo: Params, run_tree: Tree, commit: str | None, known: str | None, dirty: bool
) -> None:
    summary = summarise(collect(demo, *run_tree(demo)), commit)
    assert (summary.commit, summary.dirty) == (known, dirty)


def test_incomplete_runs_are_named_and_in_no_number(params_with: MakeParams, run_tree: Tree, tmp_path: Path) -> None:
    params = params_with(seeds=[0, 1])
    data, runs = run_tree(params)
    (runs / "concat" / "seed1" / "metrics.json").unlink()
    collected = collect(params, data, runs)
    write_summaries(collected, ablation_table(collected), tmp_path)
    summary = read_summary(tmp_path)
    assert [(run.arm, run.seed, run.stage) for run in summary.incomplete] == [("concat", 1, "evaluate")]
    assert [run.seed for run in summary.of_arm("concat")] == [0]


def test_no_complete_run_is_a_summary_too(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    for path in runs.glob("*/seed0/metrics.json"):
        path.unlink()
    collected = collect(demo, data, runs)
    write_summaries(collected, ablation_table(collected), tmp_path)
    summary = read_summary(tmp_path)
    assert (summary.runs, summary.date, len(summary.incomplete)) == ([], "", 4)
    assert "Runs that are in no number" in (tmp_path / "summary.md").read_text(encoding="utf-8")


def test_what_is_no_summary_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PiganError, match=r"nowhere: no such file or folder; name a report's folder"):
        read_summary(tmp_path / "nowhere")
    with pytest.raises(PiganError, match=r"holds no summary\.json.* older pigan; run `pigan report` again"):
        read_summary(tmp_path)
    path = tmp_path / "summary.json"
    values = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | {"format": 7}))
    with pytest.raises(PiganError, match=r"is of format 7, this pigan reads format 1"):
        read_summary(tmp_path)
    path.write_text("[]")
    with pytest.raises(PiganError, match="is of format None"):
        read_summary(tmp_path)
    path.write_text(json.dumps(values | {"runs": [{"arm": "a"}]}))
    with pytest.raises(PiganError, match=r"runs\.0\.seed: field required; run `pigan report` again"):
        read_summary(tmp_path)
    path.write_text("{")
    with pytest.raises(PiganError, match="cannot be read"):
        read_summary(tmp_path)
