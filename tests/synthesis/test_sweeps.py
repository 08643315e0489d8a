import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pigan import config
from pigan.files import sha256_file
from pigan.models.generator import Generator
from pigan.synthesis import sweeps
from pigan.synthesis.pictures import STRIP_LATENTS, front_yaw, save_image
from pigan.synthesis.sweeps import LATENTS, PSIS, TRUNCATED_OBJECTS, between, write_sweeps
from pigan.synthesis.views import draw_codes, render_views, usual_pitch

SIDE = 16
FILES = ["interpolation.jpg", "interpolation.json", "truncation.jpg", "truncation.json"]


@pytest.fixture
def sprites(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, np.ndarray]:
    """The pixels of both sprites, before they are enlarged and compressed."""
    saved: dict[str, np.ndarray] = {}

    def spy(path: Path, pixels: np.ndarray, scale: int = 1) -> None:
        saved[path.stem] = pixels
        save_image(path, pixels, scale)

    monkeypatch.setattr(sweeps, "save_image", spy)
    write_sweeps(generator, tiny_params, tmp_path)
    return saved


def seen(generator: Generator, params: config.Params, code: torch.Tensor) -> np.ndarray:
    yaw, pitch = torch.tensor([front_yaw(params.camera)]), torch.tensor([usual_pitch(params.camera)])
    return render_views(generator, code, yaw, pitch, SIDE, params).images[0].astype(int)


def test_between_goes_straight_and_round() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    path = between(corners, [0.0, 0.25, 1.0, 1.5, 2.5])
    assert torch.allclose(path, torch.tensor([[0.0, 0.0], [0.25, 0.0], [1.0, 0.0], [1.0, 0.5], [0.5, 0.5]]))


def test_sprites_are_as_large_as_they_say(sprites: dict[str, np.ndarray], tmp_path: Path) -> None:
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    for name, tiles, frames in (("truncation", TRUNCATED_OBJECTS, 11), ("interpolation", 1, 24)):
        told = json.loads((tmp_path / f"{name}.json").read_text())
        assert (told["tiles"], told["tile"], len(told["places"])) == (tiles, 128, frames)
        with Image.open(tmp_path / f"{name}.jpg") as image:
            assert image.size == (tiles * 128, frames * 128)
        assert sprites[name].shape == (frames * SIDE, tiles * SIDE, 3)


def test_truncation_leads_from_the_average_object_to_the_untruncated_ones(
    sprites: dict[str, np.ndarray], generator: Generator, tiny_params: config.Params
) -> None:
    frames = sprites["truncation"].reshape(len(PSIS), SIDE, TRUNCATED_OBJECTS, SIDE, 3).swapaxes(1, 2).astype(int)
    assert np.abs(frames[0] - frames[0][:1]).max() <= 1
    code = draw_codes(generator, STRIP_LATENTS, 1.0, tiny_params, "strip")
    for tile in range(TRUNCATED_OBJECTS):
        assert np.abs(frames[-1, tile] - seen(generator, tiny_params, code[tile : tile + 1])).max() <= 1
    apart = frames.std(axis=1).mean(axis=(1, 2, 3))
    assert apart[0] < apart[5] < apart[10]


def test_interpolation_comes_by_every_latent_of_the_strip(
    sprites: dict[str, np.ndarray], generator: Generator, tiny_params: config.Params, tmp_path: Path
) -> None:
    frames = sprites["interpolation"].reshape(-1, SIDE, SIDE, 3).astype(int)
    psi = tiny_params.generate.sheet_truncation
    code = draw_codes(generator, STRIP_LATENTS, psi, tiny_params, "strip")
    places = json.loads((tmp_path / "interpolation.json").read_text())["places"]
    for latent in range(LATENTS):
        alone = seen(generator, tiny_params, code[latent : latent + 1])
        assert np.abs(frames[places.index(latent)] - alone).max() <= 1
    half = seen(generator, tiny_params, (code[3:4] + code[:1]) / 2)
    assert np.abs(frames[places.index(3.5)] - half).max() <= 1


def test_again_they_are_the_same(
    sprites: dict[str, np.ndarray], generator: Generator, tiny_params: config.Params, tmp_path: Path
) -> None:
    before = {name: sha256_file(tmp_path / name) for name in FILES}
    write_sweeps(generator, tiny_params, tmp_path)
    assert before == {name: sha256_file(tmp_path / name) for name in FILES}
