import numpy as np
import pytest
from torch_fidelity.metric_kid import mmd2

from pigan.evaluation import kid
from pigan.evaluation.kid import (
    KernelDistance,
    jackknife_deviation,
    kernel_distance,
    kernel_interval,
    kernel_sums,
)


def drawn(rng, count, mean=0.0, dimension=8):
    return rng.normal(mean, 1, (count, dimension)).astype(np.float32)


def kernel(first, second):
    return (first.astype(np.float64) @ second.T.astype(np.float64) / first.shape[1] + 1) ** 3


def brute_mmd(generated, real):
    n, m = len(generated), len(real)
    own, others = kernel(generated, generated), kernel(real, real)
    within = (own.sum() - np.trace(own)) / (n * (n - 1)) + (others.sum() - np.trace(others)) / (m * (m - 1))
    return within - 2 * kernel(generated, real).mean()


def squared_mmd(sums):
    n, m = len(sums.generated), len(sums.real)
    within = sums.generated.sum() / (n * (n - 1)) + sums.real.sum() / (m * (m - 1))
    return within - 2 * sums.generated_to_real.sum() / (n * m)


def left_out(features):
    return [np.delete(features, index, axis=0) for index in range(len(features))]


def test_distance_is_seeded_and_grows_with_the_difference():
    rng = np.random.default_rng(0)
    real, same, other = (drawn(rng, 40, mean) for mean in (0, 0, 1))
    near, far = (kernel_distance(features, real, 5, 20, 0).mean for features in (same, other))
    assert abs(near) < 0.2 * far
    assert kernel_distance(other, real, 5, 20, 0).mean == far
    assert kernel_distance(other, real, 5, 20, 1).mean != far


def test_distance_says_which_subset_size_it_used():
    rng = np.random.default_rng(0)
    real, few = drawn(rng, 30), drawn(rng, 12)
    assert kernel_distance(few, real, 3, 1000, 0).subset_size == 12
    assert kernel_distance(few, real, 3, 10, 0).subset_size == 10


@pytest.mark.parametrize("chunk", [3, 1024])
def test_sums_give_the_unbiased_squared_mmd(monkeypatch, chunk):
    monkeypatch.setattr(kid, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    generated, real = drawn(rng, 11, 0.5), drawn(rng, 11)
    found = squared_mmd(kernel_sums(generated, real))
    assert found == pytest.approx(brute_mmd(generated, real), rel=1e-5)
    kernels = [kernel(*sides) for sides in ((generated, generated), (generated, real), (real, real))]
    assert found == pytest.approx(mmd2(*kernels), rel=1e-5)


@pytest.mark.parametrize("counts", [(9, 14), (14, 9), (3, 3)])
def test_jackknife_is_that_of_leaving_every_image_out(counts):
    rng = np.random.default_rng(0)
    generated, real = drawn(rng, counts[0], 0.5), drawn(rng, counts[1])
    sides = (
        [brute_mmd(fewer, real) for fewer in left_out(generated)],
        [brute_mmd(generated, fewer) for fewer in left_out(real)],
    )
    expected = np.sqrt(sum((len(values) - 1) * np.var(values) for values in sides))
    assert jackknife_deviation(kernel_sums(generated, real)) == pytest.approx(expected, rel=1e-4)


def test_intervals_cover_the_true_distance():
    rng = np.random.default_rng(0)
    truth = squared_mmd(kernel_sums(drawn(rng, 6000, 0.4), drawn(rng, 6000)))
    covered = []
    for _ in range(150):
        generated, real = drawn(rng, 60, 0.4), drawn(rng, 80)
        found = kernel_distance(generated, real, 10, 40, 0)
        low, high = kernel_interval(generated, real, found)
        assert low < found.mean < high
        covered.append(low < truth < high)
    assert 0.9 <= np.mean(covered) <= 0.99


def test_interval_adds_the_variances_of_images_and_of_subsets():
    rng = np.random.default_rng(0)
    generated, real = drawn(rng, 9, 0.4), drawn(rng, 12)
    low, high = kernel_interval(generated, real, KernelDistance(mean=2.0, std=0.6, subsets=16, subset_size=5))
    deviation = np.hypot(jackknife_deviation(kernel_sums(generated, real)), 0.6 / 4)
    assert ((low + high) / 2, (high - low) / 2) == pytest.approx((2, 1.959964 * deviation))


def test_interval_shrinks_with_more_images_and_subsets():
    rng = np.random.default_rng(0)
    generated, real = drawn(rng, 400, 0.4), drawn(rng, 400)

    def width(count, subsets):
        found = kernel_distance(generated[:count], real[:count], subsets, 30, 0)
        low, high = kernel_interval(generated[:count], real[:count], found)
        return high - low

    assert width(400, 50) < 0.7 * width(100, 50)
    assert width(400, 50) < width(400, 2)
