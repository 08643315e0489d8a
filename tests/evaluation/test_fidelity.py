from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image

from pigan import config
from pigan.errors import PiganError
from pigan.evaluation.features import extract
from pigan.evaluation.fidelity import Statistics, frechet_distance, kernel_distance, precision_recall, statistics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def blobs(rng, count, centre):
    """Smooth colourful 32 px images that vary."""
    coarse = torch.from_numpy(rng.normal(centre, 60, (count, 3, 4, 4)))
    fine = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    return fine.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def test_metrics_agree_with_torch_fidelity_on_the_same_files(tmp_path, rng):
    section = config.load(Path(config.__file__).parent / "presets" / "demo.yaml").evaluate
    sets = {"generated": blobs(rng, 36, 140), "real": blobs(rng, 44, 110)}
    for name, images in sets.items():
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{index:03}.png")
    expected = torch_fidelity.calculate_metrics(
        input1=str(tmp_path / "generated"),
        input2=str(tmp_path / "real"),
        feature_extractor="efficientnet-lite0",
        fid=True,
        kid=True,
        prc=True,
        kid_subsets=10,
        kid_subset_size=32,
        rng_seed=5,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        batch_size=16,
        verbose=False,
    )
    generated, real = (extract(sets[name], section, torch.device("cpu")) for name in ("generated", "real"))
    kernel = kernel_distance(generated, real, 10, 32, 5)
    overlap = precision_recall(generated, real, 3)
    found = {
        "frechet_inception_distance": frechet_distance(statistics(generated), statistics(real)),
        "kernel_inception_distance_mean": kernel.mean,
        "kernel_inception_distance_std": kernel.std,
        "precision": overlap.precision,
        "recall": overlap.recall,
    }
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=1e-3), name
    assert found["frechet_inception_distance"] > 1
    assert 0 < found["precision"] < 1


def test_frechet_distance_of_known_gaussians():
    first = Statistics(np.zeros(2), np.diag([1.0, 4.0]))
    second = Statistics(np.array([3.0, 0.0]), np.diag([4.0, 9.0]))
    # |mean difference|^2 + sum of (difference of standard deviations)^2
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 1)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)


def test_statistics_are_the_unbiased_ones_in_double_precision():
    fitted = statistics(np.array([[0, 0], [2, 4]], dtype=np.float32))
    np.testing.assert_array_equal(fitted.mean, [1, 2])
    np.testing.assert_array_equal(fitted.covariance, [[2, 4], [4, 8]])
    assert fitted.mean.dtype == fitted.covariance.dtype == np.float64


def test_kernel_distance_is_seeded_and_grows_with_the_difference(rng):
    real, same, other = (rng.normal(mean, 1, (40, 8)).astype(np.float32) for mean in (0, 0, 1))
    near, far = (kernel_distance(features, real, 5, 20, 0).mean for features in (same, other))
    assert abs(near) < 0.2 * far
    assert kernel_distance(other, real, 5, 20, 0).mean == far
    assert kernel_distance(other, real, 5, 20, 1).mean != far


def test_kernel_distance_says_which_subset_size_it_used(rng):
    real, few = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(12, 4)).astype(np.float32)
    assert kernel_distance(few, real, 3, 1000, 0).subset_size == 12
    assert kernel_distance(few, real, 3, 10, 0).subset_size == 10


def test_precision_counts_generated_and_recall_real_images():
    real = np.array([[0, 0], [1, 0], [0, 1], [10, 10], [11, 10], [10, 11]], dtype=np.float32)
    one_mode = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5]], dtype=np.float32)
    found = precision_recall(one_mode, real, 1)
    assert found.precision == 1
    assert found.recall == pytest.approx(0.5)


def test_too_few_images_for_the_neighbours_is_a_clear_error(rng):
    features = rng.normal(size=(3, 4)).astype(np.float32)
    with pytest.raises(PiganError, match=r"evaluate.neighbours: 3 needs more than 3 images"):
        precision_recall(features, features, 3)
