import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from pigan.evaluation.frechet import (
    Statistics,
    distance_at_infinity,
    distance_interval,
    distance_of_choice,
    factor,
    frechet_distance,
    project,
    statistics,
)


def rotation(rng, dimension):
    return np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]


def spread(rng, dimension, smallest=1e-2):
    """A random A, whose A A^T has variances from 1 down to `smallest`, as features have."""
    return rotation(rng, dimension) * np.sqrt(np.geomspace(1, smallest, dimension))


def drawn(rng, count, mixing, mean=0.0):
    return (rng.normal(size=(count, len(mixing))) @ mixing.T + mean).astype(np.float32)


def peer(generated, real):
    """The distance as torch-fidelity takes it."""
    fitted = [fid_features_to_statistics(torch.from_numpy(features).double()) for features in (generated, real)]
    return fid_statistics_to_metric(*fitted, verbose=False)["frechet_inception_distance"]


def test_distance_of_known_gaussians():
    first = Statistics(np.zeros(2), np.diag([1.0, 4.0]))
    second = Statistics(np.array([3.0, 0.0]), np.diag([4.0, 9.0]))
    # |mean difference|^2 + sum of (difference of standard deviations)^2
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 1)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("ranks", [(40, 40), (7, 40), (40, 11), (7, 11), (1, 0)])
def test_distance_of_commuting_gaussians_of_any_rank_has_a_closed_form(ranks):
    rng = np.random.default_rng(0)
    axes = rotation(rng, 40)
    deviations = [np.where(rng.permutation(40) < rank, np.geomspace(3, 1e-3, 40), 0) for rank in ranks]
    first, second = (Statistics(np.zeros(40), axes * deviation**2 @ axes.T) for deviation in deviations)
    expected = np.square(deviations[0] - deviations[1]).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)


def test_distance_of_gaussians_that_do_not_commute():
    # W^2 of N(0, S) and of its image N(0, A S A) under a symmetric positive A is tr (A - 1) S (A - 1)
    rng = np.random.default_rng(0)
    axes, mixing = rotation(rng, 30), spread(rng, 30)
    covariance, push = mixing @ mixing.T, axes * np.linspace(0.2, 4, 30) @ axes.T
    moved = Statistics(np.zeros(30), push @ covariance @ push)
    expected = np.trace((push - np.eye(30)) @ covariance @ (push - np.eye(30)))
    assert frechet_distance(moved, Statistics(np.zeros(30), covariance)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("count", "others"), [(400, 500), (60, 500), (60, 50)], ids=["full", "one low", "both low"])
def test_distance_agrees_with_torch_fidelity(count, others):
    rng = np.random.default_rng(0)
    generated = drawn(rng, count, spread(rng, 200, 1e-5), 0.2)
    real = drawn(rng, others, spread(rng, 200, 1e-5))
    assert frechet_distance(statistics(generated), statistics(real)) == pytest.approx(peer(generated, real), rel=1e-6)


def test_distance_of_a_set_with_itself_is_nothing():
    features = drawn(np.random.default_rng(0), 60, spread(np.random.default_rng(1), 200))
    assert frechet_distance(statistics(features), statistics(features)) < 1e-9


def test_statistics_are_the_unbiased_ones_in_double_precision():
    fitted = statistics(np.array([[0, 0], [2, 4]], dtype=np.float32))
    np.testing.assert_array_equal(fitted.mean, [1, 2])
    np.testing.assert_array_equal(fitted.covariance, [[2, 4], [4, 8]])
    assert fitted.mean.dtype == fitted.covariance.dtype == np.float64


@pytest.mark.parametrize("rank", [0, 1, 5, 30])
def test_a_factor_has_as_many_columns_as_the_rank(rank):
    rng = np.random.default_rng(rank)
    columns = rng.normal(size=(30, rank)) @ np.diag(np.geomspace(1, 1e-3, rank))
    root = factor(columns @ columns.T)
    assert root.shape == (30, max(1, rank))
    np.testing.assert_allclose(root @ root.T, columns @ columns.T, atol=1e-14)


@given(
    seed=st.integers(0, 2**32 - 1),
    dimension=st.integers(1, 12),
    counts=st.tuples(st.integers(2, 20), st.integers(2, 20)),
    mean=st.floats(-30, 30),
)
@settings(max_examples=60)
def test_distance_is_a_symmetric_one_that_knows_neither_order_nor_axes(seed, dimension, counts, mean):
    rng = np.random.default_rng(seed)
    generated = rng.normal(0, 2, (counts[0], dimension)) + mean
    real = rng.normal(0, 1, (counts[1], dimension))
    distance = frechet_distance(statistics(generated), statistics(real))
    close = {"rel": 1e-6, "abs": 1e-6}
    assert distance >= 0
    assert frechet_distance(statistics(real), statistics(generated)) == pytest.approx(distance, **close)
    assert frechet_distance(statistics(rng.permutation(generated)), statistics(real)) == pytest.approx(
        distance, **close
    )
    axes = rotation(rng, dimension)
    turned = frechet_distance(statistics(generated @ axes), statistics(real @ axes))
    assert turned == pytest.approx(distance, **close)


@given(
    seed=st.integers(0, 2**32 - 1),
    dimension=st.integers(1, 12),
    counts=st.tuples(st.integers(2, 40), st.integers(2, 20)),
    share=st.floats(0, 1),
)
@settings(max_examples=60)
def test_distance_of_a_choice_is_that_of_its_statistics(seed, dimension, counts, share):
    rng = np.random.default_rng(seed)
    generated = rng.normal(1, 2, (counts[0], dimension))
    real = statistics(rng.normal(size=(counts[1], dimension)))
    chosen = rng.permutation(counts[0])[: max(2, round(share * counts[0]))]
    expected = frechet_distance(statistics(generated[chosen]), real)
    assert distance_of_choice(project(generated, real), chosen) == pytest.approx(expected, rel=1e-6, abs=1e-6)


# more images than dimensions, as many, and fewer, where plain bootstraps say up to twice too much
@pytest.mark.parametrize(("count", "dimension"), [(160, 12), (48, 40), (32, 64)])
def test_intervals_cover_the_mean_distance_of_as_many_images(count, dimension):
    rng = np.random.default_rng(3)
    mixings = [spread(rng, dimension) for _ in range(2)]
    real = statistics(drawn(rng, 200, mixings[1]))
    distances, intervals = [], []
    for _ in range(120):
        projected = project(drawn(rng, count, mixings[0], 0.2), real)
        distances.append(distance_of_choice(projected, np.arange(count)))
        intervals.append(distance_interval(projected, distances[-1], 40, rng))
    low, high = np.array(intervals).T
    covered = ((low < np.mean(distances)) & (np.mean(distances) < high)).mean()
    assert 0.88 < covered <= 0.995
    assert np.mean(high - low) == pytest.approx(2 * 1.96 * np.std(distances), rel=0.2)


def test_resamples_with_replacement_do_not_even_hold_the_value():
    rng = np.random.default_rng(0)
    real = statistics(drawn(rng, 200, spread(rng, 40)))
    features = drawn(rng, 48, spread(rng, 40))
    value = frechet_distance(statistics(features), real)
    plain = [frechet_distance(statistics(features[rng.integers(48, size=48)]), real) for _ in range(40)]
    assert min(plain) > value
    low, high = distance_interval(project(features, real), value, 40, rng)
    assert low < value < high


@pytest.mark.parametrize(("count", "dimension"), [(300, 16), (128, 64), (96, 128)])
def test_distance_at_infinity_is_nearer_to_the_truth(count, dimension):
    rng = np.random.default_rng(0)
    mixings = [spread(rng, dimension) for _ in range(2)]
    law, real = (
        Statistics(np.full(dimension, mean), mixing @ mixing.T) for mean, mixing in zip((0.1, 0), mixings, strict=True)
    )
    truth = frechet_distance(law, real)
    plain, limits = [], []
    for _ in range(20):
        projected = project(drawn(rng, count, mixings[0], 0.1), real)
        plain.append(distance_of_choice(projected, np.arange(count)))
        limits.append(distance_at_infinity(projected, 10, rng))
    assert abs(np.mean(limits) - truth) < 0.4 * abs(np.mean(plain) - truth)


def test_distance_at_infinity_is_where_the_line_through_half_to_all_images_ends(monkeypatch):
    sizes = []

    def line(_, chosen):
        sizes.append(len(chosen))
        return 3.0 + 7.0 / len(chosen)

    monkeypatch.setattr("pigan.evaluation.frechet.distance_of_choice", line)
    rng = np.random.default_rng(0)
    projected = project(rng.normal(size=(40, 6)), statistics(rng.normal(size=(30, 6))))
    assert distance_at_infinity(projected, 5, rng) == pytest.approx(3)
    assert sizes == [20, 25, 30, 35, 40]


def test_resampling_is_seeded():
    rng = np.random.default_rng(0)
    projected = project(rng.normal(size=(20, 6)), statistics(rng.normal(size=(30, 6))))
    for resampled in (
        lambda seed: distance_interval(projected, 1.0, 5, np.random.default_rng(seed)),
        lambda seed: distance_at_infinity(projected, 5, np.random.default_rng(seed)),
    ):
        assert resampled(0) == resampled(0) != resampled(1)


def test_four_images_suffice_for_both():
    rng = np.random.default_rng(0)
    projected = project(rng.normal(size=(4, 6)), statistics(rng.normal(size=(30, 6))))
    assert np.isfinite(distance_interval(projected, 1.0, 5, rng)).all()
    assert np.isfinite(distance_at_infinity(projected, 10, rng))
