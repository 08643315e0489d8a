import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch_fidelity import FeatureExtractorBase, register_feature_extractor
from torch_fidelity.metric_isc import isc_features_to_metric

from pigan.errors import PiganError
from pigan.evaluation.extractors import EfficientNetLite0, load_extractor
from pigan.evaluation.features import extract
from pigan.evaluation.fidelity import fidelity, inception_score, inception_score_interval, precision_recall
from pigan.evaluation.frechet import frechet_distance, statistics
from pigan.evaluation.kid import kernel_distance
from pigan.evaluation.stats import RealStats

EVERY = {
    "fid_e",
    "fid_infinity_e",
    "fid_real_e",
    "kid_e",
    "kid_std_e",
    "precision_e",
    "recall_e",
    "memorisation_e",
    "inception_score_e",
    "fid_depth_e",
    "kid_depth_e",
}
WITHOUT_INTERVAL = {"fid_infinity_e", "fid_real_e", "kid_std_e"}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def drawn(rng, count, mean=0.0, dimension=8):
    return rng.normal(mean, 1, (count, dimension)).astype(np.float32)


def real_of(rng, count=40, other=50, held_out=20, depth=40):
    features = drawn(rng, count)
    parts = (drawn(rng, part) for part in (other, held_out, depth))
    return RealStats(features, np.arange(count), statistics(features), *parts, meta={})


def measured(*arguments, **named):
    return fidelity(*arguments, **named).measured


def blobs(rng, count, centre):
    """Smooth colourful 32 px images that vary."""
    coarse = torch.from_numpy(rng.normal(centre, 60, (count, 3, 4, 4)))
    fine = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    return fine.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


class Plugged(FeatureExtractorBase):
    """EfficientNet-Lite0 as torch-fidelity takes networks of others."""

    def __init__(self, name, features_list, **_):
        super().__init__(name, features_list)
        self.network = EfficientNetLite0()

    @staticmethod
    def get_provided_features_list():
        return ("pooled",)

    @staticmethod
    def get_default_feature_layer_for_metric(_):
        return "pooled"

    def forward(self, images):
        return self.network(images)


def test_metrics_agree_with_torch_fidelity_on_the_same_files(tmp_path, rng, section):
    register_feature_extractor("efficientnet-lite0", Plugged)
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
    extractor, config = load_extractor("efficientnet_lite0", section()), section()
    generated, real = (extract(sets[name], extractor, config, [torch.device("cpu")]) for name in ("generated", "real"))
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


def test_every_metric_has_its_name_and_interval(rng, section):
    logits = rng.normal(size=(30, 5)).astype(np.float32)
    scores = fidelity("e", drawn(rng, 30, 0.3), real_of(rng), section(kid_subset_size=20), logits, drawn(rng, 30, 0.5))
    found = scores.measured
    assert set(found.values) == EVERY
    assert set(found.intervals) == EVERY - WITHOUT_INTERVAL
    for name, (low, high) in found.intervals.items():
        assert low < found.values[name] < high, name
    assert found.notes == []
    assert scores.kid_subset_size == 20
    assert scores.nearest.indices.shape == (30, 1)
    # the reported values are those of the functions for one metric, and of all images
    assert found.values["fid_real_e"] < found.values["fid_e"]
    assert found.values["fid_infinity_e"] < found.values["fid_e"]


def test_numbers_depend_on_the_seed_alone(rng, section):
    generated, real = drawn(rng, 30, 0.3), real_of(rng)
    logits = rng.normal(size=(30, 5)).astype(np.float32)
    first, again, other = (
        measured("e", generated, real, section(seed=seed, kid_subset_size=20), logits, generated) for seed in (0, 0, 1)
    )
    assert (first.values, first.intervals) == (again.values, again.intervals)
    same = {"fid_e", "fid_depth_e", "precision_e", "recall_e", "memorisation_e"}
    assert {name for name in EVERY if first.values[name] == other.values[name]} == same
    assert first.intervals["fid_e"] != other.intervals["fid_e"]


def test_what_is_not_defined_is_null_and_says_why(rng, section):
    real = real_of(rng, count=6, other=1, held_out=0, depth=1)
    found = measured("e", drawn(rng, 3), real, section(neighbours=2), depth=drawn(rng, 3))
    undefined = {"fid_infinity_e", "fid_real_e", "memorisation_e", "fid_depth_e", "kid_depth_e"}
    assert {name for name, value in found.values.items() if value is None} == undefined
    assert undefined == {note.split()[0] for note in found.notes if " is null: " in note}
    assert not undefined & set(found.intervals)
    assert (
        "fid_e of 3 against 6 images in 8 dimensions is biased upwards; compare it only at equal counts" in found.notes
    )
    assert "kid_e: subsets hold 3 images, not 256: there are no more" in found.notes


def test_two_images_are_enough(rng, section):
    found = measured("e", drawn(rng, 2), real_of(rng, 2), section(neighbours=1), drawn(rng, 2))
    assert found.values["fid_e"] > 0
    assert set(found.intervals) == {"precision_e", "recall_e", "memorisation_e"}
    assert "inception_score_e is that of 2 parts, not 10: there are no more images" in found.notes


def test_metrics_without_their_inputs_are_left_out(rng, section):
    found = measured("e", drawn(rng, 10), real_of(rng, depth=0), section(), depth=drawn(rng, 10))
    assert set(found.values) == EVERY - {"inception_score_e", "fid_depth_e", "kid_depth_e"}


def test_floor_is_at_the_count_of_the_generated_images(rng, section):
    real = real_of(rng, other=500)
    few, many = (measured("e", drawn(rng, count), real, section()).values["fid_real_e"] for count in (10, 400))
    assert few > 2 * many
    fewer = measured("e", drawn(rng, 60), real_of(rng, other=20), section())
    assert "fid_real_e is that of 20 images, not 60: there are no more" in fewer.notes


def test_inception_score_agrees_with_torch_fidelity(rng):
    logits = rng.normal(0, 2, (60, 7)).astype(np.float32)
    expected = isc_features_to_metric(torch.from_numpy(logits), 6, True, 4)["inception_score_mean"]
    assert inception_score(logits, 6, 4) == expected
    assert inception_score(np.eye(7, dtype=np.float32) * 50, 1, 0) == pytest.approx(7)
    assert inception_score(np.ones((9, 7), np.float32), 3, 0) == pytest.approx(1)


def test_inception_score_intervals_cover_the_mean_score_of_as_many_images(rng):
    scores, intervals = [], []
    for _ in range(80):
        logits = rng.normal(0, 2, (80, 7)).astype(np.float32)
        scores.append(inception_score(logits, 2, 0))
        intervals.append(inception_score_interval(logits, scores[-1], 2, 40, rng))
    low, high = np.array(intervals).T
    assert 0.88 <= ((low < np.mean(scores)) & (np.mean(scores) < high)).mean() <= 1


def test_precision_counts_generated_and_recall_real_images():
    real = np.array([[0, 0], [1, 0], [0, 1], [10, 10], [11, 10], [10, 11]], dtype=np.float32)
    one_mode = np.array([[0, 0], [1, 0], [0, 1], [0.5, 0.5]], dtype=np.float32)
    found = precision_recall(one_mode, real, 1)
    assert found.precision == 1
    assert found.recall == pytest.approx(0.5)


def test_too_few_images_for_the_neighbours_is_a_clear_error(rng):
    features = drawn(rng, 3)
    with pytest.raises(PiganError, match=r"evaluate.neighbours: 3 needs more than 3 images"):
        precision_recall(features, features, 3)
