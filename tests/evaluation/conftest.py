"""A server on this machine with small stand-ins for published weight files, and params to read them with."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pigan import config, sections
from pigan.evaluation import weights

DEMO = Path(config.__file__).parent / "presets" / "demo.yaml"


class Server(ThreadingHTTPServer):
    """`files` by path; `asked` holds the path of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def add(self, name: str, body: bytes | None = None) -> str:
        """The address of a file; without a body there is none."""
        if body is not None:
            self.files[f"/{name}"] = body
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(serve: Callable[[Server], None]) -> Server:
    """Listens on this machine only; nobody waits between two attempts."""
    running = Server()
    serve(running)
    return running


@pytest.fixture(autouse=True)
def weights_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of weights; nobody's own is looked into."""
    monkeypatch.setenv("PIGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


Publish = Callable[..., bytes]


@pytest.fixture
def publish(server: Server, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Puts a small file in the place of an extractor's published one, at the first or at a later source."""

    def stand_in(extractor: sections.Extractor, body: bytes = b"weights", missing_sources: int = 0) -> bytes:
        real = weights.PUBLISHED[extractor]
        sources = [server.add(f"missing{place}/{real.name}") for place in range(missing_sources)]
        sources.append(server.add(real.name, body))
        file = replace(real, sources=tuple(sources), sha256=hashlib.sha256(body).hexdigest())
        monkeypatch.setitem(weights.PUBLISHED, extractor, file)
        return body

    return stand_in


@pytest.fixture(scope="session")
def section() -> Callable[..., sections.Evaluate]:
    """The demo's `evaluate` with changes; `weights` as {extractor: {path, sha256}}."""

    def changed(weights: dict[str, Any] | None = None, **changes: Any) -> sections.Evaluate:
        values = config.merge(config.load(DEMO).evaluate.model_dump(), {"weights": weights or {}, **changes})
        return sections.Evaluate.model_validate(values)

    return changed


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
