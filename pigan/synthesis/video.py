"""Turntable: objects turning before the camera, as H.264 video and as one strip of frames."""

import importlib.util
import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from pigan.config import Params
from pigan.errors import PiganError, UsageError
from pigan.files import atomic_file
from pigan.models.generator import Generator
from pigan.sections import Camera
from pigan.synthesis.pictures import enlarged, enlargement, grid, save_image
from pigan.synthesis.views import FULL_CIRCLE, draw_codes, render_views, usual_pitch

FRAMES_A_SECOND = 12
OBJECTS = 6
COLUMNS = 3
# of a file's ending: container, codec and its options; Pillow's name
ENCODERS = {
    ".mp4": ("mp4", "libx264", {"crf": "20"}),
    ".webm": ("webm", "libvpx-vp9", {"crf": "30", "b": "0", "row-mt": "0"}),
}
ANIMATIONS = {".gif": "GIF", ".apng": "PNG"}
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
    """turntable.mp4 (H.264, loops) and turntable.png (a strip of its first object) in `out`.

    Where the package av is not installed, turntable.gif takes the film's place.
    """
    settings = params.generate
    code = draw_codes(generator, OBJECTS, settings.sheet_truncation, params, "strip")
    path = turntable_path(params.camera, settings.turntable_frames)
    yaw, pitch = (torch.tensor(angles, device=generator.device).repeat(OBJECTS) for angles in zip(*path, strict=True))
    turned = code.repeat_interleave(len(path), 0)
    views = render_views(generator, turned, yaw, pitch, settings.picture_pixels, params, "turntable")
    frames = views.images.reshape(OBJECTS, len(path), *views.images.shape[1:])
    strip = frames[0, np.linspace(0, len(path), STRIP, endpoint=False).astype(int)]
    save_image(out / "turntable.png", grid(strip, STRIP), enlargement(settings.picture_pixels))
    film = "turntable.mp4" if importlib.util.find_spec("av") else "turntable.gif"
    write_video(out / film, [_enlarged(grid(frames[:, i], COLUMNS)) for i in range(len(path))])


def write_video(
    path: Path, frames: Iterable[UInt8[np.ndarray, "height width 3"]], frames_a_second: int = FRAMES_A_SECOND
) -> None:
    """A video by the ending of its name; the same frames give the same bytes.

    .mp4 (H.264) and .webm (VP9), as browsers play them, written frame by frame, sides cut to even numbers; .gif and
    .apng, which loop for ever and are held in memory.

    Raises:
        PiganError: another ending, or .mp4 and .webm without the package av.
    """
    check_video_name(path)
    if path.suffix in ENCODERS and not importlib.util.find_spec("av"):
        raise PiganError(f"{path}: {path.suffix} needs the package av: pip install av, or write a .gif")
    with atomic_file(path) as temporary:
        if (suffix := path.suffix.lower()) in ENCODERS:
            _encode(temporary, iter(frames), suffix, frames_a_second)
        else:
            _animate(temporary, iter(frames), suffix, frames_a_second)


def check_video_name(path: Path) -> None:
    """Raises PiganError for a name whose ending no encoder is known for."""
    if path.suffix.lower() not in (*ENCODERS, *ANIMATIONS):
        raise UsageError(f"{path}: no name of a video; let it end in {', '.join((*ENCODERS, *ANIMATIONS))}")


def _encode(
    path: Path, frames: Iterator[UInt8[np.ndarray, "height width 3"]], suffix: str, frames_a_second: int
) -> None:
    # it brings many libraries: a bare machine makes do with .gif
    import av

    form, codec, options = ENCODERS[suffix]
    first = next(frames)
    height, width = (side - side % 2 for side in first.shape[:2])
    # without it WebM begins with a random number
    with av.open(str(path), "w", format=form, container_options={"fflags": "+bitexact"}) as container:
        # one thread: same bits each time
        stream = container.add_stream(codec, rate=Fraction(frames_a_second), options={**options, "threads": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in itertools.chain([first], frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _animate(
    path: Path, frames: Iterator[UInt8[np.ndarray, "height width 3"]], suffix: str, frames_a_second: int
) -> None:
    pictures: Iterable[Image.Image] = (Image.fromarray(frame) for frame in frames)
    if suffix == ".gif":
        pictures = (picture.quantize(256, Image.Quantize.FASTOCTREE) for picture in pictures)
    # Pillow goes through those of a PNG twice
    first, *others = pictures
    milliseconds = 1000 / frames_a_second
    first.save(path, format=ANIMATIONS[suffix], save_all=True, append_images=others, duration=milliseconds, loop=0)


def _enlarged(frame: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "tall wide 3"]:
    return enlarged(frame, max(1, round(ENLARGED * COLUMNS / frame.shape[1])))
