"""summary.json: an experiment's numbers and how they came about, for comparisons and for other programs."""

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, ValidationError

from pigan.config import fingerprint
from pigan.errors import PiganError
from pigan.files import read_json, write_json
from pigan.report import latex, markdown, provenance
from pigan.report.collect import Collected, Run
from pigan.report.protocol import without_own
from pigan.report.records import Record, complaint

NAME = "summary.json"
# raised when a key changes its meaning or goes away; a new key leaves it as it is
FORMAT = 1


class Costs(Record):
    """What a run took; seconds are wall time of all attempts, memory is the largest of its training stages."""

    images_seen: int
    train_seconds: float
    generate_seconds: float | None = None
    evaluate_seconds: float | None = None
    sampling_images_per_second: float | None = None
    parameters: dict[str, int] = Field(default_factory=dict)
    peak_memory_mb: float | None = None
    device: str = "unknown"


class RunSummary(Record):
    """An arm x seed: its metrics (null: not defined), their 95 % intervals within the run, costs, protocol's name."""

    arm: str
    seed: int
    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    costs: Costs
    protocol: str


class Unfinished(Record):
    """An arm x seed that is in no number: its first missing stage, what is wrong, the command that goes on."""

    arm: str
    seed: int
    stage: str
    problem: str
    resume: str


class Summary(Record):
    """An experiment. `date` is when the newest of its runs was measured, UTC; empty when none was.

    `dirty` says whether code or params differed from the commit; `protocols` holds how the runs were measured, once
    each, by fingerprint.
    """

    format: int
    experiment: str
    title: str
    date: str
    commit: str | None
    dirty: bool
    versions: dict[str, str]
    dataset: str
    main_arm: str
    extractors: list[str]
    params: dict[str, Any]
    protocols: dict[str, dict[str, Any]]
    runs: list[RunSummary]
    incomplete: list[Unfinished] = Field(default_factory=list)

    @property
    def arms(self) -> list[str]:
        """Arms that have a run, the main arm first."""
        return sorted(dict.fromkeys(run.arm for run in self.runs), key=lambda arm: arm != self.main_arm)

    def of_arm(self, arm: str) -> list[RunSummary]:
        """Runs of one arm."""
        return [run for run in self.runs if run.arm == arm]


def summarise(collected: Collected, commit: str | None) -> Summary:
    """The summary of everything that was collected.

    Args:
        collected: What the report is made from.
        commit: As `provenance.git_commit` gives it.
    """
    params = collected.params
    known, _, changed = (commit or "").partition(" ")
    protocols = {fingerprint(own): own for own in (without_own(run.protocol) for run in collected.runs)}
    return Summary(
        format=FORMAT,
        experiment=params.experiment,
        title=params.report.title,
        date=measured_at(collected),
        commit=known or None,
        dirty=bool(changed),
        versions=provenance.library_versions(),
        dataset=collected.dataset.name,
        main_arm=params.report.main_arm,
        extractors=list(params.evaluate.extractors),
        params=params.model_dump(mode="json"),
        protocols=protocols,
        runs=[_run(run) for run in collected.runs],
        incomplete=[
            Unfinished(arm=run.arm, seed=run.seed, stage=run.stage, problem=run.problem, resume=run.resume)
            for run in collected.incomplete
        ],
    )


def write_summaries(collected: Collected, ablation: pd.DataFrame, folder: Path) -> None:
    """Writes what other programs, pull requests and papers take from a report, into its folder."""
    commit = provenance.git_commit(Path.cwd())
    written = summarise(collected, commit)
    write_json(folder / NAME, written.model_dump())
    told = markdown.summary_markdown(collected, ablation, commit, written.date)
    (folder / "summary.md").write_text(told, encoding="utf-8")
    source = f"{written.experiment}, commit {commit or 'unknown'}, measured {written.date or 'never'}"
    (folder / "tables").mkdir(exist_ok=True)
    for name, text in (
        ("ablation", latex.ablation_tex(collected, ablation, source)),
        ("headline", latex.headline_tex(collected, ablation, source)),
    ):
        (folder / "tables" / f"{name}.tex").write_text(text, encoding="utf-8")


def read_summary(path: Path) -> Summary:
    """The summary of a report's folder, or of a summary.json.

    Raises:
        PiganError: there is none, or it is of another format.
    """
    file = path / NAME if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise PiganError(
            f"{path}: holds no {NAME}: no report of an experiment, or one of an older pigan; run `pigan report` again"
        )
    if not file.is_file():
        raise PiganError(f"{path}: no such file or folder; name a report's folder, as reports/demo")
    values = read_json(file)
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        raise PiganError(
            f"{file}: is of format {found}, this pigan reads format {FORMAT}; run `pigan report` again with this pigan"
        )
    try:
        return Summary.model_validate(values)
    except ValidationError as error:
        raise PiganError(f"{file}: {complaint(error)}; run `pigan report` again") from None


def measured_at(collected: Collected) -> str:
    """When the newest run was measured, UTC, to the minute: the same for the same runs, whenever the report is made."""
    newest = max(((run.folder / "metrics.json").stat().st_mtime for run in collected.runs), default=None)
    return "" if newest is None else datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d %H:%M")


def _run(run: Run) -> RunSummary:
    memory = [stage.peak_memory_mb for stage in run.stages if stage.peak_memory_mb is not None]
    return RunSummary(
        arm=run.arm,
        seed=run.seed,
        metrics={key: _known(value) for key, value in run.metrics.items() if key != "seconds"},
        intervals=run.intervals,
        costs=Costs(
            images_seen=run.images_seen,
            train_seconds=run.seconds,
            generate_seconds=run.generated.seconds,
            evaluate_seconds=_known(run.metrics.get("seconds", math.nan)),
            sampling_images_per_second=run.generated.images_per_second,
            parameters=run.stages[-1].parameters,
            peak_memory_mb=max(memory, default=None),
            device=run.stages[-1].device,
        ),
        protocol=fingerprint(without_own(run.protocol)),
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
