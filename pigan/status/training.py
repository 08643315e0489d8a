"""How far a training stage is: from the end of its log.jsonl, or else from the last line of its log."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigan.chain.logs import Counted, last_rows

# enough for about twenty lines
TAIL = 16_384
# lines that the present pace is taken from
RECENT = 10


@dataclass(frozen=True)
class Pace:
    """Steps done, the newest images per second, wall seconds of all attempts and of a step, and between two lines.

    `only_background`: in as many lines as the pace is taken from, no ray of the generated images met a surface.
    """

    step: int
    images_per_second: float | None = None
    seconds: float | None = None
    seconds_per_step: float | None = None
    interval: float | None = None
    only_background: bool = False

    def seconds_left(self, steps: int) -> float | None:
        """Wall seconds until `steps` at this pace."""
        return None if self.seconds_per_step is None else max(steps - self.step, 0) * self.seconds_per_step


def pace(path: Path) -> Pace | None:
    """The pace that a log.jsonl tells of; None without a usable line."""
    return pace_of(last_rows(path, TAIL))


def pace_of(rows: Sequence[dict[str, Any]]) -> Pace | None:
    """The pace of the last lines of a log.jsonl; lines without numbers, or out of order, are left out."""
    points = [(_number(row, "step"), _number(row, "seconds")) for row in rows]
    known = [(step, seconds) for step, seconds in points if step is not None and seconds is not None]
    if not known:
        return None
    step, seconds = known[-1]
    images = _number(rows[-1], "images_per_second")
    # the first line that the last ones go on from; of one line alone, from the stage's start
    first = next(((s, t) for s, t in known[-RECENT:-1] if s < step and t < seconds), (0.0, 0.0))
    each = (seconds - first[1]) / (step - first[0]) if step > first[0] else None
    before = known[-2] if len(known) > 1 else (0.0, 0.0)
    only_background = len(rows) >= RECENT and all(_number(row, "empty_rays") == 1 for row in rows[-RECENT:])
    return Pace(int(step), images, seconds, each, max(seconds - before[1], 0.0), only_background)


def pace_of_line(found: Counted | None) -> Pace | None:
    """The pace that a line of progress tells of, where nothing else can be seen, as of a node's own disk."""
    if found is None:
        return None
    left = found.total - found.done
    each = found.seconds_left / left if found.seconds_left is not None and left > 0 else None
    return Pace(found.done, found.images_per_second, seconds_per_step=each)


def _number(row: dict[str, Any], key: str) -> float | None:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        return None
    return float(value)
