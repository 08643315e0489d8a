import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan.data.posed.frames import cropped_fov, pose_angles
from pigan.rendering.cameras import look_at_origin


@given(st.floats(-3.1, 3.1), st.floats(0.05, 3.05), st.floats(-4, 4))
def test_angles_are_read_back_from_the_matrix(offset: float, pitch: float, mean: float) -> None:
    yaw = mean + offset
    matrix = look_at_origin(torch.tensor([yaw]).double(), torch.tensor([pitch]).double(), 1.3).numpy()
    found_pitch, found_yaw = pose_angles(matrix, mean)
    np.testing.assert_allclose([found_pitch[0], found_yaw[0]], [pitch, yaw], atol=1e-6)


def test_level_view_from_plus_z_is_half_pi() -> None:
    pitch, yaw = pose_angles(np.eye(4)[None], 0.0)
    np.testing.assert_allclose([pitch[0], yaw[0]], [math.pi / 2, math.pi / 2])


@given(st.floats(0.1, 3.0), st.integers(1, 4000))
def test_full_width_crop_keeps_the_angle(fov: float, width: int) -> None:
    assert math.isclose(cropped_fov(fov, width, width), fov)
