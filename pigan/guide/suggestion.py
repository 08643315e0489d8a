"""What the guide suggests, and its YAML to paste into params.yaml."""

import textwrap
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from pigan.dataset_sections import World
from pigan.sections import Camera


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Camera settings, and how they were come by."""

    camera: Camera
    world: World | None
    """Where pigan's world lies in that of known cameras; None: they are in it already, or unknown."""
    notes: tuple[str, ...]
    """Lines that begin with measured, assumed or warning."""
    proxy: Literal["car", "head"]
    """What a preview shows in the place of the object."""
    cam2world: Float[np.ndarray, "n 4 4"] | None = None
    """The known cameras in pigan's world."""

    @property
    def reach(self) -> float:
        """Radius of the ball around the origin that lies between near and far, world units."""
        return max(min(self.camera.radius - self.camera.near, self.camera.far - self.camera.radius), 0.01)


def snippet(suggestion: Suggestion) -> str:
    """Valid YAML: the notes as comments, `dataset.world` where it was estimated, and the whole section `camera`."""
    lines = [line for note in suggestion.notes for line in _comment(note)]
    if suggestion.world is not None:
        world = suggestion.world
        lines += ["dataset:", "  world:", f"    up: '{world.up}'", "    center:"]
        lines += [f"      - {number(value)}" for value in world.center]
        lines.append(f"    scale: {number(world.scale)}")
    lines.append("camera:")
    lines += [f"  {name}: {_plain(value)}" for name, value in suggestion.camera.model_dump().items()]
    return "\n".join(lines) + "\n"


def _comment(note: str) -> list[str]:
    return textwrap.wrap(note, 100, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def number(value: float) -> str:
    """A float with at most eight digits that count and always a dot, as params.yaml wants it."""
    text = np.format_float_positional(value, precision=8, fractional=False, trim="0")
    return "0.0" if float(text) == 0 else text


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value) if isinstance(value, float) else str(value)
