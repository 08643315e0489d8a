"""generate as one call: every file, what it says of itself, and why a part is missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pigan import config
from pigan.data.crop import crop
from pigan.data.sources.download import download
from pigan.errors import PiganError
from pigan.stages.generate import generate_stage
from pigan.stages.train import init_stage

FILES = {
    *("images_16.npy", "depth_16.npy", "cameras.npz", "geometry.npz", "consistency.npz", "pairs.npz", "inversion.npz"),
    *("pose.npz", "snapshots", "generated.json", "samples.png", "truncation.png", "views.png", "depth.png"),
    *("depth.json", "explorer.jpg", "explorer.json", "interpolation.jpg", "interpolation.json"),
    *("truncation.jpg", "truncation.json", "turntable.mp4", "turntable.png", "mesh.json", "mesh.png"),
}


@pytest.fixture(scope="module")
def params(tiny_params: config.Params) -> config.Params:
    return config.parse(config.merge(tiny_params.model_dump(), {"training": {"pose_weight": 1.0}}))


@pytest.fixture(scope="module")
def project(params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data, and untrained weights in the place of trained ones."""
    folder = tmp_path_factory.mktemp("project")
    download(params, folder / "raw")
    crop(params, folder / "raw", folder / "cars")
    init_stage(params, "baseline", 0, folder / "model")
    return folder


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    yield
    # stages ask for deterministic algorithms for the whole process
    torch.use_deterministic_algorithms(False)


def generate(params: config.Params, project: Path, out: str, **options: Any) -> Path:
    generate_stage(params, "baseline", 0, project / "model", project / "cars", project / out, "cpu", **options)
    return project / out


def test_everything_is_written_and_described(params: config.Params, project: Path) -> None:
    out = generate(params, project, "whole")
    assert {path.name for path in out.iterdir()} == FILES
    told = json.loads((out / "generated.json").read_text())
    # what was never trained is nowhere dense
    assert set(told["missing"]) == {"mesh"} and told["missing"]["mesh"].startswith("no surface at level")
    assert json.loads((out / "mesh.json").read_text()) == {"reason": told["missing"]["mesh"]}
    assert told["images"] == 10 and told["devices"] == 1
    parts = {"images", "consistency", "pairs", "snapshots", "inversion", "pose", "pictures", "sweeps", "turntable"}
    parts.add("mesh")
    assert set(told["seconds_of_parts"]) == parts and told["seconds"] == told["seconds_of_parts"]["images"]
    sampling = told["sampling"]
    assert sampling["camera"] == params.camera.model_dump()
    assert (sampling["weights"], sampling["truncation"], sampling["background"]) == ("ema", 1.0, "white")
    assert (sampling["samples"], sampling["samples_multiplier"], sampling["hierarchical"]) == (4, 1, False)
    assert (sampling["precision"], sampling["kernel"], sampling["seed"]) == ("float32", "folded", 1)
    history = json.loads((out / "snapshots/index.json").read_text())["snapshots"]
    assert [entry["step"] for entry in history] == [0]


def test_parts_that_cannot_be_made_are_missing_with_a_reason(params: config.Params, project: Path) -> None:
    changes = {"training": {"pose_weight": 0.0}, "generate": {"inversion": {"views": 0}}}
    out = generate(config.parse(config.merge(params.model_dump(), changes)), project, "less")
    assert {path.name for path in out.iterdir()} == FILES - {"inversion.npz", "pose.npz"}
    missing = json.loads((out / "generated.json").read_text())["missing"]
    assert missing.pop("mesh").startswith("no surface at level")
    assert missing == {
        "inversion": "generate.inversion.views is 0",
        "pose": "training.pose_weight is 0, so the encoder never learned poses",
    }


def test_again_it_is_the_same(params: config.Params, project: Path) -> None:
    first, second = (generate(params, project, name) for name in ("first", "second"))
    for path in first.glob("*.npy"):
        assert path.read_bytes() == (second / path.name).read_bytes()
    for path in first.glob("*.npz"):
        with np.load(path) as ours, np.load(second / path.name) as theirs:
            assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours.files), path.name


def test_what_is_not_there_is_one_line(params: config.Params, project: Path) -> None:
    with pytest.raises(PiganError, match="--gpus 3") as no_gpus:
        generate(params, project, "none", gpus=3)
    with pytest.raises(PiganError, match="run `pigan crop") as no_data:
        generate_stage(params, "baseline", 0, project / "model", project / "x", project / "none", "cpu")
    with pytest.raises(PiganError, match="run `pigan train`") as no_model:
        generate_stage(params, "baseline", 0, project / "x", project / "cars", project / "none", "cpu")
    assert all("\n" not in str(error.value) for error in (no_gpus, no_data, no_model))
    assert not (project / "none").exists()
