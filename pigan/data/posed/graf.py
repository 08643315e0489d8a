"""GRAF's CARLA cameras: one `<stem>_extrinsics.npy` an image and one intrinsics.npy for all.

What is known, from how other projects use these very files (the archive itself publishes no description):

- extrinsics are 3 x 4 cam2world matrices with OpenGL's camera axes: three code bases (google-research/nerf-from-image,
  AlvinZhuyx/NeRF-LEBM and a converter to NeRF's transforms.json) send rays along (x, y, -1) through them as they are;
- the world has z up and the car at the origin, with cameras at a distance of 10: GRAF samples its own poses so
  (look_at with up = z, radius 10), and microsoft/GRAM turns z to y before it reads the angles;
- intrinsics.npy holds one 3 x 3 (or larger) matrix, in pixels, below leading dimensions of one: (256, 256) is the
  centre, 955.4 the focal length of the 512-pixel images, an opening angle of 30 degrees.

Assumed: every image has the size that the intrinsics were written for; a principal point far from the middle of
the image tells that it has not.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from pigan.data.posed.checks import as_pose, blamed, image_size, load_array
from pigan.data.posed.frames import Frame, Intrinsics
from pigan.errors import PiganError

POSE = "_extrinsics.npy"
INTRINSICS = "intrinsics.npy"


def read_graf(raw: Path, poses: list[str], intrinsics: list[str], images: list[str]) -> list[Frame]:
    """The frames of `images`, in their order, matched to `poses` by stem; all are paths below `raw`.

    Raises:
        PiganError: no or several intrinsics.npy, images without a pose or with the same stem, or broken arrays.
    """
    if len(intrinsics) != 1:
        told = "there is no" if not intrinsics else f"{intrinsics[0]} and {intrinsics[1]} are more than one"
        raise PiganError(f"{raw}: {told} {INTRINSICS} for its *{POSE}; the archive of the poses has exactly one")
    pose_of = {PurePosixPath(name).name.removesuffix(POSE): name for name in poses}
    stems: dict[str, str] = {}
    for image in images:
        stem = PurePosixPath(image).stem
        if stem in stems:
            raise PiganError(f"{raw}: {stems[stem]} and {image} would share the pose {stem}{POSE}; remove one of them")
        if stem not in pose_of:
            raise PiganError(f"{raw}: {image} has no {stem}{POSE}; unpack all poses, or remove this image")
        stems[stem] = image
    with blamed(raw / intrinsics[0], "unpack the poses again"):
        matrix = _one_matrix(load_array(raw / intrinsics[0]))
    frames = []
    for stem, image in stems.items():
        with blamed(raw / pose_of[stem], "unpack the poses again"):
            cam2world = as_pose(load_array(raw / pose_of[stem]))
        with blamed(raw / image, f"give images of the size that {intrinsics[0]} was written for"):
            inside = _normalised(matrix, *image_size(raw / image))
        frames.append(Frame(image=image, depth=None, cam2world=cam2world, intrinsics=inside, object=image))
    return frames


def _one_matrix(array: np.ndarray) -> np.ndarray:
    if array.ndim < 2 or min(array.shape[-2:]) < 3 or not np.isfinite(array).all():
        raise ValueError(f"holds {array.shape} instead of a 3 x 3 matrix")
    matrices = array.reshape(-1, *array.shape[-2:]).astype(np.float64)
    if np.abs(matrices - matrices[0]).max() > 1e-6:
        raise ValueError("holds several different matrices, so it is not the same for all images")
    return matrices[0]


def _normalised(matrix: np.ndarray, width: int, height: int) -> Intrinsics:
    """Intrinsics of an image, from the matrix in pixels; of a file that is no image as if it had the right size."""
    if (width, height) == (1, 1):
        width, height = round(2 * matrix[0, 2]), round(2 * matrix[1, 2])
    cx, cy = float(matrix[0, 2]) / width, float(matrix[1, 2]) / height
    if max(abs(cx - 0.5), abs(cy - 0.5)) > 0.1:
        raise ValueError(f"its centre ({width / 2:g}, {height / 2:g}) is far from ({matrix[0, 2]:g}, {matrix[1, 2]:g})")
    return Intrinsics(float(matrix[0, 0]) / width, float(matrix[1, 1]) / height, cx, cy)
