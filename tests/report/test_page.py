"""The report as a whole: complete, self-contained, the same bytes each time."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.page import make_report, report_files

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]


class Elements(HTMLParser):
    """Start tags with their attributes, and the ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {key: value or "" for key, value in attrs}))

    def with_attribute(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.found if name in attributes]


@pytest.fixture(scope="module")
def folder(demo: Params, run_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, runs = run_tree(demo)
    return make_report(demo, data, runs, tmp_path_factory.mktemp("reports") / "demo").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def seeds_folder(params_with: MakeParams, run_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    params = params_with(seeds=[0, 1, 2], report={"published": "cats", "title": "<script>alert('x')</script> & more"})
    data, runs = run_tree(params)
    return make_report(params, data, runs, tmp_path_factory.mktemp("reports") / "seeds").parent


def test_report_writes_exactly_the_declared_files(folder: Path, demo: Params) -> None:
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == set(report_files(demo))


def test_page_asks_for_nothing_outside_itself(page: str) -> None:
    elements = Elements(page)
    assert "http://" not in page
    assert "https://" not in page
    for name in ("src", "poster", "data"):
        assert all(element[name].startswith("data:") for element in elements.with_attribute(name))
    assert all(element["href"].startswith("#") for element in elements.with_attribute("href"))
    assert not [tag for tag, attributes in elements.found if tag in ("link", "iframe", "object", "embed", "base")]
    assert not re.search(r"@import|url\((?!#)", page)


def test_page_has_video_explorer_and_alt_texts(page: str) -> None:
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("video") == 1
    assert tags.count("svg") == 11
    assert len(elements.with_attribute("data-explorer")) == 1
    # the explorer's sprite is described by its frame
    silent = [a for tag, a in elements.found if tag == "img" and not a.get("alt")]
    assert len(silent) == 1
    assert all(a.get("aria-label") for tag, a in elements.found if tag in ("svg", "video"))


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    elements = Elements(page)
    ids = [element["id"] for element in elements.with_attribute("id")]
    assert len(ids) == len(set(ids))
    assert {element["href"][1:] for element in elements.with_attribute("href")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


@pytest.mark.parametrize("which", ["folder", "seeds_folder"])
def test_numbers_of_the_page_are_those_of_the_tables(which: str, request: pytest.FixtureRequest) -> None:
    report: Path = request.getfixturevalue(which)
    ablation = pd.read_csv(report / "tables" / "ablation.csv", dtype=str).set_index("arm")
    metrics = pd.read_csv(report / "tables" / "metrics.csv", dtype=str).set_index(["arm", "seed"])
    cells = Elements((report / "report.html").read_text(encoding="utf-8")).with_attribute("data-value")
    columns = {name.removesuffix("_mean") for name in ablation.columns if name.endswith("_mean")}
    assert columns == {cell["data-metric"] for cell in cells}
    # main arm's table, one cell an arm, one cell a run
    assert len(cells) == len(columns) * (1 + len(ablation) + len(metrics))
    for cell in cells:
        if "data-seed" in cell:
            expected = metrics[cell["data-metric"]][cell["data-arm"], cell["data-seed"]]
        else:
            expected = ablation[f"{cell['data-metric']}_mean"][cell["data-arm"]]
        assert cell["data-value"] == expected


def test_one_seed_has_no_spread_and_says_so(page: str) -> None:
    assert "One seed: differences may be noise." in page
    assert 'class="spread"' not in page
    assert "Published" not in page


def test_several_seeds_show_their_spread_and_the_published_figure(seeds_folder: Path) -> None:
    text = (seeds_folder / "report.html").read_text(encoding="utf-8")
    ablation = pd.read_csv(seeds_folder / "tables" / "ablation.csv").set_index("arm")
    spread = ablation["fid_efficientnet_lite0_std"]["baseline"]
    assert (ablation["n"] == 3).all()
    assert f'<span class="spread">± {spread:.1f}</span>' in text
    assert "One seed" not in text
    assert "FID 16.8" in text
    assert "another source says 16.6" in text


def test_title_is_escaped(seeds_folder: Path) -> None:
    text = (seeds_folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<h1>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more</h1>" in text
    assert "images/&lt;b&gt;.png" in text


def test_same_inputs_give_the_same_bytes(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    first, second = (make_report(demo, data, runs, tmp_path / name).parent for name in ("first", "second"))
    for name in report_files(demo):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_no_svg_names_an_address_or_a_date(folder: Path) -> None:
    for path in (folder / "figures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "<text" in text
        assert "dc:date" not in text
        assert "fill: #ffffff" not in text


def test_missing_pictures_leave_their_section_out(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    for name in ("explorer.jpg", "turntable.mp4", "depth.png"):
        (runs / "baseline" / "seed0" / "generated" / name).unlink()
    text = make_report(demo, data, runs, tmp_path / "out").read_text(encoding="utf-8")
    elements = Elements(text)
    assert not elements.with_attribute("data-explorer")
    assert "video" not in [tag for tag, _ in elements.found]
    assert "<h3>Depth</h3>" not in text
    assert "<h3>Truncation</h3>" in text
    assert not (tmp_path / "out" / "figures" / "depth_baseline.png").exists()


def test_single_arm_needs_no_comparison(params_with: MakeParams, run_tree: Tree, tmp_path: Path) -> None:
    params = params_with()
    single = params.model_copy(update={"arms": {"baseline": {}}})
    data, runs = run_tree(single)
    text = make_report(single, data, runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "Best arm" not in text
    assert "<h2>Metrics</h2>" in text
    assert "One seed: the numbers may be luck." in text


def test_metric_without_value_is_a_dash(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    for arm in demo.arms:
        path = runs / arm / "seed0" / "metrics.json"
        values = json.loads(path.read_text())
        path.write_text(json.dumps(values | {"depth_consistency": None} | ({"recall_efficientnet_lite0": None})))
    out = make_report(demo, data, runs, tmp_path / "out")
    cells = Elements(out.read_text(encoding="utf-8")).with_attribute("data-value")
    empty = {cell["data-metric"] for cell in cells if cell["data-value"] == ""}
    assert empty == {"depth_consistency", "recall_efficientnet_lite0"}


def test_incomplete_runs_leave_no_report(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    (runs / "concat" / "seed0" / "metrics.json").unlink()
    with pytest.raises(PiganError, match=r"concat/seed0/metrics\.json: no such file; run pigan evaluate"):
        make_report(demo, data, runs, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
