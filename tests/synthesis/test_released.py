"""Released models: whole, small, and showing what they showed when they were released.

After a model was replaced or added: python tests/synthesis/test_released.py
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pigan import cli, presets, released
from pigan.errors import PiganError
from pigan.kernels.choose import Numerics
from pigan.released import WEIGHTS
from pigan.synthesis.released import METRICS, TRAINING, released_folder, released_training
from pigan.synthesis.trained import find_checkpoint, load_model, params_of
from pigan.training.checkpoint import read_tensors

GOLDEN = Path(__file__).parent / "golden"
SEEDS, SIDE = [0, 1], 16
# of colours 0..1: less than two counts of a PNG, a hundred times what another processor's rounding makes
TOLERANCE = 5e-3
LARGEST_BYTES = 8e6
NAMES = released.names()


def rendered(name: str) -> np.ndarray:
    """Two objects as the model shows them from its usual camera."""
    model = load_model(name)
    return model.render(model.latents(SEEDS), model.cameras(), SIDE)[0].numpy()


def golden(name: str) -> np.ndarray:
    """The same when the model was released."""
    return np.load(GOLDEN / f"{name}.npy")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run here has the name."""
    monkeypatch.chdir(tmp_path)


def test_there_is_one() -> None:
    assert NAMES and {path.stem for path in GOLDEN.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_sealed_finite_and_16_bit(name: str) -> None:
    description, tensors = read_tensors(find_checkpoint(Path(name)))
    assert tensors and all(value.dtype == torch.float16 and value.isfinite().all() for value in tensors.values())
    assert description["exported"]["from"]["SHA-256 of the checkpoint"]


@pytest.mark.parametrize("name", sorted({*NAMES} & {*presets.NAMES}))
def test_the_preset_of_its_name_is_what_it_was_trained_with(name: str) -> None:
    trained, preset = params_of(find_checkpoint(Path(name))), presets.params(name)
    kept = {"dataset", "camera", "model", "curriculum", "training", "generate", "evaluate", "seeds"}
    values = [params.model_dump(include=kept) for params in (trained, preset)]
    for own in values:
        # how it was computed, not what
        del own["training"]["kernel"]
    assert values[0] == values[1]


@pytest.mark.parametrize("name", NAMES)
def test_it_shows_what_it_showed_when_it_was_released(name: str) -> None:
    expected = golden(name)
    # objects, not a background: then the tolerance sees another object
    assert expected.std() > 0.05 and np.abs(expected[0] - expected[1]).max() > 20 * TOLERANCE
    np.testing.assert_allclose(rendered(name), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_the_paths_of_every_precision_show_the_same_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(name)

    def shown(*numerics: Any) -> tuple[torch.Tensor, torch.Tensor]:
        monkeypatch.setattr("pigan.synthesis.viewing.rendering_numerics", lambda *_, **__: Numerics(*numerics))
        return model.render(model.latents([0, 1, 2, 3]), model.cameras(), 32)

    colour, depth = shown("plain", torch.float32)
    # in decibels; 54 is half a count of a PNG
    for dtype, least in ((torch.float32, 80), (torch.float16, 55), (torch.bfloat16, 45)):
        colour_here, depth_here = shown("folded", dtype)
        assert -10 * (colour_here - colour).square().mean().log10() > least
        assert (depth_here.isnan() != depth.isnan()).float().mean() < 2e-3
        assert (depth_here - depth).nanmean().abs() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_its_files_are_of_one_checkpoint_and_small(name: str) -> None:
    folder, training = released_folder(name), released_training(name)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST_BYTES
    assert {path.name for path in folder.iterdir()} - {METRICS} == {
        *(WEIGHTS, TRAINING, "config.json", "samples.png", "README.md")
    }
    assert training is not None and training.checkpoint_sha256 in card and "16-bit floats" in card
    about = read_tensors(folder / WEIGHTS)[0]
    assert about["exported"]["from"]["SHA-256 of the checkpoint"] == training.checkpoint_sha256
    assert about["counters"]["images_seen"] == training.images_seen > 0 and training.seconds > 0
    if (folder / METRICS).is_file():
        measured = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        assert measured["protocol"]["checkpoint_sha256"] == training.checkpoint_sha256
    else:
        assert "Not measured" in card


@pytest.mark.parametrize("name", NAMES)
def test_render_finds_it_from_anywhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = ("--seeds", "0,1", "--resolution", str(SIDE), "--truncation", "1", "--what", "colour", "--format", "npy")
    monkeypatch.setattr(sys, "argv", ["pigan", "render", "--model", name, "--device", "cpu", *call, "--out", "shown"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    torch.use_deterministic_algorithms(False)
    assert not left.value.code
    np.testing.assert_allclose(np.load(tmp_path / "shown" / "colour.npy"), golden(name), rtol=0, atol=TOLERANCE)


def test_a_run_here_comes_first(dense_run: Path) -> None:
    Path(NAMES[0]).symlink_to(dense_run)
    assert find_checkpoint(Path(NAMES[0])) == Path(NAMES[0]) / "checkpoint.safetensors"


def test_who_names_none_is_told_which_there_are() -> None:
    with pytest.raises(PiganError, match=rf"^cars-33: no model; .* or a released model: {', '.join(NAMES)}$"):
        find_checkpoint(Path("cars-33"))
    with pytest.raises(PiganError, match=rf"^\.\./cars: no released model; there are {', '.join(NAMES)}$"):
        released_folder("../cars")


def test_damaged_facts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pigan.released.PLACE", tmp_path)
    assert released.names() == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / WEIGHTS).touch()
    assert released.names() == ["mine"] and released_training("mine") is None
    (tmp_path / "mine" / TRAINING).write_text('{"device": "CPU"}')
    with pytest.raises(PiganError, match=r"training\.json: devices: not as pigan export writes it"):
        released_training("mine")


if __name__ == "__main__":
    for released_name in NAMES:
        GOLDEN.mkdir(exist_ok=True)
        np.save(GOLDEN / f"{released_name}.npy", rendered(released_name))
        print(f"wrote {GOLDEN / released_name}.npy")
