"""The page: the picture in the middle, what turns and changes it around."""

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from nicegui import background_tasks, ui

from pigan.errors import PiganError
from pigan.synthesis.choices import Map, Shade
from pigan.view.renderer import png
from pigan.view.scene import (
    LARGEST_SEED,
    MOST_SAMPLES,
    PITCHES,
    RESOLUTIONS,
    WIDEST_FOV,
    first_scene,
    model_title,
    object_name,
    picture_name,
    render_command,
)
from pigan.view.session import Lanes, Picture, Session
from pigan.view.slider import Slider
from pigan.view.stage import Stage

STYLE = Path(__file__).with_name("view.css")
SHADES: dict[Shade, str] = {
    "own": "As evaluated",
    "white": "White",
    "black": "Black",
    "last": "The last sample",
    "transparent": "Transparent",
}
MESH_SIDES = (64, 128, 256)
# the figures below the picture change so often, seconds
TOLD_SECONDS = 0.25
# seeds that are easily said
DRAWN_SEEDS = 100_000


class Closed(Exception):
    """The tab has gone, or the server ends."""


def add_page(lanes: Lanes, name: str) -> None:
    """Every tab that opens `/` gets a page of its own."""

    @ui.page("/")
    def page() -> None:
        Viewer(lanes, name)


class Viewer:
    """One tab: its controls say what its session wants to see."""

    def __init__(self, lanes: Lanes, name: str) -> None:
        self.lanes, self.name, self.model = lanes, name, lanes.renderer.model
        self.start = first_scene(self.model)
        self.session = Session(lanes, self.start, self.show, self.fail)
        self.controls: dict[str, Any] = {}
        self.told, self.closed = 0.0, False
        ui.add_css(STYLE)
        with ui.element("div").classes("viewer"):
            with ui.element("div").classes("head"):
                ui.label(model_title(name)).props('role="heading" aria-level="1"').classes("title")
                ui.label(str(self.model.source)).classes("source")
            with ui.element("div").classes("middle"):
                self.stage = Stage(self.turn, self.zoom)
                self.status = ui.label("rendering").classes("status")
                self.error = ui.label().props('role="alert"').classes("error")
                self.error.visible = False
            with ui.element("div").classes("panel"):
                self._object()
                self._camera()
                self._picture()
                self._files()
        task = background_tasks.create(self.session.run(), name="viewer session")
        ui.context.client.on_delete(lambda: self._close(task))

    def show(self, picture: Picture) -> None:
        """Shows what the session rendered."""
        scene, now, at_rest = self.session.scene, time.monotonic(), picture.rate is None
        words = f"{object_name(scene)}, yaw {scene.yaw:g}°, pitch {scene.pitch:g}°" if at_rest else None
        self.stage.show(f"data:image/png;base64,{base64.b64encode(picture.content).decode()}", words)
        self.error.visible = False
        if at_rest or now - self.told > TOLD_SECONDS:
            self.told = now
            rate = f"{picture.rate:.0f} images/s, " if picture.rate else ""
            self.status.text = f"{rate}{picture.milliseconds:.0f} ms, {picture.side} × {picture.side}"
        if at_rest:
            command = render_command(scene, self.model, self.name)
            self.command.text = command or "Between two seeds there is no such command."
            self.copy.set_enabled(command is not None)

    def fail(self, line: str) -> None:
        """Says what went wrong."""
        self.error.text, self.error.visible = line, True

    def turn(self, yaw: float, pitch: float) -> None:
        """Turns the camera around the object by so many degrees."""
        scene = self.session.scene
        self.controls["yaw"].value = round((scene.yaw + yaw) % 360, 1)
        self.controls["pitch"].value = round(scene.pitch + pitch, 1)

    def zoom(self, factor: float) -> None:
        """Makes the opening angle larger or smaller."""
        self.controls["fov"].value = round(self.session.scene.fov * factor, 2)

    def _want(self, **changes: Any) -> None:
        self.session.want(replace(self.session.scene, **changes))

    def _object(self) -> None:
        with _group("Object"):
            with ui.element("div").classes("line"):
                self._seed("seed", "Seed")
                _icon("chevron_left", "Previous seed", lambda: self._reseed(self.session.scene.seed - 1))
                _icon("chevron_right", "Next seed", lambda: self._reseed(self.session.scene.seed + 1))
                _icon("casino", "Another seed", lambda: self._reseed(secrets.randbelow(DRAWN_SEEDS)))
            self._slider("psi", "Truncation ψ", 0, 1, 0.01)
            self._seed("second", "Second seed")
            self._slider("mix", "Towards the second seed", 0, 1, 0.01)

    def _camera(self) -> None:
        camera = self.model.params.camera
        with _group("Camera"):
            self._slider("yaw", "Yaw", 0, 360, 1, "°")
            self._slider("pitch", "Pitch", *PITCHES, 1, "°")
            self._slider("fov", "Opening angle", min(4.0, camera.fov_degrees / 2), WIDEST_FOV, 0.1, "°")
            self._slider("radius", "Distance", round(camera.radius / 2, 3), round(camera.radius * 3, 3), 0.01)
            _button("The usual view", self._reset)

    def _picture(self) -> None:
        fixed = self.model.params.model.activation == "sigmoid"
        with _group("Picture"):
            shown = {which: which.capitalize() for which in get_args(Map)}
            self._choice("shown", "Shown", shown)
            with ui.element("div").classes("line"):
                self._choice("resolution", "Pixels a side", list(RESOLUTIONS))
                samples = ui.number(
                    "Samples a ray", value=self.start.samples, min=2, max=MOST_SAMPLES, step=1, precision=0
                )
                samples.on_value_change(lambda event: self._whole("samples", event.value, 2, MOST_SAMPLES))
                samples.props("dense outlined").set_enabled(not fixed)
            self._choice("background", "Background", SHADES)

    def _files(self) -> None:
        with _group("Save"):
            _button("Save image", self._save_image, "image")
            with ui.element("div").classes("line"):
                self.side = ui.select(list(MESH_SIDES), value=MESH_SIDES[1], label="Mesh grid").props("dense outlined")
                self.mesh = _button("Save mesh", self._save_mesh, "view_in_ar")
            self.progress = ui.linear_progress(0.0, show_value=False).props('aria-label="Mesh" rounded')
            self.progress.visible = False
            self.command = ui.label().classes("command")
            self.copy = _button("Copy command", lambda: ui.clipboard.write(self.command.text), "content_copy")

    def _seed(self, field: str, label: str) -> None:
        number = ui.number(label, value=getattr(self.start, field), min=0, max=LARGEST_SEED, step=1, precision=0)
        number.on_value_change(lambda event: self._whole(field, event.value, 0, LARGEST_SEED))
        self.controls[field] = number.props("dense outlined")

    def _whole(self, field: str, value: float | None, low: int, high: int) -> None:
        """What was typed, once it is a number that may be."""
        if value is not None and low <= value <= high:
            self._want(**{field: int(value)})

    def _slider(self, field: str, label: str, low: float, high: float, step: float, unit: str = "") -> None:
        value = getattr(self.start, field)
        self.controls[field] = Slider(
            label, (low, high), step, value, unit, lambda moved: self._want(**{field: round(moved, 6)})
        )

    def _choice(self, field: str, label: str, options: list[int] | dict[Any, str]) -> None:
        select = ui.select(options, value=getattr(self.start, field), label=label)
        select.on_value_change(lambda event: self._want(**{field: event.value}))
        self.controls[field] = select.props("dense outlined options-dense")

    def _reseed(self, seed: int) -> None:
        self.controls["seed"].value = min(max(seed, 0), LARGEST_SEED)

    def _reset(self) -> None:
        for field in ("yaw", "pitch", "fov", "radius"):
            self.controls[field].value = getattr(self.start, field)

    async def _save_image(self) -> None:
        scene = self.session.scene
        pixels = await self._in_thread(self.lanes.exact, self.lanes.renderer.pixels, scene)
        if pixels is not None:
            ui.download.content(png(pixels), picture_name(scene), "image/png")

    async def _save_mesh(self) -> None:
        scene, loop, side = self.session.scene, asyncio.get_running_loop(), self.side.value

        def told(done: int, total: int | None) -> None:
            if self.closed or self.lanes.closed:
                raise Closed
            loop.call_soon_threadsafe(self.progress.set_value, done / (total or done))

        self.progress.value, self.progress.visible = 0.0, True
        self.mesh.disable()
        content = await self._in_thread(self.lanes.meshes, self.lanes.renderer.mesh, scene, side, told)
        self.progress.visible = False
        self.mesh.enable()
        if content is not None:
            ui.download.content(content, f"{object_name(scene)}.glb", "model/gltf-binary")

    async def _in_thread(self, lane: Any, work: Callable[..., Any], *given: Any) -> Any:
        """What the work gives; None when it failed, which the page then says."""
        try:
            return await asyncio.get_running_loop().run_in_executor(lane, work, *given)
        except (PiganError, RuntimeError, MemoryError) as error:
            self.fail(str(error))
        except Closed:
            pass
        return None

    def _close(self, task: asyncio.Task[None]) -> None:
        self.closed = True
        task.cancel()


@contextlib.contextmanager
def _group(name: str) -> Iterator[None]:
    with ui.element("div").classes("group").props(f'role="group" aria-label="{name}"'):
        ui.label(name).classes("name").props('role="heading" aria-level="2"')
        yield


def _button(text: str, act: Callable[[], Any], icon: str | None = None) -> ui.button:
    return ui.button(text, on_click=act, icon=icon).props("outline dense padding='xs md'")


def _icon(icon: str, label: str, act: Callable[[], Any]) -> None:
    ui.button(icon=icon, on_click=act).props(f'flat round dense aria-label="{label}"').tooltip(label)
