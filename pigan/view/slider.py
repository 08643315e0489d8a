"""The browser's own slider, which every key and screen reader knows, with its value beside its name."""

from collections.abc import Callable

from nicegui import events, ui

# values are sent so often, seconds
SENT_SECONDS = 0.03


class Range(ui.element, component="slider.js"):
    """`<input type="range">` that keeps its own value."""


class Slider:
    """Tells `changed` of every new value, whether it was moved or set."""

    def __init__(
        self,
        label: str,
        ends: tuple[float, float],
        step: float,
        value: float,
        unit: str,
        changed: Callable[[float], None],
    ) -> None:
        self.low, self.high = ends
        self._value, self._unit, self._changed = value, unit, changed
        with ui.element("div").classes("slider"):
            name = ui.element("label")
            with name:
                ui.label(label)
            self._said = ui.label(self._told).classes("value").props('aria-hidden="true"')
            self._range = Range().props(f'min="{self.low}" max="{self.high}" step="{step}"')
            self._range.props.update({"start": value, "unit": unit})
            name.props["for"] = self._range.html_id
        self._range.on("moved", self._moved, throttle=SENT_SECONDS)

    @property
    def value(self) -> float:
        """Where it stands."""
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        value = min(max(value, self.low), self.high)
        if value != self._value:
            self._range.run_method("put", value)
            self._take(value)

    @property
    def _told(self) -> str:
        return f"{self._value:g}{self._unit}"

    def _moved(self, event: events.GenericEventArguments) -> None:
        self._take(min(max(float(event.args), self.low), self.high))

    def _take(self, value: float) -> None:
        self._value = value
        self._said.text = self._told
        self._changed(value)
