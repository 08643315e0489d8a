"""Training on a GPU that computes nothing: devices, waits, launches, determinism; no number is right here."""

import json

import pytest
from ruamel.yaml import YAML

from pigan import presets
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.training.checkpoint import describe

ARMS = [f"cars,{arm},auto,auto" for arm in YAML(typ="safe", pure=True).load(presets.text("cars"))["arms"]]
PRECISIONS = [f"cars,baseline,{kernel},{precision}" for kernel in ("auto", "folded") for precision in ("fp32", "bf16")]
TRIED = [*ARMS, *PRECISIONS]


@pytest.fixture(scope="module")
def steps(pretended_gpu):
    """What is told of each step; in one process, since PyTorch takes seconds to start."""
    told = pretended_gpu.run("steps.py", *TRIED).stdout.splitlines()
    return dict(zip(TRIED, map(json.loads, told), strict=True))


@pytest.mark.parametrize("tried", TRIED)
def test_step_stays_on_the_device_and_waits_for_nothing_but_counts(steps, tried):
    told = steps[tried]
    assert told["devices"] == ["cuda:0"]
    # how many samples have a gradient is asked once for all images that are rendered
    assert told["waits"] == ["training/fakes.py: counts = chosen.sum(1).tolist()"] * told["rendered"]


def test_stages_train_and_render_there(pretended_gpu, tiny_params, tmp_path):
    params = tiny_params.model_copy(update={"model": tiny_params.model.model_copy(update={"hidden": 32})})
    YAML().dump(params.model_dump(), tmp_path / "params.yaml")
    download(params, tmp_path / "raw")
    crop(params, tmp_path / "raw", tmp_path / "prepared")
    which = ("--arm", "baseline", "--seed", "0")
    pretended_gpu.run("command.py", "init", *which, "--out", "init", cwd=tmp_path)
    for before, side in (("init", "8"), ("r8", "16")):
        how = ("--resolution", side, "--data", "prepared", "--init", before, "--device", "cuda")
        done = pretended_gpu.run("command.py", "train", *which, *how, "--out", f"r{side}", cwd=tmp_path)
        # 16 bits, and so in Triton, as a GPU has it by default
        assert "loaded arguments_kernel" in done.stderr
    state = json.loads((tmp_path / "r16/state.json").read_text())
    assert state["device"] == "GPU that computes nothing" and state["global_step"] == 11
    assert "scale" in describe(tmp_path / "r16/checkpoint.safetensors")["scaler"]
    seen = ("--model", "r16", "--seeds", "1,2", "--out", "seen", "--device", "cuda")
    pretended_gpu.run("command.py", "render", *seen, cwd=tmp_path)
    assert (tmp_path / "seen/render.json").is_file()
