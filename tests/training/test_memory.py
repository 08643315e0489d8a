import pytest
import torch

from pigan.errors import PiganError
from pigan.training.memory import Tile, peak_bytes, tile_of

CPU = torch.device("cpu")


def limited(params, gigabytes):
    return params.model_copy(update={"training": params.training.model_copy(update={"memory_limit_gb": gigabytes})})


def test_tiles_are_equal_parts_of_an_image(tiny_params):
    tile = tile_of(tiny_params, 8, 4, CPU)
    assert tiny_params.model.points(8) == 8 * 8 * 4
    assert tiny_params.model.points(8) % tile.points == 0 and 1 <= tile.images <= 4


def test_lower_limits_give_smaller_tiles_and_keep_what_they_promise(tiny_params):
    whole = peak_bytes(tiny_params, 8, 4, tile_of(tiny_params, 8, 4, CPU), CPU) / 1e9
    least = peak_bytes(tiny_params, 8, 4, Tile(1, 1, False), CPU) / 1e9
    sizes = []
    # the last is too low for one whole image at a time
    for share in (1.0, 0.6, 0.3, 0.1):
        limit = least + share * (whole - least)
        tile = tile_of(limited(tiny_params, limit), 8, 4, CPU)
        assert peak_bytes(tiny_params, 8, 4, tile, CPU) <= limit * 1e9
        sizes.append(tile.images * tile.points)
    assert sizes[0] > sizes[1] > sizes[2] == tiny_params.model.points(8) > sizes[3]


def test_limit_below_the_least_is_told_with_what_it_takes(tiny_params):
    with pytest.raises(
        PiganError, match=r"memory_limit_gb: 0.00 GB is too little for 4 images of 8 px; set it to"
    ) as told:
        tile_of(limited(tiny_params, 1e-6), 8, 4, CPU)
    enough = float(str(told.value).split("set it to ")[1].split()[0])
    assert "or use a smaller batch_size" in str(told.value) and enough >= 0


def test_other_reading_takes_more_and_keeps_its_limit_too(tiny_params):
    usual = peak_bytes(tiny_params, 8, 4, Tile(4, 64), CPU)
    judge = tiny_params.model.discriminator.model_copy(update={"kind": "patch-pose"})
    for change in ({"field": "sincos-concat"}, {"discriminator": judge}, {"field": "embedding-siren"}):
        params = tiny_params.model_copy(update={"model": tiny_params.model.model_copy(update=change)})
        whole = peak_bytes(params, 8, 4, Tile(4, 64), CPU)
        assert whole > usual
        limit = whole / 1e9
        assert peak_bytes(params, 8, 4, tile_of(limited(params, limit), 8, 4, CPU), CPU) <= whole


def test_feature_cube_counts_with_all_its_copies(tiny_params):
    sizes = []
    for side in (10, 20):
        change = {"field": "embedding-siren", "features": 3, "embedding_side": side}
        params = tiny_params.model_copy(update={"model": tiny_params.model.model_copy(update=change)})
        sizes.append(peak_bytes(params, 8, 4, Tile(4, 64), CPU))
    # itself, its gradient, two moments, two averages, its table, and a tile's gradients of table and cube
    assert sizes[1] - sizes[0] == 9 * 4 * 3 * (20**3 - 10**3)


def test_tile_does_not_depend_on_what_else_uses_the_memory(tiny_params):
    ballast = torch.zeros(1 << 20)
    assert tile_of(tiny_params, 8, 4, CPU) == tile_of(tiny_params, 8, 4, CPU)
    assert ballast.sum() == 0
