"""`pigan view` in a real browser (Chromium, driven by Playwright): what reacts, what it says, what it asks for."""

import base64
import io
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trimesh
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

# long enough for a busy machine, seconds
PATIENCE = 60.0
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def address(dense_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the command serves a tiny model; in the end Ctrl+C ends it, and it leaves nothing behind."""
    place = tmp_path_factory.mktemp("served")
    command = [sys.executable, "-m", "pigan", "view", "--model", str(dense_run), "--no-open", "--device", "cpu"]
    with (place / "said").open("w") as said, (place / "complaints").open("w") as complaints:
        server = subprocess.Popen(command, stdout=said, stderr=complaints, cwd=place, start_new_session=True)
    try:
        until = time.monotonic() + PATIENCE
        while not (lines := (place / "said").read_text().splitlines()):
            assert server.poll() is None and time.monotonic() < until, (place / "complaints").read_text()
            time.sleep(0.1)
        yield lines[0]
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0
        # progress of the meshes is told there
        told = [
            line for line in (place / "complaints").read_text().splitlines() if not re.search(r" (layer|view), ", line)
        ]
        assert told == []
        assert {path.name for path in place.iterdir()} == {"said", "complaints"}
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Open]:
    """Opens the page in a window of some size; in the end nothing may have complained, or been asked for elsewhere."""
    contexts: list[Any] = []
    said: list[str] = []
    asked: list[str] = []

    def open_page(width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1e3 * PATIENCE)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda opened: asked.append(opened.url))
        page.goto(address)
        at_rest(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    home = urlsplit(address).netloc
    foreign = [url for url in asked if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != home]
    assert asked and foreign == []


def at_rest(page: Page) -> str:
    """The picture, once nothing moves any more."""
    expect(page.locator(".stage")).to_have_attribute("aria-busy", "false", timeout=1e3 * PATIENCE)
    return str(page.locator(".stage img").get_attribute("src"))


def changed(page: Page, before: str) -> str:
    """The picture after `before`, at rest."""
    expect(page.locator(".stage img")).not_to_have_attribute("src", before, timeout=1e3 * PATIENCE)
    return at_rest(page)


def number(page: Page, label: str) -> float:
    """Where a slider stands."""
    return float(page.get_by_role("slider", name=label).input_value())


def saved(page: Page, button: Locator) -> tuple[str, bytes]:
    """Name and content of what a button saves."""
    with page.expect_download() as download:
        button.click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def drag(page: Page, across: float, down: float) -> None:
    box = page.locator(".stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(x + across * step / 5, y + down * step / 5)
    page.mouse.up()


def test_drag_keys_and_wheel_move_the_camera(opened: Open, address: str) -> None:
    page = opened()
    # the token has left the address
    assert page.url == address.split("?")[0]
    start, yaw, pitch, fov = at_rest(page), number(page, "Yaw"), number(page, "Pitch"), number(page, "Opening angle")
    drag(page, 60, -20)
    turned = changed(page, start)
    assert number(page, "Yaw") == (yaw + 30) % 360 and number(page, "Pitch") == pitch + 10
    page.locator(".stage").focus()
    page.keyboard.press("ArrowLeft")
    keyed = changed(page, turned)
    assert number(page, "Yaw") == (yaw + 25) % 360
    page.mouse.wheel(0, -200)
    zoomed = changed(page, keyed)
    assert number(page, "Opening angle") < fov
    page.get_by_role("button", name="The usual view").click()
    assert changed(page, zoomed) == start
    assert number(page, "Yaw") == yaw and number(page, "Opening angle") == fov


def test_controls_change_the_picture_and_say_what_it_is(opened: Open) -> None:
    page = opened()
    start = at_rest(page)
    page.get_by_role("slider", name="Truncation").focus()
    page.keyboard.press("Home")
    average = changed(page, start)
    # all seeds are alike now
    page.get_by_role("button", name="Next seed").click()
    expect(page.locator(".command")).to_contain_text("--seeds 1 ")
    assert at_rest(page) == average and page.get_by_label("Seed", exact=True).input_value() == "1"
    page.get_by_role("slider", name="Truncation").focus()
    page.keyboard.press("End")
    seed = changed(page, average)
    assert "seed1_psi1" in str(page.locator(".stage").get_attribute("aria-label"))
    page.get_by_label("Second seed", exact=True).fill("7")
    page.get_by_role("slider", name="Towards the second seed").focus()
    page.keyboard.press("End")
    other = changed(page, seed)
    expect(page.locator(".command")).to_contain_text("--seeds 7 ")
    page.keyboard.press("PageDown")
    changed(page, other)
    expect(page.get_by_role("button", name="Copy command")).to_be_disabled()
    page.keyboard.press("PageUp")
    page.get_by_label("Shown").click()
    page.get_by_role("option", name="Normals").click()
    expect(page.locator(".command")).to_contain_text("--what normals")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy command").click()
    command = page.locator(".command").inner_text()
    page.wait_for_function("text => navigator.clipboard.readText().then(read => read === text)", arg=command)


def test_images_and_meshes_are_saved(opened: Open) -> None:
    page = opened()
    page.get_by_label("Pixels a side").click()
    page.get_by_role("option", name="128").click()
    expect(page.locator(".status")).to_contain_text("128 × 128")
    shown = at_rest(page)
    name, content = saved(page, page.get_by_role("button", name="Save image"))
    assert re.fullmatch(r"seed0_psi[\d.]+_yaw\d+_pitch\d+_fov30_radius1_colour\.png", name)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG" and image.size == (128, 128)
        assert len(image.getcolors(1 << 16) or []) > 10
    # what is at rest is what is saved
    assert base64.b64decode(shown.split(",")[1]) == content
    page.get_by_label("Mesh grid").click()
    page.get_by_role("option", name="64").click()
    name, content = saved(page, page.get_by_role("button", name="Save mesh"))
    assert re.fullmatch(r"seed0_psi[\d.]+\.glb", name)
    mesh = trimesh.load_scene(io.BytesIO(content), file_type="glb")
    assert sum(len(part.faces) for part in mesh.geometry.values()) > 20
    expect(page.get_by_role("button", name="Save mesh")).to_be_enabled()


def test_tabs_do_not_disturb_each_other(opened: Open) -> None:
    one, other = opened(), opened()
    start = at_rest(other)
    one.get_by_role("button", name="Next seed").click()
    changed(one, start)
    assert at_rest(other) == start and other.get_by_label("Seed", exact=True).input_value() == "0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_anybody(opened: Open, scheme: str) -> None:
    page = opened(color_scheme=scheme)
    found = Axe().run(page)
    serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious] == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", paper)[:3])) < 64) == (scheme == "dark")


def test_a_phone_shows_everything_without_scrolling_aside(opened: Open) -> None:
    page = opened(360, 740, has_touch=True, is_mobile=True)
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(width) == 0
    before = at_rest(page)
    box = page.locator(".stage").bounding_box()
    assert box is not None and box["width"] > 200
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client = page.context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x + 30, "y": y}]),
        ("touchMove", [{"x": x + 80, "y": y}]),
        ("touchEnd", []),
    ):
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    changed(page, before)


def test_strangers_are_refused(browser: Browser, address: str) -> None:
    home = address.split("?")[0]
    page = browser.new_page()
    for url in (home, f"{home}?token=wrong", f"{home}_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        answer = page.goto(url)
        assert answer is not None and answer.status == 403
    page.close()
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=PATIENCE).status_code == 403
    place = urlsplit(address)
    handshake = (
        f"GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {place.netloc}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE) as connection:
        connection.sendall(handshake.encode())
        assert connection.recv(1024).split(b"\r\n")[0].split()[1] == b"403"
