"""Reads what the stages left behind, checks it, and hands it on as typed records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from pigan.chain.place import GENERATED, LOG, STATE, Place
from pigan.config import Params
from pigan.errors import PiganError
from pigan.report.incomplete import Incomplete, incomplete, picture_in
from pigan.report.records import (
    Evaluated,
    GeneratedInfo,
    Record,
    StageState,
    Unusable,
    log_rows,
    numbers_of,
    read_object,
    read_record,
)
from pigan.report.speed import Speed, read_speed


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
    rejected: list[Reject] = Field(default_factory=list)
    resolutions: list[int]
    split: dict[str, list[int]]
    sha256: dict[str, str] = Field(default_factory=dict)
    names: list[str] = Field(default_factory=list)
    description: str | None = None
    citation: str | None = None
    expected: int | None = None
    large_enough: dict[str, int] = Field(default_factory=dict)
    duplicates: list[list[int]] | None = None
    owners: int | None = None
    crop: dict[str, Any] = Field(default_factory=dict)

    @property
    def has_depth(self) -> bool:
        """Whether there are depth maps."""
        return any(name.startswith("depth_") for name in self.sha256)


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
        return picture_in(self.folder, name)


@dataclass(frozen=True)
class Collected:
    """Everything that the report is made from: the complete runs, and what is told of the others.

    `speed` is None when it was not measured; `speed_problem` then says why and how to.
    """

    params: Params
    dataset: DatasetCard
    data: Path
    runs: list[Run]
    speed: Speed | None
    incomplete: list[Incomplete] = field(default_factory=list)
    speed_problem: str = ""

    @property
    def main(self) -> Run | Incomplete:
        """The run whose pictures stand for the main arm."""
        return self.first_seed(self.params.report.main_arm)

    @property
    def logs(self) -> list[pd.DataFrame]:
        """The training logs of all runs that have one, in the order of arms and seeds."""
        every: list[Run | Incomplete] = [*self.runs, *self.incomplete]
        arms, seeds = list(self.params.arms), self.params.seeds
        every.sort(key=lambda run: (arms.index(run.arm), seeds.index(run.seed)))
        return [run.log for run in every if len(run.log)]

    def of_arm(self, arm: str) -> list[Run]:
        """The complete runs of one arm, in the order of the seeds."""
        return [run for run in self.runs if run.arm == arm]

    def first_seed(self, arm: str) -> Run | Incomplete:
        """The run whose pictures stand for the arm: the first complete one, else the first that has any, else any."""
        others = [run for run in self.incomplete if run.arm == arm]
        shown = [run for run in others if (run.folder / "generated").is_dir()]
        every: list[Run | Incomplete] = [*self.of_arm(arm), *shown, *others]
        return every[0]


def collect(params: Params, data: Path, runs: Path) -> Collected:
    """Reads every arm x seed below `runs` (runs/<dataset>), the speed measured there, and the prepared data's card.

    A run that lacks something, or whose files are damaged, is collected as incomplete.

    Raises:
        PiganError: the prepared data has no card; the message names the stage to run.
    """
    dataset = read_card(data)
    found = [_run(params, Place(runs, data, arm, seed)) for arm in params.arms for seed in params.seeds]
    complete = [run for run in found if isinstance(run, Run)]
    others = [run for run in found if isinstance(run, Incomplete)]
    try:
        speed, problem = read_speed(runs / "speed.json"), ""
    except PiganError as error:
        speed, problem = None, str(error)
    return Collected(params, dataset, data, complete, speed, others, problem)


def read_card(data: Path) -> DatasetCard:
    """dataset.json of a prepared folder; keys that older ones do not have are left at their defaults.

    Raises:
        PiganError: the file is missing or holds something else.
    """
    return read_record(DatasetCard, data / "dataset.json", "pigan crop")


def read_metrics(path: Path) -> tuple[dict[str, float], Evaluated]:
    """The numbers at the top level of a metrics.json, null as not-a-number, and the rest of it.

    Raises:
        Unusable: missing or damaged.
    """
    return numbers_of(read_object(path, "pigan evaluate")), read_record(Evaluated, path, "pigan evaluate")


def _run(params: Params, place: Place) -> Run | Incomplete:
    arm, seed, folder = place.arm, place.seed, place.folder
    stages: list[StageState] = []
    logs: list[dict[str, Any]] = []
    stage = "init"
    try:
        for link in params.curriculum.order:
            stage = link.name
            state = read_record(StageState, folder / stage / STATE, "pigan train")
            lines = list(log_rows(folder / stage / LOG, "pigan train"))
            stages.append(state)
            logs.extend(lines)
        stage = "generate"
        generated = read_record(GeneratedInfo, folder / "generated" / GENERATED, "pigan generate")
        stage = "evaluate"
        metrics, evaluated = _measured(folder / "metrics.json", params.evaluate.extractors, generated)
    except Unusable as error:
        return incomplete(params, place, stage, error, pd.DataFrame(logs).assign(arm=arm, seed=seed))
    log = pd.DataFrame(logs).assign(arm=arm, seed=seed)
    curve = pd.DataFrame([point.model_dump() for point in evaluated.curve]).assign(arm=arm, seed=seed)
    known = evaluated.known_intervals()
    return Run(arm, seed, folder, metrics, known, curve, evaluated.protocol, stages, log, generated)


def _measured(path: Path, extractors: Sequence[str], generated: GeneratedInfo) -> tuple[dict[str, float], Evaluated]:
    """What `read_metrics` gives, of a run.

    Raises:
        Unusable: missing, damaged, without a metric that the params ask for, or not measured on what is in generated/.
    """
    numbers, evaluated = read_metrics(path)
    for extractor in extractors:
        if f"fid_{extractor}" not in numbers:
            what = f"holds no fid_{extractor}, the metric that params.yaml asks for"
            raise Unusable(path, what, "run pigan evaluate again")
    if evaluated.protocol.get("checkpoint_sha256", generated.checkpoint_sha256) != generated.checkpoint_sha256:
        raise Unusable(path, "not measured on what is in generated/", "run pigan evaluate again")
    return numbers, evaluated
