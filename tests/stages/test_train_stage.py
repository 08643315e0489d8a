"""Training as a process: killed at random steps, stopped by signals, resumed, refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from pigan.cli import main
from pigan.config import merge, parse
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.stages.train import init_stage
from pigan.synthesis.trained import find_checkpoint
from pigan.training.checkpoint import describe
from pigan.training.loop import Run, run_fingerprint
from pigan.training.state import load_generator

STEPS, KEPT_EVERY = 40, 7


def pigan(folder: Path, *arguments: str, **options):
    return subprocess.run(
        [sys.executable, "-m", "pigan", *arguments], cwd=folder, capture_output=True, text=True, timeout=300, **options
    )


def train_command(out: str, *further: str, **instead: str) -> list[str]:
    values = {"arm": "baseline", "seed": "0", "resolution": "8", "data": "data/prepared/cars", "init": "runs/init"}
    options = [part for name, value in ({**values, **instead, "out": out}).items() for part in (f"--{name}", value)]
    return [sys.executable, "-m", "pigan", "train", *options, *further]


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def train_here(project, monkeypatch, capsys) -> Iterator[Callable[..., Ended]]:
    """Calls the same command in this process, which is quicker: nothing is killed."""

    def train(name: str, *further: str, **instead: str) -> Ended:
        monkeypatch.chdir(project)
        monkeypatch.setenv("PIGAN_WORK", str(project / "work" / name))
        monkeypatch.setattr(sys, "argv", ["pigan", *train_command(f"runs/{name}", *further, **instead)[3:]])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(ended.value.code, *capsys.readouterr())

    yield train
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def changed_file(project, tmp_path) -> Callable[[dict[str, Any]], str]:
    """The project's params with changes, as a file."""

    def write(changes: dict[str, Any]) -> str:
        YAML().dump(merge(YAML(typ="safe").load(project / "params.yaml"), changes), tmp_path / "params.yaml")
        return str(tmp_path / "params.yaml")

    return write


@pytest.fixture(scope="module")
def project(tiny_params, tmp_path_factory):
    """A folder with prepared data and initial weights."""
    folder = tmp_path_factory.mktemp("project")
    changes = {
        "curriculum": {"stages": {"r8": {"steps": STEPS}}},
        "training": {"checkpoint_steps": 3, "snapshot_steps": KEPT_EVERY, "log_steps": 2, "sample_steps": 15},
        "dataset": {"flip": True},
    }
    YAML().dump(merge(tiny_params.model_dump(), changes), folder / "params.yaml")
    download(tiny_params, folder / "data/raw/cars")
    crop(tiny_params, folder / "data/raw/cars", folder / "data/prepared/cars")
    assert pigan(folder, "init", "--arm", "baseline", "--seed", "0", "--out", "runs/init").returncode == 0
    return folder


@pytest.fixture(scope="module")
def uninterrupted(project):
    python, *command = train_command("runs/whole")
    done = subprocess.run(
        [python, "-X", "importtime", *command], cwd=project, capture_output=True, text=True, env=work(project, "whole")
    )
    assert done.returncode == 0, done.stderr
    (project / "runs/whole.imports").write_text(done.stderr)
    return project / "runs/whole"


def work(project: Path, name: str) -> dict[str, str]:
    return {**os.environ, "PIGAN_WORK": str(project / "work" / name)}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def bits(stage: Path) -> dict[str, str]:
    """Hashes of what must not depend on interruptions: checkpoint, snapshots and their index."""
    files = [stage / "checkpoint.safetensors", *(stage / "snapshots").iterdir()]
    return {str(path.relative_to(stage)): sha256_file(path) for path in files}


def test_nothing_waits_for_pytorchs_compiler(project, uninterrupted):
    """Loading it takes longer than loading PyTorch."""
    loaded = [line.rpartition("|")[2].strip() for line in (project / "runs/whole.imports").read_text().splitlines()]
    assert "torch" in loaded and "pigan.training.loop" in loaded
    assert not [name for name in loaded if name.startswith(("torch._dynamo", "torch._inductor"))]


def test_outputs_are_a_checkpoint_a_description_and_a_log(project, uninterrupted):
    assert sorted(path.name for path in uninterrupted.iterdir()) == [
        "checkpoint.safetensors",
        "log.jsonl",
        "snapshots",
        "state.json",
    ]
    state = json.loads((uninterrupted / "state.json").read_text())
    assert (state["step"], state["global_step"], state["images_seen"]) == (STEPS, STEPS, 4 * STEPS)
    log = lines(uninterrupted / "log.jsonl")
    assert [line["step"] for line in log] == list(range(2, STEPS + 1, 2))
    in_progress = project / "work/whole/cars/baseline/seed0/r8"
    assert not (in_progress / "checkpoint.safetensors").exists()
    assert (in_progress / "samples/step_0000015.png").exists() and list((in_progress / "tensorboard").iterdir())


def test_killed_at_random_steps_it_ends_with_the_same_bits(project, uninterrupted):
    draw = random.Random(0)
    out, place = "runs/killed", work(project, "killed")
    log = Path(place["PIGAN_WORK"]) / "cars/baseline/seed0/r8/log.jsonl"
    kills = 0
    for target in sorted(draw.sample(range(2, STEPS - 8), 2)):
        process = subprocess.Popen(
            train_command(out), cwd=project, env=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None:
            reached = log.read_text().count("\n") * 2 if log.exists() else 0
            if reached >= target:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
        assert not (project / out / "checkpoint.safetensors").exists()
    done = subprocess.run(train_command(out), cwd=project, env=place, capture_output=True, text=True)
    assert kills == 2 and done.returncode == 0 and "resuming baseline" in done.stdout
    whole, killed = uninterrupted, project / out
    assert bits(killed) == bits(whole)
    timing = {"seconds", "images_per_second"}
    stripped = [
        [{k: v for k, v in line.items() if k not in timing} for line in lines(folder / "log.jsonl")]
        for folder in (whole, killed)
    ]
    assert stripped[0] == stripped[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_leaves(project, uninterrupted, number):
    out, place = f"runs/{number.name}", work(project, number.name)
    log = Path(place["PIGAN_WORK"]) / "cars/baseline/seed0/r8/log.jsonl"
    process = subprocess.Popen(train_command(out), cwd=project, env=place, stderr=subprocess.PIPE, text=True)
    while not (log.exists() and log.read_text()):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "the checkpoint is saved, run again to go on" in said
    done = subprocess.run(train_command(out), cwd=project, env=place, capture_output=True, text=True)
    assert done.returncode == 0 and "resuming" in done.stdout
    assert bits(project / out) == bits(uninterrupted)


def test_near_the_end_of_its_time_it_saves_and_asks_to_be_run_again(project, uninterrupted):
    out, place = "runs/late", work(project, "late")
    # the spare time alone is longer, so that one step is what each gets
    for steps in (1, 2):
        done = subprocess.run(
            train_command(out), cwd=project, env={**place, "PIGAN_DEADLINE": "+5"}, capture_output=True, text=True
        )
        assert done.returncode == 75
        assert done.stderr.endswith("the time limit is near; the checkpoint is saved, run again to go on\n")
        description = describe(project / "work/late/cars/baseline/seed0/r8/checkpoint.safetensors")
        assert description["counters"]["step"] == steps
    done = subprocess.run(train_command(out), cwd=project, env=place, capture_output=True, text=True)
    assert done.returncode == 0 and "at step 2" in done.stdout
    assert bits(project / out) == bits(uninterrupted)


def index(stage: Path) -> list[dict]:
    return json.loads((stage / "snapshots/index.json").read_text())["snapshots"]


def test_snapshots_are_kept_every_so_many_steps(project, uninterrupted):
    assert index(project / "runs/init") == []
    due = list(range(KEPT_EVERY, STEPS + 1, KEPT_EVERY))
    assert index(uninterrupted) == [
        {"step": step, "images_seen": 4 * step, "resolution": 8, "file": f"step_{step:07d}.safetensors"} for step in due
    ]
    in_folder = sorted(path.name for path in (uninterrupted / "snapshots").iterdir())
    assert in_folder == ["index.json", *(entry["file"] for entry in index(uninterrupted))]
    # their work is done
    assert not (project / "work/whole/cars/baseline/seed0/r8/snapshots").exists()


def test_next_stage_goes_on_with_the_history(project, uninterrupted, train_here):
    done = train_here("next", resolution="16", init="runs/whole")
    assert done.returncode == 0, done.stderr
    following = project / "runs/next"
    # steps are counted over both stages
    own = {"step": 42, "images_seen": 168, "resolution": 16, "file": "step_0000042.safetensors"}
    assert index(following) == [*index(uninterrupted), own]
    for entry in index(uninterrupted):
        name = f"snapshots/{entry['file']}"
        assert sha256_file(following / name) == sha256_file(uninterrupted / name)


def test_weights_from_before_there_were_snapshots_have_no_history(project, uninterrupted, train_here):
    shutil.copytree(project / "runs/init", project / "runs/old-init", dirs_exist_ok=True)
    shutil.rmtree(project / "runs/old-init/snapshots")
    done = train_here("from-old", init="runs/old-init")
    assert done.returncode == 0 and bits(project / "runs/from-old") == bits(uninterrupted)


def test_history_that_lacks_a_file_is_refused_before_training(project, uninterrupted, train_here):
    shutil.copytree(uninterrupted, project / "runs/torn", dirs_exist_ok=True)
    (project / "runs/torn/snapshots/step_0000014.safetensors").unlink()
    done = train_here("after-torn", init="runs/torn")
    assert done.returncode == 1 and "step_0000014.safetensors: no such file" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (project / "runs/after-torn").exists()


def test_state_with_other_snapshots_is_not_gone_on_with(tiny_params):
    run = Run("baseline", 0, 8, *(Path(name) for name in ("init", "out", "work")))

    def key(**changes):
        params = tiny_params.model_copy(update={"training": tiny_params.training.model_copy(update=changes)})
        return run_fingerprint(params, run, "data", "init")

    assert key(snapshot_steps=5) != key(snapshot_steps=6)
    assert key(checkpoint_steps=5) == key(checkpoint_steps=6)


@pytest.mark.parametrize("lost", [False, True])
def test_snapshots_after_the_checkpoint_are_made_again(project, uninterrupted, lost):
    """Killed between a snapshot and the checkpoint after it; or with a snapshot lost."""
    out, place = f"runs/lost-{lost}", work(project, f"lost-{lost}")
    state = Path(place["PIGAN_WORK"]) / "cars/baseline/seed0/r8"
    process = subprocess.Popen(train_command(out), cwd=project, env=place, stderr=subprocess.DEVNULL)
    while not (state / "snapshots/step_0000014.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    later = state / "snapshots/step_0000035.safetensors"
    later.write_bytes(b"of another time")
    if lost:
        (state / "snapshots/step_0000007.safetensors").unlink()
    done = subprocess.run(train_command(out), cwd=project, env=place, capture_output=True, text=True)
    assert done.returncode == 0 and ("a snapshot is missing; starting afresh" in done.stdout) is lost
    assert ("resuming" in done.stdout) is not lost
    assert bits(project / out) == bits(uninterrupted)


def test_other_params_start_afresh_and_say_so(project, uninterrupted, train_here, changed_file):
    place = work(project, "stale")
    state = Path(place["PIGAN_WORK"]) / "cars/baseline/seed0/r8"
    process = subprocess.Popen(
        train_command("runs/stale"), cwd=project, env=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (state / "checkpoint.safetensors").exists():
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = train_here("stale", params=changed_file({"training": {"r1_weight": 3.0}}))
    assert done.returncode == 0 and "starting afresh" in done.stdout and "resuming" not in done.stdout
    assert sha256_file(project / "runs/stale/checkpoint.safetensors") != sha256_file(
        uninterrupted / "checkpoint.safetensors"
    )


def test_stage_of_no_steps_hands_the_weights_on(project, train_here, changed_file):
    done = train_here("none", params=changed_file({"curriculum": {"stages": {"r8": {"steps": 0}}}}))
    assert done.returncode == 0, done.stderr
    before, after = (project / folder / "checkpoint.safetensors" for folder in ("runs/init", "runs/none"))
    assert before.read_bytes() == after.read_bytes()
    assert (project / "runs/none/log.jsonl").read_text() == "" and index(project / "runs/none") == []


def test_divergence_stops_with_one_line_and_keeps_the_last_good_state(project, train_here, changed_file):
    huge = {"lr_generator": 1e18, "lr_generator_end": 1e18, "lr_discriminator": 1e18, "lr_discriminator_end": 1e18}
    done = train_here("nan", params=changed_file({"curriculum": {"stages": {"r8": huge}}}))
    assert done.returncode == 1
    assert "pigan: training diverged" in done.stderr or "is not finite" in done.stderr
    assert "Traceback" not in done.stderr and not (project / "runs/nan/checkpoint.safetensors").exists()


@pytest.mark.parametrize(
    ("replace", "told"),
    [
        ({"arm": "basline"}, "did you mean 'baseline'?"),
        ({"resolution": "9"}, "no stage of the curriculum; there are 8, 16"),
        ({"data": "data/none"}, "run `pigan crop"),
        ({"init": "runs/nothing"}, "run the stage before"),
    ],
)
def test_wrong_input_is_one_line(train_here, replace, told):
    done = train_here("wrong", **replace)
    assert done.returncode in (1, 2) and told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_checkpoint_of_another_architecture_is_refused(train_here, changed_file):
    done = train_here("wrong", params=changed_file({"model": {"hidden": 12}}))
    assert done.returncode == 1 and "made with model.hidden 8, params say 12" in done.stderr


def test_a_run_starts_from_the_model_that_its_params_name(tiny_params, tmp_path):
    init_stage(tiny_params, "baseline", 0, tmp_path / "first")
    first = load_generator(tmp_path / "first/checkpoint.safetensors", tiny_params, "ema", torch.device("cpu"))
    start = {"path": str(tmp_path / "first"), "sha256": sha256_file(tmp_path / "first/checkpoint.safetensors")}

    def initial(arm: str, **changes: str) -> dict[str, torch.Tensor]:
        arms = {"baseline": {}, "seeded": {"training": {"pretrained": None}}}
        values = tiny_params.model_dump() | {"arms": arms}
        params = parse(merge(values, {"training": {"pretrained": start | changes}}))
        init_stage(params, arm, 1, tmp_path / "second")
        return load_generator(
            tmp_path / "second/checkpoint.safetensors", params, "ema", torch.device("cpu")
        ).state_dict()

    assert all(torch.equal(value, first.state_dict()[name]) for name, value in initial("baseline").items())
    assert not all(torch.equal(value, first.state_dict()[name]) for name, value in initial("seeded").items())
    with pytest.raises(PiganError, match=f"has SHA-256 {start['sha256']}, not 0000"):
        initial("baseline", sha256="0" * 64)
    with pytest.raises(PiganError, match=r"^training\.pretrained: nowhere: no model; name a checkpoint"):
        initial("baseline", path="nowhere")
    # a released model, of another network
    released = sha256_file(find_checkpoint(Path("cars-32")))
    with pytest.raises(PiganError, match=r"cars-32/model\.safetensors: made with model\."):
        initial("baseline", path="cars-32", sha256=released)


def test_changed_images_start_afresh(project, tiny_params):
    from pigan.data.store import Prepared
    from pigan.stages.train import _images_hash

    prepared = Prepared(project / "data/prepared/cars")
    before = _images_hash(prepared, 8)
    prepared.train = np.flip(prepared.train).copy()
    assert before != _images_hash(prepared, 8)
