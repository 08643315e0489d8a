"""Stages and steps of training on GPUs that compute nothing: devices, waits, launches, determinism."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pigan import presets
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.training.checkpoint import describe

ARMS = [f"cars,{arm},auto,auto" for arm in YAML(typ="safe", pure=True).load(presets.text("cars"))["arms"]]
PRECISIONS = [f"cars,baseline,{kernel},{precision}" for kernel in ("auto", "folded") for precision in ("fp32", "bf16")]
TRIED = [*ARMS, *PRECISIONS]
STEPS = Path(__file__).with_name("steps.py")
TILES = "training/fakes.py: counts = chosen.sum(1).tolist()"
ARM = ("--arm", "baseline", "--seed", "0")


@pytest.fixture(scope="module")
def steps(pretended_gpu):
    """What is told of each step; in one process, since PyTorch takes seconds to start."""
    told = pretended_gpu.script(STEPS, *TRIED).stdout.splitlines()
    return dict(zip(TRIED, map(json.loads, told), strict=True))


@pytest.mark.parametrize("tried", TRIED)
def test_step_stays_on_the_device_and_waits_for_nothing_but_counts(steps, tried):
    told = steps[tried]
    assert told["devices"] == ["cuda:0"]
    # how many samples have a gradient is asked once for all images that are rendered
    assert told["waits"] == [TILES] * told["rendered"]


@pytest.fixture(scope="module")
def project(pretended_gpu, tiny_params, tmp_path_factory):
    """A folder with prepared data, initial weights, and params of a width that the Triton kernels have."""
    folder = tmp_path_factory.mktemp("pretended")
    params = tiny_params.model_copy(update={"model": tiny_params.model.model_copy(update={"hidden": 32})})
    YAML().dump(params.model_dump(), folder / "params.yaml")
    two = params.model_copy(update={"training": params.training.model_copy(update={"devices": 2})})
    YAML().dump(two.model_dump(), folder / "two.yaml")
    download(params, folder / "raw")
    crop(params, folder / "raw", folder / "prepared")
    pretended_gpu.pigan("init", *ARM, "--out", "init", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def trained(pretended_gpu, project):
    """The same folder with both stages; what they said."""
    said = []
    for before, side in (("init", "8"), ("r8", "16")):
        how = ("--resolution", side, "--data", "prepared", "--init", before, "--device", "cuda")
        said.append(pretended_gpu.pigan("train", *ARM, *how, "--out", f"r{side}", cwd=project).stderr)
    return project, said


def test_stages_train_and_render_there(pretended_gpu, trained):
    folder, said = trained
    # 16 bits, and so in Triton, as a GPU has it by default
    assert all("loaded arguments_kernel" in one for one in said)
    state = json.loads((folder / "r16/state.json").read_text())
    assert state["device"] == "GPU that computes nothing" and state["global_step"] == 11
    assert "scale" in describe(folder / "r16/checkpoint.safetensors")["scaler"]
    seen = ("--model", "r16", "--seeds", "1,2", "--out", "seen", "--device", "cuda")
    pretended_gpu.pigan("render", *seen, cwd=folder)
    assert (folder / "seen/render.json").is_file()


def test_loop_waits_for_nothing_more_but_what_it_logs(pretended_gpu, project):
    how = ("--resolution", "8", "--data", "prepared", "--init", "init", "--out", "watched", "--device", "cuda")
    done = pretended_gpu.script(Path(__file__).with_name("loop.py"), "train", *ARM, *how, cwd=project)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["waits"].count(TILES) == told["steps"] == 5
    # a line of log each step here, checkpoints every other one
    logs, kept = "training/loop.py", {"training/checkpoint.py", "training/state.py"}
    files = [line.split(":")[0] for line in told["waits"]]
    assert set(files) == {"training/fakes.py", logs, *kept} and files.count(logs) == 5


def test_two_of_them_train_together(pretended_gpu, project):
    how = ("--resolution", "8", "--data", "prepared", "--init", "init", "--device", "cuda", "--params", "two.yaml")
    pretended_gpu.pigan("train", *ARM, *how, "--out", "two", cwd=project)
    state = json.loads((project / "two/state.json").read_text())
    assert state["devices"] == 2 and state["global_step"] == 6


def test_two_of_them_share_images_and_features(pretended_gpu, trained):
    folder, two = trained[0], ("--data", "prepared", "--device", "cuda", "--gpus", "2")
    stats = "stats/efficientnet_lite0_16.npz"
    pretended_gpu.pigan("real-stats", "--extractor", "efficientnet_lite0", *two, "--out", stats, cwd=folder)
    pretended_gpu.pigan("generate", *ARM, "--model", "r16", *two, "--out", "generated", cwd=folder)
    found = ("--pictures", "evaluated", "--out", "metrics.json")
    pretended_gpu.pigan("evaluate", "--stats", "stats", "--generated", "generated", *two, *found, cwd=folder)
    assert json.loads((folder / "metrics.json").read_text())


def test_model_in_python_takes_what_is_on_either_device(pretended_gpu):
    seen = pretended_gpu.script(Path(__file__).with_name("api.py")).stdout.splitlines()
    # cameras stay with the processor wherever their angles are
    assert seen == ["cuda cpu", "cuda cpu", "cpu cpu", "cpu cpu"]
