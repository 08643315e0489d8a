"""Files that appear whole or not at all."""

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pigan.errors import PiganError

UNCLAIMED_SECONDS = 60
# what a system says where there is no more room
FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = "no permission to write here; choose another folder or change its rights"
# in a folder that an engine has emptied
LEFT_BY_ENGINES = (".snakemake_timestamp", ".gitignore")
CUT_SHORT = re.compile(r"\d+ requested and \d+ written")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that becomes `path` when the block ends well, and vanishes when it does not.

    Raises:
        PiganError: no permission, or the disk is full.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_remains(path, path.suffix)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        with explained(path):
            _claim(handle)
            yield temporary
            flush(temporary)
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
    finally:
        os.close(handle)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: Path, mark: str, parts: Collection[str] = ()) -> Iterator[Path]:
    """A temporary directory beside `path` that replaces `path` when the block ends well.

    `mark` is the name of a file that this kind of directory has: what lies at `path` without it is not ours to replace.
    An engine that deletes the files it knows of may leave some of `parts`.

    Raises:
        PiganError: something else is there, no permission, or the disk is full.
    """
    check_replaceable(path, mark, parts)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_remains(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        claim = _claimed(temporary)
        temporary.chmod(0o777 & ~_umask())
    old = temporary.with_name(f"{temporary.name}.old")
    try:
        with explained(path):
            yield temporary
            _put_in_place(temporary, path, old)
    finally:
        if claim is not None:
            os.close(claim)
        if old.exists() and not path.exists():
            os.replace(old, path)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(temporary, ignore_errors=True)


def flush(path: Path) -> None:
    """Waits until the bytes of a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def work_root() -> Path:
    """Where work in progress and downloads are kept, undeclared to the engines; PIGAN_WORK moves it."""
    return Path(os.environ.get("PIGAN_WORK", "work"))


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, atomically; not-a-number is refused."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The JSON value in `path`.

    Raises:
        PiganError: the file is missing or holds no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PiganError(f"{path}: no such file; run the stage that writes it first") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PiganError(f"{path}: cannot be read ({error}); delete it and run its stage again") from None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a full disk or missing rights while `path` is written into a PiganError."""
    try:
        yield
    except OSError as error:
        # NumPy tells a full disk without a number
        cut_short = error.errno is None and CUT_SHORT.fullmatch(str(error))
        if error.errno in FULL or cut_short:
            raise PiganError(f"{path}: the disk is full; free some space and run the same command again") from error
        if error.errno == errno.EFBIG:
            raise PiganError(f"{path}: larger than files may be here (`ulimit -f`); name another place") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PiganError(f"{path}: {NOT_ALLOWED}") from error
        if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise PiganError(f"{path}: cannot be written here ({error.strerror}); name another place") from error
        raise


def check_place(path: Path) -> None:
    """Says before the work what would else be found at its end.

    Raises:
        PiganError: a file is where a folder above `path` would be, no permission, or no such name can be.
    """
    try:
        above = next(parent for parent in path.absolute().parents if parent.is_symlink() or parent.exists())
        allowed = os.access(path if path.is_dir() else above, os.W_OK | os.X_OK)
    except OSError as error:
        raise PiganError(f"{path}: {error.strerror}; name another place") from None
    if not above.is_dir():
        raise PiganError(f"{path}: {above} is a file and no folder; name another place")
    if not allowed:
        raise PiganError(f"{path}: {NOT_ALLOWED}")


def check_replaceable(path: Path, mark: str, parts: Collection[str] = ()) -> None:
    """Whether an `atomic_directory` may take the place of what is at `path`.

    It may where `mark` is there, or nothing else than `parts`, folders without files, and what engines leave.

    Raises:
        PiganError: it may not; what to do instead.
    """
    place = path.resolve()
    if place in (here := Path.cwd().resolve(), *here.parents):
        raise PiganError(f"{path}: is the folder you are in, or above it, and would be replaced; name another one")
    if path.is_file():
        raise PiganError(f"{path}: is a file where a folder is to be written; name another place, or delete it")
    if not path.is_dir() or (path / mark).exists():
        return
    with explained(path):
        found = sorted(
            entry.name
            for entry in path.iterdir()
            if entry.name not in (*parts, *LEFT_BY_ENGINES)
            and not (entry.is_dir() and not any(below.is_file() for below in entry.rglob("*")))
        )
    if found:
        told = f"{', '.join(found[:3])}{' ...' if len(found) > 3 else ''}"
        raise PiganError(
            f"{path}: would be replaced, and holds what is no former output ({told}); name another folder, or empty it"
        )


def _clear_remains(path: Path, suffix: str = "") -> None:
    """Delete the temporary files or directories of `path` that killed runs left: those that no process claims."""
    name = glob.escape(f".{path.name}.")
    for remains in path.parent.glob(f"{name}????????{glob.escape(suffix)}"):
        # a run that has just begun may not have claimed its own yet
        with contextlib.suppress(OSError):
            if time.time() - remains.stat().st_mtime > UNCLAIMED_SECONDS and (claim := _claimed(remains)) is not None:
                if remains.is_dir():
                    shutil.rmtree(remains, ignore_errors=True)
                else:
                    remains.unlink()
                os.close(claim)
    for old in path.parent.glob(f"{name}????????.old"):
        # while its new one is there, another run is about to put that in place
        if not old.with_suffix("").exists():
            with contextlib.suppress(OSError):
                # killed between the two renames, a run left the last good one here
                if not path.exists():
                    os.replace(old, path)
            shutil.rmtree(old, ignore_errors=True)


def _claimed(place: Path) -> int | None:
    """A handle that marks `place` as in use for as long as this process has it; None: another process has it."""
    handle = os.open(place, os.O_RDONLY)
    if _claim(handle):
        return handle
    os.close(handle)
    return None


def _claim(handle: int) -> bool:
    """Marks an opened place as in use; False: it is in use already, or on a file system without locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _put_in_place(temporary: Path, path: Path, old: Path) -> None:
    """`temporary` becomes `path`, whatever another run puts there meanwhile; what was there becomes `old`."""
    while True:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            shutil.rmtree(old, ignore_errors=True)
            # deleted in place, it would be a directory with half its files if we were killed meanwhile
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, old)
        try:
            return os.replace(temporary, path)
        except OSError as error:
            # another run was quicker
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
