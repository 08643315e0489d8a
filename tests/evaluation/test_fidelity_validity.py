"""Whether the metrics say what they should of real images: views of the embedded cars under real features."""

import io
import math
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from pigan.data.cars.raytrace import render
from pigan.data.cars.shape import sample_car
from pigan.evaluation.extractors import EfficientNetLite0
from pigan.evaluation.fidelity import precision_recall
from pigan.evaluation.frechet import distance_at_infinity, frechet_distance, project, statistics
from pigan.evaluation.kid import kernel_distance
from pigan.evaluation.memorisation import closest, memorisation, nearest
from pigan.rendering.cameras import look_at_origin

COUNT, SIDE, FOV = 48, 32, math.radians(30)
# standard deviations, of 0..255
NOISE = (6, 20, 60)


@cache
def network():
    return EfficientNetLite0()


def features_of(images):
    with torch.inference_mode():
        (found,) = network()(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2))
    return found.numpy()


def cars(seed, count=COUNT):
    rng = np.random.default_rng(seed)
    views = []
    for _ in range(count):
        scene = sample_car(rng, math.sin(FOV / 2))
        angles = torch.tensor([rng.uniform(0, 2 * math.pi), rng.uniform(0.8, 1.4)], dtype=torch.float64)
        views.append(render(scene, look_at_origin(*angles, 1.0).numpy(), FOV, SIDE, 2)[0])
    return np.stack(views)


@pytest.fixture(scope="module")
def images():
    return cars(0)


@pytest.fixture(scope="module")
def real(images):
    return features_of(images)


@pytest.fixture(scope="module")
def others():
    return cars(1)


@pytest.fixture(scope="module")
def fresh(others):
    return features_of(others)


def fid(generated, real):
    return frechet_distance(statistics(generated), statistics(real))


def kid(generated, real):
    return kernel_distance(generated, real, 1, len(real), 0).mean


def blurred(images, pixels):
    return gaussian_filter(images.astype(np.float32), (0, pixels, pixels, 0)).round().astype(np.uint8)


def noisy(images, deviation):
    noise = np.random.default_rng(5).normal(0, deviation, images.shape)
    return (images + noise).clip(0, 255).round().astype(np.uint8)


def compressed(images, quality):
    decoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(buffer)))
    return np.stack(decoded)


@pytest.fixture(scope="module")
def spoiled(others, fresh):
    """Features of the other images, as they are and ever more spoiled."""

    @cache
    def by(spoil, *amounts):
        return [fresh, *(features_of(spoil(others, amount)) for amount in amounts)]

    return by


def test_a_set_is_at_no_distance_from_itself(real, fresh):
    assert fid(real, real) < 1e-6 * fid(fresh, real)
    assert kid(real, real) <= 0
    overlap = precision_recall(real, real, 3)
    assert (overlap.precision, overlap.recall) == (1, 1)


def test_other_real_images_are_near(real, fresh, spoiled):
    far = spoiled(noisy, *NOISE)[-1]
    assert fid(fresh, real) < 0.5 * fid(far, real)
    assert abs(kid(fresh, real)) < 0.05 * kid(far, real)


@pytest.mark.parametrize(("spoil", "amounts"), [(blurred, (0.7, 1.5, 4)), (noisy, NOISE), (compressed, (75, 40, 8))])
def test_distances_grow_with_what_spoils_images(spoil, amounts, real, spoiled):
    for distance in (fid, kid):
        values = [distance(features, real) for features in spoiled(spoil, *amounts)]
        assert values == sorted(values) and values[-1] > 1.5 * values[1], values


def test_precision_falls_with_noise(real, spoiled):
    values = [precision_recall(features, real, 3).precision for features in spoiled(noisy, *NOISE)]
    assert values == sorted(values, reverse=True) and values[0] > 0.6 and values[-1] < 0.1, values


def test_distances_grow_and_recall_falls_as_modes_are_dropped(real, fresh):
    # what a generator shows that knows ever fewer cars: always as many images, with repeats
    kept = [np.resize(fresh[:modes], fresh.shape) for modes in (COUNT, 20, 8, 3)]
    for distance in (fid, kid):
        values = [distance(features, real) for features in kept]
        assert values == sorted(values), values
    recall = [precision_recall(features, real, 3).recall for features in kept]
    assert recall == sorted(recall, reverse=True) and recall[-1] < 0.2 < recall[0], recall


def test_distance_at_infinity_takes_off_most_of_what_few_images_add(real, fresh):
    projected = project(fresh, statistics(np.concatenate([real, fresh])))
    limit = distance_at_infinity(projected, 8, np.random.default_rng(0))
    assert abs(limit) < 0.5 * fid(fresh, np.concatenate([real, fresh]))


def test_copies_are_found_among_new_images(images, real, fresh):
    training, held_out = real[:32], real[32:]
    beside = nearest(held_out, training, 1).distances[:, 0]
    copied = features_of(compressed(images[:32], 95))
    of_copies, of_new = (
        memorisation(nearest(features, training, 1).distances[:, 0], beside) for features in (copied, fresh)
    )
    assert of_copies.probability > 0.95
    low, high = of_new.interval
    assert low < 0.5 < high
    mixed = np.concatenate([fresh[:10], copied[:3]])
    found = nearest(mixed, training, 1)
    assert sorted(closest(found, 3)) == [10, 11, 12]
    np.testing.assert_array_equal(found.indices[10:, 0], [0, 1, 2])
