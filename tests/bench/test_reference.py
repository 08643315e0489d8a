import pytest
import torch

from pigan.bench.plain_discriminator import PlainDiscriminator
from pigan.bench.plain_step import (
    parts_of,
    plain_discriminator_step,
    plain_fakes,
    plain_generator_step,
    plain_state,
    plain_training_step,
)
from pigan.bench.reference import Draws, plain_field, plain_images, staged_images
from pigan.bench.subject import draws_of
from pigan.models.discriminator import Discriminator
from pigan.models.generator import Generator, ray_settings
from pigan.runtime import generator_for
from pigan.training.curriculum import schedule
from pigan.training.state import initial_state
from pigan.training.step import Fakes, discriminator_step, generator_step, training_step

CPU = torch.device("cpu")
BATCH = 4


@pytest.fixture(params=[False, True], ids=["flat", "hierarchical"])
def params(request, tiny_params):
    """Everything that the reference has in its loss, with and without the fine pass."""
    model = tiny_params.model.model_copy(update={"hierarchical": request.param})
    losses = {"latent_weight": 0.5, "pose_weight": 2.0, "opacity_weight": 0.0}
    training = tiny_params.training.model_copy(update=losses)
    return tiny_params.model_copy(update={"model": model, "training": training})


def values_of(params, **changes):
    values = schedule(params.training, params.curriculum.stages["r8"], 1, 1)
    return values._replace(**{"topk": 1.0, "fade": 0.4, "density_noise": 0.5, **changes})


def fakes_of(params, use):
    return Fakes(params, 8, BATCH, 0.5, generator_for(CPU, 0, use))


def real_images():
    return torch.rand((BATCH, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1


def gradient(module):
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def distance(ours, reference):
    return float((ours - reference).norm() / reference.norm())


def both(params):
    state = initial_state(params, CPU, 0)
    return state, plain_state(state, params)


def test_discriminator_step_has_the_loss_and_the_gradient_of_pigans(params):
    (state, plain), real, fakes = both(params), real_images(), fakes_of(params, "d")
    values = values_of(params)
    ours = discriminator_step(state, params, values, real, fakes)
    draws = draws_of(fakes)
    theirs = plain_discriminator_step(plain, params, values, real, plain_fakes(plain, params, draws, 8), draws)
    assert distance(gradient(state.discriminator), gradient(plain.discriminator)) < 1e-5
    identity = theirs - float(ours["loss_d"] + 0.5 * params.training.r1_weight * ours["r1"])
    assert identity > 0.1  # the encoder's terms, which pigan does not tell apart
    assert float(ours["r1"]) > 0


def test_discriminator_losses_are_equal_without_the_encoders_terms(params):
    training = params.training.model_copy(update={"latent_weight": 0.0, "pose_weight": 0.0})
    params = params.model_copy(update={"training": training})
    (state, plain), real, fakes, values = both(params), real_images(), fakes_of(params, "d"), values_of(params)
    ours = discriminator_step(state, params, values, real, fakes)
    draws = draws_of(fakes)
    theirs = plain_discriminator_step(plain, params, values, real, plain_fakes(plain, params, draws, 8), draws)
    assert theirs == pytest.approx(float(ours["loss_d"] + 0.5 * training.r1_weight * ours["r1"]), rel=1e-5)


@pytest.mark.parametrize("topk", [1.0, 0.5])
def test_generator_step_has_the_loss_and_the_gradient_of_pigans(params, topk):
    (state, plain), fakes, values = both(params), fakes_of(params, "g"), values_of(params, topk=topk)
    ours = generator_step(state, params, values, fakes)
    theirs = plain_generator_step(plain, params, values, draws_of(fakes), 8)
    assert theirs == pytest.approx(float(ours["loss_g"] + ours["loss_pose"]), rel=1e-5)
    assert distance(gradient(state.generator), gradient(plain.generator)) < 1e-5
    # made and thrown away, which is what the authors' loop costs
    assert all(p.grad is not None for p in plain.discriminator.final.parameters())


def weights_of(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_whole_steps_lead_to_the_same_weights(params):
    (state, plain), real = both(params), real_images()
    for step in range(2):
        values = values_of(params)
        draws = [
            draws_of(Fakes(params, 8, BATCH, values.density_noise, generator_for(CPU, 0, "train", step, network)))
            for network in ("discriminator", "generator")
        ]
        plain_training_step(plain, params, values, real, (draws[0], draws[1]))
        training_step(state, params, values, real, 0)
    pairs = (
        (state.generator, plain.generator),
        (state.ema, plain.averages[0]),
        (state.ema_slow, plain.averages[1]),
        (state.discriminator, plain.discriminator),
    )
    begin = initial_state(params, CPU, 0)
    for ours, theirs in pairs:
        # Adam turns the sign of a gradient near zero into a step of the learning rate
        assert distance(weights_of(ours), weights_of(theirs)) < 1e-3
    at_first = weights_of(begin.generator)
    assert distance(weights_of(state.generator), at_first) > 5e-3
    for ours, theirs in pairs[1:3]:
        assert distance(weights_of(ours) - at_first, weights_of(theirs) - at_first) < 0.02


@pytest.mark.parametrize("kind", ["progressive", "ccs", "strided"])
@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("fade", [0.3, 1.0])
def test_discriminator_judges_as_pigans_does(tiny_params, kind, encoder, fade):
    config = tiny_params.model.discriminator.model_copy(update={"kind": kind, "encoder": encoder})
    ours, plain = Discriminator(config, 4, 32), PlainDiscriminator(config, 4, 32)
    plain.load_state_dict(ours.state_dict())
    for side in (32, 16):
        images = torch.rand(2, 3, side, side) * 2 - 1
        grown = torch.tensor(fade) if fade < 1 else None
        for got, expected in zip(plain(images, fade), ours(images, grown), strict=True):
            assert (got is None and expected is None) or torch.allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "kind", ["film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"]
)
def test_field_is_the_papers_in_double_precision_too(tiny_params, kind):
    generator = Generator(tiny_params.model.model_copy(update={"field": kind})).double()
    points, directions = torch.rand(2, 9, 3).double(), torch.rand(2, 9, 3).double()
    code = generator.mapping(torch.randn(2, 4).double())
    for got, expected in zip(
        plain_field(generator.field, points, directions, code), generator(points, directions, code), strict=True
    ):
        assert got.dtype == torch.float64 and torch.allclose(got, expected)


def test_other_reading_of_the_paper_has_the_same_steps(params):
    """Opacities, patches and poses, the log loss; without the reconstruction, which the reference does not have."""
    judge = params.model.discriminator.model_copy(update={"kind": "patch-pose"})
    model = params.model.model_copy(update={"field": "sincos-concat", "discriminator": judge})
    training = params.training.model_copy(update={"adversarial": "log"})
    params = params.model_copy(update={"model": model, "training": training})
    (state, plain), real, fakes, values = both(params), real_images(), fakes_of(params, "d"), values_of(params)
    draws = draws_of(fakes)
    discriminator_step(state, params, values, real, fakes)
    plain_discriminator_step(plain, params, values, real, plain_fakes(plain, params, draws, 8), draws)
    assert distance(gradient(state.discriminator), gradient(plain.discriminator)) < 1e-5
    (state, plain), fakes = both(params), fakes_of(params, "g")
    ours = generator_step(state, params, values, fakes)
    theirs = plain_generator_step(plain, params, values, draws_of(fakes), 8)
    assert theirs == pytest.approx(float(ours["loss_g"] + ours["loss_pose"]), rel=1e-5)
    assert distance(gradient(state.generator), gradient(plain.generator)) < 1e-5


@pytest.mark.parametrize("background", ["none", "last", "white"])
def test_staged_images_are_the_whole_ones(params, background, monkeypatch):
    monkeypatch.setattr("pigan.bench.reference.STAGED_POINTS", 50)
    generator, settings = Generator(params.model), ray_settings(params.model, params.camera, background)
    draws = draws_of(fakes_of(params, "images"))
    whole = plain_images(generator, draws, 8, params.camera, settings)
    staged = staged_images(generator, draws, 8, params.camera, settings)
    assert whole.requires_grad and not staged.requires_grad
    assert torch.allclose(whole, staged, atol=1e-6)
    assert float(whole.detach().std()) > 0


def test_draws_are_cut_and_cast_alike(params):
    draws = draws_of(fakes_of(params, "draws"))
    some = draws.part(slice(1, 3)).to(torch.float64)
    assert isinstance(some, Draws) and some.latent.dtype == some.randomness.jitter.dtype == torch.float64
    assert torch.equal(some.randomness.jitter.float(), draws.randomness.jitter[1:3])
    assert some.yaw.dtype == torch.float32 and torch.equal(some.yaw, draws.yaw[1:3])
    assert (some.randomness.uniform is None) != params.model.hierarchical


def test_batches_are_split_as_the_authors_card_needs(paper_model):
    assert parts_of(paper_model, 64, 56, half=True) == 2
    assert parts_of(paper_model, 32, 56, half=True) == 1
    # 48 samples as for CARLA, at the authors' three batches
    carla = paper_model.model_copy(update={"samples": 48})
    assert [parts_of(carla, side, batch, half=True) for side, batch in ((32, 30), (64, 14), (128, 10))] == [1, 2, 5]
    assert parts_of(paper_model, 512, 2, half=False) == 2  # no more parts than images
