"""One training by two processes on the CPU: killed, stopped, failing, resumed, refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pigan.config import merge
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.stages.train import init_stage, train_stage
from pigan.training.checkpoint import describe
from pigan.training.heartbeat import FILE, read_heartbeat
from pigan.training.launch import launch
from pigan.training.loop import Run, run_fingerprint

# an odd batch: two ranks have parts of different sizes
STEPS, BATCH = 60, 5
CHANGES = {
    "curriculum": {"stages": {"r8": {"steps": STEPS, "batch_size": BATCH}}},
    "training": {"devices": 2, "checkpoint_steps": 3, "snapshot_steps": 7, "log_steps": 2, "sample_steps": 25},
    "dataset": {"flip": True},
}
# within which the others stop when one has died
SECONDS = 15


@pytest.fixture(scope="module")
def params(tiny_params):
    return tiny_params.model_validate(merge(tiny_params.model_dump(), CHANGES))


@pytest.fixture(scope="module")
def project(params, tmp_path_factory):
    """A folder with prepared data and initial weights."""
    folder = tmp_path_factory.mktemp("several")
    YAML().dump(params.model_dump(), folder / "params.yaml")
    download(params, folder / "data/raw/cars")
    crop(params, folder / "data/raw/cars", folder / "data/prepared/cars")
    init_stage(params, "baseline", 0, folder / "runs/init")
    return folder


def train(project: Path, name: str, device: str = "cpu", **environment: str) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, "-m", "pigan", "train", "--arm", "baseline", "--seed", "0", "--resolution", "8"),
        *("--data", "data/prepared/cars", "--init", "runs/init", "--out", f"runs/{name}", "--device", device),
    ]
    place = {"PIGAN_WORK": str(project / "work" / name), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=project, env=os.environ | place | environment, stdout=-1, stderr=-1, text=True)


def work(project: Path, name: str) -> Path:
    return project / "work" / name / "cars/baseline/seed0/r8"


def bits(stage: Path) -> dict[str, str]:
    files = [stage / "checkpoint.safetensors", *(stage / "snapshots").iterdir()]
    return {path.name: sha256_file(path) for path in files}


def steps_logged(folder: Path) -> list[int]:
    log = folder / "log.jsonl"
    return [json.loads(line)["step"] for line in log.read_text().splitlines()[:-1]] if log.exists() else []


def reach(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    """Waits until training has logged a step after `step`."""
    while not steps_logged(folder) or steps_logged(folder)[-1] < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


def ranks_of(pid: int) -> list[int]:
    """Processes of a training, in the order of their ranks."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children}
    return sorted(child for child, command in commands.items() if "spawn_main" in command)


def gone(pids: list[int]) -> bool:
    """Within a few seconds."""
    for _ in range(10 * SECONDS):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


def addresses_listened_at(pids: list[int]) -> set[str]:
    """As in /proc/net/tcp: 0100007F is 127.0.0.1."""
    sockets = {
        match[1]
        for pid in pids
        for handle in Path(f"/proc/{pid}/fd").iterdir()
        if handle.exists() or handle.is_symlink()
        if (match := re.fullmatch(r"socket:\[(\d+)\]", str(handle.readlink())))
    }
    lines = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for line in lines[0] + lines[1]]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}


@pytest.fixture(scope="module")
def uninterrupted(project):
    """By two processes that were started as srun starts two tasks of a step."""
    step = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_STEP_NODELIST": "here",
        "SLURM_NODEID": "0",
    }
    tasks = [train(project, "whole", **step, SLURM_PROCID=str(task), SLURM_LOCALID=str(task)) for task in range(2)]
    said = [task.communicate(timeout=300) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    # the first one alone reads, writes and tells
    assert said[0][0] == "wrote runs/whole\n" and said[1] == ("", "")
    return project / "runs/whole"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_killed_in_every_way_it_ends_with_the_same_bits(project, uninterrupted):
    name, folder = "killed", work(project, "killed")
    # a rank is killed
    process = train(project, name)
    reach(process, folder, 8)
    ranks = ranks_of(process.pid)
    assert len(ranks) == 2 and addresses_listened_at([process.pid, *ranks]) == {"0100007F"}
    os.kill(ranks[1], signal.SIGKILL)
    killed_at = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and time.monotonic() - killed_at < SECONDS and gone(ranks)
    assert said.count("pigan:") == 1 and "pigan: rank 1 of 2 was killed by SIGKILL" in said
    assert read_heartbeat(folder / FILE).error.startswith("pigan: rank 1 of 2 was killed by SIGKILL")
    assert describe(folder / "checkpoint.safetensors")["counters"]["step"] >= 6
    # what had started them is killed: they stop by themselves, and save
    process = train(project, name)
    reach(process, folder, 20)
    ranks = ranks_of(process.pid)
    process.kill()
    process.communicate()
    assert gone(ranks) and describe(folder / "checkpoint.safetensors")["counters"]["step"] >= 20
    # it is told to stop
    process = train(project, name)
    reach(process, folder, 35)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 143 and said.count("the checkpoint is saved, run again to go on") == 1
    stopped_at = describe(folder / "checkpoint.safetensors")["counters"]["step"]
    assert 35 <= stopped_at < STEPS and out.startswith("resuming baseline")
    # the end
    process = train(project, name)
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert f"at step {stopped_at}" in out and bits(project / "runs" / name) == bits(uninterrupted)
    assert steps_logged(project / "runs" / name) == list(range(2, STEPS, 2))
    state = json.loads((project / "runs" / name / "state.json").read_text())
    assert (state["devices"], state["step"], state["images_seen"]) == (2, STEPS, BATCH * STEPS)


def test_error_of_a_rank_is_told_and_the_checkpoint_stands(project, params, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "training")
    import rank_work

    run = Run("baseline", 0, 8, project / "runs/init", project / "runs/fault", work(project, "fault"))
    with pytest.raises(PiganError, match=r"^the second rank has had enough; give it a rest$"):
        launch(2, rank_work.train_with_a_fault, params.for_arm("baseline"), run, project / "data/prepared/cars")
    assert describe(run.work / "checkpoint.safetensors")["counters"]["step"] == 6 and not run.out.exists()


def test_one_device_goes_on_with_what_two_began(params):
    run = Run("baseline", 0, 8, *(Path(name) for name in ("init", "out", "work")))

    def key(**changes):
        changed = params.model_copy(update={"training": params.training.model_copy(update=changes)})
        return run_fingerprint(changed, run, "data", "init")

    assert key(devices=1) == key(devices="auto") == key() != key(threads=2)


def test_batch_that_cannot_be_shared_is_refused(project, params):
    many = params.model_copy(update={"training": params.training.model_copy(update={"devices": BATCH + 1})})
    folders = (project / name for name in ("data/prepared/cars", "runs/init", "runs/many"))
    with pytest.raises(PiganError, match=r"^training\.devices: 6 cannot share .*batch_size 5; raise that"):
        train_stage(many, "baseline", 0, 8, *folders, "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_repeat_their_bits(project):
    for name in ("gpus", "gpus-again"):
        process = train(project, name, "cuda")
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert bits(project / "runs/gpus") == bits(project / "runs/gpus-again")
