"""The JSON files of a run as typed records, and how one that is missing or damaged is told."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pigan.errors import PiganError


class Unusable(PiganError):
    """A file of a stage that is missing or holds something else; `what` says in a few words what is wrong with it."""

    def __init__(self, path: Path, what: str, mend: str) -> None:
        super().__init__(f"{path}: {what}; {mend}")
        self.path, self.what = path, what


class Record(BaseModel):
    """Base of the records read from JSON: frozen; keys that the report does not show are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StageState(Record):
    """state.json of one training stage; seconds are wall time of all attempts."""

    resolution: int
    step: int
    images_seen: int
    seconds: float
    parameters: dict[str, int] = {}
    device: str = "unknown"
    devices: int = 1
    torch: str = "unknown"
    peak_memory_mb: float | None = None
    threads: int | None = None


class GeneratedInfo(Record):
    """generated.json: how the evaluation images were rendered."""

    checkpoint_sha256: str = "unknown"
    weights: str = "unknown"
    truncation: float | None = None
    images: int = 0
    resolution: int | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    device: str = "unknown"


class CurvePoint(BaseModel):
    """Metrics of a snapshot along training; their keys carry the extractor."""

    model_config = ConfigDict(frozen=True, extra="allow")

    __pydantic_extra__: dict[str, float | None]

    step: int
    images_seen: int
    resolution: int
    images: int


class Evaluated(Record):
    """metrics.json apart from its numbers: 95 % intervals within the run by metric, and the curve along training."""

    intervals: dict[str, tuple[float | None, float | None] | None] = {}
    curve: list[CurvePoint] = []
    protocol: dict[str, Any] = {}

    def known_intervals(self) -> dict[str, tuple[float, float]]:
        """Intervals that have both ends."""
        known = {}
        for key, interval in self.intervals.items():
            low, high = interval or (None, None)
            if low is not None and high is not None:
                known[key] = (low, high)
        return known


def numbers_of(values: Mapping[str, Any]) -> dict[str, float]:
    """The numbers at the top level of a metrics.json, null as not-a-number."""
    plain = {key: math.nan if value is None else value for key, value in values.items()}
    return {
        key: float(value)
        for key, value in plain.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


Kind = TypeVar("Kind", bound=Record)


def read_record(kind: type[Kind], path: Path, command: str) -> Kind:
    """The record in `path`, which `command` writes.

    Raises:
        Unusable: the file is missing or holds something else.
    """
    values = read_object(path, command)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise Unusable(path, complaint(error), f"run {command} again") from None


def complaint(error: ValidationError) -> str:
    """Where the first thing is that is wrong, and what."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg'].lower()}"


def read_object(path: Path, command: str) -> dict[str, Any]:
    """The JSON object in `path`, which `command` writes.

    Raises:
        Unusable: the file is missing or holds something else.
    """
    if not path.is_file():
        raise Unusable(path, "no such file", f"run {command}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unusable(path, f"cannot be read ({error})", f"delete it and run {command} again") from None
    if not isinstance(values, dict):
        raise Unusable(path, "holds no JSON object", f"run {command} again")
    return values


def log_rows(path: Path, command: str) -> Iterator[dict[str, Any]]:
    """Lines of a log.jsonl, which `command` writes; a stage of no steps has none.

    Raises:
        Unusable: the file is missing, or a line is no JSON object.
    """
    if not path.is_file():
        raise Unusable(path, "no such file", f"run {command}")
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise Unusable(path, f"line {number} is no JSON object", f"delete the file's folder and run {command}")
        yield row
