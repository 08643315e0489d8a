"""Several experiments on one page: what differs, what may be compared, and what is said instead where it may not."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pigan import cli
from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.collect import collect
from pigan.report.comparison.experiments import best_of, difference, estimate
from pigan.report.comparison.page import cautions, compare_reports, finding, read_entries, render
from pigan.report.comparison.protocols import effect_of, obstacles
from pigan.report.comparison.tables import cost_rows, metric_tables, params_rows, plain, protocol_rows
from pigan.report.metrics import image_metrics, shape_metrics
from pigan.report.summary import Costs, RunSummary, write_summaries
from pigan.report.tables import ablation_table

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]
MakeReport = Callable[..., Path]
FID, KID, NORMAL = "fid_efficientnet_lite0", "kid_efficientnet_lite0", "normal_error"


class Page(HTMLParser):
    """Start tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def make(params_with: MakeParams, run_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> MakeReport:
    """Makes a report's folder, its summary only; `edit` changes the metrics.json of every run before."""

    def made(edit: Callable[[dict[str, Any]], object] | None = None, **changes: Any) -> Path:
        params = params_with(**changes)
        data, runs = run_tree(params)
        for path in runs.glob("*/seed*/metrics.json"):
            values = json.loads(path.read_text())
            if edit is not None:
                edit(values)
            path.write_text(json.dumps(values))
        out = tmp_path_factory.mktemp("reports") / params.experiment
        out.mkdir()
        collected = collect(params, data, runs)
        write_summaries(collected, ablation_table(collected), out)
        return out

    return made


@pytest.fixture(scope="module")
def first(make: MakeReport) -> Path:
    return make(experiment="first", seeds=[0, 1, 2])


@pytest.fixture(scope="module")
def wider(make: MakeReport) -> Path:
    """Other params, another title, an arm more, a smaller FID."""

    def edit(values: dict[str, Any]) -> None:
        values[FID] *= 0.9

    return make(
        edit,
        experiment="wider",
        seeds=[0, 1, 2],
        model={"hidden": 96},
        arms={"extra": {"training": {"r1_weight": 0.0}}, "none": {}},
        report={"title": "<script>alert('x')</script> & more"},
    )


@pytest.fixture(scope="module")
def fewer(make: MakeReport) -> Path:
    """Measured otherwise, with one other seed."""

    def edit(values: dict[str, Any]) -> None:
        values["protocol"] |= {"kid_subset_size": 100, "torch": "2.16.0"}
        values["protocol"]["sampling"]["samples"] = 12
        values["protocol"]["extractors"]["efficientnet_lite0"]["real_images"] = 7

    return make(edit, experiment="fewer", seeds=[3])


def run_of(seed: int, interval: tuple[float, float] | None = None, **metrics: float | None) -> RunSummary:
    intervals = dict.fromkeys(metrics, interval) if interval else {}
    costs = Costs(images_seen=1, train_seconds=1.0)
    return RunSummary(arm="a", seed=seed, metrics=metrics, intervals=intervals, costs=costs, protocol="")


def rows_of(entries: Any) -> Iterator[tuple[str, list[Any]]]:
    for table in metric_tables(entries):
        for row in table.rows:
            yield row.metric.key, row.cells


def test_equal_experiments_differ_in_nothing(first: Path, make: MakeReport) -> None:
    entries = read_entries([first, make(experiment="again", seeds=[0, 1, 2])])
    assert params_rows(entries) == [] and protocol_rows(entries) == []
    for _, (ours, theirs) in rows_of(entries):
        assert ours.text == theirs.text and not ours.best and not theirs.apart
        assert re.fullmatch(r"\+[0.]+ \[\+[0.]+, \+[0.]+\]", theirs.difference)
    text = render(entries)
    assert "None: the params are the same." in text and "None: everything was measured alike." in text


def test_params_that_differ_are_shown_with_the_arms(first: Path, wider: Path) -> None:
    rows = dict(params_rows(read_entries([first, wider])))
    assert rows == {
        "model.hidden": ["64", "96"],
        "arms.extra.training.r1_weight": ["–", "0"],
        "arms.none": ["–", "no changes"],
    }


def test_differences_have_intervals_and_the_best_is_marked(first: Path, wider: Path) -> None:
    entries = read_entries([first, wider])
    cells = dict(rows_of(entries))[FID]
    runs = [[run.metrics[FID] for run in entry.main] for entry in entries]
    apart = pd.Series(runs[1], dtype=float) - pd.Series(runs[0], dtype=float)
    half = 4.302653 * apart.std() / 3**0.5
    low, high = apart.mean() - half, apart.mean() + half
    text = f"{apart.mean():.1f} [{low:.1f}, {high:.1f}]".replace("-", "−")
    assert cells[1].difference == text and cells[1].beyond
    assert (cells[0].best, cells[1].best, cells[0].difference) == (False, True, "")
    told = finding(entries, entries[1])
    assert told.startswith(f"B (wider) against A (first): FID {text}. It is better on 1 and worse on 0 of ")
    assert "on 1 and 0 of these the interval over seeds leaves zero out" in told


def test_other_protocols_are_neither_ranked_nor_subtracted(first: Path, fewer: Path) -> None:
    entries = read_entries([first, fewer])
    rows = {name: (values, leaves, warn) for name, values, leaves, warn in protocol_rows(entries)}
    assert rows["Images in a KID subset"] == (["256", "100"], "all but KID", True)
    assert rows["PyTorch"] == (["2.15.0", "2.16.0"], "everything, up to the last digits", False)
    assert rows["Sampling: samples a ray"] == (["8", "12"], "everything: it is part of the model", False)
    cells = dict(rows_of(entries))
    # the extractor's field that only one states is told, and greys nothing
    assert not cells[FID][1].apart and cells[KID][1].apart == "Images in a KID subset"
    assert cells[KID][1].difference == "" and not any(cell.best for cell in cells[KID])
    assert cells[NORMAL][1].difference and not cells[NORMAL][1].apart
    notes = cautions(entries)
    assert notes[0].startswith("B was not measured as A was: they differ in “Images in a KID subset”.")
    assert "2 of 24 metrics" in notes[0]
    assert "A does not state “Feature extractors: EfficientNet-Lite0, real images”" in notes[1]
    assert "One seed in B: differences may be noise." in notes
    text = render(entries)
    assert text.count('<abbr class="sign"') > 2 and "grey with ≠" in text


def test_other_data_makes_nothing_comparable(first: Path, make: MakeReport) -> None:
    other = make(lambda values: values["protocol"].update(dataset_sha256="00" * 32), experiment="other")
    entries = read_entries([first, other])
    assert all(cells[1].apart == "Dataset, SHA-256" for _, cells in rows_of(entries))
    assert finding(entries, entries[1]) == "B (other) has no metric that can be compared with A (first)."
    assert "all metrics" in cautions(entries)[0]


def test_older_metrics_without_intervals_and_notes(first: Path, make: MakeReport) -> None:
    def edit(values: dict[str, Any]) -> None:
        for key in [key for key in values if not key.startswith(("fid_eff", "kid_eff", "depth_variance"))]:
            del values[key]
        values["protocol"] = {"extractor": "efficientnet_lite0", "real_images": 1024}

    entries = read_entries([make(edit, experiment="older"), first])
    cells = dict(rows_of(entries))
    assert cells[FID][0].interval == "" and cells[FID][1].difference and not cells[FID][1].apart
    assert cells["recall_efficientnet_lite0"][0].text == "–" and cells["recall_efficientnet_lite0"][1].difference == ""
    assert any(note.startswith("A does not state") and "more" in note for note in cautions(entries))
    render(entries)


def test_page_is_self_contained_and_holds_no_markup_of_others(first: Path, wider: Path, fewer: Path) -> None:
    page = Page(render(read_entries([first, wider, fewer])))
    tags = {tag for tag, _ in page.found}
    assert not tags & {"script", "link", "img", "iframe", "b"}
    hrefs = [own["href"] for _, own in page.found if "href" in own]
    ids = {own["id"] for _, own in page.found if "id" in own}
    assert hrefs and all(href.startswith("#") and href[1:] in ids for href in hrefs)
    assert "<script>alert('x')</script> & more" in page.words
    boxes = [own for tag, own in page.found if tag == "div" and own.get("class") == "scroll"]
    assert len(boxes) == sum(tag == "table" for tag, _ in page.found)
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)


def test_files_are_written_with_every_number(first: Path, wider: Path, fewer: Path, tmp_path: Path) -> None:
    page, table = compare_reports([first, wider, fewer / "summary.json"], tmp_path / "new" / "comparison.html")
    assert page.read_text(encoding="utf-8").startswith(("<!doctype html>", "\n<!doctype"))
    written = pd.read_csv(table)
    rows = {(row["letter"], row["arm"], row["metric"]): row for row in written.to_dict("records")}
    assert len(rows) == len(written) and set(written["letter"]) == {"A", "B", "C"}
    row = rows["B", "baseline", FID]
    assert row["n"] == 3 and row["interval_of"] == "seeds" and row["difference_low"] < row["difference"] < 0
    other = rows["C", "baseline", KID]
    assert other["differs_in"] == "kid_subset_size" and pd.isna(other["difference"]) and other["interval_of"] == "run"
    assert row["main"] and not rows["A", "concat", FID]["main"]


def test_costs_have_a_row_an_arm(first: Path, wider: Path) -> None:
    rows = cost_rows(read_entries([first, wider]))
    assert [row[:2] for row in rows][:2] == [("A", "baseline"), ("A", "relu-pe")] and len(rows) == 10
    assert rows[0][2][:2] == ["61,000 + 1,250,000", "18,400"]


def test_what_cannot_be_compared_is_one_line(first: Path, wider: Path, tmp_path: Path) -> None:
    out = tmp_path / "comparison.html"
    for reports, told in [
        ([first], "name two reports or more"),
        ([], "name two reports or more"),
        ([first, wider, first / "summary.json"], "are the same report; name each once"),
        ([first, tmp_path], r"holds no summary\.json"),
        ([first, tmp_path / "no"], "no such file or folder"),
        ([first] * 27, "at most 26"),
    ]:
        with pytest.raises(PiganError, match=told):
            compare_reports(reports, out)
    with pytest.raises(PiganError, match=r"name a page that ends in \.html"):
        compare_reports([first, wider], tmp_path / "comparison")
    assert list(tmp_path.iterdir()) == []


def test_estimates_and_differences() -> None:
    one, three = [run_of(0, (1.0, 3.0), x=2.0)], [run_of(seed, x=float(seed)) for seed in (0, 1, 2)]
    assert estimate(one, "x")[:2] == (1, 2.0) and estimate(one, "x")[3:] == (1.0, 3.0)
    assert estimate([run_of(0, x=None)], "x").n == 0
    found = estimate(three, "x")
    assert (found.n, found.mean, found.std) == (3, 1.0, 1.0)
    assert found.high - found.mean == pytest.approx(4.302653 / 3**0.5)
    paired = difference(three, [run_of(seed, x=seed + 0.5) for seed in (0, 1, 2)], "x")
    assert (paired.value, *paired.interval) == pytest.approx((0.5, 0.5, 0.5)) and paired.told_apart
    # Welch: 3 and 3 runs of equal variance have 4 degrees of freedom
    welch = difference(three, [run_of(seed, x=seed + 0.5) for seed in (3, 4, 5)], "x")
    assert welch.value == 3.5 and welch.ends[1] - 3.5 == pytest.approx(2.776445 * (2 / 3) ** 0.5)
    alone = difference(three, one, "x")
    assert alone.value == 1.0 and alone.interval is None and not alone.told_apart


def test_single_seed_among_several_is_not_called_best(first: Path, make: MakeReport) -> None:
    lucky = make(lambda values: values.update({FID: 1.0}), experiment="lucky", seeds=[0])
    also = make(lambda values: values.update({FID: values[FID] + 5}), experiment="also", seeds=[0, 1, 2])
    entries = read_entries([first, lucky, also])
    assert [entry.letter for entry in best_of(entries, image_metrics("efficientnet_lite0")[0])] == ["A"]


def test_arm_without_surfaces_is_ranked_on_no_metric_of_shape(first: Path, make: MakeReport) -> None:
    flat = make(
        lambda values: values.update(depth_consistency=None, normal_error=0.1), experiment="flat", seeds=[0, 1, 2]
    )
    entries = read_entries([first, flat])
    metric = next(metric for metric in shape_metrics() if metric.key == NORMAL)
    assert best_of(entries, metric) == []


@pytest.mark.parametrize(
    ("field", "greyed", "kept"),
    [
        ("kid_subsets", "kid_clip", "fid_clip"),
        ("real_images", "fid_clip", "normal_error"),
        ("extractors.clip.weights_sha256", "fid_clip", "fid_inception"),
        ("sampling.inversion.steps", "depth_rmse", "hollow_share"),
        ("infinity_points", "fid_infinity_clip", "fid_clip"),
        ("neighbours", "recall_clip", "kid_clip"),
        ("depth_sha256", "fid_depth_clip", "fid_clip"),
    ],
)
def test_a_field_greys_the_metrics_that_it_changes(field: str, greyed: str, kept: str) -> None:
    assert obstacles(greyed, {field: 1}, {field: 2}) == [field]
    assert obstacles(kept, {field: 1}, {field: 2}) == obstacles(greyed, {field: 1}, {}) == []


def test_unknown_fields_grey_everything() -> None:
    assert effect_of("sampling.camera.radius").leaves == effect_of("brand_new").leaves == "nothing"
    assert obstacles("normal_error", {"brand_new": 1}, {"brand_new": 2}) == ["brand_new"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1e-05, "1e-05"),
        (1.5707963, "1.5707963"),
        ([1, 2], "1, 2"),
        ([{"name": "r16", "resolution": 16}], "(name: r16, resolution: 16)"),
        ({}, "no changes"),
        ({"runs": [1, 2]}, "by seed: 1, 2"),
    ],
)
def test_settings_are_written_on_one_line(value: Any, text: str) -> None:
    assert plain(value) == text


@pytest.fixture
def pigan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs `pigan` in this process and an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pigan", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return (int(left.value.code or 0), *capsys.readouterr())

    return run


def test_command_compares(pigan: Callable[..., tuple[int, str, str]], first: Path, wider: Path, tmp_path: Path) -> None:
    code, out, err = pigan("report", "--compare", first, wider)
    assert (code, err) == (0, "")
    assert out == "wrote reports/comparison/comparison.html\nwrote reports/comparison/comparison.csv\n"
    assert (tmp_path / "reports" / "comparison" / "comparison.csv").is_file()
    assert pigan("report", "--out", "x.html", first, wider, "--compare")[:2] == (0, "wrote x.html\nwrote x.csv\n")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--compare",), 2, "pigan: --compare: name two reports or more"),
        (
            ("--compare", "a", "b", "--data", "d"),
            2,
            "pigan: --compare reads reports alone: leave --data and --runs",
        ),
        (("a", "b"), 2, "pigan: a: reports are named only with --compare, as pigan report --compare"),
        (("--runs", "r", "--out", "o"), 2, "pigan: Missing option '--data': a report needs --data, --runs and --out"),
        (("--compare", "a", "b"), 1, "pigan: a: no such file or folder"),
    ],
)
def test_wrong_combinations_are_one_line(
    pigan: Callable[..., tuple[int, str, str]], arguments: tuple[str, ...], code: int, told: str
) -> None:
    left, out, err = pigan("report", *arguments)
    assert (left, out) == (code, "")
    assert err.startswith(told) and len(err.splitlines()) == 1


def test_help_teaches_comparing(pigan: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = pigan("report", "--help")
    assert "pigan report --compare reports/first reports/second" in out and "[REPORT]..." in out
