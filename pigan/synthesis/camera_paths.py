"""Where the camera of a video is in every frame: closed loops, as pure functions of the frame."""

import math
from typing import NamedTuple

from pigan.sections import Camera
from pigan.synthesis.choices import PathName
from pigan.synthesis.views import FULL_CIRCLE, usual_pitch

# opening angle at the nearest and the farthest, relative to the training's
ZOOMED_IN, ZOOMED_OUT = 0.6, 1.25
SPIRAL_TURNS = 2
POLE = 0.05


class Aim(NamedTuple):
    """The camera of one frame, radians."""

    yaw: float
    pitch: float
    fov: float


def camera_path(name: PathName, camera: Camera, frames: int) -> list[Aim]:
    """The cameras of a loop of `frames`; the one after the last would be the first again.

    orbit: once round at the usual pitch. front: an ellipse inside what the pose law shows. spiral: turns, or growing
    circles where the law shows no full circle, from low to high and back. zoom: nearer and farther, by the opening
    angle. still: the same in every frame.
    """
    return [_aim(name, camera, frame / frames) for frame in range(frames)]


def _aim(name: PathName, camera: Camera, time: float) -> Aim:
    """The camera when `time` (0..1) of the loop has passed."""
    angle, pitch = 2 * math.pi * time, usual_pitch(camera)
    round_about = camera.yaw_spread >= FULL_CIRCLE
    # half of what the law draws: the rest is seldom seen in training
    wide, tall = min(camera.yaw_spread, math.pi / 4), 0.5 * camera.pitch_spread
    yaw, fov = camera.yaw_mean, camera.fov
    if name == "orbit":
        yaw += angle
    elif name == "front":
        yaw, pitch = yaw + wide * math.sin(angle), pitch + tall * math.cos(angle)
    elif name == "spiral":
        # there and back again
        rise = 0.5 - 0.5 * math.cos(angle)
        turn = 2 * math.pi * SPIRAL_TURNS * time
        if round_about:
            yaw, pitch = yaw + turn, pitch + tall * (2 * rise - 1)
        else:
            yaw, pitch = yaw + rise * wide * math.sin(2 * turn), pitch + rise * tall * math.cos(2 * turn)
    elif name == "zoom":
        middle, swing = (ZOOMED_OUT + ZOOMED_IN) / 2, (ZOOMED_OUT - ZOOMED_IN) / 2
        fov *= middle + swing * math.cos(angle)
    return Aim(yaw, min(max(pitch, POLE), math.pi - POLE), fov)
