"""One training in a folder of its own: where its files are, and the commands that are run on it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pigan import config
from pigan.chain import place as chain
from pigan.chain.place import CHECKPOINT
from pigan.config import Params
from pigan.sections import Link
from pigan.training.loop import Run

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 1.0
# between asking a process to stop and ending it
GRACE_SECONDS = 15.0
TIMED_OUT = 124

Command = Sequence[str]


@dataclass(frozen=True)
class Place:
    """An arm and seed of an experiment in `folder`, laid out as the engines do."""

    folder: Path
    params: Params
    arm: str
    seed: int
    device: str

    @property
    def resolved(self) -> Params:
        """The params of the arm."""
        return self.params.for_arm(self.arm)

    @property
    def data(self) -> Path:
        """Prepared data."""
        return self.folder / "data/prepared" / self.params.dataset.name

    @property
    def run(self) -> Path:
        """Folder of the run's declared outputs."""
        return self.folder / "runs" / self.params.dataset.name / self.arm / f"seed{self.seed}"

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.folder / "reports" / self.params.experiment

    def done(self, link: Link) -> Path:
        """The checkpoint of a finished stage."""
        return self.run / link.name / CHECKPOINT

    def work(self, link: Link) -> Path:
        """Folder of a stage's state in progress."""
        return self.folder / "work" / self.params.dataset.name / self.arm / f"seed{self.seed}" / link.name

    def training(self, link: Link) -> Run:
        """The training of a stage."""
        return Run(self.arm, self.seed, link.resolution, self.run / link.after, self.run / link.name, self.work(link))

    def write_params(self) -> None:
        """params.yaml of the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(self.params.model_dump(), file)

    def reached(self) -> tuple[Link, Path, bool] | None:
        """The stage that training is in, its newest checkpoint, and whether that finished it; None: none was saved."""
        for link in reversed(self.params.curriculum.order):
            for path, finished in ((self.work(link) / CHECKPOINT, False), (self.done(link), True)):
                if path.is_file():
                    return link, path, finished
        return None


def load_params(path: Path) -> Params:
    """The params.yaml of a folder that `write_params` wrote."""
    return config.load(path / "params.yaml")


def prepare_commands(place: Place) -> list[Command]:
    """Data, statistics of the real images, and starting weights: what is not there yet."""
    name, raw, device = place.params.dataset.name, place.folder / "data/raw" / place.params.dataset.name, place.device
    found: list[tuple[Path, Command]] = [(place.data, ("crop", "--raw", str(raw), "--out", str(place.data)))]
    if not place.data.exists():
        found.insert(0, (raw, ("download", "--out", str(raw))))
    for extractor in place.params.evaluate.extractors:
        out = place.folder / "data/stats" / name / f"{extractor}_{place.params.generate.resolution}.npz"
        options = ("--extractor", extractor, "--data", str(place.data), "--device", device, "--out", str(out))
        found.append((out, ("real-stats", *options)))
    found.append((place.run / "init" / CHECKPOINT, stage_command(place, "init")))
    return [command for out, command in found if not out.exists()]


def train_commands(place: Place) -> list[Command]:
    """The stages of the curriculum that are not finished."""
    return [stage_command(place, link.name) for link in place.params.curriculum.order if not place.done(link).is_file()]


def evaluate_commands(place: Place, title: str) -> list[Command]:
    """Everything that is made of the trained model: images, metrics, report, and the folder to hand on."""
    run, data = place.run, ("--data", str(place.data))
    return [
        stage_command(place, "generate"),
        stage_command(place, "evaluate"),
        ("report", *data, "--runs", str(run.parents[1]), "--out", str(place.report)),
        (
            *("export", "--model", str(run), "--out", str(place.folder / "release"), "--half", "--no-onnx"),
            *("--license", "mit", "--title", title, *data, "--device", place.device),
        ),
    ]


def run_commands(
    place: Place,
    commands: Sequence[Command],
    log: Path,
    until: float,
    stop_training_at: float | None = None,
    watch: Callable[[], None] = lambda: None,
) -> int:
    """Runs pigan's commands one after another in a process of their own; the exit code of the first that fails.

    They are ended at `until`, and a training that is asked to stops with its state saved at `stop_training_at` (both
    seconds since the epoch). Meanwhile `watch` is called each second. 124: the time was over.
    """
    if not commands:
        return 0
    place.write_params()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_search_path()])}
    # the folder is this run's own, whatever the caller's environment says
    environment["PIGAN_WORK"] = str(place.folder / "work")
    if stop_training_at is not None:
        environment["PIGAN_DEADLINE"] = f"{stop_training_at:.0f}"
    script = [sys.executable, "-m", "benchmarks.box.commands", json.dumps(commands)]
    with log.open("ab") as out:
        process = subprocess.Popen(script, cwd=place.folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            for _ in _ticks(process, until):
                watch()
        finally:
            _end(process)
    late = process.returncode != 0 and time.time() >= until
    return TIMED_OUT if late else process.returncode


def copy_finished(place: Place, target: Place) -> None:
    """Takes over starting weights and finished stages, and the data by a link."""
    finished = [link.name for link in place.params.curriculum.order if place.done(link).is_file()]
    for name in ("init", *finished):
        shutil.copytree(place.run / name, target.run / name, dirs_exist_ok=True)
    if not (target.folder / "data").exists():
        (target.folder / "data").symlink_to((place.folder / "data").resolve())


def stage_command(place: Place, stage: str) -> Command:
    """The command that the engines run for a stage, on the place's device."""
    files = chain.Place(place.run.parents[1], place.data, place.arm, place.seed)
    device = () if stage == "init" else ("--device", place.device)
    return (*chain.command(place.params, files, stage)[1:], *device)


def _search_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _ticks(process: "subprocess.Popen[Any]", until: float) -> Iterator[None]:
    """A tick each second while the process runs and the time is not over."""
    while process.poll() is None and time.time() < until:
        yield
        try:
            process.wait(min(POLL_SECONDS, max(0.01, until - time.time())))
        except subprocess.TimeoutExpired:
            continue


def _end(process: "subprocess.Popen[Any]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
