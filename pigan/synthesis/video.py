"""Turntable: objects turning before the camera, as H.264 video and as one strip of frames."""

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from pigan.config import Params
from pigan.files import atomic_file
from pigan.models.generator import Generator
from pigan.sections import Camera
from pigan.synthesis.pictures import grid, save_image
from pigan.synthesis.views import FULL_CIRCLE, draw_codes, render_views, usual_pitch

FRAMES_A_SECOND = 12
OBJECTS = 6
COLUMNS = 3
ENLARGED = 192
STRIP = 8


def turntable_path(camera: Camera, frames: int) -> list[tuple[float, float]]:
    """Yaw and pitch (radians) of every frame of a loop: once round, or to and fro across what was trained on."""
    pitch, loop = usual_pitch(camera), [2 * math.pi * i / frames for i in range(frames)]
    if camera.yaw_spread >= FULL_CIRCLE:
        return [(camera.yaw_mean + angle, pitch) for angle in loop]
    return [
        (camera.yaw_mean + camera.yaw_spread * math.sin(angle), pitch + 0.5 * camera.pitch_spread * math.cos(angle))
        for angle in loop
    ]


def write_turntable(generator: Generator, params: Params, out: Path) -> None:
    """turntable.mp4 (H.264, loops) and turntable.png (a strip of its first object) in `out`."""
    device = next(generator.parameters()).device
    settings = params.generate
    code = draw_codes(generator, OBJECTS, settings.sheet_truncation, params, device, "strip")
    path = turntable_path(params.camera, settings.turntable_frames)
    yaw, pitch = (torch.tensor(angles, device=device).repeat(OBJECTS) for angles in zip(*path, strict=True))
    turned = code.repeat_interleave(len(path), 0)
    views = render_views(generator, turned, yaw, pitch, settings.picture_pixels, params, "turntable")
    frames = views.images.reshape(OBJECTS, len(path), *views.images.shape[1:])
    strip = frames[0, np.linspace(0, len(path), STRIP, endpoint=False).astype(int)]
    save_image(out / "turntable.png", grid(strip, STRIP), max(1, 128 // settings.picture_pixels))
    write_video(out / "turntable.mp4", [_enlarged(grid(frames[:, i], COLUMNS)) for i in range(len(path))])


def write_video(path: Path, frames: list[UInt8[np.ndarray, "height width 3"]]) -> None:
    """H.264 in an MP4 that browsers play; sides are cut to even numbers. One encoder thread: same bits each time."""
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    with atomic_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(FRAMES_A_SECOND), options={"crf": "20", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _enlarged(frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "tall wide 3"]:
    scale = max(1, round(ENLARGED * COLUMNS / frame.shape[1]))
    size = (frame.shape[1] * scale, frame.shape[0] * scale)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
