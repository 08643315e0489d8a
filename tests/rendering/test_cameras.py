import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pigan import presets
from pigan.rendering.cameras import (
    edge_fov,
    fov_of_focal_length,
    look_along,
    look_at_origin,
    position_on_sphere,
    sample_poses,
)

LAWS = ("gaussian", "uniform", "hybrid", "truncated_gaussian", "spherical_uniform", "fixed")
ANGLES = st.floats(0.05, math.pi - 0.05)


def draw(law: str, count: int = 20_000, seed: int = 0, yaw=(1.5, 0.3), pitch=(1.4, 0.2)):
    random = torch.Generator().manual_seed(seed)
    return sample_poses(law, count, *yaw, *pitch, random)


def test_frontal_pose_stands_on_positive_z_and_looks_along_negative_z():
    half = torch.tensor(math.pi / 2)
    pose = look_at_origin(half, half, 1.0)
    assert torch.allclose(pose, torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(yaw=st.floats(-10, 10), pitch=ANGLES, radius=st.floats(0.1, 20))
def test_cameras_are_rigid_and_look_at_the_origin(yaw, pitch, radius):
    pose = look_at_origin(torch.tensor(yaw), torch.tensor(pitch), radius)
    rotation, position = pose[:3, :3], pose[:3, 3]
    assert torch.allclose(rotation.T @ rotation, torch.eye(3), atol=1e-5)
    assert math.isclose(float(torch.det(rotation)), 1.0, abs_tol=1e-5)
    assert math.isclose(float(position.norm()), radius, rel_tol=1e-5)
    assert torch.allclose(-rotation[:, 2] * radius, -position, atol=1e-4 * radius)
    assert rotation[1, 1] > 0  # the image's up is not upside down


@settings(max_examples=30, deadline=None)
@given(yaw=st.floats(-3, 3), pitch=ANGLES)
def test_yaw_and_pitch_come_back_from_the_position(yaw, pitch):
    x, y, z = position_on_sphere(torch.tensor(yaw), torch.tensor(pitch), 1.0).tolist()
    assert math.isclose(math.acos(y), pitch, abs_tol=2e-3)
    assert math.isclose(math.atan2(z, x), yaw, abs_tol=1e-3)


def test_card_camera_of_position_direction_and_up():
    pose = look_along(torch.tensor([0.0, 0, 2]), torch.tensor([0.0, 0, -5]), torch.tensor([0.0, 3, 0]))
    half = torch.tensor(math.pi / 2)
    assert torch.allclose(pose, look_at_origin(half, half, 2.0), atol=1e-6)
    assert math.isclose(fov_of_focal_length(1.0, 2.0), math.pi / 2)


def test_angle_between_outer_edges():
    camera = presets.params("demo").camera
    assert edge_fov(camera, 16) == camera.fov
    aligned = camera.model_copy(update={"align_corners": True})
    assert math.tan(edge_fov(aligned, 16) / 2) / math.tan(camera.fov / 2) == pytest.approx(16 / 15)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("middle", [0.1, math.pi - 0.1])
def test_same_seed_same_poses_and_pitch_off_the_poles(law, middle):
    first, second = draw(law, 100, pitch=(middle, 1.0)), draw(law, 100, pitch=(middle, 1.0))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[1].min() >= 1e-5 and first[1].max() <= math.pi - 1e-5


def test_gaussian_and_uniform_follow_their_laws():
    yaw, pitch = draw("gaussian")
    assert stats.kstest(yaw.numpy(), "norm", args=(1.5, 0.3)).pvalue > 1e-3
    assert stats.kstest(pitch.numpy(), "norm", args=(1.4, 0.2)).pvalue > 1e-3
    yaw, _ = draw("uniform")
    assert stats.kstest(yaw.numpy(), "uniform", args=(1.2, 0.6)).pvalue > 1e-3


def test_truncated_gaussian_is_cut_at_two_spreads():
    yaw, _ = draw("truncated_gaussian")
    assert stats.kstest(yaw.numpy(), "truncnorm", args=(-2, 2, 1.5, 0.3)).pvalue > 1e-3


def test_hybrid_is_uniform_or_gaussian_by_call():
    widest = [float((draw("hybrid", 2000, seed)[0] - 1.5).abs().max()) for seed in range(40)]
    uniform = [width for width in widest if width <= 0.6]
    assert 8 <= len(uniform) <= 32
    assert all(width > 0.55 for width in uniform) and max(widest) > 0.8


def test_whole_sphere_is_covered_evenly():
    _, pitch = draw("spherical_uniform", pitch=(math.pi / 2, math.pi / 2))
    # heights on a uniformly covered sphere are uniform (Archimedes)
    assert stats.kstest(torch.cos(pitch).numpy(), "uniform", args=(-1, 2)).pvalue > 1e-3


def test_fixed_law_is_the_means():
    yaw, pitch = draw("fixed", 3)
    assert yaw.tolist() == pytest.approx([1.5] * 3) and pitch.tolist() == pytest.approx([1.4] * 3)
