"""speed.json: what `pigan bench` measured on one machine, and what it estimates from that."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from pigan.errors import PiganError
from pigan.files import read_json, write_json
from pigan.report.records import complaint
from pigan.sections import NonNegativeFloat, PositiveFloat, Section

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]
Bound = Literal["compute", "memory", "other"]


class Times(Section):
    """Wall times of one side of a case, milliseconds."""

    median: PositiveFloat
    low: PositiveFloat
    high: PositiveFloat
    repeats: Count

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Times":
        """Median and range of repeated measurements."""
        return cls(
            median=statistics.median(milliseconds),
            low=min(milliseconds),
            high=max(milliseconds),
            repeats=len(milliseconds),
        )


class Machine(Section):
    """Rates measured in the same run: matrix multiplication by precision, and copying memory."""

    matmul_gflops: Annotated[dict[str, PositiveFloat], Field(min_length=1)]
    bandwidth_gb_s: PositiveFloat


class Row(Section):
    """One case by one of pigan's paths, beside the plain reference with the same weights and inputs.

    `ratio` is that of the medians; `ratio_low` and `ratio_high` are the extremes over the interleaved pairs.
    `error` and `reference_error` are relative to float64, `error_of` says of what. Operations and bytes are counted,
    not measured; None stands for what this case does not have or this machine cannot tell.
    """

    case: Slug
    title: str
    size: str
    path: str
    precision: str
    reference_ms: Times
    ours_ms: Times
    ratio: PositiveFloat
    ratio_low: PositiveFloat
    ratio_high: PositiveFloat
    error: NonNegativeFloat | None = None
    reference_error: NonNegativeFloat | None = None
    error_of: str = ""
    reference_peak_mb: NonNegativeFloat | None = None
    peak_mb: NonNegativeFloat | None = None
    gflop: NonNegativeFloat | None = None
    reference_gbyte: NonNegativeFloat | None = None
    gbyte: NonNegativeFloat | None = None
    share_of_matmul: NonNegativeFloat | None = None
    bound: Bound = "other"


class ScalingPoint(Section):
    """One training step as one size grows: `points` field samples of `images` images in `ms` milliseconds."""

    what: Literal["resolution", "samples", "batch"]
    value: Count
    points: Count
    ms: PositiveFloat
    images: Count


class Estimate(Section):
    """What a preset's training stage would take here, computed from the measured rates: an estimate."""

    preset: str
    stage: str
    hours: NonNegativeFloat
    memory_gb: NonNegativeFloat
    images_per_second: PositiveFloat


class Speed(Section):
    """One run of `pigan bench`."""

    format: Literal[1] = 1
    command: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    device: str
    threads: Count
    torch: str
    pigan: str
    subject: str
    machine: Machine
    rows: list[Row]
    scaling: list[ScalingPoint] = Field(default_factory=list)
    estimates: list[Estimate] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


def by_case(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by title and size, in the order of the file."""
    cases: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cases.setdefault((row.title, row.size), []).append(row)
    return cases


def read_speed(path: Path) -> Speed:
    """The measurements in `path`.

    Raises:
        PiganError: the file is missing or is not what `pigan bench` writes.
    """
    command = f"pigan bench --quick --params params.yaml --out {path}"
    if not path.is_file():
        raise PiganError(f"{path}: no such file; run {command}")
    values = read_json(path)
    try:
        return Speed.model_validate(values)
    except ValidationError as error:
        raise PiganError(f"{path}: {complaint(error)}; run {command} again") from None


def write_speed(speed: Speed, path: Path) -> None:
    """Writes the measurements as JSON, atomically."""
    write_json(path, speed.model_dump(mode="json"))
