"""The newest scene is rendered next, coarsely while it changes and exactly when it rests."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from pigan.errors import PiganError
from pigan.view.scene import Scene
from pigan.view.session import QUICK_SECONDS, Lanes, Picture, Session

SCENE = Scene(
    seed=0, second=1, mix=0.0, psi=0.7, yaw=0.0, pitch=60.0, fov=30.0, radius=1.0, resolution=64, samples=8,
    shown="colour", background="own",
)  # fmt: skip


class Slow:
    """A renderer that needs some seconds a pixel, notes what it was asked for, and fails at a yaw."""

    def __init__(self, seconds_a_pixel: float) -> None:
        self.seconds_a_pixel = seconds_a_pixel
        self.asked: list[Scene] = []
        self.threads: set[str] = set()

    def pixels(self, scene: Scene) -> Any:
        self.asked.append(scene)
        self.threads.add(threading.current_thread().name)
        if scene.yaw == 13:
            raise PiganError("no picture today")
        time.sleep(self.seconds_a_pixel * scene.resolution**2)
        return np.full((scene.resolution, scene.resolution, 3), int(scene.yaw), np.uint8)


class Tab(Session):
    """A session that notes what it showed and said."""

    def __init__(self, lanes: Lanes) -> None:
        self.shown: list[Picture] = []
        self.said: list[str] = []
        super().__init__(lanes, SCENE, self.shown.append, self.said.append)


def use(renderer: Any, act: Callable[[Tab], Any]) -> Tab:
    """A tab that `act` used."""

    async def go() -> Tab:
        with lanes_of(renderer) as lanes:
            tab = Tab(lanes)
            task = asyncio.create_task(tab.run())
            await act(tab)
            task.cancel()
            return tab

    return asyncio.run(go())


@contextmanager
def lanes_of(renderer: Any) -> Iterator[Lanes]:
    lanes = Lanes(renderer)
    try:
        yield lanes
    finally:
        lanes.close()


def turned(yaw: float, side: int = 64) -> Scene:
    return Scene(**{**SCENE.__dict__, "yaw": yaw, "resolution": side})


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def test_scenes_that_came_meanwhile_are_dropped() -> None:
    renderer = Slow(0.05 / 64**2)

    async def drag(tab: Tab) -> None:
        for yaw in range(1, 101):
            tab.want(turned(yaw))
            await asyncio.sleep(0.002)
        await until(lambda: renderer.asked[-1].yaw == 100 and tab.shown[-1].rate is None)

    use(renderer, drag)
    yaws = [scene.yaw for scene in renderer.asked if scene.resolution == 64]
    assert yaws == sorted(set(yaws)) and len(yaws) < 40 and yaws[-1] == 100
    # the event loop renders nothing itself
    assert all(name.startswith(("quick", "exact")) for name in renderer.threads)


def test_what_takes_long_is_halved_in_motion_and_whole_at_rest() -> None:
    # 256 pixels a side take nearly four times as long as they may
    renderer = Slow(0.8 * QUICK_SECONDS / 128**2)

    async def drag(tab: Tab) -> None:
        await until(lambda: tab.shown)
        for yaw in range(1, 12):
            tab.want(turned(yaw, 256))
            await asyncio.sleep(0.04)
        assert len(tab.shown) > 2
        await until(lambda: tab.shown[-1].rate is None)

    tab = use(renderer, drag)
    *moving, rest = tab.shown
    assert max(picture.side for picture in moving) <= 128
    assert rest.side == 256 and renderer.asked[-1] == turned(11, 256)
    assert {name.split("_")[0] for name in renderer.threads} == {"quick", "exact"}


def test_motion_does_not_wait_for_the_exact_picture() -> None:
    renderer = Slow(2.0 / 512**2)

    async def interrupt(tab: Tab) -> None:
        await until(lambda: tab.shown)
        tab.want(turned(1, 512))
        await until(lambda: renderer.asked[-1] == turned(1, 512))
        tab.want(turned(2, 512))
        await until(lambda: renderer.asked[-1].yaw == 2)
        # the exact picture of the scene before is still being made, and will not be shown
        assert tab.shown[-1].side < 512

    tab = use(renderer, interrupt)
    assert all(picture.side < 512 for picture in tab.shown)


def test_an_error_is_a_line_and_the_next_scene_is_shown() -> None:
    renderer = Slow(0.0)

    async def stumble(tab: Tab) -> None:
        tab.want(turned(13))
        await until(lambda: tab.said)
        tab.want(turned(14))
        await until(lambda: tab.shown and renderer.asked[-1].yaw == 14)

    assert use(renderer, stumble).said == ["no picture today"]


def test_one_picture_is_rendered_once() -> None:
    renderer = Slow(0.0)

    async def rest(tab: Tab) -> None:
        await until(lambda: tab.shown and tab.shown[-1].rate is None)
        tab.want(tab.scene)
        await asyncio.sleep(0.3)

    tab = use(renderer, rest)
    assert len(renderer.asked) == 1
    first, again = tab.shown
    assert first.content == again.content and first.rate is not None


def test_lanes_do_not_outlive_the_server() -> None:
    with lanes_of(Slow(0.0)) as lanes:
        assert not lanes.closed
    assert lanes.closed
    with pytest.raises(RuntimeError, match="shutdown"):
        lanes.quick.submit(print)
