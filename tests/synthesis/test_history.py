import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pigan import config
from pigan.errors import PiganError
from pigan.files import sha256_file
from pigan.rendering.cameras import poses_of
from pigan.runtime import generator_for
from pigan.synthesis.history import write_history
from pigan.synthesis.views import draw_codes, render_views
from pigan.training.loop import save_checkpoint
from pigan.training.snapshots import publish, save_snapshot
from pigan.training.state import Counters, TrainingState, initial_state, load_generator

CPU = torch.device("cpu")
SIDE, COUNT = 16, 6


@pytest.fixture
def model(tiny_params: config.Params, tmp_path: Path) -> Path:
    """A stage's folder: snapshots of steps 4 and 8, then a checkpoint of step 11; all with other weights."""
    state = initial_state(tiny_params, CPU, 0)
    with torch.no_grad():
        for network in (state.generator, state.ema):
            network.field.density_head.weight.mul_(60)
    for step, resolution in ((4, 8), (8, 16)):
        move(state, step)
        save_snapshot(tmp_path / "work", tiny_params, state, resolution)
    publish(tmp_path / "r16", None, tmp_path / "work")
    move(state, 11)
    save_checkpoint(tmp_path / "r16/checkpoint.safetensors", tiny_params, state)
    return tmp_path / "r16"


def move(state: TrainingState, step: int) -> None:
    state.counters = Counters(step, step, 4 * step)
    random = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for network in (state.generator, state.ema):
            for weight in network.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=random))


def written(model: Path, params: config.Params, out: Path) -> list[dict]:
    out.mkdir()
    generator = load_generator(model / "checkpoint.safetensors", params, params.generate.weights, CPU)
    write_history(generator, params, model / "checkpoint.safetensors", out)
    return json.loads((out / "snapshots/index.json").read_text())["snapshots"]


def test_snapshots_come_first_and_the_checkpoint_last(model: Path, tiny_params: config.Params, tmp_path: Path) -> None:
    entries = written(model, tiny_params, tmp_path / "out")
    assert entries == [
        {"step": step, "images_seen": 4 * step, "resolution": side, "file": f"images_{step:07d}.npy", "weights": "ema"}
        for step, side in ((4, 8), (8, 16), (11, 16))
    ]
    shown = [np.load(tmp_path / "out/snapshots" / entry["file"]) for entry in entries]
    assert all((images.shape, images.dtype) == ((COUNT, SIDE, SIDE, 3), np.uint8) for images in shown)
    assert (shown[0] != shown[1]).any() and (shown[1] != shown[2]).any()
    assert sorted(path.name for path in (tmp_path / "out/snapshots").iterdir()) == [
        *(entry["file"] for entry in entries),
        "index.json",
    ]


def test_all_show_the_same_latents_and_poses(model: Path, tiny_params: config.Params, tmp_path: Path) -> None:
    entries = written(model, tiny_params, tmp_path / "out")
    yaw, pitch = poses_of(tiny_params.camera, COUNT, generator_for(CPU, tiny_params.generate.seed, "snapshot poses"))
    for entry in entries:
        source = model / "snapshots" / f"step_{entry['step']:07d}.safetensors"
        if not source.exists():
            source = model / "checkpoint.safetensors"
        generator = load_generator(source, tiny_params, "ema", CPU)
        code = draw_codes(generator, COUNT, tiny_params.generate.truncation, tiny_params, "snapshots")
        seen = render_views(generator, code, yaw, pitch, SIDE, tiny_params)
        assert np.array_equal(seen.images, np.load(tmp_path / "out/snapshots" / entry["file"]))


def test_step_of_the_checkpoint_is_shown_once_with_the_weights_asked_for(
    model: Path, tiny_params: config.Params, tmp_path: Path
) -> None:
    raw = config.parse(config.merge(tiny_params.model_dump(), {"generate": {"weights": "raw"}}))
    state = initial_state(raw, CPU, 0)
    state.counters = Counters(8, 8, 32)
    save_checkpoint(model / "checkpoint.safetensors", raw, state)
    entries = written(model, raw, tmp_path / "out")
    assert [(entry["step"], entry["weights"]) for entry in entries] == [(4, "ema"), (8, "raw")]


def test_model_without_snapshots_shows_itself(model: Path, tiny_params: config.Params, tmp_path: Path) -> None:
    (model / "snapshots").rename(tmp_path / "elsewhere")
    assert [entry["step"] for entry in written(model, tiny_params, tmp_path / "out")] == [11]


def test_same_bytes_again(model: Path, tiny_params: config.Params, tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(model, tiny_params, tmp_path / name)
    for path in (tmp_path / "a/snapshots").iterdir():
        assert sha256_file(path) == sha256_file(tmp_path / "b/snapshots" / path.name)


def test_damaged_snapshot_is_one_line(model: Path, tiny_params: config.Params, tmp_path: Path) -> None:
    path = model / "snapshots/step_0000004.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(PiganError, match=r"step_0000004\.safetensors: damaged, or no checkpoint of pigan"):
        written(model, tiny_params, tmp_path / "out")
