import copy
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan.models.generator import seen_directions
from pigan.rendering.render import RayRandomness, as_images, render_rays
from pigan.runtime import generator_for, prepare_process
from pigan.training.curriculum import schedule
from pigan.training.ema import update_ema
from pigan.training.fakes import Fakes, tiles
from pigan.training.losses import identity_loss, top_fraction
from pigan.training.memory import Tile
from pigan.training.state import Counters, initial_state
from pigan.training.step import Originals, discriminator_step, generator_step, training_step, update_scale

CPU = torch.device("cpu")


def state_of(params, seed=0):
    return initial_state(params, CPU, seed)


def values_at(params, step=0):
    return schedule(params.training, params.curriculum.stages["r8"], step, step)


def fakes_of(params, batch=4, use="test"):
    return Fakes(params, 8, batch, 0.5, generator_for(CPU, 0, use))


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def gradient_of(module):
    """Of the weights that have one: layers of higher sides than the images' have none."""
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


def real_images():
    return torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1


def originals_of(params):
    if params.training.reconstruction_weight == 0:
        return None
    return Originals(real_images(), None, generator_for(CPU, 0, "reconstruction"))


def generator_gradient(params, values, fakes, monkeypatch):
    state = state_of(params)
    monkeypatch.setattr(state.optimizer_generator, "step", lambda *_: None)
    generator_step(state, params, values, fakes, originals_of(params))
    return torch.cat([p.grad.flatten() for p in state.generator.parameters()])


def straight_gradient(params, values, fakes):
    """The same by one graph from the loss to the weights, in float64."""
    state, training = state_of(params), params.training
    generator, judge = state.generator.double(), state.discriminator.double()

    def seen(fakes):
        doubles = (None if part is None else part.double() for part in fakes.randomness)
        field = partial(generator, code=generator.mapping(fakes.latent.double()))
        places = fakes.origins.double(), fakes.directions.double()
        return render_rays(locked(field, params), *places, fakes.settings, RayRandomness(*doubles))

    rendering = seen(fakes)
    judged = judge(as_images(rendering.colour), torch.tensor(values.fade), fakes.pose.double())
    identity = identity_loss(
        judged, fakes.latent.double(), fakes.pose.double(), training.latent_weight, training.pose_weight
    )
    best = top_fraction(judged.logit, values.topk)
    probability = torch.sigmoid(judged.logit)
    loss = torch.log(1 - probability) if training.adversarial == "log" else -torch.log(probability)
    total = (loss * best).sum() + identity
    opacity, blank = rendering.opacity, torch.zeros(1)
    if params.model.background == "white":
        blank = torch.exp(-(rendering.colour.detach() - 1).square().mean(-1) / 0.02)
    shown = (1 - blank) * ((1.1 - opacity) / 1.1).log()
    total = total + training.opacity_weight * (((0.1 + opacity) / 0.1).log() + shown).mean()
    if training.reconstruction_weight > 0:
        real, _, random = originals_of(params)
        encoded = judge(real.double(), torch.tensor(values.fade))
        again = Fakes(params, 8, 4, values.density_noise, random).of(
            encoded.latent.detach().float(), encoded.pose.detach().float()
        )
        total = total + training.reconstruction_weight * (as_images(seen(again).colour) - real).square().mean()
    total.backward()
    return torch.cat([p.grad.flatten() for p in generator.parameters()])


def locked(field, params):
    return lambda points, directions: field(points, seen_directions(directions, params.model.lock_view_direction))


def varied(params, **changes):
    """Params with other values, named section__key."""
    for name, value in changes.items():
        section, key = name.split("__")
        if key == "discriminator":
            value = params.model.discriminator.model_copy(update={"kind": value})
        params = params.model_copy(update={section: getattr(params, section).model_copy(update={key: value})})
    return params


VARIATIONS = [
    {},
    {"model__hierarchical": True},
    {"model__hierarchical": True, "model__background": "last", "model__lock_view_direction": False},
    {"model__density_activation": "softplus"},
    {"model__field": "relu-pe"},
    {"model__field": "concat-siren"},
    {"training__pose_weight": 2.0, "training__latent_weight": 1.0},
    {"training__kernel": "plain"},
    {"model__field": "concat-relu"},
    {"model__field": "sincos-concat"},
    {"model__field": "sincos-concat", "model__hierarchical": True, "model__background": "last"},
    {"model__field": "embedding-siren", "model__hierarchical": True, "model__lock_view_direction": False},
    {"training__adversarial": "log"},
    {"training__reconstruction_weight": 2.0},
    {"training__opacity_weight": 3.0},
    {"training__opacity_weight": 3.0, "model__hierarchical": True, "model__background": "last"},
    {"model__discriminator": "patch-pose", "training__pose_weight": 2.0},
    {
        "model__field": "sincos-concat",
        "model__lock_view_direction": False,
        "model__discriminator": "patch-pose",
        "training__adversarial": "log",
        "training__pose_weight": 1.0,
        "training__latent_weight": 1.0,
        "training__reconstruction_weight": 2.0,
        "training__opacity_weight": 1.0,
    },
]


@pytest.mark.parametrize("topk", [1.0, 0.6])
@pytest.mark.parametrize("changes", VARIATIONS, ids=str)
def test_gradient_is_that_of_one_graph_in_float64(tiny_params, changes, topk, monkeypatch):
    params = varied(tiny_params, **changes)
    values, fakes = values_at(params)._replace(topk=topk), fakes_of(params)
    expected, got = straight_gradient(params, values, fakes), generator_gradient(params, values, fakes, monkeypatch)
    assert float(expected.norm()) > 0
    assert float((got - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training__r1_weight": 0.0},
        {"training__r1_weight": 7.0, "training__latent_weight": 3.0, "training__pose_weight": 2.0},
        {"model__discriminator": "patch-pose", "training__pose_weight": 2.0},
    ],
    ids=str,
)
def test_gradient_of_the_discriminator_is_that_of_one_graph_in_float64(tiny_params, changes, monkeypatch):
    params = varied(tiny_params, training__grad_clip=math.inf, **changes)
    values, fakes, state, training = values_at(params), fakes_of(params), state_of(params), params.training
    monkeypatch.setattr(state.optimizer_discriminator, "step", lambda *_: None)
    pose = torch.linspace(0.2, 1.6, 8).reshape(4, 2)
    measured = discriminator_step(state, params, values, real_images(), fakes, pose)
    got = gradient_of(state.discriminator)
    judge, real, fade = state_of(params).discriminator.double(), real_images().double(), torch.tensor(values.fade)
    fake = as_images(fakes.rendering(fakes.samples(state.generator)).colour).double()
    real.requires_grad_()
    judged = judge(fake, fade, fakes.pose.double())
    score = judge(real, fade, pose.double()).logit
    loss = -torch.sigmoid(score).log().mean() - (1 - torch.sigmoid(judged.logit)).log().mean()
    (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
    penalty = slope.square().sum((1, 2, 3)).mean()
    identity = identity_loss(
        judged, fakes.latent.double(), fakes.pose.double(), training.latent_weight, training.pose_weight
    )
    (loss + training.r1_weight / 2 * penalty + identity).backward()
    expected = gradient_of(judge)
    assert float((got - expected).norm() / expected.norm()) < 1e-4
    assert {name: float(value) for name, value in measured.items()} == pytest.approx(
        {
            "loss_d": loss.item(),
            "r1": penalty.item() if training.r1_weight else 0.0,
            "score_real": score.mean().item(),
            "score_fake": judged.logit.mean().item(),
            "grad_norm_d": expected.norm().item(),
        },
        rel=1e-3,
        abs=1e-6,
    )


def test_gradients_of_the_step_before_are_forgotten(tiny_params, monkeypatch):
    values, state, ends = values_at(tiny_params), state_of(tiny_params), []
    for optimizer, _ in state.optimizers().values():
        monkeypatch.setattr(optimizer, "step", lambda *_: None)
    for _ in range(2):
        discriminator_step(state, tiny_params, values, real_images(), fakes_of(tiny_params))
        judge_gradient = gradient_of(state.discriminator)
        generator_step(state, tiny_params, values, fakes_of(tiny_params))
        ends.append(torch.cat((judge_gradient, gradient_of(state.generator))))
    assert torch.equal(*ends)


@pytest.mark.parametrize("begun", [0, 1000])
def test_a_step_moves_the_averages_sets_the_rates_and_counts(tiny_params, begun):
    decays = {"ema_decay": 0.9, "ema_slow_decay": 0.98}
    changes = {f"training__{name}": decay for name, decay in decays.items()}
    params = varied(tiny_params, training__mapping_lr_scale=0.25, **changes)
    state, values = state_of(params), values_at(params)._replace(lr_generator=0.02, lr_discriminator=0.03)
    state.counters = Counters(global_step=begun, step=3, images_seen=7)
    before = flat(state.generator)
    assert "loss_reconstruction" not in training_step(state, params, values, real_images(), 0)
    moved = flat(state.generator) - before
    for average, decay in zip((state.ema, state.ema_slow), decays.values(), strict=True):
        expected = (1 - min(decay, (2 + begun) / (11 + begun))) * moved
        assert float((flat(average) - before - expected).norm() / expected.norm()) < 1e-3
    assert vars(state.counters) == {"global_step": begun + 1, "step": 4, "images_seen": 11}
    assert [group["lr"] for group in state.optimizer_generator.param_groups] == [0.02, 0.005]
    assert [group["lr"] for group in state.optimizer_discriminator.param_groups] == [0.03]


def test_the_scale_of_losses_changes_no_step_and_grows(tiny_params):
    params, ends = varied(tiny_params, training__reconstruction_weight=0.5, training__pose_weight=1.0), []
    for scaled in (False, True):
        state = state_of(params)
        if scaled:
            state.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
        measured = training_step(state, params, values_at(params), real_images(), 0)
        ends.append(({name: float(value) for name, value in measured.items()}, state))
    assert ends[1][0] == pytest.approx(ends[0][0], rel=1e-4) and "loss_reconstruction" in ends[0][0]
    for name in ("generator", "discriminator"):
        one, other = (flat(state.modules()[name]) for _, state in ends)
        assert torch.allclose(one, other, atol=1e-5)
    assert ends[1][1].scaler.get_scale() == 2048


@pytest.mark.parametrize("tile", [Tile(1, 16, True), Tile(3, 32, False), Tile(4, 256, True)], ids=str)
def test_any_tile_gives_the_same_gradient(tiny_params, tile, monkeypatch):
    values, fakes = values_at(tiny_params), fakes_of(tiny_params)
    usual = generator_gradient(tiny_params, values, fakes, monkeypatch)
    fakes.tile = tile
    got = generator_gradient(tiny_params, values, fakes, monkeypatch)
    assert float((got - usual).norm() / usual.norm()) < 1e-5


def test_gradient_is_that_of_one_thread_and_the_same_again_on_several(tiny_params, on_threads, monkeypatch):
    monkeypatch.setattr("pigan.kernels.threads.LEAST", 16)
    values, fakes, found = values_at(tiny_params), fakes_of(tiny_params), []
    for threads in (1, 3, 3):
        on_threads(threads)
        found.append(generator_gradient(tiny_params, values, fakes, monkeypatch))
    assert float((found[1] - found[0]).norm() / found[0].norm()) < 1e-5
    assert torch.equal(found[1], found[2])


def test_samples_do_not_depend_on_how_many_images_are_sampled_at_a_time(tiny_params, monkeypatch):
    generator, fakes = state_of(tiny_params).generator, fakes_of(tiny_params)
    together = fakes.samples(generator)
    monkeypatch.setattr("pigan.training.fakes.POINTS_A_PASS", 1)
    for one, other in zip(together, fakes.samples(generator), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert torch.equal(together.depths, fakes.samples(generator).depths)


def test_images_without_any_gradient_leave_the_weights_as_they_are(tiny_params, monkeypatch):
    params, fakes = tiny_params, fakes_of(tiny_params)
    # nothing is dense anywhere, so that no sample has a gradient
    fakes.randomness = fakes.randomness._replace(noise=torch.full_like(fakes.randomness.jitter, -100.0))
    assert generator_gradient(params, values_at(params), fakes, monkeypatch).abs().max() == 0


@given(
    chosen=st.integers(1, 5).flatmap(
        lambda images: st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=images, max_size=images)
    ),
    images=st.integers(1, 5),
    points=st.sampled_from([2, 3, 4, 12]),
    fixed=st.booleans(),
)
def test_tiles_hold_every_chosen_point_once(chosen, images, points, fixed):
    chosen = torch.tensor(chosen)
    seen = torch.zeros(chosen.shape, dtype=torch.int64)
    for which, places in tiles(chosen, Tile(images, points, fixed)):
        assert places.shape[1] == points or (not fixed and 0 < places.shape[1] < points)
        seen[which] += torch.zeros_like(seen[which]).scatter(1, places, 1)
    assert (seen[chosen] == 1).all() and (seen <= 1).all()


def test_opacities_have_a_gradient_at_every_sample(tiny_params):
    params = varied(tiny_params, model__field="sincos-concat")
    fakes = fakes_of(params)
    samples = fakes.samples(state_of(params).generator)
    density = samples.density.requires_grad_()
    (gradient,) = torch.autograd.grad(fakes.rendering(samples).colour.sum(), density)
    assert bool((gradient != 0).all())


def test_reconstruction_is_repeatable_and_fits_any_tile(tiny_params, monkeypatch):
    params, values, ends = varied(tiny_params, training__reconstruction_weight=5.0), values_at(tiny_params), []
    for points in (1 << 20, 1 << 20, 32):
        monkeypatch.setattr("pigan.training.memory.CPU_POINTS", points)
        ends.append(generator_gradient(params, values, fakes_of(params), monkeypatch))
    assert torch.equal(ends[0], ends[1])
    assert float((ends[2] - ends[0]).norm() / ends[0].norm()) < 1e-5
    without = generator_gradient(tiny_params, values, fakes_of(tiny_params), monkeypatch)
    assert float((ends[0] - without).norm() / without.norm()) > 0.01


def test_reconstruction_learns_the_real_images_and_leaves_the_encoder_alone(tiny_params):
    params = varied(tiny_params, training__reconstruction_weight=100.0)
    state, real = state_of(params), torch.full((4, 3, 8, 8), -0.5)
    before, errors = flat(state.discriminator), []
    for step in range(50):
        originals = Originals(real, torch.full((4, 2), 1.5), generator_for(CPU, step, "reconstruction"))
        measured = generator_step(state, params, values_at(params), fakes_of(params, use=str(step)), originals)
        errors.append(float(measured["loss_reconstruction"]))
    assert errors[-1] < 0.75 * errors[0]
    assert torch.equal(before, flat(state.discriminator))


def test_copies_share_random_numbers_and_look_from_the_given_poses(tiny_params):
    fakes = fakes_of(tiny_params)
    again = fakes.of(torch.zeros(4, 4), fakes.pose)
    assert torch.allclose(again.directions, fakes.directions, atol=1e-6) and again.randomness is fakes.randomness
    turned = fakes.of(fakes.latent, fakes.pose + torch.tensor([0.0, 1.0]))
    assert not torch.allclose(turned.origins, fakes.origins)
    beyond = fakes.of(fakes.latent, torch.tensor([[-0.5, 0.0], [4.0, 1.0], [0.5, 9.0], [1.0, -9.0]]))
    assert bool(torch.isfinite(beyond.directions).all())
    assert 0 < beyond.pitch.min().item() < beyond.pitch.max().item() < math.pi


def test_known_poses_of_real_images_are_used_where_they_are_given(tiny_params):
    params = varied(tiny_params, model__discriminator="patch-pose", training__pose_weight=1.0)
    ends = []
    for pose in (None, torch.tensor([[1.0, 0.5]]).expand(4, 2)):
        state = state_of(params)
        training_step(state, params, values_at(params), real_images(), 0, pose)
        ends.append(flat(state.discriminator))
    assert not torch.equal(*ends)


def test_generator_step_leaves_the_discriminator_alone_and_trainable(tiny_params):
    state = state_of(tiny_params)
    before, generator_before = flat(state.discriminator), flat(state.generator)
    expected = fakes_of(tiny_params).rendering(fakes_of(tiny_params).samples(state.generator)).opacity < 0.5
    measured = generator_step(state, tiny_params, values_at(tiny_params), fakes_of(tiny_params))
    assert float(measured["empty_rays"]) == pytest.approx(float(expected.double().mean()))
    assert torch.equal(before, flat(state.discriminator)) and not torch.equal(generator_before, flat(state.generator))
    assert all(p.grad is None and p.requires_grad for p in state.discriminator.parameters())


def test_discriminator_step_leaves_the_generator_alone(tiny_params):
    state = state_of(tiny_params)
    before, judge_before = flat(state.generator), flat(state.discriminator)
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    measured = discriminator_step(state, tiny_params, values_at(tiny_params), real, fakes_of(tiny_params))
    assert torch.equal(before, flat(state.generator)) and not torch.equal(judge_before, flat(state.discriminator))
    assert all(math.isfinite(float(value)) for value in measured.values()) and float(measured["r1"]) > 0


def test_discriminator_learns_to_tell_white_from_generated(tiny_params):
    state = state_of(tiny_params)
    real = torch.ones(4, 3, 8, 8)
    first = last = {}
    for step in range(100):
        last = discriminator_step(
            state, tiny_params, values_at(tiny_params), real, fakes_of(tiny_params, use=str(step))
        )
        first = first or last
    assert float(last["loss_d"]) < 0.75 * float(first["loss_d"])


def test_same_seed_same_bits_and_other_seed_other_bits(tiny_params):
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    ends = []
    for seed in (0, 0, 1):
        state = state_of(tiny_params)
        for step in range(2):
            training_step(state, tiny_params, values_at(tiny_params, step), real, seed)
        ends.append(flat(state.generator))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_initial_weights_depend_on_the_seed_alone(tiny_params):
    torch.manual_seed(5)
    first = flat(state_of(tiny_params, 3).generator)
    after = torch.rand(1)
    torch.manual_seed(6)
    assert torch.equal(first, flat(state_of(tiny_params, 3).generator))
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))  # the global generator was left alone
    assert not torch.equal(first, flat(state_of(tiny_params, 4).generator))


def test_bf16_training_moves_like_fp32(tiny_params):
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    norms = []
    for precision in ("fp32", "bf16"):
        training = tiny_params.training.model_copy(update={"precision": precision})
        params = tiny_params.model_copy(update={"training": training})
        values = values_at(params)._replace(topk=0.6)
        norms.append(float(training_step(state_of(params), params, values, real, 0)["loss_g"]))
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


def test_scale_of_losses_falls_when_they_overflow_but_not_below_one():
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    scales = []
    for factor in (math.inf, math.inf, math.inf, 1.0):
        optimizer.zero_grad()
        scaler.scale(factor * weight.sum()).backward()
        scaler.step(optimizer)
        update_scale(scaler, torch.device("cpu"))
        scales.append(scaler.get_scale())
    assert scales == [2, 1, 1, 2]
    update_scale(torch.amp.GradScaler("cpu", enabled=False), torch.device("cpu"))


def test_average_follows_the_authors_warm_up():
    average, current = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(average.weight, 0.0)
    expected = 0.0
    for n in range(1, 101):
        # from n = 80 on the young average is as slow as the old one; what moves on shows every decay
        torch.nn.init.constant_(current.weight, float(n))
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
        update_ema(average, current, 0.9, n)
        assert average.weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def deterministic():
    """PyTorch as every stage sets it up."""
    prepare_process(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True


def test_nothing_is_filled_before_it_is_written(deterministic):
    with torch.autograd.profiler.profile() as profile:
        torch.rand(9, generator=torch.Generator().manual_seed(0)) + torch.empty(9)
    names = {event.name for event in profile.function_events}
    assert "aten::empty" in names and "aten::fill_" not in names


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_on_the_gpu_is_repeatable(tiny_params, precision, deterministic):
    training = tiny_params.training.model_copy(update={"precision": precision})
    model = tiny_params.model.model_copy(update={"hierarchical": True})
    params = tiny_params.model_copy(update={"training": training, "model": model})
    real = (torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1).cuda()
    ends = []
    for _ in range(2):
        state = initial_state(params, torch.device("cuda"), 0)
        for step in range(5):
            measured = training_step(state, params, values_at(params, step), real, 0)
        assert math.isfinite(float(measured["loss_g"]))
        ends.append(flat(copy.deepcopy(state.ema)))
    assert torch.equal(ends[0], ends[1])
