"""The stages of one arm and seed: their order, their files and their commands."""

from dataclasses import dataclass
from pathlib import Path

from pigan.config import Params
from pigan.files import work_root

# what generated/ says of itself, and the page of reports/<experiment>
GENERATED, PAGE = "generated.json", "report.html"
# what a training stage leaves behind
CHECKPOINT, STATE, LOG = "checkpoint.safetensors", "state.json", "log.jsonl"
# of its state in progress: the one before, and the next one until that takes its name
PREVIOUS, NEXT = "checkpoint.previous.safetensors", "checkpoint.next.safetensors"


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

    def logs(self, dataset: str) -> Path:
        """Where Snakemake puts what the stages of this run say, a <stage>.log each."""
        return self.root / "logs" / dataset / f"{self.arm}-seed{self.seed}"

    def work(self, dataset: str) -> Path:
        """Where training keeps its state in progress, a folder a stage."""
        return self.root / work_root() / dataset / self.arm / f"seed{self.seed}"


def stages_of_run(params: Params) -> list[str]:
    """init, r<R> for each resolution, generate, evaluate."""
    return ["init", *(link.name for link in params.curriculum.order), "generate", "evaluate"]


def stage_before(params: Params, stage: str) -> str | None:
    """The training stage, or init, whose checkpoint `stage` needs."""
    after = {link.name: link.after for link in params.curriculum.order}
    return params.generate.checkpoint if stage == "generate" else after.get(stage)


def command(params: Params, place: Place, stage: str) -> list[str]:
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
