"""Prepared data as the zip that EG3D, StyleGAN3 and their descendants train on."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pigan.data.posed.eg3d import HELD_OUT, LABELS, label_of
from pigan.data.posed.frames import centred
from pigan.data.store import Cameras, Prepared
from pigan.errors import PiganError
from pigan.files import atomic_file
from pigan.progress import track

# the first moment that a zip can tell, so that the same data is the same bytes
NO_TIME = (1980, 1, 1, 0, 0, 0)


def export_eg3d(prepared: Path, resolution: int, out: Path) -> None:
    """Write all images of `prepared` at `resolution` into the zip `out`, with their cameras as labels where known.

    Held-out images are in it too, and named under `held_out` in its dataset.json, which those tools do not read.
    Cameras stay in pigan's world (y up, the object at the origin, lengths as they are).

    Raises:
        PiganError: nothing is prepared there or not at this resolution, or `out` is no .zip.
    """
    if out.suffix != ".zip":
        raise PiganError(f"{out}: EG3D and StyleGAN3 know a zip by its name; let it end with .zip")
    data = Prepared(prepared)
    images, cameras = data.images(resolution), data.cameras
    names = [_name(index) for index in range(data.count)]
    labels = None if cameras is None else [[name, _label(cameras, index)] for index, name in enumerate(names)]
    content = {"labels": labels, HELD_OUT: [names[index] for index in data.held_out]}
    with atomic_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for index, name in track(enumerate(names), data.count, "export", "image"):
            archive.writestr(_member(name), _png(images[index]))
        archive.writestr(_member(LABELS), json.dumps(content, allow_nan=False))


def _name(index: int) -> str:
    return f"{index:08d}"[:5] + f"/img{index:08d}.png"


def _label(cameras: Cameras, index: int) -> list[float]:
    return label_of(cameras.cam2world[index], centred(float(cameras.fov[index]), 1, 1))


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, NO_TIME)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def _png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """Not compressed, as StyleGAN3's own tool does: fast to read, and the same bytes with any zlib."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
