"""The law that known cameras follow, from poses that the package itself draws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pigan.guide.laws import OFFSETS, fit_law, unwrap
from pigan.rendering.cameras import sample_poses
from pigan.sections import PoseLaw

FRONT = math.pi / 2
# name, law, yaw mean and spread, pitch mean and spread
LAWS: list[tuple[PoseLaw, float, float, float, float]] = [
    ("gaussian", FRONT, 0.3, FRONT, 0.155),
    ("truncated_gaussian", 1.2, 0.4, 1.4, 0.2),
    ("uniform", -1.0, 0.5, 1.0, 0.4),
    ("uniform", FRONT, math.pi, 1.2, 0.4),
    ("spherical_uniform", FRONT, math.pi, 0.7417649, 0.7417649),
    ("spherical_uniform", 3.0, 1.0, 1.2, 0.9),
]


def drawn(law: PoseLaw, numbers: tuple[float, ...], count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    yaw, pitch = sample_poses(law, count, *numbers, torch.Generator().manual_seed(seed))
    return yaw.double().numpy(), pitch.double().numpy()


@pytest.mark.parametrize(("law", "numbers"), [(law, tuple(numbers)) for law, *numbers in LAWS])
def test_law_and_numbers_are_recovered(law: PoseLaw, numbers: tuple[float, ...]) -> None:
    found = fit_law(*drawn(law, numbers, 3000))
    assert found.law == law
    assert (found.yaw_mean - numbers[0] + math.pi) % (2 * math.pi) - math.pi == pytest.approx(0, abs=0.03)
    assert found.yaw_spread == pytest.approx(numbers[1], rel=0.04)
    assert found.pitch_mean == pytest.approx(numbers[2], abs=0.03)
    assert found.pitch_spread == pytest.approx(numbers[3], rel=0.06)
    assert found.misfit < math.radians(1.5)


def test_one_camera_is_fixed() -> None:
    found = fit_law(np.full(9, 4.5), np.full(9, 1.1))
    assert (found.law, found.yaw_spread, found.pitch_spread) == ("fixed", 0.0, 0.0)
    assert found.yaw_mean == pytest.approx(4.5)
    assert found.pitch_mean == pytest.approx(1.1)


def test_odd_cameras_change_little() -> None:
    yaw, pitch = drawn("gaussian", (FRONT, 0.3, FRONT, 0.155), 2000)
    yaw[:10] += 1.5
    found = fit_law(yaw, pitch)
    assert found.law == "gaussian"
    assert found.yaw_spread == pytest.approx(0.3, rel=0.05)


def test_hybrid_is_one_of_its_halves() -> None:
    halves = {fit_law(*drawn("hybrid", (FRONT, 0.3, 1.0, 0.2), 3000, seed)).law for seed in range(6)}
    assert halves == {"uniform", "gaussian"}


def test_laws_that_draw_alike_are_told_as_rivals() -> None:
    # near the equator the area of a sphere hardly depends on the angle
    found = fit_law(*drawn("uniform", (FRONT, 0.5, FRONT, 0.2), 500))
    assert {"uniform", "spherical_uniform"} <= {found.law, *found.rivals}


def test_yaw_is_cut_open_where_nobody_stands() -> None:
    across_the_seam = np.mod(np.linspace(-0.4, 0.4, 50), 2 * math.pi)
    opened, whole = unwrap(across_the_seam)
    assert not whole
    assert opened[-1] - opened[0] == pytest.approx(0.8)
    around, whole = unwrap(np.linspace(0, 2 * math.pi, 36, endpoint=False))
    assert whole
    assert len(around) == 36


@settings(max_examples=60, deadline=None)
@given(
    law=st.sampled_from(sorted(OFFSETS)),
    count=st.integers(1, 300),
    mean=st.floats(-3, 6),
    spread=st.floats(0, 1.5),
    seed=st.integers(0, 99),
)
def test_any_cameras_give_numbers_a_camera_can_have(
    law: PoseLaw, count: int, mean: float, spread: float, seed: int
) -> None:
    found = fit_law(*drawn(law, (mean, spread, 1.2, spread / 2), count, seed))
    assert all(map(math.isfinite, (found.yaw_mean, found.pitch_mean, found.misfit)))
    assert found.yaw_spread >= 0
    assert found.pitch_spread >= 0
    assert -FRONT <= found.yaw_mean <= 3 * FRONT
