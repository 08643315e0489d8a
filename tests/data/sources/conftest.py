"""A local server that fails in every way a real one does, and small archives in the real layouts."""

import hashlib
import io
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pigan.data.sources.catalog import CARDS
from pigan.dataset_sections import Kind


@dataclass
class Served:
    """A file on the server, and how it goes wrong."""

    body: bytes
    etag: str | None = '"one"'
    content_type: str = "application/zip"
    statuses: list[int] = field(default_factory=list)
    """What the next requests get instead of the file."""
    cuts: list[int] = field(default_factory=list)
    """After how many bytes the next connections are cut."""
    declared: int | None = None
    """Content-Length, if it is a lie."""
    ranges: bool = True
    if_range: bool = True
    """Whether it looks at If-Range."""
    chunked: bool = False
    pause: float = 0.0
    """Seconds between pieces of 4096 bytes."""
    silence: float = 0.0
    """Seconds before anything is said."""
    headers: dict[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """`files` by path; `asked` holds path and Range of each request, `sent` the bytes of bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, name: str, body: bytes, **faults: object) -> str:
        self.files[f"/{name}"] = Served(body, **faults)
        return f"{self.url}/{name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.close_connection = True
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        file = self.server.files.get(re.sub(r"\?.*", "", self.path))
        if file is None or file.statuses:
            self.send_error(404 if file is None else file.statuses.pop(0))
            return
        time.sleep(file.silence)
        body, total = file.body, len(file.body)
        start, status = 0, 200
        if asked and file.ranges and (not file.if_range or self.headers.get("If-Range") in (None, file.etag)):
            start, status = int(asked[6:-1]), 206
        if start >= total and status == 206:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("Content-Type", file.content_type)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if file.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(file.declared or total - start))
        if file.etag:
            self.send_header("ETag", file.etag)
        for name, value in file.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(file, body[start:])

    def _send(self, file: Served, body: bytes) -> None:
        cut = file.cuts.pop(0) if file.cuts else None
        body = body[:cut]
        for at in range(0, len(body), 4096):
            piece = body[at : at + 4096]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if file.chunked else piece)
            self.server.sent += len(piece)
            time.sleep(file.pause)
        if file.chunked and cut is None:
            self.wfile.write(b"0\r\n\r\n")

    def handle(self) -> None:
        # the other side may have been killed
        try:
            super().handle()
        except OSError:
            return


@pytest.fixture
def server(serve: Callable[[Server], None]) -> Server:
    """Listens on this machine only; nobody waits between two attempts."""
    running = Server()
    serve(running)
    return running


@pytest.fixture(autouse=True)
def _work_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIGAN_WORK", str(tmp_path / "work"))


def picture(size: tuple[int, int] = (178, 218), kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 60, 120)).save(buffer, kind)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


CAT = b"9 40 60 80 60 60 90 20 40 25 10 45 30 75 30 95 10 100 40 "
FACE, CAR = picture(), picture((16, 16), "PNG")
ARCHIVES: dict[str, dict[str, bytes]] = {
    "img_align_celeba.zip": {f"img_align_celeba/{n:06}.jpg": FACE for n in range(1, 7)},
    "CAT_DATASET_01.zip": {
        "CAT_00/00000001_000.jpg": FACE,
        "CAT_00/00000001_000.jpg.cat": CAT,
        "CAT_00/00000003_015.jpg": FACE,
        "CAT_00/00000003_019.jpg.cat": b"9 wrong",
        "CAT_00/Thumbs.db": b"thumbs",
    },
    "CAT_DATASET_02.zip": {"CAT_06/00001400_001.jpg": FACE, "CAT_06/00001400_001.jpg.cat": CAT},
    "carla.zip": {f"images/{n:06}.png": CAR for n in range(4)},
    "carla_poses.zip": {
        **{f"carla_poses/{n:06}_extrinsics.npy": b"pose" for n in range(4)},
        "carla_poses/intrinsics.npy": b"intrinsics",
        "__MACOSX/carla_poses/._intrinsics.npy": b"",
    },
}


@pytest.fixture(scope="session")
def archives() -> dict[str, bytes]:
    """The published files by name, with few members."""
    return {name: zipped(members) for name, members in ARCHIVES.items()} | {"00000003_015.jpg.cat": CAT}


@pytest.fixture
def published(
    server: Server, archives: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Served]]:
    """The catalog's `kind` at the local server, with the checksums of the small files; Drive's too."""

    def publish(kind: Kind, **changes: Any) -> dict[str, Served]:
        card = CARDS[kind]
        files = []
        for file in card.files:
            body = archives[file.name]
            checksum = hashlib.md5(body).hexdigest() if file.md5 else None
            url = server.add(file.name, body)
            files.append(replace(file, sources=(url,), size=None, md5=checksum, otherwise=None))
        monkeypatch.setitem(CARDS, kind, replace(card, files=tuple(files), **changes))
        return {file.name: server.files[f"/{file.name}"] for file in files}

    return publish
