"""One tab: of all scenes it wanted meanwhile the newest is rendered next, coarsely in motion and exactly at rest."""

import asyncio
import contextlib
import statistics
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from pigan.errors import PiganError
from pigan.view.renderer import Renderer, png
from pigan.view.scene import Scene

# a picture in motion should not take longer, seconds
QUICK_SECONDS = 0.09
SMALLEST = 16
# after so long without a change the picture is at rest, seconds
REST_SECONDS = 0.2
# the frame rate is that of the last pictures, unless they are older, seconds
RATE_PICTURES, RATE_SECONDS = 12, 1.0
# the expected time is the middle one of so many, so that a busy moment does not count
MEASURED = 7


class Picture(NamedTuple):
    """What a tab is given to show."""

    content: bytes
    """PNG."""
    side: int
    milliseconds: float
    """Of rendering and encoding."""
    rate: float | None
    """Pictures a second; None at rest."""


class Lanes:
    """Threads that render for all tabs: pictures in motion never wait for exact ones, and neither for meshes."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer
        self.quick, self.exact, self.meshes = (ThreadPoolExecutor(1, name) for name in ("quick", "exact", "meshes"))
        self.closed = False
        self._seconds_a_sample: deque[float] = deque(maxlen=MEASURED)

    def close(self) -> None:
        """Drops what has not begun."""
        self.closed = True
        for lane in (self.quick, self.exact, self.meshes):
            lane.shutdown(wait=False, cancel_futures=True)

    def quick_scene(self, scene: Scene) -> Scene:
        """The scene in as many pixels as can be rendered in motion: its own, or halved some times."""
        side = scene.resolution
        while side // 2 >= SMALLEST and self._expected(side, scene) > QUICK_SECONDS:
            side //= 2
        return replace(scene, resolution=side)

    def draw(self, scene: Scene) -> Picture:
        """The picture of a scene, its rate left open; runs in a thread."""
        began = time.perf_counter()
        content = png(self.renderer.pixels(scene))
        took = time.perf_counter() - began
        self._seconds_a_sample.append(took / (scene.resolution**2 * scene.samples))
        return Picture(content, scene.resolution, 1e3 * took, None)

    def _expected(self, side: int, scene: Scene) -> float:
        known = list(self._seconds_a_sample)
        return statistics.median(known) * side**2 * scene.samples if known else 0.0


class Session:
    """What a tab wants to see, and the loop that gives it to `show`, or a line about what went wrong to `fail`."""

    def __init__(
        self, lanes: Lanes, scene: Scene, show: Callable[[Picture], None], fail: Callable[[str], None]
    ) -> None:
        self.scene, self._lanes, self._show, self._fail = scene, lanes, show, fail
        self._changed = asyncio.Event()
        self._changed.set()
        self._shown: deque[float] = deque(maxlen=RATE_PICTURES)

    def want(self, scene: Scene) -> None:
        """From now on this scene, whatever was wanted before."""
        if scene != self.scene:
            self.scene = scene
            self._changed.set()

    async def run(self) -> None:
        """Shows what is wanted, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            scene = self.scene
            try:
                await self._draw(scene)
            except PiganError as error:
                self._fail(str(error))
            except (RuntimeError, MemoryError, ValueError) as error:
                self._fail(f"this picture cannot be rendered ({type(error).__name__}: {error}); change the settings")

    async def _draw(self, scene: Scene) -> None:
        loop = asyncio.get_running_loop()
        quick = self._lanes.quick_scene(scene)
        picture = await loop.run_in_executor(self._lanes.quick, self._lanes.draw, quick)
        self._show(picture._replace(rate=self._rate()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), REST_SECONDS)
            return
        if quick == scene:
            self._show(picture)
            return
        exact = loop.run_in_executor(self._lanes.exact, self._lanes.draw, scene)
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((exact, changed), return_when=asyncio.FIRST_COMPLETED)
            if exact.done():
                self._show(exact.result())
        finally:
            # one that has begun goes on in its thread, and nobody looks at it
            exact.cancel()
            changed.cancel()

    def _rate(self) -> float:
        now = time.monotonic()
        self._shown.append(now)
        while now - self._shown[0] > RATE_SECONDS:
            self._shown.popleft()
        return (len(self._shown) - 1) / (now - self._shown[0]) if len(self._shown) > 1 else 0.0
