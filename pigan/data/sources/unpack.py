"""Zip and tar archives unpacked without trusting them: nothing outside the folder, no links, no bombs."""

import lzma
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pigan.errors import PiganError
from pigan.progress import Progress

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MEMBERS = 2_000_000
"""More files than any image set has."""
RATIO = 100
"""Pictures and depth maps do not shrink to a hundredth; up to `FREE_BYTES` they may."""
FREE_BYTES = 1 << 30
PART_BYTES, PATH_BYTES = 255, 1024
PIECE_BYTES = 1 << 20
# what the libraries raise for bytes that are not what they should be
BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)


class Refused(Exception):
    """Why a member is not unpacked."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive."""

    name: str
    size: int
    """Bytes that it says it has."""
    packed: int
    """Bytes of the archive that it takes, about."""
    is_folder: bool
    problem: str | None
    open: Callable[[], IO[bytes] | None]


@dataclass
class Guard:
    """Decides which members of one archive of `packed` bytes are safe."""

    packed: int
    unpacked: int = 0
    members: int = 0
    is_folder: dict[str, bool] = field(default_factory=dict)
    """Names so far, as a file system without case sees them."""

    def admit(self, member: Member) -> PurePosixPath:
        """Where `member` goes.

        Raises:
            Refused: it is no plain file, its name is unsafe or taken, or with it the archive holds too much.
        """
        if member.problem is not None:
            raise Refused(member.problem)
        self.members += 1
        self.unpacked += member.size
        if self.members > MEMBERS:
            raise Refused(f"it is one more than the {MEMBERS} that an archive may have")
        if self.unpacked > max(FREE_BYTES, RATIO * self.packed):
            raise Refused(f"with it {self.packed} bytes would become {self.unpacked}, as in a bomb")
        path = safe_path(member.name)
        for folder in path.parents:
            self._claim(folder, True)
        self._claim(path, member.is_folder)
        return path

    def _claim(self, path: PurePosixPath, is_folder: bool) -> None:
        key = unicodedata.normalize("NFC", str(path)).casefold()
        if key in self.is_folder and not (is_folder and self.is_folder[key]):
            raise Refused("another member has its name, upper and lower case being the same")
        self.is_folder[key] = is_folder


def is_archive(path: Path) -> bool:
    """Whether its name is that of an archive that `unpack` knows."""
    return path.name.lower().endswith(ENDINGS)


def safe_path(name: str) -> PurePosixPath:
    """A member's name as a relative path that stays inside; folders may be divided by slashes of either kind.

    Raises:
        Refused: it is absolute, leads outside, has a drive letter, is no text, empty or too long.
    """
    slashed = name.replace("\\", "/")
    if slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed):
        raise Refused("its path is absolute")
    parts = [part for part in slashed.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused("its path leads outside of the folder")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        raise Refused("its name is no text")
    if len("/".join(parts).encode()) > PATH_BYTES or any(len(part.encode()) > PART_BYTES for part in parts):
        raise Refused("its name is too long")
    return PurePosixPath(*parts)


def unpack(archive: Path, out: Path, wanted: Callable[[PurePosixPath], bool] = lambda path: True) -> int:
    """The `wanted` files of a zip or tar archive into the folder `out`; returns their number.

    What is in `out` already is never replaced; when this fails, `out` holds some of the files.

    Raises:
        PiganError: a member is unsafe or encrypted, or the archive is damaged, incomplete or none at all.
    """
    size, written, name = archive.stat().st_size, 0, None
    guard = Guard(size)
    members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
    try:
        with archive.open("rb") as handle, Progress(size, f"unpack {archive.name}", "B") as progress:
            for member in members(handle):
                name = member.name
                path = guard.admit(member)
                if not member.is_folder and wanted(path):
                    _write(member, out / path)
                    written += 1
                # the last step is for what lies between and behind the members
                progress.advance(min(member.packed, size - 1 - progress.done))
            progress.advance(size - progress.done)
    except Refused as refused:
        raise PiganError(f"{archive}: member {name!r} is refused: {refused}; nothing was unpacked") from None
    except BROKEN as error:
        where = f" at member {name!r}" if name else ""
        raise PiganError(
            f"{archive}: damaged, incomplete or no archive{where} ({_brief(error)}); fetch it again"
        ) from None
    except OSError as error:
        # that of a disk has a number, that of bz2 has none
        if error.errno is not None:
            raise
        raise PiganError(f"{archive}: damaged at member {name!r} ({error}); fetch it again") from None
    return written


def _write(member: Member, target: Path) -> None:
    left = member.size
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        reader = member.open()
        if reader is None:
            raise EOFError("it has no content")
        with reader as source, target.open("xb") as sink:
            while piece := source.read(PIECE_BYTES):
                left -= len(piece)
                if left < 0:
                    raise Refused(f"it has more than the {member.size} bytes that it says")
                sink.write(piece)
    except (FileExistsError, NotADirectoryError):
        raise Refused("a file of that name has come from somewhere else") from None
    if left:
        raise EOFError(f"{left} bytes are missing")


def _brief(error: Exception) -> str:
    """Its first line; tarfile lists all that it tried."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")


def _zip_members(handle: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(handle) as opened:
        for info in opened.infolist():
            problem = None
            # set by Unix tools only
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                problem = "it is a link or a device"
            elif info.flag_bits & 1:
                problem = "it is encrypted, so unpack it yourself and name the folder"
            is_folder = info.filename.endswith(("/", "\\"))
            reader = partial(opened.open, info)
            yield Member(info.filename, info.file_size, info.compress_size, is_folder, problem, reader)


def _tar_members(handle: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=handle, mode="r:*") as opened:
        before = 0
        for info in opened:
            problem = None if info.isfile() or info.isdir() else "it is a link or a device"
            reader = partial(opened.extractfile, info)
            yield Member(info.name, info.size, handle.tell() - before, info.isdir(), problem, reader)
            before = handle.tell()
        stream = opened.fileobj
        if stream is not None:
            _read_to_the_end(stream, opened.offset)


def _read_to_the_end(stream: Any, offset: int) -> None:
    """tarfile takes a file that ends between two members for a whole one, and leaves the checksum of gzip unread."""
    stream.seek(offset)
    if not (end := stream.read(tarfile.BLOCKSIZE)) or end.strip(b"\0"):
        raise EOFError("its end is missing")
    for _ in range(FREE_BYTES // PIECE_BYTES):
        if not stream.read(PIECE_BYTES):
            return
    raise EOFError("its end is too far behind its last member")
