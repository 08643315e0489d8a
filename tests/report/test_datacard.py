"""The data card: its numbers, its pictures, and what it does without them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pigan.config import Params
from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.report.collect import DatasetCard, read_card
from pigan.report.datacard import data_plots, fact_rows, make_datacard, reject_reasons, write_tables
from pigan.report.datafigures import depth_table, mean_pose, pose_table
from pigan.report.plots import write_plots

Tree = Callable[[Params], tuple[Path, Path]]


@pytest.fixture
def data(demo: Params, run_tree: Tree) -> Path:
    return run_tree(demo)[0]


def change(data: Path, **values: Any) -> None:
    """Other values in dataset.json; None removes a key."""
    path = data / "dataset.json"
    info = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in info.items() if value is not None}))


def card_of(data: Path) -> tuple[DatasetCard, dict[str, str]]:
    card = read_card(data)
    return card, dict(fact_rows(card, Prepared(data)))


def test_page_is_whole_and_asks_for_nothing(data: Path, tmp_path: Path) -> None:
    out = make_datacard(data, tmp_path / "cards" / "card.html")
    page = out.read_text(encoding="utf-8")
    assert list(out.parent.iterdir()) == [out]
    assert "http://" not in page
    assert "https://" not in page
    # a page that stands alone has no files to link to
    assert page.count("<svg") == 2 and "<a " not in page
    assert "Made-up &lt;cars&gt;." in page
    assert "Somebody &amp; others, 2020" in page
    assert "images/&lt;b&gt;.png" in page
    images = re.findall(r"<img [^>]*>", page)
    # examples, mean image, two groups of near-duplicates
    assert len(images) == 4
    assert all(re.search(r'alt="[^"]+"', image) and 'src="data:image/png' in image for image in images)
    assert page == make_datacard(data, tmp_path / "again.html").read_text(encoding="utf-8")


def test_facts_say_what_was_counted(data: Path) -> None:
    _, facts = card_of(data)
    assert facts["Images"] == "40 kept of 43 found; 43 expected"
    assert facts["Large enough"] == "30 of at least 64 px, 12 of at least 128 px"
    assert facts["Split"].startswith("train 38, held out 2; 37 objects")
    assert facts["Near-duplicates"] == "2 groups with 5 images together"
    assert facts["Known beside the images"] == "camera poses, depth maps"
    assert facts["Crop"] == "centred square; lanczos filter; at least 16 px"


def test_old_card_without_the_new_keys_is_shown(data: Path, tmp_path: Path) -> None:
    gone = ("duplicates", "owners", "expected", "large_enough", "citation", "description", "crop", "licence")
    change(data, **dict.fromkeys(gone), seconds=3.1)
    _, facts = card_of(data)
    assert facts["Images"] == "40 kept of 43 found"
    assert facts["Split"] == "train 38, held out 2"
    assert facts["Licence"] == "not stated"
    assert not {"Large enough", "Near-duplicates", "Citation", "Crop"} & set(facts)
    assert "Near-duplicates" not in make_datacard(data, tmp_path / "card.html").read_text(encoding="utf-8")


def test_without_cameras_and_depth_there_is_no_plot(data: Path, tmp_path: Path) -> None:
    (data / "cameras.npz").unlink()
    for path in data.glob("depth_*.npy"):
        path.unlink()
    kept = {name: value for name, value in read_card(data).sha256.items() if name.startswith("images")}
    change(data, sha256=kept, duplicates=[])
    page = make_datacard(data, tmp_path / "card.html").read_text(encoding="utf-8")
    assert "<svg" not in page
    assert "none found" in page
    write_plots(data_plots(read_card(data), Prepared(data)), tmp_path)
    for name in ("data_poses", "data_depth"):
        assert len(pd.read_csv(tmp_path / "tables" / f"{name}.csv")) == 0
        assert "not measured" in (tmp_path / "figures" / f"{name}.svg").read_text()


def test_cameras_without_depth_have_one_plot(data: Path, tmp_path: Path) -> None:
    for path in data.glob("depth_*.npy"):
        path.unlink()
    change(data, sha256={name: value for name, value in read_card(data).sha256.items() if name.startswith("images")})
    page = make_datacard(data, tmp_path / "card.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "Where the cameras stand" in page
    assert card_of(data)[1]["Known beside the images"] == "camera poses"


def test_tables_hold_what_the_page_shows(data: Path, tmp_path: Path) -> None:
    card = read_card(data)
    write_plots(data_plots(card, Prepared(data)), tmp_path)
    write_tables(card, Prepared(data), tmp_path / "tables")
    names = ["data_facts", "data_rejects", "data_duplicates", "data_poses", "data_depth"]
    tables = {name: pd.read_csv(tmp_path / "tables" / f"{name}.csv") for name in names}
    assert list(tables["data_rejects"]["file"]) == [reject.file for reject in card.rejected]
    assert list(tables["data_duplicates"]["image"]) == [0, 1, 2, 3, 5]
    assert tables["data_duplicates"]["file"][3] == "images/00003.png"
    assert tables["data_poses"]["images"].sum() == 40
    depth = Prepared(data).depth(max(card.resolutions))
    assert depth is not None
    assert tables["data_depth"]["pixels"].sum() == pytest.approx(np.isfinite(depth).sum(), rel=0.01)
    assert dict(tables["data_facts"].to_numpy())["Images"] == "40 kept of 43 found; 43 expected"


def test_groups_on_both_sides_of_a_stated_split_are_told(data: Path, tmp_path: Path) -> None:
    page = make_datacard(data, tmp_path / "card.html").read_text(encoding="utf-8")
    assert "each group on one side of the split" in page
    change(data, split={"train": [*range(2, 40), 0], "held_out": [1]})
    page = make_datacard(data, tmp_path / "card.html").read_text(encoding="utf-8")
    assert "1 of the groups lies on both sides of the split" in page
    assert card_of(data)[1]["Split"] == "train 39, held out 1"


def test_rejects_are_grouped_by_kind(data: Path) -> None:
    small = [{"file": f"{index}.png", "reason": f"too small: {index} x 9 pixels"} for index in range(5)]
    change(data, rejected=[{"file": "a.png", "reason": "cannot be read: truncated"}, *small])
    first, second = reject_reasons(read_card(data))
    assert (first.reason, first.count) == ("too small", 5)
    assert first.examples == "0.png (0 x 9 pixels), 1.png (1 x 9 pixels), 2.png (2 x 9 pixels), …"
    assert (second.reason, second.count, second.examples) == ("cannot be read", 1, "a.png (truncated)")


def test_pose_bins_hold_every_camera() -> None:
    rng = np.random.default_rng(0)
    yaw, pitch = rng.uniform(-9, 9, 5000), rng.uniform(0.01, 3.1, 5000)
    table = pose_table(yaw, pitch)
    assert table["images"].sum() == 5000
    assert table["yaw_degrees"].between(-180, 180).all()
    assert table["elevation_degrees"].between(-90, 90).all()
    one = pose_table(np.full(7, np.pi / 2 + np.radians(20.2)), np.full(7, np.radians(80)))
    assert one["images"].tolist() == [7]
    assert one["yaw_degrees"][0] <= 20.2 < one["yaw_degrees"][0] + one["width_degrees"][0]


def test_mean_pose_is_circular() -> None:
    yaw, elevation = mean_pose(np.pi / 2 + np.radians(np.array([170.0, -170.0])), np.radians(np.array([80.0, 70.0])))
    assert abs(yaw or 0) == pytest.approx(180)
    assert elevation == pytest.approx(15)
    assert mean_pose(np.linspace(0, 2 * np.pi, 50, endpoint=False), np.full(50, 1.0))[0] is None


def test_depth_bins_leave_strays_and_gaps_out() -> None:
    depth = np.full((2, 50, 50), np.nan, np.float32)
    depth[:, :, :25] = np.random.default_rng(0).uniform(1, 2, (2, 50, 25))
    depth[0, 0, 0] = 900
    table = depth_table(depth)
    assert table["depth"].max() < 2
    assert table["pixels"].sum() == pytest.approx(2500, abs=5)
    assert len(depth_table(np.full((1, 4, 4), np.nan, np.float32))) == 0


def test_no_prepared_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(PiganError, match=r"dataset\.json: no such file; run pigan crop"):
        make_datacard(tmp_path, tmp_path / "card.html")
    assert not (tmp_path / "card.html").exists()
