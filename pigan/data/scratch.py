"""Node-local copies of prepared data: made once a node, verified at every use, kept for later jobs.

PIGAN_SCRATCH names a folder on a disk of the node. What is below its folder pigan/ can be deleted at any time.
"""

import contextlib
import hashlib
import os
import shutil
import sys
from pathlib import Path

from pigan.data.store import Prepared
from pigan.errors import PiganError
from pigan.files import atomic_file, sha256_file
from pigan.locks import PATIENCE_SECONDS, alone
from pigan.progress import Progress

PIECE_BYTES = 16 << 20
SPARE_BYTES = 256 << 20
"""What a copy leaves free on the scratch disk for others."""
ATTEMPTS = 3


class _NoCopy(Exception):
    """Why there is no copy; the original does as well."""


def scratch_root() -> Path | None:
    """The folder that PIGAN_SCRATCH names; None: no scratch is asked for.

    Raises:
        PiganError: it is no absolute path.
    """
    named = os.environ.get("PIGAN_SCRATCH", "")
    if not named:
        return None
    if not Path(named).is_absolute():
        raise PiganError(f"PIGAN_SCRATCH: write an absolute path, such as /scratch/$USER, not {named!r}")
    return Path(named)


def near(prepared: Prepared, resolution: int) -> Prepared:
    """The same data, read from a verified copy of this resolution's images on the scratch disk of this node.

    `prepared` itself where PIGAN_SCRATCH is not set, and, with one line that says why, where no copy can be made. Of
    several processes that ask at once, one copies and the others wait for it. The copy is kept by the hash of
    dataset.json, so that changed data is copied anew.

    Raises:
        PiganError: PIGAN_SCRATCH is no absolute path; the images are not those of dataset.json.
    """
    root, images = scratch_root(), f"images_{resolution}.npy"
    if root is None:
        return prepared
    hashes: dict[str, str] = prepared.info["sha256"]
    dataset = sha256_file(prepared.path / "dataset.json")
    folder = root / "pigan" / f"{prepared.name}-{dataset[:16]}"
    try:
        for name in (name for name in ("cameras.npz", images) if name in hashes):
            _copy_verified(prepared.path / name, folder / name, hashes[name])
        # last: the folder counts as prepared data only when all of it is there
        _copy_verified(prepared.path / "dataset.json", folder / "dataset.json", dataset)
        return Prepared(folder)
    except (_NoCopy, OSError) as reason:
        _tell(f"{reason}; reading {prepared.path / images} where it is")
        return prepared


def _copy_verified(original: Path, copy: Path, sha256: str) -> None:
    """`copy` has the bytes that are expected, now at the latest.

    Raises:
        PiganError: `original` has not.
        _NoCopy: no room, no permission, or another process that makes the copy gives no sign of life.
    """
    for _ in range(ATTEMPTS):
        # outside the lock: those that find a copy verify it side by side
        found = _state(copy)
        if found is not None and sha256_file(copy) == sha256:
            return
        try:
            lock = copy.with_name(f".{copy.name}.lock")
            with alone(lock, copy.name, _tell, lambda: _bytes_in(copy.parent), PATIENCE_SECONDS):
                # another process may have replaced it meanwhile
                if _state(copy) == found:
                    if found is not None:
                        _tell(f"{copy}: damaged; copying it again")
                    _copy(original, copy, sha256)
        except _Foreign as error:
            raise PiganError(str(error)) from None
        except PiganError as error:
            raise _NoCopy(str(error)) from None
    raise _NoCopy(f"{copy}: damaged after {ATTEMPTS} attempts")


class _Foreign(PiganError):
    """The original is not what dataset.json tells."""


def _copy(original: Path, copy: Path, sha256: str) -> None:
    """Copies a file whole or not at all, with its bytes hashed on the way."""
    size = original.stat().st_size
    # what killed runs left; nobody else writes here
    for remains in copy.parent.glob(f".{copy.name}.*{copy.suffix}"):
        remains.unlink(missing_ok=True)
    free = shutil.disk_usage(copy.parent).free
    if size + SPARE_BYTES > free:
        raise _NoCopy(f"{copy.parent}: no room for {size / 1e9:.2f} GB ({free / 1e9:.2f} GB free)")
    digest = hashlib.sha256()
    with atomic_file(copy) as temporary, original.open("rb") as source, temporary.open("wb") as target:
        # the small ones are not worth a line
        with (
            Progress(size, f"{copy.name} to {copy.parent}", "B")
            if size > PIECE_BYTES
            else contextlib.nullcontext() as bar
        ):
            while piece := source.read(PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
                if bar is not None:
                    bar.advance(len(piece))
        if digest.hexdigest() != sha256:
            raise _Foreign(f"{original}: its SHA-256 is not the one of dataset.json; run `pigan crop` again")


def _state(path: Path) -> tuple[int, int, int] | None:
    """What tells one version of a file from the next; None: there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _bytes_in(folder: Path) -> int:
    """Grows while a copy is made there."""
    total = 0
    for path in folder.iterdir():
        # it may just have become the copy
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _tell(message: str) -> None:
    print(f"scratch: {message}", file=sys.stderr, flush=True)
