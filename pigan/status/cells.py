"""What a stage looks like in a table: a symbol and words, in as many words as there is room for."""

from dataclasses import dataclass
from typing import Literal

from pigan.status.stage import StageStatus, State
from pigan.status.words import duration, rate

Words = Literal["many", "some", "few", "none"]

Look = Literal["done", "running", "failed", "killed", "stopped", "waiting", "other params"]


@dataclass(frozen=True)
class Style:
    """How a state is drawn: the symbol, another where a terminal has only ASCII, and the colour of the terminal's."""

    symbol: str
    plain: str
    colour: str


STYLES: dict[Look, Style] = {
    "done": Style("✓", "+", "32"),
    "other params": Style("≠", "~", "33"),
    "running": Style("▶", ">", "36"),
    "failed": Style("✗", "x", "31"),
    "killed": Style("†", "k", "31"),
    "stopped": Style("■", "s", "33"),
    "waiting": Style("·", ".", "2"),
}


@dataclass(frozen=True)
class Paint:
    """What the terminal can show."""

    colour: bool
    unicode: bool

    def symbol(self, look: Look) -> str:
        """The symbol of a state."""
        style = STYLES[look]
        return style.symbol if self.unicode else style.plain

    def painted(self, text: str, look: Look) -> str:
        """`text` in the colour of a state."""
        return f"\x1b[{STYLES[look].colour}m{text}\x1b[0m" if self.colour and text else text


def look_of(stage: StageStatus) -> Look:
    """How a stage is drawn: as its state, or as one with other params."""
    return "other params" if stage.other_params else stage.state


def cell(stage: StageStatus, paint: Paint, words: Words) -> str:
    """A stage in a table's cell, without colour."""
    look = look_of(stage)
    return " ".join(part for part in (paint.symbol(look), _text(stage, look, words)) if part)


def _text(stage: StageStatus, look: Look, words: Words) -> str:
    percent = "" if stage.fraction is None else f"{100 * stage.fraction:.0f} %"
    if words == "none" or (words == "few" and look in ("done", "waiting", "other params")):
        return ""
    if look == "other params":
        return "done, other params" if words == "many" else "other"
    if look == "running":
        return _running(stage, percent, words)
    return f"{look} {percent}" if words == "many" and percent and look in ("failed", "killed", "stopped") else look


def _running(stage: StageStatus, percent: str, words: Words) -> str:
    if stage.seconds_left is None or words == "few":
        return percent or "running"
    left = duration(stage.seconds_left)
    if words == "some":
        return f"{percent} {left}"
    images = rate(stage.images_per_second) if stage.images_per_second else ""
    return " ".join(part for part in (percent, images, f"{left} left") if part)


def totals(states: dict[State, int], paint: Paint) -> str:
    """3 done, 1 running: every state that there is, in its colour."""
    parts = [
        paint.painted(f"{paint.symbol(state)} {count:,} {state}", state) for state, count in states.items() if count
    ]
    return "  ".join(parts)
