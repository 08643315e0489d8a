"""Downloads that are verified, and appear under their name only when they are whole."""

import hashlib
import os
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from pigan.data.sources.catalog import Remote
from pigan.data.sources.transfer import SourceError, came, forget, page_title, size_of, tell, transfer
from pigan.errors import PiganError
from pigan.files import explained, flush
from pigan.locks import alone


class Unavailable(PiganError):
    """No source gave the file."""


def fetch(file: Remote, folder: Path) -> Path:
    """`file`, or what does as well, in `folder`: found there or downloaded, and verified.

    A download that was cut goes on in the next call. Of two calls at once the second waits for the first.

    Raises:
        Unavailable: no source gave it; the message says why, source by source.
        PiganError: a file of that name is there but is not the published one, or the disk is full.
    """
    reasons = []
    with alone(folder / f".{file.name}.lock", file.name, tell, lambda: _came_to(folder)):
        for choice in file.choices:
            path = folder / choice.name
            if path.exists():
                wrong = fault(choice, path)
                if wrong is not None:
                    raise PiganError(f"{path}: {wrong}; delete it and run the same command again")
                return path
        for choice in file.choices:
            for url in choice.sources:
                try:
                    return _fetch_from(url, choice, folder)
                except SourceError as error:
                    reasons.append(f"{urlsplit(url).hostname}: {error}")
                    tell(f"{choice.name} is not to be had from {reasons[-1]}")
    raise Unavailable(f"{file.name} could not be downloaded ({'; '.join(reasons)})")


def fault(file: Remote, path: Path) -> str | None:
    """What tells `path` from the published `file`, as far as that is known; None: nothing does."""
    size = size_of(path)
    with path.open("rb") as handle:
        page = page_title(handle.read(4096))
        if page is not None:
            return f"a web page{page} came instead of the file"
        if size == 0 or size != (file.size or size):
            return f"it has {size} bytes{f' instead of {file.size}' if file.size else ''}"
        if file.checksum is None:
            broken = file.name.endswith(".zip") and not zipfile.is_zipfile(path)
            return "it is no complete zip archive" if broken else None
        name, published = file.checksum
        handle.seek(0)
        found = hashlib.file_digest(handle, name).hexdigest()
    return None if found == published else f"its {name} is {found}, not the published {published}"


def _fetch_from(url: str, file: Remote, folder: Path) -> Path:
    target, part = folder / file.name, folder / f"{file.name}.part"
    begun = came(part) > 0
    # what an earlier run left may be at fault: then once more from the start
    for last in (not begun, True):
        with explained(part):
            transfer(url, file, part)
        wrong = fault(file, part)
        if wrong is None:
            with explained(target):
                flush(part)
                os.replace(part, target)
                flush(folder)
            forget(part)
            return target
        forget(part)
        if last:
            break
        tell(f"{file.name}: {wrong}; once more from the start")
    raise SourceError(wrong)


def _came_to(folder: Path) -> int:
    """Grows while anything is being fetched there."""
    return sum(came(part) for part in folder.glob("*.part"))
