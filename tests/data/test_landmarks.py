"""Cat faces: the parser, the published rule, and where dots at the landmarks land."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pigan.data.landmarks import Face, find_face, parse_landmarks, straighten

# a face that looks straight at us, eyes level; x to the right, y down
LEVEL = np.array(
    [(80, 90), (120, 90), (100, 120), (60, 80), (62, 40), (80, 70), (120, 70), (138, 40), (140, 80)], float
)


def turned(points: np.ndarray, degrees: float, about: tuple[float, float] = (100, 90)) -> np.ndarray:
    """`points`, turned clockwise as one sees them."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points - about) @ turn.T + about


def where_dot_lands(point: np.ndarray, size: tuple[int, int], face: Face) -> tuple[float, float]:
    """Where a red disc at `point` of a black photo is in the upright face, pixels from the centre of the first one."""
    image = Image.new("RGB", size)
    x, y = point
    ImageDraw.Draw(image).ellipse((x - 3, y - 3, x + 3, y + 3), fill=(255, 0, 0))
    pixels = np.asarray(straighten(image, face, Image.Resampling.BICUBIC)).astype(float)
    red = np.where(pixels[..., 1] < 60, pixels[..., 0], 0)
    rows, columns = np.indices(red.shape)
    return float((columns * red).sum() / red.sum()), float((rows * red).sum() / red.sum())


def written(points: np.ndarray) -> str:
    return " ".join(["9", *(f"{value:g}" for value in points.ravel())]) + " "


@given(st.lists(st.integers(-5000, 5000), min_size=18, max_size=18), st.sampled_from([" ", "\n", "\t ", " \r\n"]))
def test_what_is_written_is_read(values: list[int], gap: str) -> None:
    points = parse_landmarks(gap.join(["9", *map(str, values)]) + gap)
    assert points.shape == (9, 2)
    assert points.ravel().tolist() == values


@given(st.one_of(st.text(), st.text(alphabet="0123456789 .-e+", max_size=200), st.lists(st.floats(), max_size=20)))
def test_anything_else_is_refused_in_words(content: str | list[float]) -> None:
    text = content if isinstance(content, str) else " ".join(["9", *map(str, content)])
    told = None
    try:
        points = parse_landmarks(text)
        assert text.split()[0] == "9"
        assert np.isfinite(points).all()
    except ValueError as error:
        told = str(error)
    assert told is None or ("\n" not in told and "convert" not in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not 0 words"),
        ("9 " + "1 " * 17, "not 18 words"),
        ("8 " + "1 " * 18, "not 19 words"),
        ("9 " + "1 " * 17 + "x", "no number"),
        ("9 " + "1 " * 17 + "nan", "far outside"),
        ("9 " + "1 " * 17 + "1e300", "far outside"),
    ],
)
def test_broken_labels_are_told_apart(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_landmarks(text)


def test_level_face_is_as_wide_as_the_ears_are_apart() -> None:
    face = find_face(LEVEL, 300, 200)
    assert face.angle == 0
    assert face.eyes == (100, 90)
    # 80 px between the ears, half of it to each side of the eyes, two fifths above them
    assert face.box == (60, 58, 140, 138)
    assert face.side == 80


@pytest.mark.parametrize("degrees", [-70, -25, 0, 13, 40, 88])
def test_turned_face_comes_out_level_with_its_dots_in_place(degrees: float) -> None:
    # labels are whole pixels
    points, size = np.round(turned(LEVEL, degrees)), (220, 200)
    face = find_face(points, *size)
    assert math.degrees(face.angle) == pytest.approx(degrees, abs=1.5)
    width, height = face.box[2] - face.box[0], face.box[3] - face.box[1]
    assert width == pytest.approx(80, abs=1.5)
    left, right, mouth, ear, other_ear = (where_dot_lands(points[number], size, face) for number in (0, 1, 2, 3, 8))
    # the box starts at a whole pixel
    assert (left[0] + right[0]) / 2 == pytest.approx(width * 0.5, abs=1)
    assert (left[1] + right[1]) / 2 == pytest.approx(height * 0.4, abs=1)
    assert right[1] == pytest.approx(left[1], abs=0.3)
    assert right[0] - left[0] == pytest.approx(math.dist(points[0], points[1]), abs=0.3)
    assert mouth[1] - left[1] == pytest.approx(30, abs=1)
    assert mouth[0] == pytest.approx(width / 2, abs=1.5)
    assert other_ear[0] > right[0] > left[0] > ear[0]


def test_swapped_eyes_turn_the_photo_the_same_way() -> None:
    # the eyes' labels are swapped and the face leans left: the rule of the published script applies
    points = turned(LEVEL, -60)
    swapped = points[[1, 0, *range(2, 9)]]
    assert swapped[0][0] > swapped[1][0]
    assert swapped[0][1] < swapped[1][1]
    assert swapped[2][0] > swapped[1][0]
    assert find_face(swapped, 300, 300) == find_face(points, 300, 300)
    # other mistakes it does not know: such a face is turned upside down, as it is in the published set
    assert abs(find_face(LEVEL[[1, 0, *range(2, 9)]], 300, 200).angle) == pytest.approx(math.pi)


@pytest.mark.parametrize(
    ("move", "size", "box"),
    [
        ((-80, 0), (300, 200), (0, 58, 60, 138)),
        ((0, -78), (300, 200), (60, 0, 140, 60)),
        ((0, 0), (130, 200), (60, 58, 130, 138)),
        ((0, 0), (300, 100), (60, 58, 140, 100)),
    ],
)
def test_box_is_cut_off_at_the_border(
    move: tuple[int, int], size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    face = find_face(LEVEL + np.array(move), *size)
    assert face.box == box
    assert face.side == min(box[2] - box[0], box[3] - box[1])


def test_where_no_photo_is_it_is_grey() -> None:
    points = turned(LEVEL, 45)
    image = Image.new("RGB", (200, 170), (0, 255, 0))
    face = find_face(points - [55, 0], *image.size)
    colours = {colour for _, colour in straighten(image, face, Image.Resampling.BILINEAR).getcolors(9999) or []}
    assert (128, 128, 128) in colours
    assert (0, 255, 0) in colours


@given(st.lists(st.integers(-300, 700), min_size=18, max_size=18), st.integers(1, 400), st.integers(1, 400))
def test_any_labels_give_a_box_inside_the_photo_or_none(values: list[int], width: int, height: int) -> None:
    face = find_face(parse_landmarks(written(np.array(values))), width, height)
    left, top, right, bottom = face.box
    assert face.side == max(0, min(right - left, bottom - top))
    if face.side:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert straighten(Image.new("RGB", (width, height)), face, Image.Resampling.BILINEAR).size == (
            right - left,
            bottom - top,
        )
