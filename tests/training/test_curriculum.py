import pytest

from pigan.training.curriculum import schedule


@pytest.fixture
def stage(tiny_params):
    return tiny_params.curriculum.stages["r8"].model_copy(
        update={"steps": 100, "fade_steps": 10, "lr_generator": 4.0, "lr_generator_end": 2.0}
    )


@pytest.mark.parametrize(("step", "fade", "rate"), [(0, 0.0, 4.0), (5, 0.5, 3.9), (10, 1.0, 3.8), (50, 1.0, 3.0)])
def test_fade_and_rates_are_linear_in_the_stage(tiny_params, stage, step, fade, rate):
    values = schedule(tiny_params.training, stage, step, 10_000 + step)
    assert values.fade == pytest.approx(fade) and values.lr_generator == pytest.approx(rate)


def test_noise_and_top_k_follow_the_whole_training(tiny_params, stage):
    training = tiny_params.training.model_copy(
        update={"density_noise": 2.0, "density_noise_steps": 5000, "topk_interval": 2000, "topk_minimum": 0.6}
    )
    assert schedule(training, stage, 0, 0).density_noise == 2.0
    assert schedule(training, stage, 0, 2500).density_noise == pytest.approx(1.0)
    assert schedule(training, stage, 0, 9000).density_noise == 0.0
    assert schedule(training, stage, 0, 2000).topk == pytest.approx(0.99)
    assert schedule(training, stage, 0, 200_000).topk == 0.6


def test_without_fade_and_noise_everything_is_there_at_once(tiny_params, stage):
    training = tiny_params.training.model_copy(update={"density_noise_steps": 0})
    values = schedule(training, stage.model_copy(update={"fade_steps": 0}), 0, 0)
    assert (values.fade, values.density_noise) == (1.0, 0.0)
