"""What a model file may ask for: only files below the models' folder, only features that can be read, no excess."""

import base64
import io
import json
import struct
import urllib.parse
from pathlib import Path
from typing import Any

from PIL import Image
from trimesh.resolvers import Resolver

from pigan.data.meshes.model import RejectedError
from pigan.data.meshes.texture import LARGEST_SIDE

# a face takes less in every format; the rest leaves room for textures
BYTES_A_FACE = 256
BYTES_BESIDES = 2**27
# what Pillow would start another program for, whatever the file is called
PROGRAMS = (b"%!PS", b"\xc5\xd0\xd3\xc6")
FORMATS = ("PNG", "JPEG", "BMP", "TGA", "GIF", "TIFF", "WEBP")
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tga", ".gif", ".tif", ".tiff", ".webp")


class InsideFolder(Resolver):
    """Gives trimesh the files that a model refers to: those below `root`, and nothing else.

    trimesh goes on without what it does not get, so the first fault is kept for the caller. An absolute path is taken
    for the file of that name beside the model, which is what people mean who packed their own disk's paths.
    """

    def __init__(self, model: Path, root: Path, largest: int) -> None:
        self.model, self.root, self.largest = model, root.resolve(), largest
        self.fault: str | None = None

    def get(self, key: str) -> bytes:
        """The bytes of the file that the model calls `key`.

        Raises:
            FileNotFoundError: there is none, or it may not be read.
        """
        try:
            return self._read(key.strip())
        except (OSError, ValueError, RejectedError) as error:
            told = str(error) if isinstance(error, RejectedError) else f"needs {key.strip()!r}, which cannot be read"
            self.fault = self.fault or told
            raise FileNotFoundError(key) from None

    def write(self, name: str, data: Any) -> None:
        """Refused: models are only read."""
        raise PermissionError(name)

    def namespaced(self, namespace: str) -> "InsideFolder":
        """Refused: no format read here needs it."""
        raise PermissionError(namespace)

    def keys(self) -> list[str]:
        """Nothing is listed."""
        return []

    def _read(self, key: str) -> bytes:
        if "://" in key or key.startswith("data:"):
            raise RejectedError(f"refers to {key[:60]!r}, which is no file; only files beside the model are read")
        name = key.replace("\\", "/")
        beside = self.model.parent / name.rsplit("/", 1)[-1]
        outside = ""
        for path in (self.model.parent / name, self.model.parent / urllib.parse.unquote(name), beside):
            if not path.resolve().is_relative_to(self.root):
                outside = ", outside the models' folder"
            elif path.is_file():
                return self._checked(path)
        raise RejectedError(f"needs {key!r}, which is not there{outside}")

    def _checked(self, path: Path) -> bytes:
        check_size(path, self.largest)
        content = path.read_bytes()
        if content.startswith(PROGRAMS):
            raise RejectedError(f"refers to {path.name}, which is PostScript, a program")
        if path.suffix.lower() in PICTURES:
            check_picture(content, path.name)
        return content


def check_size(path: Path, largest: int) -> None:
    """Refuses a file of more than `largest` bytes, before it is read."""
    size = path.stat().st_size
    if size > largest:
        raise RejectedError(f"is gigantic: {path.name} has {size:,} bytes, more than {largest:,} (max_faces sets it)")


def check_picture(content: bytes, name: str) -> None:
    """Refuses a picture that does not open or is larger than any view can show."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            wide, high = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise RejectedError(f"has a texture that cannot be decoded ({name})") from None
    if max(wide, high) > LARGEST_SIDE:
        raise RejectedError(f"has a gigantic texture ({name}, {wide} x {high}); at most {LARGEST_SIDE} pixels a side")


def check_gltf(content: bytes, files: InsideFolder) -> None:
    """Refuses glTF with features that change what is seen and cannot be read, and embedded pictures that do not open.

    trimesh would leave these out without a word.
    """
    header, binary = _gltf_chunks(content)
    for name in header.get("extensionsRequired", []):
        if not str(name).startswith(("KHR_materials_", "KHR_lights_")):
            raise RejectedError(f"needs the glTF extension {name}, which is not supported")
    for number, entry in enumerate(header.get("images", [])):
        if "bufferView" in entry:
            view = header["bufferViews"][entry["bufferView"]]
            uri, start = header["buffers"][view["buffer"]].get("uri"), view.get("byteOffset", 0)
            buffer = binary if uri is None else _resource(uri, files)
            picture = buffer[start : start + view["byteLength"]]
        else:
            picture = _resource(entry["uri"], files)
        check_picture(picture, f"picture {number}")


def _resource(uri: str, files: InsideFolder) -> bytes:
    """What a glTF's URI stands for: its own base64 text, or a file."""
    return base64.b64decode(uri.split(";base64,", 1)[1]) if ";base64," in uri else files.get(uri)


def _gltf_chunks(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON header, and the binary chunk (empty for a text file)."""
    if not content.startswith(b"glTF"):
        header, binary = json.loads(content), b""
    else:
        (length,) = struct.unpack_from("<I", content, 12)
        header, binary = json.loads(content[20 : 20 + length]), content[28 + length :]
    if not isinstance(header, dict):
        raise RejectedError("cannot be read: its glTF header is no JSON object")
    return header, binary
