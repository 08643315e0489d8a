"""The stages that all runs of a study share: what each makes and the command that does it."""

from dataclasses import dataclass
from pathlib import Path

from pigan.chain.place import PAGE
from pigan.config import Params


@dataclass(frozen=True)
class SharedStage:
    """One stage; its log is logs/<dataset>/<name>.log."""

    name: str
    output: Path
    """What is there when it is done, from the project's folder on."""
    command: list[str]


def before_runs(params: Params) -> list[SharedStage]:
    """download, crop, one real_stats_<extractor> an extractor, bench."""
    dataset, side = params.dataset.name, params.generate.resolution
    raw, data = Path("data/raw") / dataset, Path("data/prepared") / dataset
    speed = Path("runs") / dataset / "speed.json"
    stages = [
        SharedStage("download", raw, ["pigan", "download", "--out", str(raw)]),
        SharedStage("crop", data / "dataset.json", ["pigan", "crop", "--raw", str(raw), "--out", str(data)]),
    ]
    for extractor in params.evaluate.extractors:
        out = Path("data/stats") / dataset / f"{extractor}_{side}.npz"
        words = ["pigan", "real-stats", "--extractor", extractor, "--data", str(data), "--out", str(out)]
        stages.append(SharedStage(f"real_stats_{extractor}", out, words))
    words = ["pigan", "bench", "--quick", "--params", "params.yaml", "--out", str(speed)]
    return [*stages, SharedStage("bench", speed, words)]


def after_runs(params: Params) -> SharedStage:
    """report."""
    dataset, out = params.dataset.name, Path("reports") / params.experiment
    words = ["--data", f"data/prepared/{dataset}", "--runs", f"runs/{dataset}", "--out", str(out)]
    return SharedStage("report", out / PAGE, ["pigan", "report", *words])
