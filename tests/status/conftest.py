"""A made-up study: any stage in any state, at any age, without anything being trained."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest

from pigan.config import Params, merge, parse
from pigan.status.look import Study, look
from pigan.status.stage import StageStatus
from pigan.training.heartbeat import FILE, Heartbeat, heartbeat, read_heartbeat

Find = Callable[..., StageStatus]
HOUR = 3600.0


@dataclass
class Tree:
    """A project's folder; ages are seconds before now."""

    root: Path
    params: Params

    @property
    def runs(self) -> Path:
        return self.root / "runs" / self.params.dataset.name

    def run(self, arm: str, seed: int) -> Path:
        return self.runs / arm / f"seed{seed}"

    def work(self, arm: str, seed: int, stage: str) -> Path:
        return self.root / "work" / self.params.dataset.name / arm / f"seed{seed}" / stage

    def done(self, arm: str, seed: int, *stages: str, ago: float = HOUR, params: Params | None = None) -> None:
        """The outputs of stages, as the stages write them."""
        folder = self.run(arm, seed)
        for stage in stages:
            if stage == "generate":
                write(folder / "generated" / "generated.json", {"seconds_of_parts": {"images": 30.0, "pictures": 10.0}})
                age(folder / "generated", ago)
            elif stage == "evaluate":
                (folder / "evaluated").mkdir(parents=True, exist_ok=True)
                age(folder / "evaluated", ago)
                age(write(folder / "metrics.json", {"seconds": 20.0}), ago)
            else:
                resolved = (params or self.params).for_arm(arm)
                (folder / stage / "snapshots").mkdir(parents=True, exist_ok=True)
                step = 0 if stage == "init" else resolved.curriculum.stages[stage].steps
                state = {"step": step, "seconds": 2.0 * step, "params": resolved.model_dump()}
                write(folder / stage / "state.json", state)
                for name in ("checkpoint.safetensors", *(() if stage == "init" else ("log.jsonl",))):
                    (folder / stage / name).write_bytes(b"")
                for path in (folder / stage).iterdir():
                    age(path, ago)

    def all_done(self, arm: str, seed: int) -> None:
        self.done(arm, seed, "init", *self.params.curriculum.stages, "generate", "evaluate")

    def log(self, arm: str, seed: int, stage: str, text: str, ago: float = 0.0) -> Path:
        """What Snakemake keeps of a stage."""
        path = self.root / "logs" / self.params.dataset.name / f"{arm}-seed{seed}" / f"{stage}.log"
        return age(write(path, text), ago)

    def training(self, arm: str, seed: int, stage: str, step: int, ago: float = 0.0, kept: bool = True) -> Path:
        """A state in progress at `step`, two seconds a step, a line every ten."""
        rows = [{"step": at, "seconds": 2.0 * at, "images_per_second": 12.5} for at in range(10, step + 1, 10)]
        work = self.work(arm, seed, stage)
        path = write(work / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        if kept:
            age(write(work / "checkpoint.safetensors", ""), ago)
        return age(path, ago)

    def age(self, path: Path, seconds: float) -> Path:
        return age(path, seconds)

    def process(self, arm: str, seed: int, stage: str, beat: Heartbeat, ago: float = 0.0) -> Path:
        return age(write(self.work(arm, seed, stage) / FILE, asdict(beat)), ago)

    def own(self) -> Heartbeat:
        """The heartbeat of this very process."""
        with heartbeat(self.root / "own"):
            found = read_heartbeat(self.root / "own" / FILE)
        assert found is not None and found.alive() is True
        return found

    @cached_property
    def own_once(self) -> Heartbeat:
        """The same, written once."""
        return self.own()

    def dead(self) -> Heartbeat:
        """The heartbeat of a process that is no more."""
        done = subprocess.Popen([sys.executable, "-c", ""])
        done.wait()
        return replace(self.own(), pid=done.pid)

    def dead_by_number(self) -> Heartbeat:
        """The same without starting one: this process, had it begun with the machine."""
        return replace(self.own(), born="1")

    def elsewhere(self) -> Heartbeat:
        """The heartbeat of a process on another machine."""
        return replace(self.own(), host=f"not-{socket.gethostname()}", job="4711")


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def age(path: Path, seconds: float) -> Path:
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.fixture
def study_params(tiny_params: Params) -> Params:
    """Two arms, two seeds; 100 steps a stage."""
    stages = {"r8": {"steps": 100}, "r16": {"steps": 100}}
    arms = {"baseline": {}, "relu-pe": {"model": {"field": "relu-pe"}}}
    values = merge(tiny_params.model_dump(), {"curriculum": {"stages": stages}, "seeds": [0, 1]})
    return parse({**values, "arms": arms}, "study.yaml")


@pytest.fixture
def tree(study_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """An empty project, in which the test runs."""
    monkeypatch.delenv("PIGAN_WORK", raising=False)
    monkeypatch.chdir(tmp_path)
    return Tree(tmp_path, study_params)


@pytest.fixture
def find(tree: Tree) -> Find:
    """What is known of one stage."""

    def one(stage: str, arm: str | None = "baseline", seed: int | None = 0) -> StageStatus:
        study: Study = look(tree.params)
        (found,) = [each for each in study.stages if (each.stage, each.arm, each.seed) == (stage, arm, seed)]
        return found

    return one
