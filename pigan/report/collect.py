"""Reads what the stages left behind, checks it, and hands it on as typed records."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from pigan.config import Params
from pigan.errors import PiganError
from pigan.files import read_json
from pigan.report.speed import Speed, read_speed


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


class Reject(Record):
    """An image that was left out, and why."""

    file: str
    reason: str


class DatasetCard(Record):
    """dataset.json: what the images are, and what became of them."""

    name: str
    kind: str
    source: str | None = None
    licence: str | None = None
    count: int
    found: int
    rejected: list[Reject] = []
    resolutions: list[int]
    split: dict[str, list[int]]
    sha256: dict[str, str] = {}
    names: list[str] = []
    description: str | None = None
    citation: str | None = None
    expected: int | None = None
    large_enough: dict[str, int] = {}
    duplicates: list[list[int]] | None = None
    owners: int | None = None
    crop: dict[str, Any] = {}

    @property
    def has_depth(self) -> bool:
        """Whether there are depth maps."""
        return any(name.startswith("depth_") for name in self.sha256)


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


class Explorer(Record):
    """explorer.json: angles in radians of the sprite's rows (pitch) and columns (yaw), tile side in pixels."""

    pitches: list[float]
    yaws: list[float]
    tile: int


@dataclass(frozen=True)
class Run:
    """One arm trained with one seed."""

    arm: str
    seed: int
    folder: Path
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    curve: pd.DataFrame
    protocol: dict[str, Any]
    stages: list[StageState]
    log: pd.DataFrame
    generated: GeneratedInfo

    @property
    def images_seen(self) -> int:
        """Training images seen, all stages together."""
        return max(stage.images_seen for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Wall time of training, all stages together."""
        return sum(stage.seconds for stage in self.stages)

    def picture(self, name: str) -> Path | None:
        """A file that generating or evaluating left behind, or None when it is not there."""
        paths = [self.folder / made / name for made in ("generated", "evaluated")]
        return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True)
class Collected:
    """Everything that the report is made from."""

    params: Params
    dataset: DatasetCard
    data: Path
    runs: list[Run]
    speed: Speed

    @property
    def main(self) -> Run:
        """First seed of the main arm."""
        return self.first_seed(self.params.report.main_arm)

    def of_arm(self, arm: str) -> list[Run]:
        """Runs of one arm, in the order of the seeds."""
        return [run for run in self.runs if run.arm == arm]

    def first_seed(self, arm: str) -> Run:
        """The run whose pictures stand for the arm."""
        return self.of_arm(arm)[0]


def collect(params: Params, data: Path, runs: Path) -> Collected:
    """Reads every arm x seed below `runs` (runs/<dataset>), the speed measured there, and the prepared data's card.

    Raises:
        PiganError: a file is missing or not what its stage writes; the message names the stage to run.
    """
    dataset = read_card(data)
    found = [_run(params, runs, arm, seed) for arm in params.arms for seed in params.seeds]
    return Collected(params, dataset, data, found, read_speed(runs / "speed.json"))


def read_card(data: Path) -> DatasetCard:
    """dataset.json of a prepared folder; keys that older ones do not have are left at their defaults.

    Raises:
        PiganError: the file is missing or holds something else.
    """
    return _record(DatasetCard, data / "dataset.json", "pigan crop")


def read_explorer(path: Path) -> Explorer:
    """The angles of the pose explorer's sprite.

    Raises:
        PiganError: the file is missing or holds something else.
    """
    return _record(Explorer, path, "pigan generate")


def _run(params: Params, runs: Path, arm: str, seed: int) -> Run:
    folder = runs / arm / f"seed{seed}"
    call = f"--arm {arm} --seed {seed}"
    stages: list[StageState] = []
    logs: list[dict[str, Any]] = []
    for link in params.curriculum.order:
        hint = f"pigan train {call} --resolution {link.resolution}"
        stages.append(_record(StageState, folder / link.name / "state.json", hint))
        logs.extend(_log_rows(folder / link.name / "log.jsonl", hint))
    generated = _record(GeneratedInfo, folder / "generated" / "generated.json", f"pigan generate {call}")
    path, evaluate = folder / "metrics.json", f"pigan evaluate ({call})"
    metrics = _numbers(path, params.evaluate.extractors, evaluate)
    evaluated = _record(Evaluated, path, evaluate)
    measured = evaluated.protocol.get("checkpoint_sha256", generated.checkpoint_sha256)
    if measured != generated.checkpoint_sha256:
        raise PiganError(f"{path}: not measured on what is in generated/; run pigan evaluate again")
    log = pd.DataFrame(logs).assign(arm=arm, seed=seed)
    curve = pd.DataFrame([point.model_dump() for point in evaluated.curve]).assign(arm=arm, seed=seed)
    intervals = _known_intervals(evaluated)
    return Run(arm, seed, folder, metrics, intervals, curve, evaluated.protocol, stages, log, generated)


def _numbers(path: Path, extractors: Sequence[str], command: str) -> dict[str, float]:
    """The numbers at the top level of a metrics.json; null becomes not-a-number."""
    values = _object(path, f"run {command}")
    for extractor in extractors:
        if f"fid_{extractor}" not in values:
            raise PiganError(
                f"{path}: holds no fid_{extractor}, the metric that params.yaml asks for; run {command} again"
            )
    numbers = {}
    for key, value in values.items():
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            numbers[key] = float("nan") if value is None else float(value)
    return numbers


def _known_intervals(evaluated: Evaluated) -> dict[str, tuple[float, float]]:
    """Intervals that have both ends."""
    known = {}
    for key, interval in evaluated.intervals.items():
        low, high = interval or (None, None)
        if low is not None and high is not None:
            known[key] = (low, high)
    return known


def _log_rows(path: Path, hint: str) -> Iterator[dict[str, Any]]:
    """Lines of a log.jsonl; a stage of no steps has none."""
    if not path.is_file():
        raise PiganError(f"{path}: no such file; run {hint}")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise PiganError(f"{path}: line {number} is no JSON object; delete the file's folder and run {hint}")
        yield row


def _object(path: Path, hint: str) -> dict[str, Any]:
    if not path.is_file():
        raise PiganError(f"{path}: no such file; {hint}")
    values = read_json(path)
    if not isinstance(values, dict):
        raise PiganError(f"{path}: holds no JSON object; {hint} again")
    return values


Kind = TypeVar("Kind", bound=Record)


def _record(kind: type[Kind], path: Path, command: str) -> Kind:
    values = _object(path, f"run {command}")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PiganError(f"{path}: {place}: {first['msg'].lower()}; run {command} again") from None
