"""Pictures, films and plots as text that lives inside one HTML file."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from markupsafe import Markup
from PIL import Image

from pigan.report.figures import GRID, INK

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}
# tried in this order on what is too large: WebP quality, and share of the width
COMPRESSION = ((90, 1.0), (75, 1.0), (75, 0.7), (60, 0.5), (50, 0.35))


def data_uri(path: Path) -> str:
    """The file's bytes as a data: address."""
    return _uri(path.read_bytes(), MEDIA_TYPES[path.suffix])


def image_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """An RGB image as a PNG data: address."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return _uri(buffer.getvalue(), "image/png")


def picture_uri(path: Path, limit: int) -> str:
    """A picture as a data: address of at most `limit` bytes, as it is if it fits, else with loss (WebP), and smaller.

    The strongest compression is taken as it comes.
    """
    content = path.read_bytes()
    if len(content) <= limit:
        return _uri(content, MEDIA_TYPES[path.suffix])
    with Image.open(path) as image:
        whole = image.convert("RGB")
    for quality, share in COMPRESSION:
        size = max(1, round(whole.width * share)), max(1, round(whole.height * share))
        buffer = io.BytesIO()
        whole.resize(size, Image.Resampling.LANCZOS).save(buffer, "WEBP", quality=quality, method=4)
        if buffer.tell() <= limit:
            break
    return _uri(buffer.getvalue(), "image/webp")


def sized_picture(path: Path, limit: int) -> dict[str, Any]:
    """The same with its width and height, pixels."""
    width, height = image_size(path)
    return {"uri": picture_uri(path, limit), "width": width, "height": height}


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file, pixels."""
    with Image.open(path) as image:
        return image.size


def contact_sheet(
    images: UInt8[np.ndarray, "n side side 3"], rows: int, columns: int, tile: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The images in a grid, each enlarged by a whole factor to about `tile` pixels; spare places stay white."""
    side = images.shape[1]
    factor = max(1, round(tile / side))
    gap = max(1, factor // 2)
    step = side * factor + gap
    sheet = np.full((rows * step - gap, columns * step - gap, 3), 255, dtype=np.uint8)
    for index, image in enumerate(images[: rows * columns]):
        top, left = index // columns * step, index % columns * step
        sheet[top : top + side * factor, left : left + side * factor] = image.repeat(factor, 0).repeat(factor, 1)
    return sheet


def inline_svg(path: Path, label: str) -> Markup:
    """An SVG file as an element of the page: ids made unique, inks taken from the page's theme, no addresses."""
    text = path.read_text(encoding="utf-8")
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    prefix = path.stem
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r"url\(#", f"url(#{prefix}-", body)
    body = re.sub(r'xlink:href="#', f'href="#{prefix}-', body)
    box = re.search(r'viewBox="([^"]+)"', body)
    inner = body[body.index(">") + 1 :]
    inner = inner.replace(INK, "var(--ink-soft)").replace(GRID[:7], "var(--grid)")
    inner = re.sub(r"font-family:[^;\"]*", "font-family: inherit", inner)
    opening = Markup('<svg viewBox="{}" role="img" aria-label="{}">').format(box.group(1) if box else "", label)
    return opening + Markup(inner.strip())


def _uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
