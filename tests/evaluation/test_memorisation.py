import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from pigan.evaluation import memorisation as module
from pigan.evaluation.memorisation import closest, memorisation, nearest


def drawn(rng, count, dimension=6):
    return rng.normal(size=(count, dimension)).astype(np.float32)


def to_training(features, training):
    return nearest(features, training, 1).distances[:, 0]


@pytest.mark.parametrize("chunk", [4, 1024])
def test_nearest_are_those_of_the_whole_distance_matrix(monkeypatch, chunk):
    monkeypatch.setattr(module, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    features, others = drawn(rng, 13), drawn(rng, 40)
    found = nearest(features, others, 3)
    whole = cdist(features.astype(np.float64), others.astype(np.float64))
    np.testing.assert_array_equal(found.indices, np.argsort(whole, axis=1)[:, :3])
    np.testing.assert_allclose(found.distances, np.sort(whole, axis=1)[:, :3])


def test_a_copy_is_at_distance_nought_even_far_from_the_origin():
    training = drawn(np.random.default_rng(0), 20) + np.float32(1000)
    found = nearest(training[[7, 3]], training, 2)
    np.testing.assert_array_equal(found.indices[:, 0], [7, 3])
    np.testing.assert_array_equal(found.distances[:, 0], [0, 0])
    assert (found.distances[:, 1] > 0).all()


def test_no_more_neighbours_than_there_are_and_none_of_nothing():
    rng = np.random.default_rng(0)
    assert nearest(drawn(rng, 5), drawn(rng, 2), 9).indices.shape == (5, 2)
    assert nearest(drawn(rng, 0), drawn(rng, 2), 1).distances.shape == (0, 1)


def test_closest_are_the_likeliest_copies_in_order():
    training = np.zeros((1, 2), np.float32)
    features = np.array([[3, 0], [1, 0], [2, 0], [0, 1]], np.float32)
    np.testing.assert_array_equal(closest(nearest(features, training, 1), 3), [1, 3, 2])
    # equally near ones in the order of the features
    twice = np.tile(features[1:3], (150, 1))
    np.testing.assert_array_equal(closest(nearest(twice, training, 1), 150), np.arange(0, 300, 2))


def test_probability_is_the_mann_whitney_statistic():
    rng = np.random.default_rng(0)
    # whole numbers tie
    generated, held_out = (rng.integers(0, high, count).astype(float) for high, count in ((9, 40), (12, 30)))
    found = memorisation(generated, held_out)
    expected = mannwhitneyu(held_out, generated).statistic / (40 * 30)
    assert found.probability == pytest.approx(expected)
    pairs = (generated[:, None] < held_out).mean() + (generated[:, None] == held_out).mean() / 2
    assert found.probability == pytest.approx(pairs)


@pytest.mark.parametrize("held_out", [(2.0, 7.0), (2.5, 2.5, 9.0), (1.0, 4.0, 5.0, 6.0)])
def test_interval_is_delongs_from_two_images_a_side(held_out):
    generated = np.array([1.0, 4.0])
    held_out = np.array(held_out)
    nearer = (generated[:, None] < held_out) + 0.5 * (generated[:, None] == held_out)
    deviation = np.sqrt(sum(nearer.mean(axis).var(ddof=1) / len(nearer.mean(axis)) for axis in (0, 1)))
    expected = np.clip(nearer.mean() + 1.959964 * deviation * np.array([-1, 1]), 0, 1)
    assert memorisation(generated, held_out).interval == pytest.approx(tuple(expected))


def test_copies_new_images_and_strangers():
    rng = np.random.default_rng(0)
    training, held_out, new = drawn(rng, 200), drawn(rng, 80), drawn(rng, 80)
    copies = training[:80] + 0.01 * drawn(rng, 80)
    beside = to_training(held_out, training)
    of_copies, of_new, of_strangers = (
        memorisation(to_training(features, training), beside) for features in (copies, new, new + np.float32(9))
    )
    assert of_copies.probability == 1
    low, high = of_new.interval
    assert low < 0.5 < high and high - low < 0.25
    assert of_strangers.probability == 0
    assert of_copies.interval == (1, 1)


def test_intervals_cover_the_true_probability():
    # P(X < Y) of two normal distributions, one deviation apart
    rng, truth = np.random.default_rng(0), 0.760250
    found = [memorisation(rng.normal(0, 1, 60), rng.normal(1, 1, 40)).interval for _ in range(400)]
    assert 0.92 <= np.mean([low < truth < high for low, high in found]) <= 0.98


def test_without_held_out_images_there_is_no_answer():
    assert memorisation(np.ones(4), np.ones(0)) is None
    alone = memorisation(np.ones(4), np.ones(1))
    assert (alone.probability, alone.interval) == (0.5, None)
