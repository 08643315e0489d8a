"""The ends of logs: the last line, whether it is an error, how far the work is."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# as much of a log's end is read, and as many characters of its last line are shown
LOG_END, SHOWN = 65_536, 300
# lines that may follow the one with which pigan ended
PARTING = 20
# colours and cursor movements of terminals, then anything else that does not print
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# how training ends when it was asked to, or when its job's time is nearly over
STOP = re.compile(r"pigan: (stopped by|the time limit is near)\b")
ERROR = re.compile(rf"(?!{STOP.pattern})pigan: |(\w+\.)*\w*(Error|Exception)\b|Killed\b")
# what pigan.progress writes: label: 12/50 image, 3.2 image/s, 00:12 left, loss_d=0.70, img_s=12.3
COUNTED = re.compile(r"(?:^|: )(\d+)/(\d+) [^,]+, [^,]+/s, (?:(?:(\d+):)?(\d+):(\d+)|\?) left")
IMAGES = re.compile(r"\bimg_s=(\d+(?:\.\d+)?)(?![\d.])")


@dataclass(frozen=True)
class Counted:
    """A line of progress: how much is done of what there is, what it says is left, seconds, and images/s."""

    done: int
    total: int
    seconds_left: float | None
    images_per_second: float | None


def log_end(path: Path, size: int = LOG_END) -> str:
    """The last `size` bytes of a file as text; empty when it cannot be read."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - size))
            return handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def last_line(path: Path) -> str:
    """The last line of a log that says something, without control characters, shortened; empty when there is none.

    A library may still complain when a stage leaves: the line with which pigan ended comes before that.
    """
    # a progress bar writes over its own line
    lines = [line for text in re.split(r"[\r\n]+", log_end(path)) if (line := one_line(text))]
    said = [line for line in lines[-PARTING:] if line.startswith("pigan: ")]
    return (said or lines or [""])[-1]


def one_line(text: str) -> str:
    """`text` on one line, without control characters, shortened."""
    line = " ".join(CONTROLS.sub("", text).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def is_error(line: str) -> bool:
    """Whether a log that ends with this line ends with an error."""
    return ERROR.match(line) is not None


def is_stop(line: str) -> bool:
    """Whether a log that ends with this line ends as that of a training that was asked to stop and can go on."""
    return STOP.match(line) is not None


def counted(line: str) -> Counted | None:
    """How far a line of progress says the work is; None for any other line."""
    found = COUNTED.search(line)
    if not found:
        return None
    done, total, hours, minutes, seconds = found.groups()
    left = None if minutes is None else 3600.0 * int(hours or 0) + 60 * int(minutes) + int(seconds)
    images = IMAGES.search(line)
    return Counted(int(done), int(total), left, float(images[1]) if images else None)


def last_rows(path: Path, size: int) -> list[dict[str, Any]]:
    """The JSON objects in the last `size` bytes of a log.jsonl; lines that are cut off or damaged are left out."""
    rows = []
    for line in log_end(path, size).splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
