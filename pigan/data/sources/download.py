"""Stage download: a dataset's raw files, rendered or taken from the user's folder."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pigan.config import Params
from pigan.data.cars.render import render_cars
from pigan.data.posed.frames import TRANSFORMS, read_frames
from pigan.errors import PiganError
from pigan.files import atomic_directory
from pigan.progress import track

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jfif"})


def download(params: Params, out: Path, workers: int = 2) -> None:
    """Fill the directory `out` with the raw files of params.dataset, or leave it as it was.

    Kind cars is rendered; the files of folder and deepview are copies of those in dataset.source.

    Raises:
        PiganError: the source folder is missing, holds no image, or its transforms.json is wrong.
    """
    dataset = params.dataset
    if dataset.kind == "cars":
        if dataset.cars is None:
            raise PiganError("params: kind cars needs the section dataset.cars; `pigan params demo` shows it")
        with atomic_directory(out) as temporary:
            render_cars(dataset.cars, params.camera, temporary, workers)
        return
    source = source_folder(dataset.source, out)
    if dataset.kind == "folder":
        names = find_images(source)
    else:
        frames = read_frames(source)
        names = sorted({name for frame in frames for name in (frame.image, frame.depth) if name is not None})
    with atomic_directory(out) as temporary:
        _take(source, names, temporary)
        if dataset.kind == "deepview":
            shutil.copyfile(source / TRANSFORMS, temporary / TRANSFORMS)


def source_folder(source: str | None, out: Path) -> Path:
    """dataset.source as a folder that exists and is apart from `out`.

    Raises:
        PiganError: it is missing, no folder, or overlaps `out`.
    """
    folder = Path(source or "").expanduser()
    if not source or not folder.exists():
        raise PiganError(
            f"dataset.source: there is no folder {source}; set it in params.yaml to the folder of your images"
        )
    if not folder.is_dir():
        raise PiganError(f"dataset.source: {folder} is a file; unpack it and name the folder of the images")
    inner, outer = out.resolve(), folder.resolve()
    # replacing `out` must never delete the originals
    if inner == outer or inner in outer.parents or outer in inner.parents:
        raise PiganError(f"dataset.source: {folder} and {out} overlap; keep your images outside data/raw")
    return folder


def find_images(folder: Path) -> list[str]:
    """Image files below `folder`, hidden ones left out, as sorted relative POSIX paths.

    Raises:
        PiganError: there is none.
    """
    names = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        shown = [Path(place, name) for name in files if not name.startswith(".")]
        names += [path.relative_to(folder).as_posix() for path in shown if path.suffix.lower() in SUFFIXES]
    if not names:
        kinds = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
        raise PiganError(f"{folder}: holds no image ({kinds}); check dataset.source in params.yaml")
    return sorted(names)


def _take(source: Path, names: Iterable[str], out: Path) -> None:
    """Copies under the same relative names; through links DVC could write-protect the originals."""
    listed = list(names)
    for name in track(listed, len(listed), "download", "file"):
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
