import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.errors import PiganError
from pigan.evaluation.depth import align_scale_shift, errors_against_truth, normal_error, psnr, zscore_mse

FOV = math.radians(30)


def dome(side=16):
    """z-depth of a bump before nothing."""
    down, right = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    square = down**2 + right**2
    return np.where(square < 0.8, 1 - 0.2 * np.sqrt(np.clip(1 - square, 0, None)), np.nan)


def wall(slope, side=9):
    """z-depth of the plane z = -(1 + slope * x) in camera space."""
    across = ((np.arange(side) + 0.5) / side * 2 - 1) * math.tan(FOV / 2)
    # depth d at x = d * across: d = 1 + slope * d * across
    return np.broadcast_to(1 / (1 - slope * across), (side, side)).copy()


def errors(predicted, truth):
    maps = (np.array([depth], np.float32) for depth in (predicted, truth))
    return errors_against_truth(*maps, np.array([FOV], np.float32))


@given(st.floats(0.01, 100), st.floats(-10, 10))
def test_alignment_undoes_any_scale_and_shift(scale, shift):
    truth = np.random.default_rng(0).uniform(0.8, 1.2, (6, 6))
    predicted = (truth - shift) / scale
    predicted[0, 0] = np.nan
    aligned = align_scale_shift(predicted, truth)
    assert np.isnan(aligned[0, 0])
    np.testing.assert_allclose(aligned.ravel()[1:], truth.ravel()[1:], rtol=0, atol=1e-6)


def test_alignment_is_least_squares():
    random = np.random.default_rng(1)
    truth = random.uniform(0.8, 1.2, (6, 6))
    predicted = 2 * truth + random.normal(0, 0.1, truth.shape)
    scale, shift = np.polyfit(predicted.ravel(), truth.ravel(), 1)
    np.testing.assert_allclose(align_scale_shift(predicted, truth), scale * predicted + shift)


def test_a_hollow_shape_is_not_turned_inside_out():
    truth = dome()
    for predicted in (2 - truth, np.where(np.isnan(truth), truth, 1.0), -truth):
        aligned = align_scale_shift(predicted, truth)
        np.testing.assert_allclose(aligned[np.isfinite(aligned)], np.nanmean(truth))


def test_truth_has_no_errors_however_scaled_and_shifted():
    for predicted in (dome(), 3 * dome() - 1):
        found = errors(predicted, dome())
        assert found.rmse.value == pytest.approx(0, abs=1e-6)
        assert found.abs_rel.value == pytest.approx(0, abs=1e-6)
        assert found.delta.value == 1
        assert found.zscore_mse.value == pytest.approx(0, abs=1e-9)
        assert found.normal_error.value == pytest.approx(0, abs=0.01)


def test_a_flat_card_and_a_hollow_shape_have_the_errors_that_are_documented():
    truth = dome()
    flat, hollow = errors(np.ones_like(truth), truth), errors(2 - truth, truth)
    for found in (flat, hollow):
        assert found.rmse.value == pytest.approx(np.nanstd(truth), rel=1e-5)
        assert found.normal_error.value > 20
    assert flat.zscore_mse.value == pytest.approx(1, rel=1e-5)
    assert hollow.zscore_mse.value == pytest.approx(4, rel=1e-5)


def test_errors_by_hand():
    # 16 pixels; the correlation of both is that of the pattern
    truth = np.tile([1.0, 2.0], (4, 2))
    predicted = np.tile([1.0, 2.0, 1.0, 1.0], (4, 1))
    found = errors(predicted, truth)
    # least squares: where 2 is said it is 2, where 1 is said the mean is 4 / 3
    assert found.rmse.value == pytest.approx(math.sqrt((2 * (1 / 3) ** 2 + (2 / 3) ** 2) / 4))
    assert found.abs_rel.value == pytest.approx((1 / 3 + 1 / 3 + 1 / 3) / 4)
    assert found.delta.value == pytest.approx(0.25)


def test_only_what_is_inside_both_counts_and_empty_views_are_left_out():
    truth = np.stack([dome(), np.full((16, 16), np.nan)]).astype(np.float32)
    predicted = truth.copy()
    predicted[np.isnan(predicted)] = 7
    found = errors_against_truth(predicted, truth, np.full(2, FOV, np.float32))
    assert found.rmse.value == pytest.approx(0, abs=1e-6)
    assert found.rmse.interval is None
    assert errors_against_truth(predicted[1:], truth[1:], np.full(1, FOV, np.float32)) is None


def test_the_interval_is_over_views():
    truth = np.stack([dome()] * 3).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.02, truth.shape).astype(np.float32)
    found = errors_against_truth(truth + noise, truth, np.full(3, FOV, np.float32))
    for estimate in (found.rmse, found.abs_rel, found.zscore_mse, found.normal_error):
        low, high = estimate.interval
        assert low < estimate.value < high


def test_zscores_of_independent_noise_differ_by_two():
    random = np.random.default_rng(0)
    assert zscore_mse(*random.normal(size=(2, 300, 300))) == pytest.approx(2, rel=0.02)
    assert math.isnan(zscore_mse(np.full((2, 2), np.nan), np.ones((2, 2))))


def test_normals_of_walls_are_exact():
    # normals are (slope, 0, 1) / length: 45 degrees apart
    assert normal_error(wall(1.0), wall(0.0), FOV) == pytest.approx(45, rel=1e-6)
    assert normal_error(wall(1.0), wall(-1.0), FOV) == pytest.approx(90, rel=1e-6)
    assert math.isnan(normal_error(np.full((4, 4), np.nan), np.ones((4, 4)), FOV))


def test_a_pixel_and_its_four_neighbours_have_a_normal():
    cross = np.where([[0, 1, 0], [1, 1, 1], [0, 1, 0]], wall(1.0, 3), np.nan)
    assert normal_error(cross, wall(0.0, 3), FOV) == pytest.approx(45, rel=1e-6)
    for gap in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
        less = cross.copy()
        less[gap] = np.nan
        assert math.isnan(normal_error(less, wall(0.0, 3), FOV))


def test_psnr_by_hand_and_of_equal_images():
    target = np.zeros((2, 4, 4, 3), np.uint8)
    off = target + np.array([5, 51], np.uint8)[:, None, None, None]
    found = psnr(off, target)
    assert found.value == pytest.approx((20 * math.log10(51) + 20 * math.log10(5)) / 2)
    equal = psnr(target[:1], target[:1])
    assert equal.value == pytest.approx(10 * math.log10(255**2 * 48))
    one = target[:1].copy()
    one[0, 0, 0, 0] = 1
    assert psnr(one, target[:1]).value == pytest.approx(equal.value)
    assert psnr(target[:0], target[:0]) is None


def test_depth_without_common_pixels_is_a_clear_error():
    with pytest.raises(PiganError, match="fewer than two pixels"):
        align_scale_shift(np.full((2, 2), np.nan), np.ones((2, 2)))
    with pytest.raises(PiganError, match="fewer than two pixels"):
        align_scale_shift(np.array([[1.0, np.nan]]), np.array([[2.0, 4.0]]))
    assert align_scale_shift(np.array([[1.0, 2.0]]), np.array([[2.0, 4.0]])).tolist() == [[2, 4]]
