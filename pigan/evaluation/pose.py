"""How far predicted camera poses are from true ones."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from pigan.evaluation.intervals import Estimate, mean_of
from pigan.rendering.cameras import position_on_sphere


class PoseError(NamedTuple):
    """Angles between predicted and true viewing directions, degrees."""

    mean: Estimate
    median: float


def pose_error(predicted: Float[np.ndarray, "n 2"], true: Float[np.ndarray, "n 2"]) -> PoseError | None:
    """Angle between the directions from which an object is seen, from (pitch, yaw) in radians; None without poses.

    Cameras stand on the unit sphere, so yaw wraps round and counts for less near the poles. A guess without any
    knowledge is 90 degrees off on average on the whole sphere, and less where the pose law is narrow: compare with the
    spread of the law. The published pose errors (Euler angles from a face model) are other numbers.
    """
    ours, theirs = _directions(predicted), _directions(true)
    # precise for small angles too, where the arccosine is not
    sine = np.linalg.norm(np.cross(ours, theirs), axis=-1)
    angles = np.degrees(np.arctan2(sine, (ours * theirs).sum(-1)))
    mean = mean_of(angles)
    return None if mean is None else PoseError(mean, float(np.nanmedian(angles)))


def _directions(poses: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    pitch, yaw = torch.from_numpy(poses.astype(np.float64)).unbind(-1)
    return position_on_sphere(yaw, pitch, 1.0).numpy()
