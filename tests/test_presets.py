"""The shipped params: valid, commented, read alike by every YAML reader, and with the authors' released values."""

import functools
import math
from io import StringIO
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from pigan import config, presets
from pigan.errors import PiganError

every = pytest.mark.parametrize("name", presets.NAMES)
RATES = ("lr_generator", "lr_generator_end", "lr_discriminator", "lr_discriminator_end")


@functools.cache
def text_of(name: str) -> str:
    return presets.text(name)


@functools.cache
def values_of(name: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(text_of(name)))


def params_of(name: str) -> config.Params:
    return config.parse(values_of(name), name)


def test_there_is_a_preset_for_every_dataset_of_the_paper() -> None:
    assert presets.NAMES[0] == "demo"
    assert {"cars", "celeba", "cats", "carla", "celeba-paper", "deepview", "folder"} <= set(presets.NAMES)
    assert len(set(presets.NAMES)) == len(presets.NAMES)
    # they are found without reading the YAML
    assert presets.NAMES[1:] == list(YAML().load(presets.CHANGES))


@every
def test_every_preset_and_each_of_its_arms_is_valid(name: str) -> None:
    params = params_of(name)
    for arm in params.arms:
        params.for_arm(arm)
    assert params.experiment == ("carla" if name == "carla-paper" else name)
    assert params.generate.checkpoint == params.curriculum.order[-1].name
    # a metric cannot use more images than there are
    assert params.evaluate.kid_subset_size <= min(params.generate.images, params.evaluate.real_images)


@every
def test_yaml_1_1_and_1_2_read_the_same(name: str) -> None:
    text = text_of(name)
    old = yaml.safe_load(text)
    assert old == values_of(name)
    config.parse(old, name)


@every
def test_comments_are_kept(name: str) -> None:
    text = text_of(name)
    assert "world units" in text and "Adam learning rates" in text
    explained = {line.strip() for line in text_of("demo").splitlines() if line.strip().startswith("#")}
    kept = {line.strip() for line in text.splitlines() if line.strip().startswith("#")}
    described = {
        f"# {field.description}" for section in presets.SECTIONS.values() for field in section.model_fields.values()
    }
    # some of the demo's sections do not exist elsewhere, and the sections that it leaves out describe themselves
    assert kept <= explained | described and len(kept) >= 0.85 * len(explained)
    assert all(len(line) < 200 for line in text.splitlines())


@every
def test_comments_stand_at_their_keys(name: str) -> None:
    lines = text_of(name).splitlines()
    for comment, key in (
        ("# Full opening angle", "fov_degrees:"),
        ("# Steps of this stage", "steps:"),
        ("# fit; null: 0.8 of what", "memory_limit_gb:"),
        ("# Ablation arms", "# "),
        ("# Every arm is trained once a seed", "seeds:"),
        ("# Arm the verdict is about", "main_arm:"),
    ):
        place = next(i for i, line in enumerate(lines) if line.strip().startswith(comment))
        assert lines[place + 1].strip().startswith(key), lines[place : place + 2]


@every
def test_file_survives_a_round_trip(name: str) -> None:
    text, stream = text_of(name), StringIO()
    reader = YAML()
    reader.indent(mapping=2, sequence=4, offset=2)
    reader.dump(reader.load(text), stream)
    assert YAML(typ="safe", pure=True).load(stream.getvalue()) == values_of(name)


def test_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(PiganError, match=r"no preset 'celebra'; did you mean 'celeba'\?") as caught:
        presets.text("celebra")
    assert "\n" not in str(caught.value)
    with pytest.raises(PiganError, match=r"no preset 'x'; there are demo, cars, "):
        presets.text("x")


def stages(params: config.Params) -> dict[str, tuple[float, ...]]:
    """Steps, batch size, learning rates of generator and discriminator."""
    for stage in params.curriculum.stages.values():
        assert (stage.lr_generator, stage.lr_discriminator) == (stage.lr_generator_end, stage.lr_discriminator_end)
        assert stage.fade_steps == 10_000
    return {
        name: (stage.steps, stage.batch_size, stage.lr_generator, stage.lr_discriminator)
        for name, stage in params.curriculum.stages.items()
    }


def camera(params: config.Params) -> tuple[Any, ...]:
    c = params.camera
    return (c.fov_degrees, c.near, c.far, c.pose_law, c.yaw_mean, c.yaw_spread, c.pitch_mean, c.pitch_spread)


def losses(params: config.Params) -> tuple[float, ...]:
    t = params.training
    return (t.r1_weight, t.grad_clip, t.topk_interval, t.topk_minimum, t.pose_weight)


def test_celeba_is_the_released_curriculum() -> None:
    params = params_of("celeba")
    assert stages(params) == {"r64": (200_000, 56, 6e-5, 2e-4)}
    assert camera(params) == (12, 0.88, 1.12, "gaussian", *near(math.pi / 2, 0.3, math.pi / 2, 0.155))
    assert losses(params) == (0.2, 10, 2000, 0.6, 15)
    model = params.model
    assert (model.samples, model.background, model.eval_background) == (12, "none", "last")
    assert (model.discriminator.kind, model.discriminator.encoder) == ("ccs", True)
    assert model.coordinate_scale == pytest.approx(2 / 0.24)
    crop = params.dataset.crop
    assert (crop.resize, crop.center, params.dataset.flip) == (320, 256, True)


def test_cats_is_the_released_curriculum() -> None:
    params = params_of("cats")
    assert stages(params) == {"r64": (200_000, 28, 6e-5, 2e-4)}
    assert camera(params) == (12, 0.8, 1.2, "uniform", *near(math.pi / 2, 0.5, math.pi / 2, 0.4))
    assert losses(params) == (0.2, 10, 2000, 0.6, 0)
    model = params.model
    assert (model.samples, model.background, model.eval_background) == (24, "none", "last")
    assert (model.discriminator.kind, model.coordinate_scale) == ("strided", pytest.approx(2 / 0.24))
    assert params.dataset.flip


@pytest.mark.parametrize("name", ["carla", "carla-paper"])
def test_carla_is_the_released_curriculum(name: str) -> None:
    params = params_of(name)
    assert stages(params) == {
        "r32": (10_000, 30, 4e-5, 4e-4),
        "r64": (45_000, 14, 2e-5, 2e-4),
        "r128": (145_000, 10, 1e-5, 1e-4),
    }
    pitch = math.pi / 4 * 85 / 90
    assert camera(params) == (30, 0.7, 1.3, "spherical_uniform", *near(math.pi / 2, math.pi, pitch, pitch))
    assert losses(params) == (10, 1, 1000, 1, 0)
    model = params.model
    assert (model.samples, model.background, model.eval_background) == (48, "white", "white")
    assert (model.discriminator.kind, model.discriminator.encoder) == ("progressive", True)
    assert model.coordinate_scale == 1 and not params.dataset.flip


def test_celeba_paper_is_the_schedule_of_shadegan() -> None:
    params = params_of("celeba-paper")
    # batches are those of 4 GPUs together
    assert [(s.steps, s.batch_size) for s in params.curriculum.stages.values()] == [
        (30_000, 4 * 26),
        (70_000, 4 * 16),
        (50_000, 4 * 4),
    ]
    rates = [(s.lr_generator, s.lr_discriminator, s.fade_steps) for s in params.curriculum.stages.values()]
    assert rates == [(2e-5, 2e-4, 10_000), (2e-5, 2e-4, 10_000), (2e-6, 2e-5, 10_000)]
    assert losses(params) == (1, 0.3, 2000, 0.6, 15)
    assert (params.camera, params.dataset) == (params_of("celeba").camera, params_of("celeba").dataset)


def test_cats_paper_is_the_schedule_of_gof() -> None:
    params = params_of("cats-paper")
    # batches are those of 8 GPUs together
    assert stages(params) == {
        "r32": (5_000, 8 * 16, 4e-5, 2e-4),
        "r64": (25_000, 8 * 8, 4e-5, 2e-4),
        "r128": (10_000, 8 * 4, 4e-6, 2e-5),
    }
    assert losses(params) == (1, 1, 2000, 0.6, 15)
    assert (params.camera, params.dataset) == (params_of("cats").camera, params_of("cats").dataset)


def images_of(params: config.Params) -> int:
    """Images that training sees."""
    return sum(stage.steps * stage.batch_size for stage in params.curriculum.stages.values())


def test_every_arm_of_cars_has_the_same_budget_of_images_and_changes_something() -> None:
    params = params_of("cars")
    arms = [params.for_arm(arm) for arm in params.arms]
    assert len(arms) == 19 and {images_of(arm) for arm in arms} == {780_000}
    parts = [(arm.model.model_dump(), arm.training.model_dump(), arm.curriculum.model_dump()) for arm in arms]
    assert all(parts.count(part) == 1 for part in parts)
    # with one pass there are as many samples a ray
    assert {arm.model.samples_a_ray for arm in arms} == {48}


@pytest.mark.parametrize(("name", "seeds"), [("demo", [0, 1]), ("cars", [0, 1, 2])])
def test_studies_compare_arms_of_equal_budget_over_several_seeds(name: str, seeds: list[int]) -> None:
    params = params_of(name)
    assert params.seeds == seeds and len(params.arms) > 1
    assert len({images_of(params.for_arm(arm)) for arm in params.arms}) == 1


def test_seed_card_is_the_other_reading_whole() -> None:
    params = params_of("seed-card")
    model, training, (stage,) = params.model, params.training, params.curriculum.stages.values()
    assert (model.field, model.discriminator.kind, training.adversarial) == ("sincos-concat", "patch-pose", "log")
    assert training.reconstruction_weight > 0 and model.activation == "sigmoid"
    assert (model.z_dim, model.features, model.hidden, model.layers, model.samples_a_ray) == (256, 64, 128, 4, 64)
    assert (stage.batch_size, stage.lr_generator, stage.lr_discriminator) == (16, 2e-4, 2e-4)
    assert training.adam_betas == [0.5, 0.999]
    cars = params.dataset.cars
    assert cars is not None
    assert images_of(params) == pytest.approx(100 * (1 - params.dataset.held_out) * cars.views, rel=0.01)
    # the parts, and all of them, are arms elsewhere
    everything = params_of("cars").for_arm("seed-all")
    assert (everything.model.field, everything.model.discriminator.kind) == ("sincos-concat", "patch-pose")
    assert (everything.training.adversarial, everything.training.reconstruction_weight) == ("log", 1)


def test_latent_term_is_of_the_demo_and_of_the_other_reading_of_the_paper() -> None:
    assert [name for name in presets.NAMES if params_of(name).training.latent_weight] == ["demo", "seed-card"]


def near(*values: float) -> list[Any]:
    return [pytest.approx(value, rel=1e-6) for value in values]


@pytest.mark.parametrize("name", ["celeba", "cats", "carla"])
def test_released_curricula_share_the_network_and_the_optimiser(name: str) -> None:
    params = params_of(name)
    model, training = params.model, params.training
    assert (model.field, model.z_dim, model.hidden, model.layers) == ("film-siren", 256, 256, 8)
    assert (model.mapping_hidden, model.mapping_layers, model.z_distribution) == (256, 3, "gaussian")
    assert model.hierarchical and model.density_activation == "relu" and not model.lock_view_direction
    assert (model.discriminator.width, model.discriminator.max_channels) == (1, 400)
    assert (training.adam_betas, training.mapping_lr_scale, training.latent_weight) == ([0, 0.9], 1, 0)
    assert (training.density_noise, training.density_noise_steps) == (1, 5000)
    assert (training.ema_decay, training.ema_slow_decay) == (0.999, 0.9999)
    assert params.camera.radius == 1 and params.camera.align_corners
    # the authors render at 128 whatever they trained at, and compare 8000 images without truncation
    assert (params.generate.resolution, params.generate.images, params.generate.truncation) == (128, 8000, 1)
    assert params.evaluate.extractor == "inception" and params.report.published == name
    total = sum(stage.steps for stage in params.curriculum.stages.values())
    assert total == 200_000


@every
def test_learning_rates_are_numbers_and_steps_whole(name: str) -> None:
    for stage in values_of(name)["curriculum"]["stages"].values():
        assert all(isinstance(stage[rate], float) and 0 < stage[rate] < 0.01 for rate in RATES)
        assert all(isinstance(stage[key], int) for key in ("steps", "batch_size", "fade_steps"))
