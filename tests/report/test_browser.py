"""The page in a real browser (Chromium, driven by Playwright): what reacts, what it looks like, what it asks for."""

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from pigan.config import Params
from pigan.report.page import make_report

Tree = Callable[[Params], tuple[Path, Path]]
MakeParams = Callable[..., Params]
Open = Callable[..., Page]

TILE = 128
EVIL = "</script></style><img src=x onerror=\"window.injected = 1\"><b id='injected'>'\"&"
# what the margins of the printed page leave of A4, CSS pixels
A4_WIDTH, A4_HEIGHT = 703, 1016
LANDSCAPE_WIDTH = 1046
# what a row of numbers shows from left to right, as the page knows it
VALUES = "cells => cells.map(cell => cell.dataset.value === '' ? null : Number(cell.dataset.value))"


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a file in a window of some size; in the end nothing may have been asked for or complained about."""
    contexts: list[Any] = []
    said: list[str] = []
    asked: list[str] = []
    shown: list[str] = []

    def open_page(path: Path, width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        shown.append(path.as_uri())
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == shown


def realistic(path: Path, quality: int = 90) -> None:
    """Tiles of 16 px become such of 128 px, as full of detail as enlarged ones of 64 px."""
    random = np.random.default_rng(zlib.crc32(path.name.encode()))
    with Image.open(path) as image:
        small = image.convert("RGB")
    middle = small.resize((small.width * TILE // 32, small.height * TILE // 32), Image.Resampling.BICUBIC)
    pixels = np.asarray(middle) + random.normal(0, 6, (middle.height, middle.width, 3))
    whole = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    whole.resize((small.width * TILE // 16, small.height * TILE // 16), Image.Resampling.BICUBIC).save(
        path, quality=quality
    )


def complete(folder: Path) -> None:
    """Pictures of the real size, and the sprites, in generated/ and evaluated/ of one run."""
    generated = folder / "generated"
    for path in [*generated.glob("*.png"), *(folder / "evaluated").glob("*.png"), generated / "explorer.jpg"]:
        realistic(path)
    grid = json.loads((generated / "explorer.json").read_text())
    (generated / "explorer.json").write_text(json.dumps(grid | {"tile": TILE}))
    (generated / "depth.json").write_text(json.dumps({"near": 0.87, "far": 1.13}))
    random = np.random.default_rng(1)
    for name, places, tiles in (
        ("truncation", [step / 10 for step in range(11)], 3),
        ("interpolation", [step / 6 for step in range(24)], 1),
    ):
        rows = [random.integers(0, 255, (1, tiles, 3)) for _ in places]
        colours = np.concatenate(rows).astype(np.uint8).repeat(TILE, 0).repeat(TILE, 1)
        Image.fromarray(colours).save(generated / f"{name}.jpg")
        told = {"places": places, "tile": TILE, "tiles": tiles}
        (generated / f"{name}.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def report(params_with: MakeParams, run_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four arms with two seeds, one run failed; texts that would be markup, and a value that is missing."""
    hostile = {"title": f"pi-GAN {EVIL}", "subtitle": EVIL, "published": "cats"}
    params = params_with(seeds=[0, 1], report=hostile)
    data, runs = run_tree(params)
    for arm in params.arms:
        complete(runs / arm / "seed0")
    for seed in (0, 1):
        path = runs / "concat" / f"seed{seed}" / "metrics.json"
        values = json.loads(path.read_text()) | {"recall_efficientnet_lite0": None}
        values["protocol"]["notes"].append(f"recall_efficientnet_lite0 is null: {EVIL}")
        path.write_text(json.dumps(values))
        state = runs / "concat" / f"seed{seed}" / "r32" / "state.json"
        state.write_text(json.dumps(json.loads(state.read_text()) | {"device": EVIL, "torch": EVIL}))
    (runs / "no-growing" / "seed1" / "metrics.json").unlink()
    log = runs.parent.parent / "logs" / params.dataset.name / "no-growing-seed1" / "evaluate.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"pigan: {EVIL}\n")
    card = json.loads((data / "dataset.json").read_text())
    card["rejected"].append({"file": EVIL, "reason": EVIL})
    (data / "dataset.json").write_text(json.dumps(card | {"licence": EVIL, "citation": EVIL, "description": EVIL}))
    return make_report(params, data, runs, tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="module")
def large_report(params_with: MakeParams, run_tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten arms with three seeds."""
    base = params_with()
    names = ["baseline", *(f"arm-{number}-with-a-name" for number in range(1, 10))]
    arms: dict[str, Any] = {name: {"model": {"field": "relu-pe"}} if name != "baseline" else {} for name in names}
    params = base.model_copy(update={"arms": arms, "seeds": [0, 1, 2]})
    data, runs = run_tree(params)
    complete(runs / "baseline" / "seed0")
    for arm in names[1:]:
        for part in ("generated", "evaluated"):
            for path in (runs / "baseline" / "seed0" / part).glob("*.png"):
                shutil.copyfile(path, runs / arm / "seed0" / part / path.name)
    return make_report(params, data, runs, tmp_path_factory.mktemp("report") / "out")


def drag(page: Page, stage: Locator, across: float, down: float) -> None:
    """With the mouse, by shares of the stage's width."""
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + across * box["width"] / 2, y + down * box["width"] / 2)
    page.mouse.move(x + across * box["width"], y + down * box["width"])
    page.mouse.up()


def shift(box: Locator) -> str:
    return str(box.locator(".stage img").evaluate("image => image.style.transform"))


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_explorer_turns_by_drag_keys_and_sliders(opened: Open, report: Path) -> None:
    page = opened(report)
    explorer = page.locator("[data-explorer]")
    stage, (yaw, pitch) = explorer.locator(".stage"), explorer.locator("input").all()
    start = shift(explorer)
    yaw_before, pitch_before = int(yaw.input_value()), int(pitch.input_value())
    drag(page, stage, 0.25, 0)
    assert int(yaw.input_value()) == (yaw_before + 3) % 12 and shift(explorer) != start
    drag(page, stage, 0, 0.25)
    assert int(pitch.input_value()) == pitch_before - 1
    stage.focus()
    page.keyboard.press("ArrowDown")
    assert int(pitch.input_value()) == pitch_before
    # a full circle goes on where it began
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    assert int(yaw.input_value()) == (yaw_before + 3) % 12
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    assert int(pitch.input_value()) == 0
    before = shift(explorer)
    yaw.focus()
    page.keyboard.press("Home")
    assert yaw.input_value() == "0" and shift(explorer) != before
    said = explorer.locator("output").first.inner_text()
    assert said == yaw.get_attribute("aria-valuetext") and said.endswith("°")
    assert stage.get_attribute("aria-label") == f"One generated object, yaw {said}, elevation " + str(
        pitch.get_attribute("aria-valuetext")
    )


@pytest.mark.parametrize(("number", "first", "last"), [(0, "ψ = 0", "ψ = 1"), (1, "latent 1", "83 % to 1")])
def test_scrubbers_move_by_slider_and_drag(opened: Open, report: Path, number: int, first: str, last: str) -> None:
    page = opened(report)
    box = page.locator(".scrubber").nth(number)
    slider, said = box.get_by_role("slider"), box.locator("output")
    slider.focus()
    page.keyboard.press("End")
    assert said.inner_text() == last and last in str(box.locator(".stage").get_attribute("aria-label"))
    at_end = shift(box)
    page.keyboard.press("Home")
    assert said.inner_text() == first and shift(box) == "translate(0%, 0%)" != at_end
    page.keyboard.press("ArrowRight")
    step = shift(box)
    drag(page, box.locator(".stage"), 0.4, 0)
    assert shift(box) not in (step, at_end)
    assert slider.get_attribute("aria-valuetext") == said.inner_text()
    # a touch that moves up or down still scrolls the page
    assert box.locator(".stage").evaluate("stage => getComputedStyle(stage).touchAction") == "pan-y"


def test_touch_drags_a_scrubber(opened: Open, report: Path) -> None:
    page = opened(report, 390, 800, has_touch=True, is_mobile=True)
    box = page.locator(".scrubber").first
    stage, before = box.locator(".stage"), shift(box)
    stage.scroll_into_view_if_needed()
    place = stage.bounding_box()
    assert place is not None
    x, y = place["x"] + 20, place["y"] + place["height"] / 2
    client = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 60, "y": y}]),
        ("touchMove", [{"x": x + 140, "y": y}]),
        ("touchEnd", []),
    ):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert shift(box) != before


def test_without_scripts_the_page_shows_its_pictures_and_no_dead_controls(opened: Open, report: Path) -> None:
    page = opened(report, java_script_enabled=False)
    for box in page.locator("[data-sprite]").all():
        assert box.locator(".stage").is_visible() and not box.locator("input").first.is_visible()
    assert page.locator(".strips figure").count() == 4
    assert all(figure.is_visible() for figure in page.locator(".strips figure").all())
    assert page.locator("button").count() == 0 and not page.locator(".picks").is_visible()


def test_a_metric_orders_the_arms(opened: Open, report: Path) -> None:
    page = opened(report)
    table = page.locator("table.metrics").first
    row = table.locator("tbody tr", has_text="FID").first
    cells, head, button = row.locator("td"), row.locator("th"), row.get_by_role("button")
    arms = "cells => cells.map(cell => cell.firstChild.data.trim())"
    given, names = cells.evaluate_all(VALUES), table.locator("thead th").evaluate_all(arms)
    button.focus()
    page.keyboard.press("Enter")
    assert cells.evaluate_all(VALUES) == sorted(given) != given
    assert head.get_attribute("aria-sort") == "ascending"
    told = table.locator("thead th").evaluate_all(arms)
    assert told[0] == names[0] and sorted(told) == sorted(names)
    # every row went along
    for line in table.locator("tbody tr").all():
        assert line.locator("td").evaluate_all("cells => cells.map(cell => cell.dataset.arm)") == told[1:]
    button.click()
    assert cells.evaluate_all(VALUES) == sorted(given, reverse=True)
    button.click()
    assert cells.evaluate_all(VALUES) == given and head.get_attribute("aria-sort") is None


def test_better_values_come_first_and_missing_ones_last(opened: Open, report: Path) -> None:
    page = opened(report)
    row = page.locator("table.metrics").first.locator("tbody tr", has_text="Recall")
    known = sorted(value for value in row.locator("td").evaluate_all(VALUES) if value is not None)
    assert len(known) == 3
    row.get_by_role("button").click()
    assert row.locator("td").evaluate_all(VALUES) == [*reversed(known), None]
    row.get_by_role("button").click()
    assert row.locator("td").evaluate_all(VALUES) == [*known, None]


def test_columns_of_other_tables_sort_their_rows(opened: Open, report: Path) -> None:
    page = opened(report)
    cost = page.locator("#cost table")
    first = "rows => rows.map(row => row.cells[0].textContent.trim())"
    given = cost.locator("tbody tr").evaluate_all(first)
    head = cost.locator("thead th", has_text="Arm")
    head.get_by_role("button").press("Enter")
    assert cost.locator("tbody tr").evaluate_all(first) == sorted(given) and head.get_attribute("aria-sort")
    head.get_by_role("button").press("Space")
    assert cost.locator("tbody tr").evaluate_all(first) == sorted(given, reverse=True)
    # alike in all arms: as it was, and only one head says that it sorts
    cost.get_by_role("button", name="Parameters").click()
    assert cost.locator("tbody tr").evaluate_all(first) == given
    assert cost.locator("[aria-sort]").count() == 1
    # durations of other units
    cost.get_by_role("button", name="Training", exact=True).click()
    assert cost.locator("tbody tr").evaluate_all(first)[0].startswith("no-growing")


def test_arms_are_chosen_and_shown_one_above_the_other(opened: Open, report: Path) -> None:
    page = opened(report)
    box = page.locator("[data-compare]")
    shown = "figures => figures.filter(figure => !figure.hidden).map(figure => figure.dataset.arm)"
    figures = box.locator("figure")
    assert figures.evaluate_all(shown) == ["baseline", "relu-pe", "concat"]
    box.get_by_label("no-growing").focus()
    page.keyboard.press("Space")
    box.get_by_label("concat").uncheck()
    assert figures.evaluate_all(shown) == ["baseline", "relu-pe", "no-growing"]
    box.get_by_label("Latent").select_option("3")
    tops = [figure.bounding_box() for figure in figures.all() if figure.is_visible()]
    assert len({place["x"] for place in tops if place}) == 1 and len({place["y"] for place in tops if place}) == 3
    window = figures.first.locator(".window").bounding_box()
    # one row of eight views
    assert window is not None and abs(window["width"] / window["height"] - 8) < 0.05
    for arm in ("baseline", "relu-pe", "no-growing"):
        box.get_by_label(arm).uncheck()
    assert box.get_by_text("No arm is chosen.").is_visible()


def test_dark_mode_has_other_colours_and_enough_contrast(opened: Open, report: Path) -> None:
    page = opened(report)
    colours = """() => {
        const style = getComputedStyle(document.documentElement);
        return Object.fromEntries(["paper", "panel", "ink", "ink-soft", "accent", "note-soft"].map(
            name => [name, style.getPropertyValue("--" + name).trim()]));
    }"""
    light = page.evaluate(colours)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(colours)
    assert not set(light.values()) & set(dark.values())
    for theme in (light, dark):
        for ink, ground in (("ink", "paper"), ("ink-soft", "paper"), ("accent", "paper"), ("ink", "note-soft")):
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)
    assert luminance(dark["paper"]) < 0.05 and luminance(light["paper"]) > 0.9
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    # text of the plots takes part
    ink = page.locator(".plot svg text").first.evaluate("text => getComputedStyle(text).fill")
    assert ink == "rgb({}, {}, {})".format(*bytes.fromhex(dark["ink-soft"][1:]))


def luminance(colour: str) -> float:
    levels = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: str, other: str) -> float:
    """By WCAG 2, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, {"width": 360}], ids=["light", "dark", "phone"])
def test_axe_finds_nothing_serious(opened: Open, report: Path, options: dict[str, Any]) -> None:
    page = opened(report, **options)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = Axe().run(page).response["violations"]
    grave = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in grave] == []
    # headings in order, one main landmark, everything inside of a landmark
    lesser = {"heading-order", "region", "landmark-one-main", "page-has-heading-one", "landmark-unique"}
    assert not lesser & {fault["id"] for fault in found}


@pytest.mark.parametrize("which", ["report", "large_report"])
def test_phone_scrolls_in_one_direction(opened: Open, which: str, request: pytest.FixtureRequest) -> None:
    page = opened(request.getfixturevalue(which), 360, 700, has_touch=True, is_mobile=True)
    assert overflow(page) == 0
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert overflow(page) == 0
    page.locator("[data-compare] select").select_option("0")
    assert overflow(page) == 0
    # what is wider than the screen scrolls on its own, and keys can reach it
    wide = page.locator(".scroll, .plot.large").filter(has=page.locator("table, svg")).all()
    assert all(
        each.evaluate("each => each.scrollWidth <= each.clientWidth + 1 || each.tabIndex === 0") for each in wide
    )


def drawn_images(pdf: Path) -> list[set[int]]:
    """Of each page of a PDF by Chromium, the numbers of the images that it draws."""
    found = re.findall(rb"(?:^|\n)(\d+) 0 obj\b(.*?)\nendobj", pdf.read_bytes(), re.DOTALL)
    objects = {int(number): content for number, content in found}
    images = {number for number, content in objects.items() if b"/Subtype /Image" in content[:500]}
    pages = []
    for page in (content for content in objects.values() if re.search(rb"/Type\s*/Page\b", content)):
        contents = re.search(rb"/Contents (\d+) 0 R", page)
        assert contents is not None
        stream = objects[int(contents[1])]
        commands = zlib.decompress(stream[stream.index(b"stream") + 7 : stream.rindex(b"endstream")])
        pages.append(images & {int(number) for number in re.findall(rb"/X(\d+) Do", commands)})
    return pages


def test_print_is_white_and_cuts_no_figure(opened: Open, report: Path, tmp_path: Path) -> None:
    page = opened(report, A4_WIDTH, A4_HEIGHT, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    for control in ("nav", ".dials", ".picks", "video"):
        assert not page.locator(control).first.is_visible()
    assert overflow(page) == 0
    rule = "each => [getComputedStyle(each).breakInside, each.offsetHeight]"
    boxes = page.locator("figure, tr, .explorer, .cautions, .published").evaluate_all(
        f"all => all.filter(each => each.offsetHeight).map({rule})"
    )
    assert len(boxes) > 60
    assert all(rule == "avoid" and height < A4_HEIGHT for rule, height in boxes)
    cut_off = page.locator(".scroll").evaluate_all("all => all.filter(each => each.scrollWidth > each.clientWidth + 1)")
    assert cut_off == []
    # the sprites still show one tile
    for box in page.locator("[data-sprite]").all():
        stage, image = box.locator(".stage").bounding_box(), box.locator("img").bounding_box()
        assert stage is not None and image is not None and image["height"] > 3.9 * stage["height"]
    page.pdf(path=tmp_path / "report.pdf", format="A4", prefer_css_page_size=True)
    drawn = drawn_images(tmp_path / "report.pdf")
    assert len(drawn) > 10 and len(set().union(*drawn)) > 15
    # an image that goes over the end of a page would be drawn on both
    assert all(not one & other for one, other in pairwise(drawn))


def test_wide_tables_are_printed_across(opened: Open, large_report: Path) -> None:
    page = opened(large_report, LANDSCAPE_WIDTH, 700)
    page.emulate_media(media="print")
    tables = page.locator(".scroll.many")
    assert tables.count() >= 2
    assert tables.first.evaluate("each => getComputedStyle(each).page") == "wide"
    assert tables.evaluate_all("all => all.filter(each => each.scrollWidth > each.clientWidth + 1).length") == 0


def test_every_control_shows_that_it_has_the_focus(opened: Open, report: Path) -> None:
    page = opened(report)
    seen: set[str] = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        name, width = page.evaluate(
            "() => [document.activeElement.tagName, parseFloat(getComputedStyle(document.activeElement).outlineWidth)]"
        )
        assert width >= 1 or name in ("BODY", "VIDEO"), name
        seen.add(name)
    assert {"A", "INPUT", "DIV"} <= seen


def test_text_of_the_runs_is_never_markup(opened: Open, report: Path) -> None:
    page = opened(report)
    assert page.evaluate("window.injected") is None
    assert page.locator("#injected").count() == 0
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert page.locator("h1").inner_text() == f"pi-GAN {EVIL}"
    assert page.get_by_text(f"pigan: {EVIL}").count() == 1
    assert page.locator("script").count() == 1


def test_large_study_is_small_and_works(opened: Open, large_report: Path) -> None:
    assert large_report.stat().st_size < 8e6
    page = opened(large_report)
    explorer = page.locator("[data-explorer]")
    before = shift(explorer)
    explorer.locator(".stage").press("ArrowRight")
    assert shift(explorer) != before
    # what a browser's work grows with; seconds would be those of the machine
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000
