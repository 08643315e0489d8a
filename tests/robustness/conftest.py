"""A tiny training in this process, crashes at an exact moment, and disks that refuse."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from pigan import config
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.files import sha256_file
from pigan.stages.train import init_stage, train_stage

# all by which pigan makes, renames, removes or settles something on a disk
TIMES = ("seconds", "images_per_second")
CHANGES = ("replace", "fsync", "unlink", "rmdir", "mkdir")


class Crash(BaseException):
    """The process is gone: nothing after this happens, not even what would tidy up."""


@dataclass
class Disk:
    """Counts changes, and stops at the one numbered `at` (from 0)."""

    at: int | None = None
    error: type[BaseException] | OSError = Crash
    count: int = 0
    done: list[str] = field(default_factory=list)
    crash: type[BaseException] = Crash

    def step(self, name: str) -> None:
        number, self.count = self.count, self.count + 1
        self.done.append(name)
        if self.at is not None and (number == self.at or (number > self.at and self.error is Crash)):
            raise self.error if isinstance(self.error, OSError) else self.error()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Use `with disk(at=n)` for a block whose n-th change of the disk is the last one before a crash."""

    @contextmanager
    def watched(at: int | None = None, error: type[BaseException] | OSError = Crash) -> Iterator[Disk]:
        watch = Disk(at, error)

        def counted(name: str) -> Callable[..., Any]:
            real = getattr(os, name)

            def change(*arguments: Any, **options: Any) -> Any:
                watch.step(name)
                return real(*arguments, **options)

            return change

        with monkeypatch.context() as patch:
            for name in CHANGES:
                patch.setattr(os, name, counted(name))
            yield watch

    return watched


@pytest.fixture
def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass
class Project:
    """Prepared data, starting weights, and trainings of them."""

    params: config.Params
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data/prepared/cars"

    def work(self, name: str) -> Path:
        return self.folder / name / "work/cars/baseline/seed0/r8"

    def train(self, name: str) -> None:
        """Trains into the folder r8 of a folder of that name."""
        out = self.folder / name / "r8"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIGAN_WORK", str(self.folder / name / "work"))
            # what a crash left is old enough to be cleared at once
            patch.setattr("pigan.files.UNCLAIMED_SECONDS", -1)
            try:
                train_stage(self.params, "baseline", 0, 8, self.data, self.folder / "init", out, "cpu")
            finally:
                torch.set_deterministic_debug_mode("default")

    def bits(self, name: str) -> dict[str, Any]:
        """What must not depend on interruptions: checkpoint, snapshots and their index, and what was logged."""
        stage = self.folder / name / "r8"
        hashes = {path.name: sha256_file(path) for path in sorted(stage.rglob("*.safetensors"))}
        rows = [json.loads(line) for line in (stage / "log.jsonl").read_text().splitlines()]
        log = [{key: value for key, value in row.items() if key not in TIMES} for row in rows]
        return {**hashes, "index": (stage / "snapshots/index.json").read_text(), "log": log}


@pytest.fixture(scope="session")
def project(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny experiment whose first stage has three checkpoints and two snapshots."""
    folder = tmp_path_factory.mktemp("robust")
    changes = {
        "curriculum": {"stages": {"r8": {"steps": 6}}},
        "training": {"checkpoint_steps": 2, "snapshot_steps": 3, "log_steps": 1, "sample_steps": 100},
    }
    params = config.parse(config.merge(tiny_params.model_dump(), changes))
    download(params, folder / "data/raw/cars", workers=1)
    crop(params, folder / "data/raw/cars", folder / "data/prepared/cars", workers=1)
    init_stage(params, "baseline", 0, folder / "init")
    torch.set_deterministic_debug_mode("default")
    return Project(params, folder)


@pytest.fixture(scope="session")
def uninterrupted(project: Project) -> dict[str, Any]:
    project.train("whole")
    return project.bits("whole")
