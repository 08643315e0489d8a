import math

import numpy as np
import pytest

from pigan.evaluation.pose import pose_error

LEVEL = math.pi / 2


def poses(*rows):
    return np.array(rows, np.float32).reshape(-1, 2)


def test_equal_poses_have_no_error():
    random = np.random.default_rng(0).uniform(0, math.pi, (20, 2))
    assert pose_error(random, random).mean.value == pytest.approx(0, abs=1e-6)


def test_angles_by_hand():
    # (pitch, yaw): at the equator a turn is an angle; at the pole it is none
    true = poses((LEVEL, 0), (LEVEL, 0), (0, 0), (LEVEL, 1))
    guess = poses((LEVEL, 0.2), (LEVEL + 0.4, 0), (0, 3), (LEVEL, 1))
    found = pose_error(guess, true)
    assert found.mean.value == pytest.approx(math.degrees(0.6) / 4, rel=1e-5)
    assert found.median == pytest.approx(math.degrees(0.1), rel=1e-5)
    low, high = found.mean.interval
    assert low < found.mean.value < high


def test_yaw_wraps_round():
    found = pose_error(poses((LEVEL, math.pi - 0.1)), poses((LEVEL, -math.pi + 0.1)))
    assert found.mean.value == pytest.approx(math.degrees(0.2), rel=1e-4)
    assert pose_error(poses((1.0, 20.0)), poses((1.0, 20.0 - 4 * math.pi))).mean.value == pytest.approx(0, abs=1e-3)


def test_a_guess_without_knowledge_is_ninety_degrees_off():
    random = np.random.default_rng(0)
    guess, true = (
        np.stack((np.arccos(random.uniform(-1, 1, 4000)), random.uniform(0, 2 * math.pi, 4000)), -1) for _ in range(2)
    )
    assert pose_error(guess, true).mean.value == pytest.approx(90, abs=2)


def test_without_poses_there_is_no_error():
    assert pose_error(poses(), poses()) is None
