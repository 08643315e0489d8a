import pytest
import torch

from pigan import presets
from pigan.bench import estimate
from pigan.bench.estimate import Rates, estimates
from pigan.training.memory import GB

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """Every run takes a second; returns which were made."""
    made = []

    def sampling(params, side, images, device):
        made.append(("field", params.model.hidden, side, images))
        return made.copy

    def judging(params, side, images, device):
        made.append((params.model.discriminator.kind, params.model.discriminator.width, side, images))
        return made.copy

    monkeypatch.setattr(estimate, "sampling_run", sampling)
    monkeypatch.setattr(estimate, "judging_run", judging)
    monkeypatch.setattr(estimate, "interleaved", lambda *_: [[1000.0]])
    return made


def test_every_stage_of_every_preset_is_estimated(measured):
    rows = estimates(CPU, quick=False)
    expected = [(name, link.name) for name in presets.NAMES for link in presets.params(name).curriculum.order]
    assert [(row.preset, row.stage) for row in rows] == expected
    assert all(row.hours > 0 and row.memory_gb > 0 and row.images_per_second > 0 for row in rows)
    # three sizes of field; of the discriminators every side up to the limit
    assert [made[1] for made in measured if made[0] == "field"] == [64, 256, 128]
    assert len(measured) == len(set(measured)) and max(made[2] for made in measured) == estimate.SIDE_CPU


def test_quick_measures_one_network_of_a_width_at_small_sides(measured):
    estimates(CPU, quick=True)
    assert [made[1] for made in measured if made[0] != "field"] == [0.0625, 0.0625, 1.0, 0.125, 0.125, 0.5]
    assert max(made[2] for made in measured) == estimate.SIDE_CPU_QUICK


def test_hours_are_steps_times_points_and_images(tiny_params, monkeypatch):
    monkeypatch.setattr(Rates, "of_point", lambda self, params: 1e-3)
    monkeypatch.setattr(Rates, "of_image", lambda self, params, side: 1e-2 * side)
    (small, large) = estimates(CPU, False, {"tiny": tiny_params})
    # 4 samples a ray: 8 x 8 x 4 points and 8 px; 6 steps of 4 images
    an_image = 256e-3 + 8e-2
    assert small.images_per_second == pytest.approx(1 / an_image)
    assert small.hours == pytest.approx(6 * 4 * an_image / 3600)
    assert 1 / large.images_per_second == pytest.approx(1024e-3 + 16e-2)


def test_larger_sides_cost_what_their_operations_say(measured):
    params = presets.params("cats-paper")
    rates = Rates(CPU, quick=False)
    at_limit, beyond = rates.of_image(params, 64), rates.of_image(params, 128)
    assert at_limit == pytest.approx(1 / estimate.IMAGES) and 1.3 < beyond / at_limit < 2


def test_memory_beyond_the_limit_is_told(tiny_params):
    training = tiny_params.training.model_copy(update={"memory_limit_gb": 1e-6})
    small = tiny_params.model_copy(update={"training": training})
    rows = estimates(CPU, True, {"tiny": small})
    assert all(1e-6 < row.memory_gb < 1e6 / GB * 1e9 for row in rows)


def test_networks_are_measured_for_real(tiny_params):
    rows = estimates(CPU, True, {"tiny": tiny_params})
    assert [row.stage for row in rows] == ["r8", "r16"]
    # not which is faster: something else may have the processor meanwhile
    assert all(0.1 < row.images_per_second < 1e6 for row in rows)
