"""Seconds until Snakemake and DVC have planned a study, as it grows; nothing of it runs.

    python benchmarks/planning.py
    python benchmarks/planning.py --jobs 500

(a) one params.yaml, which is one dataset: arms x seeds x three resolutions; (b) five datasets, a folder each, one after
another. Seconds are wall time and processor time of the command, the least of the repeats. Prints Markdown.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from pigan import presets
from pigan.processor import usable_processors

ROOT = Path(__file__).resolve().parents[1]
COPIED = (".dvcignore", ".gitignore", ".dvc/config", "dvc.yaml", "workflow", "pigan", "pyproject.toml")
SEEDS, DATASETS = 5, 5
# of an arm and a seed: init, three trainings, generate, evaluate
JOBS_OF_RUN = 6
# download, crop, real_stats, bench, report
JOBS_OF_DATASET = 5
ENGINE = {
    "snakemake --dry-run": ("snakemake", "--dry-run", "--quiet", "all", "--cores", "8", "--", "report"),
    "dvc status": ("dvc", "status", "--quiet"),
    "dvc dag": ("dvc", "dag", "--dot"),
    "dvc repro --dry --force": ("dvc", "repro", "--dry", "--force"),
}


class Took(NamedTuple):
    """One command."""

    wall: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[50, 100, 200, 500, 1000], help="at least so many")
    parser.add_argument("--repeats", type=int, default=2, help="the least of so many counts")
    chosen = parser.parse_args()
    print(
        f"{usable_processors()} processors; load {os.getloadavg()[0]:.1f} when it began. "
        "Wall seconds (processor seconds).\n"
    )
    print(f"| study | jobs | {' | '.join(f'`{name}`' for name in ENGINE)} |")
    print(f"| --- | --- | {' | '.join('---' for _ in ENGINE)} |", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for jobs in chosen.jobs:
            arms = max(round((jobs - JOBS_OF_DATASET) / JOBS_OF_RUN / SEEDS + 0.49), 1)
            folder = project(Path(name) / f"one-{jobs}", arms)
            row(f"one dataset, {arms} arms x {SEEDS} seeds", count(arms), [folder], chosen.repeats)
        folders = [project(Path(name) / f"dataset-{index}", 10) for index in range(DATASETS)]
        row(f"{DATASETS} datasets, 10 arms x {SEEDS} seeds each", DATASETS * count(10), folders, 1)


def count(arms: int) -> int:
    """Jobs of one dataset."""
    return JOBS_OF_DATASET + JOBS_OF_RUN * SEEDS * arms


def project(folder: Path, arms: int) -> Path:
    """A checkout with a demo of three resolutions and so many arms, of which nothing has run."""
    for item in COPIED:
        source, target = ROOT / item, folder / item
        target.parent.mkdir(parents=True, exist_ok=True)
        copy: Callable[..., object] = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, target)
    values = YAML(typ="safe", pure=True).load(presets.text("demo"))
    stages = values["curriculum"]["stages"]
    stages["r64"] = dict(stages["r32"])
    values["curriculum"]["order"].append({"resolution": 64, "after": "r32"})
    values["generate"]["checkpoint"] = "r64"
    weight = values["training"]["r1_weight"]
    values["arms"] = {f"arm{index}": {"training": {"r1_weight": weight * (1 + index)}} for index in range(arms)}
    values["report"]["main_arm"] = "arm0"
    values["seeds"] = list(range(SEEDS))
    YAML().dump(values, folder / "params.yaml")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def row(study: str, jobs: int, folders: list[Path], repeats: int) -> None:
    """Measures every command and prints the line."""
    cells = []
    for command in ENGINE.values():
        took = [[plan(folder, command, jobs // len(folders)) for folder in folders] for _ in range(repeats)]
        sums = [Took(sum(one.wall for one in each), sum(one.processor for one in each)) for each in took]
        cells.append(f"{min(one.wall for one in sums):.1f} ({min(one.processor for one in sums):.1f})")
    print(f"| {study} | {jobs} | {' | '.join(cells)} |", flush=True)


def plan(folder: Path, command: tuple[str, ...], jobs: int) -> Took:
    """Runs one command, which must plan every job."""
    env = {**os.environ, "PIGAN_GPU": "0", "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder.parent / "site")}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, env=env, capture_output=True, text=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    # `dvc status --quiet` says by 1 that something is to be done
    if done.returncode > (command[1] == "status"):
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    if command[1] == "repro" and done.stdout.count("Running stage") != jobs:
        sys.exit(f"{' '.join(command)} planned {done.stdout.count('Running stage')} of {jobs} jobs")
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    main()
