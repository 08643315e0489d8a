"""Formulas against what PyTorch counts, and against a count of every operation's inputs and outputs."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pigan.bench.counting import (
    Count,
    bound_of,
    discriminator_forward,
    field_forward,
    field_training,
    judging,
    step_count,
)
from pigan.bench.plain_discriminator import plain_discriminator
from pigan.bench.reference import plain_field
from pigan.kernels.choose import EXACT, field_of
from pigan.kernels.folded import ACTIVATIONS
from pigan.models.discriminator import Discriminator
from pigan.models.generator import Generator
from pigan.training.losses import discriminator_loss, r1_penalty

VIEWS = {
    *("view", "expand", "slice", "transpose", "t", "permute", "unsqueeze", "squeeze", "select", "detach", "alias"),
    *("_unsafe_view", "as_strided", "split", "unbind", "empty", "empty_like", "empty_strided"),
}
POINTS, IMAGES = 512, 2


class Traffic(TorchDispatchMode):
    """Bytes of every operation's inputs and outputs."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if function.overloadpacket.__name__ not in VIEWS:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            self.total += sum(min(t.numel() * t.element_size(), t.untyped_storage().nbytes()) for t in tensors)
        return out


def counted(run):
    with FlopCounterMode(display=False) as flops, Traffic() as traffic:
        run()
    return Count(flops.get_total_flops(), traffic.total)


@pytest.fixture
def model(paper_model):
    """Half as wide, quick enough."""
    return paper_model.model_copy(update={"hidden": 128, "mapping_hidden": 16})


def asked(model):
    generator = Generator(model)
    code = generator.mapping(torch.randn(IMAGES, model.z_dim)).detach().requires_grad_()
    return generator, torch.rand(IMAGES, POINTS, 3), torch.rand(IMAGES, POINTS, 3), code


@pytest.mark.parametrize("way", ["plain", "folded"])
@pytest.mark.parametrize(
    "kind", ["film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"]
)
def test_field(model, way, kind):
    model = model.model_copy(update={"field": kind})
    generator, points, directions, code = asked(model)
    if "concat" in kind:
        code = code.detach()  # a latent has no gradient

    def evaluate():
        if way == "plain":
            return plain_field(generator.field, points, directions, code)
        return field_of(generator, code, EXACT)(points, directions)

    def train():
        torch.autograd.backward(evaluate(), (torch.ones_like(points), torch.ones(IMAGES, POINTS)))

    forward, training = counted(torch.no_grad()(evaluate)), counted(train)
    expected = field_forward(model, IMAGES * POINTS, way), field_training(model, IMAGES * POINTS, way)
    assert forward.flop == pytest.approx(expected[0].flop, rel=0.01)
    assert training.flop == pytest.approx(expected[1].flop, rel=0.01)
    if kind == "film-siren" and way == "plain":
        assert forward.byte == pytest.approx(expected[0].byte, rel=0.1)
        assert training.byte == pytest.approx(expected[1].byte, rel=0.1)


def test_folded_field_moves_about_half_as_much(model, monkeypatch):
    # what NumPy moves is not heard
    monkeypatch.setitem(ACTIVATIONS, "sine", torch.sin)
    # many points, so that folding the weights does not count
    generator, *_, code = asked(model)
    points = torch.rand(IMAGES, 16 * POINTS, 3)

    def train():
        rgb, density = field_of(generator, code, EXACT)(points, points)
        (rgb.sum() + density.sum()).backward()

    assert counted(train).byte == pytest.approx(field_training(model, IMAGES * 16 * POINTS, "folded").byte, rel=0.15)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("kind", ["progressive", "ccs", "strided", "patch-pose"])
def test_discriminator(paper_model, kind, plain):
    config = paper_model.discriminator.model_copy(update={"kind": kind, "width": 0.25, "max_channels": 100})
    judge = (plain_discriminator if plain else Discriminator)(config, 4, 32)
    fade = 1.0 if plain else None
    # patch-pose is its own reference, without coordinates to join
    plain = plain and kind != "patch-pose"
    real, fake = (torch.rand(IMAGES, 3, 32, 32) for _ in range(2))

    def forward():
        with torch.no_grad():
            judge(fake, fade)

    def step():
        # not a leaf, which the counter's hooks do not like
        images = real.requires_grad_() * 1
        judged = judge(images, fade).logit
        penalty = r1_penalty(judged, images)
        (discriminator_loss(judged, judge(fake, fade).logit) + penalty).backward()

    def through():
        judge(fake.clone().requires_grad_(), fade).logit.sum().backward()

    def through_frozen():
        judge.requires_grad_(False)
        through()
        judge.requires_grad_(True)

    assert counted(forward).flop == pytest.approx(IMAGES * discriminator_forward(config, 4, 32, plain).flop, rel=0.02)
    for name, run in (("step", step), ("through", through), ("through_frozen", through_frozen)):
        got, expected = counted(run), judging(config, 4, 32, IMAGES, name, plain)
        assert got.flop == pytest.approx(expected.flop, rel=0.05), name
        if plain:
            # scarcely more than an order of magnitude is needed to tell which bound is near
            assert 0.6 < got.byte / expected.byte < 1.6, name


def test_the_papers_numbers(paper_model):
    # 526,848 products and sums a point
    assert field_forward(paper_model, 1, "folded").flop == 2 * 526_848
    assert field_training(paper_model, 1, "folded").flop == pytest.approx(3.158e6, rel=1e-3)
    assert paper_model.points(64) == 98_304
    progressive = paper_model.discriminator.model_copy(update={"kind": "progressive"})
    assert discriminator_forward(progressive, 256, 64, places=True).flop == pytest.approx(14.6e9, rel=0.01)


def test_a_step_is_its_parts(paper_model):
    config, points = paper_model.discriminator, 3 * paper_model.points(32)
    parts = (
        field_forward(paper_model, points, "plain"),
        field_training(paper_model, points, "plain"),
        judging(config, 256, 32, 3, "step", plain=True),
        judging(config, 256, 32, 3, "through", plain=True),
    )
    whole = step_count(paper_model, 32, 3, "plain")
    assert whole.flop == sum(part.flop for part in parts) and whole.byte == sum(part.byte for part in parts)
    # the Triton kernels' traffic is not known, their work is
    triton = step_count(paper_model, 32, 3, "triton", 2)
    assert triton.byte is None and 0.8 * whole.flop < triton.flop < whole.flop


def test_what_stays_in_the_cache_is_no_traffic(paper_model):
    tiled = field_forward(paper_model, 100, "folded", cached=True)
    assert tiled.byte < field_forward(paper_model, 100, "folded").byte / 100


def test_bound_is_the_side_of_the_ridge():
    assert bound_of(flop=11e9, byte=1e9, matmul_gflops=100.0, bandwidth_gb_s=10.0) == "compute"
    assert bound_of(flop=9e9, byte=1e9, matmul_gflops=100.0, bandwidth_gb_s=10.0) == "memory"
