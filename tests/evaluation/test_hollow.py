import numpy as np
import pytest

from pigan.evaluation.geometry import SURFACE_PIXELS
from pigan.evaluation.hollow import empty_rays, empty_rays_real, hollow_share, relief

SIDE = 24
DOWN, RIGHT = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1


def dome(height=0.2, lean=0.0, radius=0.8):
    """A bump that leans: its lower rim is nearer by `lean` than its middle."""
    square = DOWN**2 + RIGHT**2
    return np.where(square < radius**2, 1 - height * np.sqrt(np.clip(1 - square, 0, None)) - lean * DOWN, np.nan)


@pytest.mark.parametrize("lean", [-3.0, 0.0, 0.3, 3.0])
def test_a_bump_has_relief_and_its_mirror_image_the_opposite(lean):
    bump = relief(dome(lean=lean))
    assert bump > 0.8
    assert relief(-dome(lean=lean)) == pytest.approx(-bump)


def test_relief_does_not_depend_on_the_unit_of_depth():
    assert relief(40 * dome() + 3) == pytest.approx(relief(dome()), rel=1e-9)


def test_a_leaning_card_is_flat():
    assert relief(dome(height=0.0)) == 0
    assert relief(dome(height=0.0, lean=0.3)) == 0
    assert relief(dome(height=0.0, lean=0.3).astype(np.float32)) == 0


def test_a_flat_card_is_not_hollow():
    found = hollow_share(np.stack([dome(height=0.0), dome(height=0.0, lean=0.3), -dome()]))
    assert found.share.value == pytest.approx(1 / 3)


def test_an_object_that_fills_the_image_ends_at_its_edge():
    full = np.maximum(np.abs(DOWN), np.abs(RIGHT))
    assert relief(1 + full) > 0.8
    assert relief(1 - full) < -0.8


def test_too_few_pixels_say_nothing():
    few = np.full((SIDE, SIDE), np.nan)
    few.ravel()[: SURFACE_PIXELS - 1] = 1
    assert relief(few) is None
    assert hollow_share(few[None]) is None
    assert hollow_share(np.empty((0, SIDE, SIDE))) is None


def test_the_share_is_of_the_objects_that_can_be_seen():
    nothing = np.full((SIDE, SIDE), np.nan)
    found = hollow_share(np.stack([dome(), -dome(), dome(), nothing, dome()]))
    assert found.share.value == 0.25
    low, high = found.share.interval
    assert 0 < low < 0.25 < high < 1
    assert found.relief == pytest.approx(relief(dome()) / 2)
    # a share of 0 in 4 is no proof of 0
    assert hollow_share(np.stack([dome()] * 4)).share.interval[1] > 0.2


def test_empty_rays():
    assert empty_rays(np.array([0.25, 0.75, np.nan])).value == 0.5
    assert empty_rays(np.array([np.nan])) is None
    maps = np.ones((2, 2, 2), np.float32)
    maps[0, 0] = np.nan
    assert empty_rays_real(maps).value == 0.25
    assert empty_rays_real(maps[:0]) is None
