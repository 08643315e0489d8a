"""The mesh in the page: what is packed, and what Chromium (with software WebGL) makes of it."""

import base64
import gzip
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.collect import collect
from pigan.report.meshview import mesh_view, packed, viewer
from pigan.report.page import make_report
from pigan.report.templating import environment

SOFTWARE = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

Tree = Callable[[Params], tuple[Path, Path]]


@pytest.fixture(scope="module")
def tree(demo: Params, run_tree: Tree) -> tuple[Path, Path]:
    return run_tree(demo)


@pytest.fixture(scope="module")
def report(demo: Params, tree: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(demo, *tree, tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="module")
def browser_arguments() -> list[str]:
    return SOFTWARE


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report; in the end nothing may have been asked for or complained about."""
    heard: list[str] = []
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    shown = context.new_page()
    shown.on("console", lambda message: heard.append(f"{message.type}: {message.text}"))
    shown.on("pageerror", lambda error: heard.append(str(error)))
    shown.on("request", lambda request: heard.append(request.url[:200]))
    shown.goto(report.as_uri())
    yield shown
    context.close()
    assert [words for words in heard if not words.startswith(("data:", "about:srcdoc"))] == [report.as_uri()]


def pixels(frame: Locator) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(frame.screenshot())).convert("RGB")).astype(int)


def turned(page: Page) -> Locator:
    """The viewer, once it has drawn the mesh."""
    page.get_by_role("button", name="Turn the mesh").click()
    frame = page.locator("[data-mesh] iframe")
    frame.scroll_into_view_if_needed()
    for _ in range(100):
        page.wait_for_timeout(100)
        if (seen := pixels(frame)[60:-60, 60:-60]).std(axis=(0, 1)).max() > 10:
            break
    assert seen.std(axis=(0, 1)).max() > 10
    return frame


def moved(page: Page, frame: Locator, before: np.ndarray) -> np.ndarray:
    """What it shows now, when much of it has changed."""
    for _ in range(50):
        page.wait_for_timeout(100)
        if (np.abs(pixels(frame) - before).max(-1) > 8).mean() > 0.01:
            break
    page.wait_for_timeout(200)
    after = pixels(frame)
    assert (np.abs(after - before).max(-1) > 8).mean() > 0.01
    return after


def test_the_mesh_turns_by_drag_and_keys_and_shows_its_shape(page: Page) -> None:
    assert page.locator("iframe").count() == 0
    frame = turned(page)
    assert not page.locator("[data-mesh] > img").is_visible()
    inside, start = page.frame_locator("[data-mesh] iframe"), pixels(frame)
    # a coloured ellipsoid in the middle of the panel
    middle, corner = start[start.shape[0] // 2, start.shape[1] // 2], start[-5, 5]
    assert np.ptp(middle) > 20 and np.ptp(corner) < 12 and corner.min() > 230
    place = frame.bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + 20 * step, y + 4 * step)
    page.mouse.up()
    dragged = moved(page, frame, start)
    inside.locator("canvas").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    keyed = moved(page, frame, dragged)
    for _ in range(4):
        page.keyboard.press("+")
    near = moved(page, frame, keyed)
    background = np.abs(near - corner).max(-1) < 4
    assert background.mean() < (np.abs(keyed - corner).max(-1) < 4).mean() - 0.02
    button = inside.get_by_role("button", name="Shape only")
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    clay = moved(page, frame, near)
    assert np.ptp(clay[clay.shape[0] // 2, clay.shape[1] // 2]) < 25


def test_dark_readers_get_a_dark_panel(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    frame = turned(page)
    assert pixels(frame)[-5, 5].max() < 60
    light = pixels(frame)
    page.emulate_media(color_scheme="light")
    assert moved(page, frame, light)[-5, 5].min() > 230


def test_paper_gets_the_picture(page: Page) -> None:
    turned(page)
    page.emulate_media(media="print")
    assert page.locator("[data-mesh] > img").is_visible()
    assert not page.locator("[data-mesh] iframe").is_visible()
    assert page.get_by_text("faces, watertight").is_visible()


def test_the_viewer_is_shut_in_and_accessible(page: Page) -> None:
    turned(page)
    frame = page.locator("[data-mesh] iframe")
    assert frame.get_attribute("sandbox") == "allow-scripts" and frame.get_attribute("title")
    found = Axe().run(page, context="[data-mesh]").response["violations"]
    assert [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")] == []


def test_without_3d_graphics_the_picture_stays(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(report.as_uri())
    button = page.locator("[data-mesh] button")
    button.click()
    assert "no 3-D graphics" in button.inner_text() and button.is_disabled()
    assert page.locator("[data-mesh] > img").is_visible() and page.locator("iframe").count() == 0
    page.close()
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(report.as_uri())
    assert page.locator("[data-mesh] > img").is_visible() and page.locator("[data-mesh] button").count() == 0
    page.close()


def test_what_is_packed_is_the_mesh_in_its_colours(demo: Params, tree: tuple[Path, Path], report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    data = re.search(r'data-mesh="([^"]+)"', text)
    assert data is not None and len(data[1]) < 1_000_000
    document = gzip.decompress(base64.b64decode(data[1])).decode()
    path = tree[1] / "baseline/seed0/generated/mesh.glb"
    assert document == viewer(path, demo.camera) and packed(document) == data[1]
    glb = re.search(r'base64_data="([^"]+)"', document)
    assert glb is not None
    scene = trimesh.load(io.BytesIO(base64.b64decode(glb[1])), file_type="glb", process=False)
    shown, written = (next(iter(each.geometry.values())) for each in (scene, trimesh.load(path, process=False)))
    np.testing.assert_allclose(shown.vertices, written.vertices, atol=1e-6)
    seen = np.asarray(shown.visual.vertex_attributes["color"])[:, :3]
    linear = np.asarray(written.visual.vertex_attributes["color"])
    # the viewer shows numbers as they are, so they are sRGB here
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(seen - 255 * expected).max() <= 1
    assert scene.camera.fov == pytest.approx([demo.camera.fov_degrees] * 2)
    assert np.linalg.norm(scene.camera_transform[:3, 3]) == pytest.approx(demo.camera.radius, rel=1e-5)
    # nothing is fetched: the only addresses are names
    addresses = set(re.findall(r"https?://[\w./#-]+", document))
    assert addresses <= {"http://www.w3.org/1999/xhtml", "https://github.com/mrdoob/three.js/pull/23228"}
    assert "<script src" not in document and "eval(" not in document


def told(demo: Params, tree: tuple[Path, Path], folder: Path, changes: dict[str, bytes | None]) -> Any:
    """The view after files of the main run were changed or (None) taken away."""
    shutil.copytree(tree[1].parent.parent, folder)
    data, runs = (folder / path.relative_to(tree[1].parent.parent) for path in tree)
    for name, content in changes.items():
        path = runs / "baseline/seed0/generated" / name
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    return mesh_view(collect(demo, data, runs))


def test_what_is_missing_is_told(demo: Params, tree: tuple[Path, Path], tmp_path: Path) -> None:
    reason = json.dumps({"reason": "no surface <here>"}).encode()
    assert told(demo, tree, tmp_path / "a", {"mesh.json": reason}) == {"reason": "no surface <here>"}
    assert told(demo, tree, tmp_path / "b", {"mesh.json": None}) is None
    assert told(demo, tree, tmp_path / "c", {"mesh.glb": None}) == {"reason": "mesh.glb is missing"}
    for number, bad in enumerate((b"", b"glTF", b"no mesh at all" * 100)):
        with pytest.raises(PiganError, match=r"mesh\.glb: holds no mesh .* run pigan generate again") as error:
            told(demo, tree, tmp_path / f"bad{number}", {"mesh.glb": bad})
        assert "\n" not in str(error.value)


def test_the_page_says_why_there_is_no_mesh() -> None:
    nothing: dict[str, Any] = {"explorer": None, "scrubbers": {}, "inversion_rows": [], "main": "baseline"}
    nothing["pictures"] = {name: {} for name in ("views", "depth", "inversion", "truncation", "mesh")}
    shape = environment().get_template("shape.html.jinja")
    text = shape.render(**nothing, mesh={"reason": "no surface at level <b>11</b>"})
    assert "No mesh of this object: no surface at level &lt;b&gt;11&lt;/b&gt;." in text and "data-mesh=" not in text
    assert "esh" not in shape.render(**nothing, mesh=None)
