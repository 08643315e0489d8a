"""Runs that are not complete: which stage is missing, what its log says last, how to go on."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pigan.config import Params
from pigan.errors import PiganError
from pigan.files import work_root
from pigan.report.records import Unusable
from pigan.training.state import describe

# as much of a log's end is read, and as many characters of its last line are shown
LOG_END, SHOWN = 65_536, 300
# colours and cursor movements of terminals, then anything else that does not print
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Incomplete:
    """One arm x seed that is in no number of the report.

    `stage` is the first one to run (init, r<R>, generate, evaluate) and `later` those after it, `problem` what is
    missing or damaged, `last_line` what the stage's log says last, `progress` what training keeps in work/, `resume`
    the command. `log` is the training log of the stages that are there.
    """

    arm: str
    seed: int
    folder: Path
    stage: str
    later: list[str]
    problem: str
    last_line: str
    progress: str
    resume: str
    log: pd.DataFrame

    @property
    def failed(self) -> bool:
        """Whether the last thing in the stage's log is an error."""
        return bool(re.match(r"pigan: (?!stopped)|(\w+\.)*\w*(Error|Exception)\b|Killed\b", self.last_line))

    def picture(self, name: str) -> Path | None:
        """A file that generating or evaluating left behind, or None when it is not there."""
        return picture_in(self.folder, name)


@dataclass(frozen=True)
class Place:
    """Where the files of one run are: runs/<dataset> and data/prepared/<dataset> as they were named, arm and seed."""

    runs: Path
    data: Path
    arm: str
    seed: int

    @property
    def folder(self) -> Path:
        """runs/<dataset>/<arm>/seed<S>."""
        return self.runs / self.arm / f"seed{self.seed}"

    @property
    def root(self) -> Path:
        """The folder that holds runs/, logs/ and work/."""
        return self.runs.absolute().parent.parent


def picture_in(folder: Path, name: str) -> Path | None:
    """A file that generating or evaluating left below a run's folder, or None when it is not there."""
    paths = [folder / made / name for made in ("generated", "evaluated")]
    return next((path for path in paths if path.is_file()), None)


def incomplete(params: Params, place: Place, stage: str, error: Unusable, log: pd.DataFrame) -> Incomplete:
    """What is told of a run whose `stage` left `error` to read."""
    stages = ["init", *(link.name for link in params.curriculum.order), "generate", "evaluate"]
    first = _first_to_run(params, place, stage)
    inside = error.path.relative_to(place.folder) if error.path.is_relative_to(place.folder) else error.path
    return Incomplete(
        arm=place.arm,
        seed=place.seed,
        folder=place.folder,
        stage=first,
        later=stages[stages.index(first) + 1 :],
        problem=" ".join(f"{inside}: {error.what}".split()),
        last_line=last_line(
            place.root / "logs" / params.dataset.name / f"{place.arm}-seed{place.seed}" / f"{first}.log"
        ),
        progress=_progress(params, place, first),
        resume=shlex.join(_command(params, place, first)),
        log=log,
    )


def last_line(path: Path) -> str:
    """The last line of a log that says something, without control characters, shortened; empty when there is none."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - LOG_END))
            text = handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    # a progress bar writes over its own line
    lines = [" ".join(CONTROLS.sub("", line).split()) for line in re.split(r"[\r\n]+", text)]
    line = next((line for line in reversed(lines) if line), "")
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def incomplete_table(runs: Sequence[Incomplete]) -> pd.DataFrame:
    """One row a run that is not complete."""
    columns = ["arm", "seed", "stage", "failed", "problem", "last_line", "progress", "resume"]
    return pd.DataFrame([{name: getattr(run, name) for name in columns} for run in runs], columns=columns)


def _before(params: Params, stage: str) -> str | None:
    """The training stage, or init, whose checkpoint `stage` needs."""
    after = {link.name: link.after for link in params.curriculum.order}
    return params.generate.checkpoint if stage == "generate" else after.get(stage)


def _first_to_run(params: Params, place: Place, stage: str) -> str:
    """`stage`, or the earliest before it whose output it cannot do without."""
    if stage == "evaluate":
        return stage
    before = _before(params, stage)
    while before and not (place.folder / before / "checkpoint.safetensors").is_file():
        stage, before = before, _before(params, before)
    return stage


def _logs(params: Params, place: Place) -> Path:
    """Where Snakemake puts what the stages of a run say."""
    return place.root / "logs" / params.dataset.name / f"{place.arm}-seed{place.seed}"


def _command(params: Params, place: Place, stage: str) -> list[str]:
    """The command that both engines run for a stage."""
    folder, own = place.folder, ["--arm", place.arm, "--seed", str(place.seed)]
    generated, stats = folder / "generated", place.data.parent.parent / "stats" / place.data.name
    after = {link.name: (link.resolution, link.after) for link in params.curriculum.order}
    parts: list[str | int | Path]
    if stage == "init":
        parts = ["init", *own, "--out", folder / "init"]
    elif stage == "generate":
        model = folder / params.generate.checkpoint
        parts = ["generate", *own, "--model", model, "--data", place.data, "--out", generated]
    elif stage == "evaluate":
        parts = ["evaluate", "--data", place.data, "--stats", stats, "--generated", generated]
        parts += ["--pictures", folder / "evaluated", "--out", folder / "metrics.json"]
    else:
        side, before = after[stage]
        parts = ["train", *own, "--resolution", side, "--data", place.data]
        parts += ["--init", folder / before, "--out", folder / stage]
    return ["pigan", *map(str, parts)]


def _progress(params: Params, place: Place, stage: str) -> str:
    """What work/ keeps of a training stage under way, in words; empty when there is nothing."""
    path = place.root / work_root() / params.dataset.name / place.arm / f"seed{place.seed}" / stage
    if not (path / "checkpoint.safetensors").is_file():
        return ""
    try:
        step = int(describe(path / "checkpoint.safetensors")["counters"]["step"])
    except (PiganError, KeyError, TypeError, ValueError):
        return "its state in progress cannot be read, so the stage will begin afresh"
    return f"step {step:,} of {params.for_arm(place.arm).curriculum.stages[stage].steps:,} is kept in work/"
