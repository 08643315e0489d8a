"""The report as a whole: complete, self-contained, the same bytes each time."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from pigan.config import Params
from pigan.report.page import make_report

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


def test_report_writes_exactly_these_files(folder: Path, demo: Params) -> None:
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    tables = ["metrics", "ablation", "intervals", "incomplete", "data_facts", "data_rejects", "data_duplicates"]
    plots = ["fid", "kid", "precision_recall", "training", "curve", "depth", "geometry", "cost", "budget"]
    plots += ["speed", "roofline", "scaling", "data_poses", "data_depth"]
    pictures = ["samples", "views", "depth", "truncation", "turntable", "neighbours", "mesh", "inversion"]
    assert written == {
        *("report.html", "summary.json", "summary.md", "tables/ablation.tex", "tables/headline.tex"),
        *(f"tables/{name}.csv" for name in tables + plots),
        *(f"figures/{name}.svg" for name in plots),
        *(f"figures/{name}_{arm}.png" for name in pictures for arm in demo.arms),
    }


def test_page_asks_for_nothing_outside_itself(page: str) -> None:
    elements = Elements(page)
    assert "http://" not in page
    assert "https://" not in page
    for name in ("src", "poster", "data"):
        assert all(element[name].startswith("data:") for element in elements.with_attribute(name))
    # only what a reader may ask for lies beside the page: the figures' numbers
    addresses = [element["href"] for element in elements.with_attribute("href")]
    assert all(re.fullmatch(r"#.*|tables/\w+\.csv", address) for address in addresses)
    assert not [tag for tag, attributes in elements.found if tag in ("link", "iframe", "object", "embed", "base")]
    assert not re.search(r"@import|url\((?!#)", page)


def test_page_has_video_explorer_and_alt_texts(page: str) -> None:
    elements = Elements(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("video") == 1
    assert tags.count("svg") == 14
    assert len(elements.with_attribute("data-explorer")) == 1
    # the explorer's sprite is described by its frame
    silent = [a for tag, a in elements.found if tag == "img" and not a.get("alt")]
    assert len(silent) == 1
    assert all(a.get("aria-label") for tag, a in elements.found if tag in ("svg", "video"))


def test_ids_are_unique_and_links_lead_somewhere(page: str, folder: Path) -> None:
    elements = Elements(page)
    ids = [element["id"] for element in elements.with_attribute("id")]
    assert len(ids) == len(set(ids))
    addresses = [element["href"] for element in elements.with_attribute("href")]
    assert {address[1:] for address in addresses if address.startswith("#")} <= set(ids)
    assert all((folder / address).is_file() for address in addresses if not address.startswith("#"))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


@pytest.mark.parametrize("which", ["folder", "seeds_folder"])
def test_numbers_of_the_page_are_those_of_the_tables(which: str, request: pytest.FixtureRequest) -> None:
    report: Path = request.getfixturevalue(which)
    ablation = pd.read_csv(report / "tables" / "ablation.csv", dtype=str).set_index("arm")
    metrics = pd.read_csv(report / "tables" / "metrics.csv", dtype=str).set_index(["arm", "seed"])
    cells = Elements((report / "report.html").read_text(encoding="utf-8")).with_attribute("data-value")
    columns = {name.removesuffix("_mean") for name in ablation.columns if name.endswith("_mean")}
    assert columns == {cell["data-metric"] for cell in cells}
    shown = {(cell["data-metric"], cell["data-arm"]) for cell in cells if "data-seed" not in cell}
    assert shown == {(metric, arm) for metric in columns for arm in ablation.index}
    by_run = {(cell["data-arm"], cell["data-seed"]) for cell in cells if "data-seed" in cell}
    # with one seed the table by arm has every run
    assert by_run == (set(metrics.index) if len(metrics) > len(ablation) else set())
    for cell in cells:
        if "data-seed" in cell:
            expected = metrics[cell["data-metric"]][cell["data-arm"], cell["data-seed"]]
        else:
            expected = ablation[f"{cell['data-metric']}_mean"][cell["data-arm"]]
        assert cell["data-value"] == expected


def test_one_seed_has_an_interval_and_no_spread(page: str, folder: Path) -> None:
    assert "One seed: differences may be noise." in page
    assert 'class="spread"' not in page
    assert "Published" not in page
    intervals = pd.read_csv(folder / "tables" / "intervals.csv").set_index(["arm", "metric"])
    row = intervals.loc[("baseline", "fid_efficientnet_lite0")]
    assert f'{row["value"]:.1f}</span> <span class="interval">[{row["low"]:.1f}, {row["high"]:.1f}]</span>' in page
    assert "It says nothing about training again with another seed." in page
    assert "real against real 12.3 at equal counts" in page


def test_page_has_two_tables_of_arms_and_what_was_not_measured(page: str) -> None:
    for title in ("Image quality", "Shape and views"):
        assert f"<h3>{title}</h3>" in page
    assert page.count('<table class="wide metrics">') == 2
    assert "Not measured: Identity similarity (evaluate.face_embedder is &lt;null&gt;)" in page
    assert "<null>" not in page


def test_page_shows_neighbours_inversions_and_the_curve(page: str) -> None:
    alts = [a["alt"] for tag, a in Elements(page).found if tag == "img"]
    assert sum("training images most like it" in alt for alt in alts) == 4
    assert sum("held-out views" in alt for alt in alts) == 1
    assert "Nearest training images of the other arms" in page
    assert "scale and shift fitted, in the same colours" in page
    assert "Measured on 128 images a snapshot" in page


@pytest.mark.usefixtures("quick_figures_once")
def test_further_extractor_has_a_table_of_its_own(params_with: MakeParams, run_tree: Tree, tmp_path: Path) -> None:
    params = params_with(evaluate={"extractors": ["efficientnet_lite0", "dinov2"]})
    data, runs = run_tree(params)
    text = make_report(params, data, runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "<h3>Image quality, DINOv2</h3>" in text
    tables = re.findall(r'<table class="wide metrics">.*?</table>', text, flags=re.S)
    with_both = [table for table in tables if "fid_dinov2" in table and "fid_efficientnet_lite0" in table]
    assert len(tables) == 3 and not with_both


def test_older_metrics_make_a_report(demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    kept = ["fid_efficientnet_lite0", "kid_efficientnet_lite0", "kid_std_efficientnet_lite0", "seconds", "protocol"]
    kept += ["precision_efficientnet_lite0", "recall_efficientnet_lite0", "reprojection_error", "depth_variance"]
    for path in runs.glob("*/seed0/metrics.json"):
        values = {key: value for key, value in json.loads(path.read_text()).items() if key in kept}
        values["protocol"]["notes"] = []
        path.write_text(json.dumps(values))
        shutil.rmtree(path.parent / "evaluated")
    out = make_report(demo, data, runs, tmp_path / "out")
    text = out.read_text(encoding="utf-8")
    for absent in ('class="interval"', "Metrics along training", "Nearest training images", "met by the generator"):
        assert absent not in text
    assert "Not measured" not in text and "real against real" not in text
    assert "Whisker" not in text
    # the files are there all the same, for the engines
    assert "not measured" in (out.parent / "figures" / "curve.svg").read_text(encoding="utf-8")
    assert "not measured" in (out.parent / "figures" / "geometry.svg").read_text(encoding="utf-8")
    assert (out.parent / "tables" / "curve.csv").read_text() == "arm,seed,step,images_seen,resolution,images\n"


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


def test_same_inputs_give_the_same_bytes_elsewhere(folder: Path, demo: Params, run_tree: Tree, tmp_path: Path) -> None:
    data, runs = run_tree(demo)
    again = make_report(demo, data, runs, tmp_path / "again").parent
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path


def test_no_svg_names_an_address_or_a_date(folder: Path) -> None:
    for path in (folder / "figures").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "<text" in text
        assert "dc:date" not in text
        assert "fill: #ffffff" not in text


@pytest.mark.usefixtures("quick_figures_once")
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


@pytest.mark.usefixtures("quick_figures_once")
def test_single_arm_needs_no_comparison(params_with: MakeParams, run_tree: Tree, tmp_path: Path) -> None:
    params = params_with()
    single = params.model_copy(update={"arms": {"baseline": {}}})
    data, runs = run_tree(single)
    text = make_report(single, data, runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "Best arm" not in text
    assert "<h2>Metrics</h2>" in text
    assert "One seed: the numbers may be luck." in text


@pytest.mark.usefixtures("quick_figures_once")
def test_metric_without_value_is_a_dash_and_without_any_is_left_out(
    demo: Params, run_tree: Tree, tmp_path: Path
) -> None:
    data, runs = run_tree(demo)
    for arm in demo.arms:
        path = runs / arm / "seed0" / "metrics.json"
        values = json.loads(path.read_text()) | {"depth_consistency": None}
        path.write_text(json.dumps(values | ({"recall_efficientnet_lite0": None} if arm == "concat" else {})))
    out = make_report(demo, data, runs, tmp_path / "out")
    cells = Elements(out.read_text(encoding="utf-8")).with_attribute("data-value")
    empty = {(cell["data-metric"], cell["data-arm"]) for cell in cells if cell["data-value"] == ""}
    assert empty == {("recall_efficientnet_lite0", "concat")}
    assert "depth_consistency" not in {cell["data-metric"] for cell in cells}
