"""Upright cat faces from the nine landmarks of CAT_DATASET, by the rule of its published 64 and 128 px selections."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

LEFT_EYE, RIGHT_EYE, MOUTH, LEFT_EAR, RIGHT_EAR = 0, 1, 2, 3, 8
POINTS = 9
# no photo is larger; beyond it sums overflow
FARTHEST = 1e6
# where the middle between the eyes lies in the square, shares of its side
EYES_ACROSS, EYES_DOWN = 0.5, 0.4
BORDER = (128, 128, 128)


@dataclass(frozen=True)
class Face:
    """A face in its photo."""

    eyes: tuple[float, float]
    """The point between the eyes, pixels: x right, y down, (0, 0) is the centre of the first pixel."""
    angle: float
    """How far the line through the eyes falls to the right, radians; the photo is turned back about `eyes`."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of the face in the turned photo, pixels; right and bottom are outside of it."""

    @property
    def side(self) -> int:
        """Pixels of the shorter side of the box."""
        return max(0, min(self.box[2] - self.box[0], self.box[3] - self.box[1]))


def parse_landmarks(text: str) -> Float[np.ndarray, "9 2"]:
    """The x and y of nine landmarks, pixels, from a .cat file: `9 x1 y1 ... x9 y9`.

    Order: left eye, right eye, mouth, three points of the left ear, three of the right ear.

    Raises:
        ValueError: the text is anything else.
    """
    words = text.split()
    if len(words) != 1 + 2 * POINTS or words[0] != str(POINTS):
        raise ValueError(f"it should hold {POINTS} and as many x y pairs, not {len(words)} words")
    try:
        points = np.array([float(word) for word in words[1:]]).reshape(POINTS, 2)
    except ValueError:
        raise ValueError("a coordinate is no number") from None
    if not (np.abs(points) <= FARTHEST).all():
        raise ValueError("a coordinate is far outside of any photo")
    return points


def find_face(points: Float[np.ndarray, "9 2"], width: int, height: int) -> Face:
    """Where the face is in a photo of `width` x `height` pixels.

    The published rule, on which the published counts (9,407 faces of 64 px or more, 6,444 of 128) rest, is followed
    to the letter: as wide as the ears are apart (from the first point of the left to the last of the right one) once
    the eyes are level, square, the eyes in the middle at two fifths of its height. Where such a square sticks out of
    the turned photo, whose size stays that of the photo, it is cut off there, so that a box need not be square: the
    faces it holds are stretched to a square later, as they are in the published sets.
    """
    (left_x, left_y), (right_x, right_y) = points[LEFT_EYE], points[RIGHT_EYE]
    if left_x > right_x and left_y < right_y and points[MOUTH][0] > right_x:
        # labels of the eyes that were swapped
        left_x, left_y, right_x, right_y = right_x, right_y, left_x, left_y
    eyes = ((left_x + right_x) / 2, (left_y + right_y) / 2)
    angle = math.atan2(right_y - left_y, right_x - left_x)
    across = points[RIGHT_EAR] - points[LEFT_EAR]
    side = abs(across[0] * math.cos(angle) + across[1] * math.sin(angle))
    left, top = eyes[0] - EYES_ACROSS * side, eyes[1] - EYES_DOWN * side
    right, bottom = left + side, top + side
    return Face(
        eyes=(float(eyes[0]), float(eyes[1])),
        angle=angle,
        box=(int(max(left, 0)), int(max(top, 0)), min(int(right), width), min(int(bottom), height)),
    )


def straighten(image: Image.Image, face: Face, kernel: Image.Resampling) -> Image.Image:
    """The box of the face in the turned photo, at the photo's scale; grey where there is no photo."""
    left, top, right, bottom = face.box
    # Pillow counts from the outer edge of the first pixel
    x, y = face.eyes[0] + 0.5, face.eyes[1] + 0.5
    cosine, sine = math.cos(face.angle), math.sin(face.angle)
    return image.transform(
        (right - left, bottom - top),
        Image.Transform.AFFINE,
        (
            *(cosine, -sine, x + cosine * (left - x) - sine * (top - y)),
            *(sine, cosine, y + sine * (left - x) + cosine * (top - y)),
        ),
        kernel,
        fillcolor=BORDER,
    )
