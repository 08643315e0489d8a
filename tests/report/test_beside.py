"""A released model beside the experiment: what it was trained on, its figures where comparable, its picture."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pigan import config, released
from pigan.config import Params, ParamsError
from pigan.report.beside import Beside, beside
from pigan.report.collect import collect
from pigan.report.page import make_report
from pigan.report.tables import ablation_table

pytestmark = pytest.mark.usefixtures("quick_figures")
MakeParams = Callable[..., Params]
Tree = Callable[[Params], tuple[Path, Path]]
FACTS = {"device": "Test GPU", "devices": 2, "seconds": 1850.0, "images_seen": 5_400_000, "steps": 9000}
FACTS |= {"resolution": 32, "checkpoint_sha256": "ab" * 32, "torch": "2.15.0", "date": "2026-02-03"}
FID = "fid_efficientnet_lite0"


@pytest.fixture
def shown(
    params_with: MakeParams, run_tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Beside]:
    """What is shown beside the demo, of a released model measured as it was, with changes."""
    params = params_with(report={"released": "cars-9"})
    data, runs = run_tree(params)
    folder = tmp_path / "released" / "cars-9"
    folder.mkdir(parents=True)
    monkeypatch.setattr(released, "PLACE", folder.parent)
    (folder / released.WEIGHTS).touch()
    (folder / "training.json").write_text(json.dumps(FACTS))
    Image.fromarray(np.full((8, 12, 3), 200, np.uint8)).save(folder / "samples.png")

    def show(protocol: dict[str, Any] | None = None, **numbers: Any) -> Beside:
        values = json.loads((runs / "baseline" / "seed0" / "metrics.json").read_text()) | numbers
        values["protocol"] |= {"checkpoint_sha256": "cd" * 32, "device": "Test GPU"} | (protocol or {})
        (folder / "metrics.json").write_text(json.dumps(values))
        collected = collect(params, data, runs)
        found = beside(collected, ablation_table(collected))
        assert found is not None
        return found

    return show


def keys(found: Beside) -> list[str]:
    return [row.metric.key for row, _, _ in found.rows]


def test_it_is_labelled_with_what_it_was_trained_on(shown: Callable[..., Beside]) -> None:
    found = shown(**{FID: 17.25})
    assert found.title == "Beside it: cars-9, trained on 2 × Test GPU for 31 minutes (5,400,000 images)"
    row, value, text = found.rows[0]
    assert (row.metric.key, float(value), text) == (FID, 17.25, "17.2")
    assert not math.isclose(float(row.cells[0].value), 17.25)
    assert "depth_rmse" in keys(found) and found.apart == ""
    assert found.picture is not None and found.picture["width"] == 12


@pytest.mark.parametrize(
    ("protocol", "gone", "kept", "said"),
    [
        ({"fake_images": 384}, FID, "depth_rmse", "measured otherwise. These differ: Generated images."),
        ({"resolution": 64}, FID, None, "measured otherwise. These differ: Image side, pixels."),
        ({"device": "another", "torch": "3.0"}, None, FID, ""),
    ],
)
def test_what_was_measured_otherwise_is_told_and_left_out(
    shown: Callable[..., Beside], protocol: dict[str, Any], gone: str | None, kept: str | None, said: str
) -> None:
    found = shown(protocol)
    assert gone not in keys(found)
    assert kept in keys(found) if kept else keys(found) == []
    assert found.apart.endswith(said) if said else found.apart == ""
    if kept == "depth_rmse":
        assert found.apart.startswith("Its FID, FID at infinity, KID, precision, recall,")


def test_the_same_renderings_with_other_last_bits_are_the_same_images(shown: Callable[..., Beside]) -> None:
    """Same depth, same floor of FID: another digest of the images is rounding; another depth or floor is not."""
    floor, other = "fid_real_efficientnet_lite0", {"dataset_sha256": "ef" * 32}
    own = shown()
    assert own.apart == "" and FID in keys(own)
    rounded = shown(other)
    assert keys(rounded) == keys(own)
    assert rounded.apart == (
        "Its real images differ from these by roundings alone: depth and floor of FID are the same."
    )
    for apart in (
        shown(other | {"depth_sha256": "ef" * 32}),
        shown(other, **{floor: 9.0}),
        shown(other, **{floor: None}),
    ):
        assert keys(apart) == [] and "measured otherwise. These differ: Dataset, SHA-256" in apart.apart


def test_a_metric_that_it_lacks_has_no_row(shown: Callable[..., Beside]) -> None:
    assert "depth_rmse" not in keys(shown(depth_rmse=None))


def test_without_facts_the_title_is_its_name(shown: Callable[..., Beside]) -> None:
    (released.folder("cars-9") / "training.json").unlink()
    assert shown().title == "Beside it: cars-9"


def test_the_page_holds_it_only_where_the_params_name_one(
    shown: Callable[..., Beside], params_with: MakeParams, run_tree: Tree, tmp_path: Path
) -> None:
    shown({"fake_images": 384})
    for name, there in (("cars-9", True), (None, False)):
        params = params_with(report={"released": name}, arms={"baseline": {}})
        page = make_report(params, *run_tree(params), tmp_path / f"out-{name}").read_text(encoding="utf-8")
        assert ('class="released"' in page) is there
        assert ("trained on 2 × Test GPU for 31 minutes" in page) is there
        assert ('alt="Grid of images generated by the released model cars-9"' in page) is there
        assert ('data-released="depth_rmse"' in page) is there
        assert f'data-released="{FID}"' not in page


def test_a_name_that_is_not_there_is_refused_with_those_that_are(shown: Callable[..., Beside], tmp_path: Path) -> None:
    preset = (Path(config.__file__).parent / "presets" / "demo.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(preset.replace("released: cars-32", "released: boats"))
    with pytest.raises(ParamsError, match=r"report\.released: no released model 'boats'; there are cars-9$"):
        config.load(path)
    path.write_text(preset.replace("released: cars-32", "released: null"))
    assert config.load(path).report.released is None
