import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from pigan.kernels.sines import sine, sine_

ANGLES = st.lists(st.floats(-500, 500, width=32), min_size=1, max_size=70)


@pytest.fixture(params=[1, 2])
def threads(request, on_threads):
    """NumPy's sine, and PyTorch's."""
    on_threads(request.param)
    return request.param


@given(angles=ANGLES)
def test_sines_are_those_of_float64(angles):
    x = torch.tensor(angles)
    expected = torch.sin(x.double())
    assert (sine(x).double() - expected).abs().max() < 3e-7
    # whatever stands beside a number
    assert torch.equal(sine(x), torch.cat([sine(x[i : i + 1]) for i in range(len(x))]))
    again = x.clone()
    assert sine_(again) is again and torch.equal(again, sine(x))


@given(angles=ANGLES)
def test_gradient_is_that_of_float64(angles):
    x, towards = torch.tensor(angles, requires_grad=True), torch.linspace(-1, 2, len(angles))
    found = sine(x)
    (gradient,) = torch.autograd.grad(found, x, towards)
    assert torch.equal(found.detach(), sine(x.detach()))
    assert (gradient.double() - towards.double() * torch.cos(x.detach().double())).abs().max() < 1e-6


class Heard(TorchDispatchMode):
    """What PyTorch itself computes."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_which_sine_it_is_depends_on_threads_and_type(threads, dtype):
    x = torch.linspace(-3, 3, 7).to(dtype)
    with Heard() as heard:
        found, also = sine(x), sine_(x.clone())
    assert ({"sin", "sin_"} <= set(heard.names)) == (threads == 2 or dtype != torch.float32)
    assert torch.equal(found, also)
    torch.testing.assert_close(found, torch.sin(x))


def test_derivatives_of_every_order_are_there():
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    expected, found = torch.sin(x), sine(x)
    for _ in range(3):
        expected, found = (torch.autograd.grad(each.sum(), x, create_graph=True)[0] for each in (expected, found))
        torch.testing.assert_close(found, expected)


def test_layouts_other_than_plain_ones_are_no_trouble():
    x = torch.linspace(-9, 9, 24).view(4, 6)
    for view in (x.mT, x[:, ::2], x[:1].expand(3, 6)):
        torch.testing.assert_close(sine(view), torch.sin(view))
    torch.testing.assert_close(sine(torch.empty(0, 3)), torch.empty(0, 3))
