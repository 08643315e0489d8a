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

from pigan import config
from pigan.cli import app
from pigan.errors import PiganError
from pigan.files import write_json
from pigan.report.handout import export_model
from pigan.stages.train import init_stage
from pigan.synthesis import onnx_files
from pigan.synthesis.trained import load_model
from pigan.training.checkpoint import describe, read_tensors


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


def test_the_folder_is_complete(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "field.onnx",
        "mapping.onnx",
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
    with pytest.raises(PiganError, match="mine: is there and no exported model; name a new folder"):
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
