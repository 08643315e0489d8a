import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pigan.rendering.sampling import importance_depths, merge_order, stratified_depths

WEIGHTS = arrays.arrays(np.float32, st.integers(4, 12), elements=st.floats(0, 1, width=32))


def literal_importance(depths, weights, u):
    """One ray, one sample at a time."""
    edges = [(a + b) / 2 for a, b in itertools.pairwise(depths)]
    mass = [w + 2e-5 for w in weights[1:-1]]
    total, found = sum(mass), []
    for place in u:
        reached, chosen = 0.0, None
        for i, m in enumerate(mass):
            if place < reached + m / total or i == len(mass) - 1:
                share = (place - reached) / max(m / total, 1e-30) if m / total >= 1e-5 else place - reached
                chosen = edges[i] + share * (edges[i + 1] - edges[i])
                break
            reached += m / total
        found.append(chosen)
    return found


def test_without_jitter_samples_are_evenly_spaced():
    assert torch.allclose(stratified_depths(1.0, 2.0, torch.zeros(5)), torch.tensor([1.0, 1.25, 1.5, 1.75, 2.0]))


@settings(max_examples=40, deadline=None)
@given(jitter=arrays.arrays(np.float32, (7,), elements=st.floats(-0.5, 0.5, width=32)))
def test_jittered_samples_stay_in_their_strata_and_in_order(jitter):
    depths = stratified_depths(0.0, 6.0, torch.tensor(jitter))
    assert (depths - torch.arange(7.0)).abs().max() <= 0.5 + 1e-5
    assert (depths.diff() >= -1e-5).all()


@settings(max_examples=60, deadline=None)
@given(weights=WEIGHTS, data=st.data())
def test_importance_sampling_equals_the_literal_inverse(weights, data):
    depths = np.linspace(1, 2, len(weights))
    u = data.draw(arrays.arrays(np.float32, (5,), elements=st.floats(2**-10, 1 - 2**-9, width=32)))
    got = importance_depths(
        torch.tensor(depths, dtype=torch.float64), torch.tensor(weights).double(), torch.tensor(u).double()
    )
    expected = literal_importance(depths, weights.astype(float), u.astype(float))
    np.testing.assert_allclose(got.numpy(), expected, atol=2e-4)


def test_samples_follow_the_weights():
    depths = torch.linspace(0, 1, 12)
    weights = torch.zeros(12)
    weights[4], weights[8] = 0.3, 0.6
    u = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    fine = importance_depths(depths, weights, u)
    near_fourth = ((fine - depths[4]).abs() < 1 / 22 + 1e-3).float().mean()
    near_eighth = ((fine - depths[8]).abs() < 1 / 22 + 1e-3).float().mean()
    assert abs(float(near_fourth) - 1 / 3) < 0.02 and abs(float(near_eighth) - 2 / 3) < 0.02


def test_empty_ray_is_sampled_evenly_and_no_gradient_flows():
    weights = torch.zeros(6, requires_grad=True)
    fine = importance_depths(torch.linspace(0, 5, 6), weights, torch.tensor([0.0, 0.25, 0.5, 0.75]))
    assert torch.allclose(fine, torch.tensor([0.5, 1.5, 2.5, 3.5]), atol=1e-4)
    assert not fine.requires_grad


def test_ends_of_the_distribution_are_the_outer_edges():
    # 0.1 ten times is less than 1 in float32, so that a number may be above all sums
    fine = importance_depths(torch.linspace(0, 11, 12), torch.full((12,), 0.1), torch.tensor([0.0, 1 - 2**-24, 1.0]))
    assert torch.allclose(fine, torch.tensor([0.5, 10.5, 10.5]), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    coarse=arrays.arrays(np.float32, (5,), elements=st.floats(0, 1, width=32)),
    fine=arrays.arrays(np.float32, (4,), elements=st.floats(0, 1, width=32)),
)
def test_merge_sorts_and_says_where_everything_came_from(coarse, fine):
    depths, order = merge_order(torch.tensor(coarse), torch.tensor(fine))
    joined = np.concatenate((coarse, fine))
    assert (np.diff(depths.numpy()) >= 0).all()
    assert sorted(order.tolist()) == list(range(9)) and np.array_equal(joined[order.numpy()], depths.numpy())
