"""A real training, looked at while it runs, after it was killed, stopped and finished; TensorBoard beside it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from ruamel.yaml import YAML
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pigan.config import merge, parse
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.stages.train import init_stage
from pigan.status.look import look

TAGS = (
    *("loss_d", "loss_g", "r1", "score_real", "score_fake", "images_per_second", "empty_rays", "grad_norm_g"),
    *("lr_generator", "density_noise"),
)
SECONDS = 300


class Project:
    """A folder in which one stage is trained."""

    def __init__(self, root, params):
        self.root, self.params = root, params
        self.run = root / "runs/cars/baseline/seed0"
        self.work = root / "work/cars/baseline/seed0/r8"
        YAML().dump(params.model_dump(), root / "params.yaml")

    def start(self):
        environment = {key: value for key, value in os.environ.items() if key != "PIGAN_WORK"}
        command = [
            *(sys.executable, "-m", "pigan", "train", "--arm", "baseline", "--seed", "0", "--resolution", "8"),
            *("--data", "data/prepared/cars", "--init", str(self.run / "init"), "--out", str(self.run / "r8")),
        ]
        log = self.root / "logs/cars/baseline-seed0/r8.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as handle:
            return subprocess.Popen(command, cwd=self.root, stdout=handle, stderr=handle, env=environment)

    def status(self):
        return next(stage for stage in look(self.params, self.root).runs[0].stages if stage.stage == "r8")

    def until(self, process, ready):
        """The states that were seen until `ready(status)`, and the status then."""
        seen, end = [], time.monotonic() + SECONDS
        while time.monotonic() < end and process.poll() is None:
            status = self.status()
            seen.append(status.state)
            if ready(status):
                return set(seen), status
            time.sleep(0.02)
        raise AssertionError(f"{seen[-1:]}, {(self.root / 'logs/cars/baseline-seed0/r8.log').read_text()}")


@pytest.fixture
def project(tiny_params, tmp_path, monkeypatch):
    monkeypatch.delenv("PIGAN_WORK", raising=False)
    changes = {
        "curriculum": {"stages": {"r8": {"steps": 120}}},
        "training": {"checkpoint_steps": 10, "log_steps": 5, "sample_steps": 1000},
    }
    params = parse(merge(tiny_params.model_dump(), changes))
    download(params, tmp_path / "data/raw/cars")
    crop(params, tmp_path / "data/raw/cars", tmp_path / "data/prepared/cars")
    made = Project(tmp_path, params)
    init_stage(params, "baseline", 0, made.run / "init")
    return made


def events(folder, tag):
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    return [(event.step, event.value) for event in board.Scalars(tag)]


def test_training_is_told_of_at_every_turn_of_its_life(project):
    assert project.status().state == "waiting"
    process = project.start()
    # first it imports PyTorch, without a heartbeat
    seen, status = project.until(process, lambda status: (status.step or 0) >= 25)
    assert seen == {"running"}
    assert (status.pid, status.steps) == (process.pid, 120)
    assert status.images_per_second > 0 and status.seconds_left > 0
    process.kill()
    process.wait()
    status = project.status()
    assert status.state == "killed" and f"process {process.pid} on " in status.error and status.step >= 25

    process = project.start()
    seen, status = project.until(process, lambda status: status.pid == process.pid and (status.step or 0) >= 40)
    assert seen == {"running"}
    process.send_signal(signal.SIGTERM)
    process.wait()
    status = project.status()
    assert (status.state, status.error) == (
        "stopped",
        "pigan: stopped by SIGTERM; the checkpoint is saved, run again to go on",
    )

    process = project.start()
    assert process.wait(SECONDS) == 0
    status = project.status()
    assert (status.state, status.step, status.other_params) == ("done", 120, False)
    assert not (project.work / "process.json").exists()
    # what TensorBoard shows has neither holes nor doubles, and stands as long as work/ does
    rows = [json.loads(line) for line in (project.run / "r8" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(5, 121, 5))
    for tag in TAGS:
        found = events(project.work, tag)
        assert [step for step, _ in found] == [row["global_step"] for row in rows]
        assert [value for _, value in found] == pytest.approx([row[tag] for row in rows], rel=1e-5)


def test_error_in_training_is_told_of_without_an_engine(project):
    values = merge(project.params.model_dump(), {"curriculum": {"stages": {"r8": {"lr_generator": 1e30}}}})
    project.params = parse(values)
    YAML().dump(values, project.root / "params.yaml")
    process = project.start()
    assert process.wait(SECONDS) == 1
    told = project.status()
    assert told.state == "failed" and "is not finite; lower the learning rates" in told.error
    (project.root / "logs/cars/baseline-seed0/r8.log").unlink()
    assert project.status().error == told.error
