"""The picture that is dragged, rolled over and turned with keys."""

from collections.abc import Callable

from nicegui import events, ui

DEGREES_A_PIXEL = 0.5
DEGREES_A_KEY = 5.0
# by how much the opening angle grows
ZOOM_A_KEY = 1.1
ZOOM_A_ROLLED_PIXEL = 1.001
# pointer events are sent so often, seconds
SENT_SECONDS = 0.02

GRASP = "event => { event.currentTarget.setPointerCapture(event.pointerId); emit(event.clientX, event.clientY); }"
MOVE = "event => { if (event.buttons) emit(event.clientX, event.clientY); }"
ROLL = "event => { event.preventDefault(); emit(event.deltaMode ? 33 * event.deltaY : event.deltaY); }"
# the object follows the arrow, as it follows the pointer
PRESS = """event => {
    const moves = {ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
                   '+': [0, 0, -1], '=': [0, 0, -1], '-': [0, 0, 1]};
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    emit(...move);
}"""


class Stage:
    """Tells `turn` by how many degrees (yaw, pitch) and `zoom` by which factor of the opening angle."""

    def __init__(self, turn: Callable[[float, float], None], zoom: Callable[[float], None]) -> None:
        self._turn, self._zoom = turn, zoom
        self._last = (0.0, 0.0)
        stage = ui.element("div").classes("stage")
        stage.props('tabindex="0" role="application" aria-roledescription="object that can be turned"')
        stage.props["aria-describedby"] = "stage-hint"
        stage.on("pointerdown", self._grasp, js_handler=GRASP)
        stage.on("pointermove", self._move, js_handler=MOVE, throttle=SENT_SECONDS)
        stage.on("wheel", self._roll, js_handler=ROLL)
        stage.on("keydown", self._press, js_handler=PRESS)
        with stage:
            self._image = ui.element("img").props('alt="" draggable="false"')
        self._stage = stage
        hint = "Drag or arrow keys: turn. Wheel, + and −: zoom."
        ui.label(hint).classes("hint").props('id="stage-hint"')

    def show(self, source: str, in_words: str | None) -> None:
        """Shows the picture of a data URL; in motion there are no words for it."""
        self._image.props["src"] = source
        self._stage.props["aria-busy"] = "true" if in_words is None else "false"
        if in_words is not None:
            self._stage.props["aria-label"] = in_words

    def _grasp(self, event: events.GenericEventArguments) -> None:
        self._last = (event.args[0], event.args[1])

    def _move(self, event: events.GenericEventArguments) -> None:
        x, y = event.args
        across, down = x - self._last[0], y - self._last[1]
        self._last = (x, y)
        self._turn(across * DEGREES_A_PIXEL, -down * DEGREES_A_PIXEL)

    def _roll(self, event: events.GenericEventArguments) -> None:
        # one argument alone is not in a list
        self._zoom(ZOOM_A_ROLLED_PIXEL**event.args)

    def _press(self, event: events.GenericEventArguments) -> None:
        across, down, away = event.args
        if away:
            self._zoom(ZOOM_A_KEY**away)
        else:
            self._turn(across * DEGREES_A_KEY, -down * DEGREES_A_KEY)
