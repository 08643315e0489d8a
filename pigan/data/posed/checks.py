"""What every reader of camera files checks, so that each mistake is told in one way."""

import contextlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pigan.errors import PiganError

LARGEST_BYTES = 1 << 30
# a million cameras
LARGEST_JSON_BYTES = 1 << 29


@contextlib.contextmanager
def blamed(where: object, remedy: str) -> Iterator[None]:
    """Tells what is wrong with one entry of a file as a PiganError that begins with `where` and ends with `remedy`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ArithmeticError, OSError) as error:
        told = f"missing {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise PiganError(f"{where}: {told}; {remedy}") from None


def load_json(path: Path) -> Any:
    """What a camera file holds.

    Raises:
        PiganError: it cannot be read, is too large, or is no JSON.
    """
    try:
        if path.stat().st_size > LARGEST_JSON_BYTES:
            raise ValueError(f"larger than {LARGEST_JSON_BYTES >> 20} MiB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PiganError(f"{path}: cannot be read as JSON ({error}); write it again") from None


def load_array(path: Path) -> np.ndarray:
    """The array in a .npy file, or the only one (or the one named depth) in a .npz file.

    Raises:
        ValueError: there is no such array of numbers.
    """
    try:
        # opened here, because numpy leaves it open when it is no zip
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                check_unpacked(file)
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            array = loaded if isinstance(loaded, np.ndarray) else loaded[_only_name(loaded.files)]
    except Exception as error:  # broken headers raise whatever the parser stumbles over
        raise ValueError(f"{path.name} cannot be read ({error})") from None
    if array.dtype.kind not in "fiu" or not array.size:
        raise ValueError(f"{path.name} holds no numbers but {array.dtype} {array.shape}")
    return array


def check_unpacked(file: IO[bytes]) -> None:
    """Raises ValueError for a .npz file that would become more than any map is; zipfile unpacks no more than stated."""
    with zipfile.ZipFile(file) as archive:
        stated = sum(member.file_size for member in archive.infolist())
    if stated > LARGEST_BYTES:
        raise ValueError(f"it is gigantic: {stated:,} bytes unpacked, more than {LARGEST_BYTES:,}")


def _only_name(names: list[str]) -> str:
    chosen = [name for name in names if name == "depth"] or names
    if len(chosen) != 1:
        raise ValueError(f"it holds {len(chosen)} arrays; save a single one")
    return chosen[0]


def as_pose(value: Any) -> NDArray[np.float64]:
    """cam2world, 4 x 4, from the 3 x 4 or 4 x 4 numbers of a file.

    Raises:
        ValueError: another shape, not finite, or no rotation.
    """
    matrix = np.asarray(value, np.float64)
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, [0.0, 0, 0, 1]])
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.abs(matrix).max() > 1e12:
        raise ValueError("the camera's matrix is not 4 x 4 numbers")
    turn = matrix[:3, :3]
    if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
        raise ValueError("the camera's matrix holds no rotation (columns must be right, up, backward unit vectors)")
    if np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise ValueError("the last row of the camera's matrix is not 0 0 0 1")
    return matrix


def file_inside(raw: Path, folder: str, name: Any, suffixes: tuple[str, ...] = ()) -> str:
    """The path below `raw` of a file that a camera file in `folder` (also below `raw`) names.

    `suffixes` are tried when it leaves its own out.

    Raises:
        ValueError: it leads out of that folder, or is not there.
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is no file name")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} must be a path inside {raw / folder}")
    for suffix in ("", *suffixes):
        candidate = PurePosixPath(folder, f"{path}{suffix}").as_posix()
        if (raw / candidate).is_file():
            return candidate
    raise ValueError(f"{str(raw / folder / path)!r} does not exist")


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; 1 x 1 of a file that is no image, which cropping rejects by name."""
    try:
        with Image.open(path) as image:
            return image.size
    except Exception:  # decoders of broken files raise whatever they stumble over
        return 1, 1
