"""Foreign files are opened where every deed of theirs is heard."""

import contextlib
import encodings.cp437
import encodings.raw_unicode_escape  # noqa: F401 (zipfile and pickletools import these late)
import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pigan.errors import PiganError
from pigan.models.torchfile import TorchFile

# what a file that does something makes Python do
DEEDS = ("os.", "subprocess.", "socket.", "shutil.", "import", "exec", "compile", "ctypes.", "pty.", "urllib.")
# what Python and this package do by themselves
QUIET = ("os.listdir", "os.scandir", "os.putenv")
CANARY = Path("canary")


class Deeds:
    """What happens while it is on; audit hooks cannot be taken back, so there is one."""

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event.startswith(DEEDS) and event not in QUIET:
            self.seen.append(f"{event} {arguments}"[:200])


DEEDS_HEARD = Deeds()


@pytest.fixture(scope="session")
def nothing_is_done() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which nothing may be imported, compiled, executed or started."""
    # what is imported late is imported now
    with contextlib.suppress(PiganError):
        TorchFile(Path(__file__))

    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        DEEDS_HEARD.seen.clear()
        DEEDS_HEARD.on = True
        try:
            yield
        finally:
            DEEDS_HEARD.on = False
        assert DEEDS_HEARD.seen == []

    return watched


@pytest.fixture
def opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    nothing_is_done: Callable[[], contextlib.AbstractContextManager[None]],
) -> Callable[[bytes], TorchFile]:
    """Opens bytes as a file, where a deed would leave its trace."""
    monkeypatch.chdir(tmp_path)

    def open_(data: bytes) -> TorchFile:
        path = tmp_path / "generator.pth"
        path.write_bytes(data)
        with nothing_is_done():
            try:
                return TorchFile(path)
            finally:
                assert not CANARY.exists()

    return open_


@pytest.fixture
def refusal(opened: Callable[[bytes], TorchFile]) -> Callable[[bytes], str]:
    """The one line that a file is refused with."""

    def ask(data: bytes) -> str:
        with pytest.raises(PiganError) as caught:
            opened(data)
        message = str(caught.value)
        assert "\n" not in message and message.isprintable() and len(message) < 400
        assert "generator.pth: " in message
        return message.split("generator.pth: ", 1)[1]

    return ask


@pytest.fixture(scope="session")
def archive() -> Callable[..., bytes]:
    """Makes an archive as torch.save writes it, around any pickle."""

    def make(pickled: bytes, storages: dict[str, bytes] | None = None, **entries: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            file.writestr("archive/data.pkl", pickled)
            for name, data in (storages or {}).items():
                file.writestr(f"archive/data/{name}", data)
            for name, data in entries.items():
                file.writestr(name, data)
        return stream.getvalue()

    return make
