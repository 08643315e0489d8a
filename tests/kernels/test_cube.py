"""The table of a feature cube says what PyTorch's own sampling of the cube says, and learns the same."""

import pytest
import torch

from pigan.kernels.cube import table_of, with_features
from pigan.models.siren import with_cube


def asked(side: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """A cube, and places inside and outside of it; some at its samples, at its edges and far away."""
    random = torch.Generator().manual_seed(side)
    cube = torch.randn((1, 5, side, side, side), generator=random, dtype=dtype)
    places = 2.6 * torch.rand((3, 40, 3), generator=random, dtype=dtype) - 1.3
    places[0, :4] = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, 0], [-1, 1, 100]], dtype=dtype)
    return cube.requires_grad_(), places.requires_grad_()


@pytest.mark.parametrize("side", [2, 3, 8])
def test_features_and_gradients_are_those_of_the_cube(side: int) -> None:
    cube, places = asked(side)
    got, expected = with_features(table_of(cube), places), with_cube(cube, places)
    torch.testing.assert_close(got, expected)
    towards = torch.randn(got.shape, dtype=torch.float64)
    for ours, theirs in zip(
        torch.autograd.grad(got, (cube, places), towards),
        torch.autograd.grad(expected, (cube, places), towards),
        strict=True,
    ):
        # where a place is a sample, the slope is that of either side: PyTorch takes the same one
        torch.testing.assert_close(ours, theirs)


def test_gradients_are_those_of_finite_differences() -> None:
    cube, places = asked(3)
    # away from the samples, where the slope jumps
    inside = (0.8 * places.detach()[1:, :3] + 0.013).requires_grad_()
    assert torch.autograd.gradcheck(lambda c, p: with_features(table_of(c), p), (cube, inside))


def test_gradients_are_the_same_bits_with_any_number_of_threads() -> None:
    found = []
    for threads in (1, 2, 2):
        cube, places = asked(4, torch.float32)
        torch.set_num_threads(threads)
        try:
            features = with_features(table_of(cube), places.repeat(1, 200, 1))
            found.append(torch.autograd.grad(features.square().sum(), (cube, places)))
        finally:
            torch.set_num_threads(1)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
    assert (found[0][0] != 0).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gradients_are_the_same_bits_on_the_gpu() -> None:
    found = []
    for _ in range(3):
        cube, places = (value.detach().cuda().requires_grad_() for value in asked(4, torch.float32))
        features = with_features(table_of(cube), places.repeat(1, 20000, 1))
        found.append(torch.autograd.grad(features.square().sum(), cube)[0])
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
