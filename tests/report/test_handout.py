"""`pigan export`: a folder that stands for itself, whole or not at all."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from pigan import config, released
from pigan.cli import app
from pigan.errors import PiganError
from pigan.files import write_json
from pigan.report.handout import export_model, released_lines
from pigan.stages.train import init_stage
from pigan.synthesis import onnx_files
from pigan.synthesis.exported import public_params, rounded_to_half
from pigan.synthesis.released import TrainingFacts
from pigan.synthesis.trained import load_model
from pigan.training.checkpoint import describe, read_tensors
from pigan.training.loop import save_checkpoint, write_state_json
from pigan.training.state import initial_state, load_weights


@pytest.fixture(scope="module")
def run(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's last stage, below `runs`."""
    folder = tmp_path_factory.mktemp("exports") / "runs" / "cars" / "baseline" / "seed0"
    values = config.merge(tiny_params.model_dump(), {"dataset": {"source": "/home/somebody/secret"}})
    init_stage(config.parse(values), "baseline", 0, folder / "r16")
    return folder / "r16"


@pytest.fixture(scope="module")
def exported(run: Path) -> Path:
    """What the command makes of it, with everything."""
    out = run.parents[4] / "exported"
    metrics = {
        "fid_efficientnet_lite0": 99.5,
        "protocol": {
            "extractor": "efficientnet_lite0",
            "checkpoint_sha256": hashlib.sha256((run / "checkpoint.safetensors").read_bytes()).hexdigest(),
        },
    }
    write_json(run.parent / "metrics.json", metrics)
    result = CliRunner().invoke(app, ["export", "--model", str(run), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "density: ONNX Runtime differs from PyTorch by " in result.output and f"wrote {out}" in result.output
    (run.parent / "metrics.json").unlink()
    return out


@pytest.fixture
def trained(tiny_params: config.Params, tmp_path: Path) -> Path:
    """The last stage of a run that was trained at 8 and 16 pixels, by what its files say, and measured."""
    state, cpu = initial_state(tiny_params, torch.device("cpu"), 0), torch.device("cpu")
    for resolution, step, seconds in ((8, 6, 60.0), (16, 5, 90.5)):
        folder = tmp_path / "seed0" / f"r{resolution}"
        state.counters.global_step, state.counters.step = state.counters.global_step + step, step
        state.counters.images_seen += 4 * step
        write_state_json(tiny_params, "baseline", 0, resolution, folder, state, "key", seconds, cpu)
        save_checkpoint(folder / "checkpoint.safetensors", tiny_params, state)
    sha256 = hashlib.sha256((folder / "checkpoint.safetensors").read_bytes()).hexdigest()
    metrics = {"fid_clip": 7.25, "protocol": {"extractor": "clip", "checkpoint_sha256": sha256}}
    write_json(tmp_path / "seed0" / "metrics.json", metrics)
    return folder


def test_halves_are_rounded_once_and_take_their_history_along(
    trained: Path, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "released" / "small"
    export_model(str(trained), out, onnx=False, half=True)
    full, half = load_model(trained), load_model(out)
    _, tensors = read_tensors(out / "model.safetensors")
    for name, value in full.generator.state_dict().items():
        assert torch.equal(tensors[f"ema.{name}"], value.half())
        assert torch.equal(half.generator.state_dict()[name], value.half().float())
    # the picture is of the weights that are handed on
    export_model(str(out / "model.safetensors"), tmp_path / "again", onnx=False)
    assert (tmp_path / "again" / "samples.png").read_bytes() == (out / "samples.png").read_bytes()
    # training goes on from them
    state = initial_state(tiny_params, torch.device("cpu"), 1)
    load_weights(out / "model.safetensors", state, tiny_params)
    weights = state.generator.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in half.generator.state_dict().items())
    assert all(value.dtype == torch.float32 for value in weights.values())
    facts = json.loads((out / "training.json").read_text())
    assert facts.keys() == TrainingFacts.model_fields.keys()
    assert (facts["seconds"], facts["steps"], facts["images_seen"], facts["resolution"]) == (150.5, 11, 44, 16)
    assert facts["checkpoint_sha256"] == hashlib.sha256((trained / "checkpoint.safetensors").read_bytes()).hexdigest()
    assert (out / "metrics.json").read_bytes() == (trained.parent / "metrics.json").read_bytes()
    card = (out / "README.md").read_text()
    for told in ("ema, 16-bit floats", "before the weights were rounded", "| Time of training | 2 min 30 s |"):
        assert told in card
    # and of the copy only what its own card says
    assert {path.name for path in (tmp_path / "again").iterdir()} == {
        *("README.md", "config.json", "model.safetensors", "samples.png")
    }
    assert "exported from an exported model" in (tmp_path / "again" / "README.md").read_text()
    monkeypatch.setattr(released, "PLACE", out.parent)
    assert released_lines() == [f"small: 16 px; 2 min 30 s on {facts['device']}; 44 images seen; FID 7.25 (CLIP)"]


@pytest.mark.parametrize("what", ["a stage before is not there", "its state is of another checkpoint"])
def test_what_training_took_is_not_guessed(trained: Path, tmp_path: Path, what: str) -> None:
    if what.startswith("a stage"):
        (trained.parent / "r8" / "state.json").unlink()
    else:
        shutil.copy(trained.parent / "r8" / "checkpoint.safetensors", trained)
    export_model(str(trained), tmp_path / "out", onnx=False)
    assert not (tmp_path / "out" / "training.json").exists()
    assert (tmp_path / "out" / "metrics.json").exists() == what.startswith("a stage")
    assert "Time of training" not in (tmp_path / "out" / "README.md").read_text()


def test_weights_that_do_not_go_into_16_bits_are_refused(dense_run: Path) -> None:
    large = load_model(dense_run)
    large.generator.field.density_head.bias.fill_(1e5)
    with pytest.raises(PiganError, match=r"field\.density_head\.bias is too large for 16-bit floats; leave --half out"):
        rounded_to_half(large)


def test_the_folder_is_complete(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "field.onnx",
        "mapping.onnx",
        "metrics.json",
        "model.safetensors",
        "samples.png",
    }
    with Image.open(exported / "samples.png") as picture:
        assert picture.size[0] > 100
    config_read = json.loads((exported / "config.json").read_text())
    assert config_read["onnx"]["largest_difference"].keys() == {"code", "colour", "density"}
    assert config_read["model"]["field"] == "film-siren" and len(config_read["truncation"]["centre"]) == 48


def test_it_loads_and_shows_the_same_bits(run: Path, exported: Path) -> None:
    before, after = load_model(run), load_model(exported / "model.safetensors")
    z = before.latents([1, 2])
    cameras = before.cameras(yaw=torch.tensor([1.0, 2.0]))
    for psi in (1.0, 0.5):
        ours, theirs = (model.render(z, cameras, 8, psi) for model in (after, before))
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1].nan_to_num(), theirs[1].nan_to_num())
    _, tensors = read_tensors(exported / "model.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"ema"}


def test_the_card_tells_metrics_and_hashes(run: Path, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n", 2)[1])
    assert front["model-index"][0]["results"][0]["metrics"] == [
        {"type": "fid", "name": "FID (EfficientNet-Lite0)", "value": 99.5}
    ]
    for file in (run / "checkpoint.safetensors", exported / "model.safetensors"):
        assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert "runs/cars/baseline/seed0/r16/checkpoint.safetensors" in card


def test_nothing_tells_where_it_was_made(run: Path, exported: Path) -> None:
    for path in exported.iterdir():
        data = path.read_bytes()
        assert b"/home/somebody" not in data and str(run.parents[4]).encode() not in data, path.name
    assert describe(exported / "model.safetensors")["params"]["dataset"]["source"] == "secret"


def test_nor_does_the_model_it_started_from(tiny_params: config.Params, tmp_path: Path) -> None:
    start = {"training": {"pretrained": {"path": "/home/somebody/first.safetensors", "sha256": "ab" * 32}}}
    values = config.merge(tiny_params.model_dump(), start | {"arms": {"baseline": {}, "other": start}})
    public = public_params(config.parse(values)).model_dump()
    assert "somebody" not in str(public)
    for settings in (public, public["arms"]["other"]):
        assert settings["training"]["pretrained"] == {"path": "first.safetensors", "sha256": "ab" * 32}
    # which the card tells
    params, cpu = config.parse(values), torch.device("cpu")
    state = initial_state(params, cpu, 0)
    save_checkpoint(tmp_path / "checkpoint.safetensors", params, state)
    write_state_json(params, "baseline", 0, 16, tmp_path, state, "key", 0.0, cpu)
    export_model(str(tmp_path), tmp_path / "out", onnx=False)
    assert "| Started from | first.safetensors (abababababab) |" in (tmp_path / "out" / "README.md").read_text()


def test_metrics_of_another_checkpoint_are_left_out(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "seed0" / "r16")
    write_json(
        tmp_path / "seed0" / "metrics.json", {"fid_efficientnet_lite0": 1.0, "protocol": {"checkpoint_sha256": "0"}}
    )
    assert export_model(str(tmp_path / "seed0" / "r16"), tmp_path / "out", onnx=False) == {}
    card = (tmp_path / "out" / "README.md").read_text()
    assert "the metrics.json beside the model is of another checkpoint" in card and "model-index" not in card
    assert not (tmp_path / "out" / "field.onnx").exists()
    assert json.loads((tmp_path / "out" / "config.json").read_text())["onnx"] is None
    # once more over its own output
    export_model(str(tmp_path / "out" / "model.safetensors"), tmp_path / "out", title="again", onnx=False)
    assert "# again" in (tmp_path / "out" / "README.md").read_text()


def test_refused_before_anything_is_written(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(PiganError, match="mine: would be replaced, and holds what is no former output"):
        export_model(str(run), tmp_path / "mine", onnx=False)
    (tmp_path / "damaged" / "r16").mkdir(parents=True)
    shutil.copy(run / "checkpoint.safetensors", tmp_path / "damaged" / "r16")
    shutil.copy(run / "state.json", tmp_path / "damaged" / "r16")
    (tmp_path / "damaged" / "metrics.json").write_text('{"intervals": 3}')
    with pytest.raises(PiganError, match=r"metrics\.json: holds no metrics; run pigan evaluate again"):
        export_model(str(tmp_path / "damaged" / "r16"), tmp_path / "out", onnx=False)
    monkeypatch.setattr(onnx_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PiganError, match="ONNX needs onnx, onnxscript, onnxruntime: pip install"):
        export_model(str(run), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "damaged"}
