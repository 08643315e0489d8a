"""Pictures of rendered tensors, as notebooks show them."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pigan.errors import PiganError
from pigan.synthesis.pictures import GAP, TILE
from pigan.synthesis.showing import facts_page, show

# large enough that nothing is enlarged
SIDE = TILE


def test_every_view_stands_above_its_own_depth() -> None:
    colour = torch.linspace(0, 1, 3)[:, None, None, None].expand(3, SIDE, SIDE, 3)
    depth = torch.tensor([1.0, 2.0, torch.nan])[:, None, None].expand(3, SIDE, SIDE)
    sheet = np.asarray(show(colour, depth, columns=2))
    assert sheet.shape == (4 * (SIDE + GAP) - GAP, 2 * (SIDE + GAP) - GAP, 3)
    middles = sheet[SIDE // 2 :: SIDE + GAP, SIDE // 2 :: SIDE + GAP]
    # two views, their depths, the third view, its depth; what is missing in the last row is paper
    assert middles[0].tolist() == [[0] * 3, [128] * 3]
    assert middles[2].tolist() == [[255] * 3] * 2 and middles[3].tolist() == [[255] * 3] * 2
    near, far = middles[1].astype(int)
    assert near.sum() > far.sum()


def test_transparent_views_stay_transparent() -> None:
    colour = torch.zeros(2, SIDE, SIDE, 4)
    colour[1, ..., 3] = 0.5
    alpha = np.asarray(show(colour))[SIDE // 2, :, 3]
    assert alpha[SIDE // 2] == 0 and alpha[-1] == 128


def test_small_views_are_enlarged() -> None:
    assert show(torch.rand(1, 16, 16, 3)).size == (TILE, TILE)


@pytest.mark.parametrize(("count", "columns"), [(0, None), (2, 0)])
def test_nothing_to_show_is_one_line(count: int, columns: int | None) -> None:
    with pytest.raises(PiganError, match=r"^show: nothing to show"):
        show(torch.rand(count, 8, 8, 3), columns=columns)


def test_page_holds_the_picture_and_escapes_what_is_said() -> None:
    picture = show(torch.rand(2, 64, 64, 3))
    page = facts_page(picture, {"model": "<script>alert(1)</script>", "shown": "it's"})
    assert "<script>" not in page and "&lt;script&gt;" in page and "http" not in page
    found = re.search(r"base64,([^']*)'", page)
    assert found
    shown = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert np.array_equal(np.asarray(shown), np.asarray(picture))
