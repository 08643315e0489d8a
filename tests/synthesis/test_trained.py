"""Models found by name, file or folder."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pigan
from pigan import config
from pigan.errors import PiganError
from pigan.stages.train import init_stage
from pigan.synthesis.trained import TrainedModel, find_checkpoint, load_model


@pytest.fixture(scope="module")
def runs(tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of one arm and two seeds, where the stages put them."""
    root = tmp_path_factory.mktemp("models") / "runs"
    for seed in (0, 1):
        for stage in ("r8", "r16"):
            init_stage(tiny_params, "baseline", seed, root / "cars" / "baseline" / f"seed{seed}" / stage)
    return root


@pytest.fixture
def model(runs: Path) -> TrainedModel:
    return load_model(runs / "cars" / "baseline" / "seed0" / "r16")


@pytest.mark.parametrize("name", ["baseline", "cars/baseline", "baseline/seed0", "cars/baseline/seed0"])
def test_names_mean_the_evaluated_stage(
    name: str, runs: Path, tiny_params: config.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs.parent)
    stage = tiny_params.generate.checkpoint
    assert find_checkpoint(Path(name)) == Path(f"runs/cars/baseline/seed0/{stage}/checkpoint.safetensors")


def test_folders_and_files_mean_themselves(runs: Path) -> None:
    folder = runs / "cars" / "baseline" / "seed1" / "r8"
    assert find_checkpoint(folder) == find_checkpoint(folder / "checkpoint.safetensors")


def test_what_is_not_there_is_refused_in_one_line(runs: Path) -> None:
    with pytest.raises(PiganError, match=r"nothing: no model; name a checkpoint"):
        find_checkpoint(Path("nothing"), runs)


def test_latents_do_not_depend_on_their_company(model: TrainedModel) -> None:
    assert torch.equal(model.latents([3, 5])[1], model.latents(5)[0])
    assert not torch.equal(model.latents(3), model.latents(5))


def test_no_truncation_leaves_and_full_truncation_forgets(model: TrainedModel) -> None:
    z = model.latents([1, 2])
    assert torch.equal(model.codes(z), model.generator.mapping(z))
    one, other = model.codes(z, 0.0)
    torch.testing.assert_close(one, other)


def test_five_lines(runs: Path) -> None:
    model = pigan.load(runs / "cars" / "baseline" / "seed0")
    image, depth = model.render(model.latents([1, 2]), model.cameras(yaw=torch.tensor([1.0, 2.0])), resolution=8)
    assert image.shape == (2, 8, 8, 3) and depth.shape == (2, 8, 8)
    assert image.min() >= 0 and image.max() <= 1


def test_one_camera_serves_all_and_one_object_is_seen_from_all(model: TrainedModel) -> None:
    z, cameras = model.latents([1, 2]), model.cameras(yaw=torch.tensor([1.0, 2.0]))
    image, depth = model.render(z, cameras, resolution=8)
    from_one = model.render(z, model.cameras(yaw=1.0), resolution=8)[0]
    of_one = model.render(z[1:], cameras, resolution=8)[0]
    assert torch.equal(from_one[0], image[0]) and torch.equal(of_one[1], image[1])
    assert from_one.shape == of_one.shape == image.shape and depth.shape == (2, 8, 8)


def test_other_numbers_of_cameras_are_refused_in_one_line(model: TrainedModel) -> None:
    with pytest.raises(PiganError, match=r"^render: 3 latents and 2 cameras"):
        model.render(model.latents([1, 2, 3]), model.cameras(yaw=torch.tensor([1.0, 2.0])))


def test_notebooks_show_objects_and_facts(model: TrainedModel) -> None:
    page = model._repr_html_()
    assert page.startswith("<img src='data:image/png;base64,") and str(model.source) in page
    weights = sum(values.numel() for values in model.generator.parameters())
    assert f"{weights:,} weights" in page and page == model._repr_html_()
    assert repr(model).startswith(f"TrainedModel({str(model.source)!r}: {model.params.model.field}")


def test_public_names_are_there_and_light() -> None:
    assert set(pigan.__all__) <= set(dir(pigan))
    assert pigan.TrainedModel is TrainedModel and pigan.PiganError is PiganError
    assert all(getattr(pigan, name) is not None for name in pigan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pigan.nothing
    light = "import sys, pigan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0
