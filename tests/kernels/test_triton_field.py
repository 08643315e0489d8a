"""The kernels against float64: in Triton's interpreter on small fields, and on a GPU with the paper's network.

Triton decides at import whether it interprets, so one test here runs this file once more in a process of its own.
"""

import copy
import functools
import math
import os
import subprocess
import sys
from typing import NamedTuple

import pytest
import torch

from pigan.kernels import triton_field
from pigan.kernels.folded import fold
from pigan.kernels.triton_field import launch_of, sine_field, unusable
from pigan.models.siren import FilmSirenField

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

triton = pytest.importorskip("triton")
tl = pytest.importorskip("triton.language")
from pigan.kernels.triton_turns import decode, encode, reduced  # noqa: E402

if INTERPRETED:
    PLACES = [pytest.param("cpu")]
else:
    no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; interpreted elsewhere")
    PLACES = [pytest.param("cuda", marks=[pytest.mark.gpu, no_gpu])]
on_each = pytest.mark.parametrize("device", PLACES)


class Case(NamedTuple):
    """A field, points in its box (no multiple of a block), and what their outputs are multiplied by."""

    field: FilmSirenField
    code: torch.Tensor
    points: torch.Tensor
    directions: torch.Tensor
    towards_colour: torch.Tensor
    towards_density: torch.Tensor

    def to(self, *how) -> "Case":
        return Case(*(copy.deepcopy(part).to(*how) for part in self))


def make_case(device, layers=2, images=2):
    """The paper's width on a GPU, a small one in the interpreter, which is slow."""
    hidden, count = (256, 1000) if device == "cuda" else (32, 150)
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        field = FilmSirenField(hidden, layers, 2 / 0.24)
    return Case(
        field,
        0.35 * torch.randn((images, field.code_size), generator=random),
        (torch.rand((images, count, 3), generator=random) - 0.5) * 0.24,
        torch.nn.functional.normalize(torch.randn((images, count, 3), generator=random), dim=-1),
        torch.randn((images, count, 3), generator=random),
        torch.randn((images, count), generator=random),
    ).to(device)


def run(case, dtype, scale=1.0):
    """Colour, density and all gradients of the kernels (those of the codes last)."""
    code = case.code.detach().requires_grad_()
    colour, density = sine_field(case.points, case.directions, *fold(case.field, code)[:4], dtype)
    loss = (torch.sigmoid(colour) * case.towards_colour).sum() + (density * case.towards_density).sum()
    return colour, density, torch.autograd.grad(scale * loss, [*case.field.parameters(), code])


@functools.cache
def once(device):
    """The run in fp16 that others are compared with."""
    return run(make_case(device), torch.float16)


def reference(case):
    """The paper's formulas in float64."""
    exact = case.to(torch.float64)
    code = exact.code.requires_grad_()
    rgb, density = exact.field(exact.points, exact.directions, code)
    loss = (rgb * exact.towards_colour).sum() + (density * exact.towards_density).sum()
    return rgb, density, torch.autograd.grad(loss, [*exact.field.parameters(), code])


def error(got, expected):
    """Relative L2 error."""
    return float((got.double() - expected).norm() / expected.norm())


@pytest.mark.skipif(INTERPRETED, reason="is that process")
def test_in_the_interpreter():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", "-k", "cpu", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


# float32 shows that the mathematics is right; the 16-bit bounds are those of the issue
@on_each
@pytest.mark.parametrize(
    ("dtype", "layers", "output", "gradient"),
    [
        (torch.float32, 1, 1e-5, 1e-4),
        (torch.float32, 3, 1e-5, 1e-4),
        (torch.float16, 2, 1e-3, 1e-2),
        (torch.bfloat16, 2, 5e-3, 5e-2),
    ],
)
def test_outputs_and_gradients_equal_float64(device, dtype, layers, output, gradient):
    case = make_case(device, layers, images=2 if dtype.itemsize == 2 else 1)
    rgb64, density64, gradients64 = reference(case)
    colour, density, gradients = once(device) if dtype == torch.float16 else run(case, dtype)
    assert (torch.sigmoid(colour) - rgb64).detach().abs().max() < output
    assert (density - density64).detach().abs().max() < output
    for got, expected in zip(gradients, gradients64, strict=True):
        assert error(got, expected) < gradient


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "gradient"), [(torch.float16, 1e-2), (torch.bfloat16, 5e-2)])
def test_gradients_of_the_papers_network(dtype, gradient):
    case = make_case("cuda", layers=8)
    # of all weights at once, as the bound was measured
    expected, got = (torch.cat([g.flatten() for g in done[2][:-1]]) for done in (reference(case), run(case, dtype)))
    assert error(got, expected) < gradient


@on_each
def test_the_same_bits_twice_and_without_gradients(device):
    case = make_case(device)
    colour, density, gradients = once(device)
    again = run(case, torch.float16)
    for first, second in zip([colour, density, *gradients], [*again[:2], *again[2]], strict=True):
        assert torch.equal(first, second)
    with torch.no_grad():
        rendered = sine_field(case.points, case.directions, *fold(case.field, case.code)[:4], torch.float16)
    assert not rendered[0].requires_grad
    assert torch.equal(rendered[0], colour) and torch.equal(rendered[1], density)


@on_each
def test_gradients_of_fp16_do_not_depend_on_the_size_of_the_loss(device):
    case = make_case(device, images=1)
    small, large = (run(case, torch.float16, scale=2.0**exponent)[2] for exponent in (-40, 20))
    assert all(torch.equal(s * 2.0**60, g) for s, g in zip(small, large, strict=True))


@on_each
def test_no_gradient_stays_none_and_a_bad_one_is_seen(device):
    case = make_case(device, images=1)
    _, _, nothing = run(case, torch.float16, scale=0.0)
    assert all(bool((gradient == 0).all()) for gradient in nothing)
    # as the scaler of the loss has to see it
    _, _, bad = run(case, torch.float16, scale=math.nan)
    assert not any(bool(gradient.isfinite().any()) for gradient in bad[:2])


@on_each
def test_gradients_that_grow_from_layer_to_layer_do_not_overflow(device):
    case = make_case(device, layers=5, images=1)
    with torch.no_grad():
        for linear in case.field.modulated_linears()[1:-1]:
            linear.weight.mul_(60)
    _, _, gradients64 = reference(case)
    _, _, gradients = run(case, torch.float16)
    assert gradients64[0].abs().max() > 1e7
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    # their size only: 16-bit operands lose the phase of so large arguments
    assert all(0.3 < got.norm() / expected.norm() < 3 for got, expected in zip(gradients, gradients64, strict=True))


@on_each
def test_gradients_in_groups_and_parts_are_the_same_sums(device, monkeypatch):
    case = make_case(device)
    _, _, expected = once(device)
    monkeypatch.setattr(triton_field, "GROUP_POINTS", 1)
    monkeypatch.setattr(triton_field, "PROGRAMS", 1)
    _, _, got = run(case, torch.float16)
    assert all(error(g, e.double()) < 1e-5 for g, e in zip(got, expected, strict=True))


@on_each
def test_two_bytes_a_unit_are_kept(device):
    case = make_case(device)
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        sine_field(case.points, case.directions, *fold(case.field, case.code)[:4], torch.float16)
    of_points = [tensor for tensor in kept.values() if tensor.dim() > 2 and tensor.shape[-2] >= case.points.shape[1]]
    layers, images, padded, hidden = next(t.shape for t in of_points if t.dtype == torch.int16)
    assert (layers, images, hidden) == (3, len(case.points), case.field.hidden)
    assert case.points.shape[1] <= padded < case.points.shape[1] + 128
    # besides: coordinates and directions
    assert len(of_points) == 3


@triton.jit
def round_trip(angles, near, back, BLOCK: tl.constexpr):
    place = tl.arange(0, BLOCK)
    angle = tl.load(angles + place)
    tl.store(near + place, reduced(angle))
    tl.store(back + place, decode(encode(angle, tl.int16)))


def off(angle, expected):
    """How far two angles are from each other around the circle."""
    return (angle.double() - expected.double() + math.pi).remainder(2 * math.pi).sub(math.pi).abs().max()


@on_each
def test_an_angle_survives_in_16_bits(device):
    angles = torch.linspace(-1600, 1600, 4096, device=device)
    near, back = torch.empty_like(angles), torch.empty_like(angles)
    round_trip[(1,)](angles, near, back, 4096, enable_fp_fusion=True)
    # half of 2^-14 turns, and float32's rounding of 256 turns
    assert off(back, angles) < math.pi / 16384 + 2e-4
    assert near.abs().max() < 3.1417 and off(near, angles) < 2e-4
    round_trip[(1,)](angles / 16, near, back, 4096, enable_fp_fusion=True)
    assert off(back, angles / 16) < math.pi / 16384 + 2e-5
    round_trip[(1,)](angles * 25, near, back, 4096, enable_fp_fusion=True)
    assert near.abs().max() < 3.1417 and off(near, angles * 25) < 4e-3


@pytest.mark.skipif(INTERPRETED, reason="there the kernels run everywhere")
def test_why_the_kernels_cannot_be_used(monkeypatch):
    gpu = torch.device("cuda")
    assert "need an NVIDIA GPU" in unusable(256, torch.device("cpu"))
    assert "not 48" in unusable(48, gpu)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an old GPU")
    assert "an old GPU has less" in unusable(256, gpu)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setenv("CC", "cc")
    assert unusable(256, gpu) is None
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    assert "C compiler" in unusable(256, gpu)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert unusable(256, gpu) == "Triton is not installed"


def test_the_interpreter_stands_in_for_a_gpu(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert unusable(32, torch.device("cpu")) is None


def test_sizes_depend_on_the_shape_and_the_kind_of_gpu_only():
    assert launch_of(256, torch.float16, (9, 0)) == launch_of(256, torch.bfloat16, (10, 0))
    assert launch_of(256, torch.float16, (8, 9)).field < launch_of(256, torch.float16, (9, 0)).field
