"""What of a user's folder or archive counts: neither hidden files nor what macOS puts beside its own."""

import os
from pathlib import Path, PurePath


def files_below(folder: Path) -> list[str]:
    """The files that count as sorted relative POSIX paths."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        inside = "" if place == str(folder) else f"{Path(place).relative_to(folder).as_posix()}/"
        found += [inside + name for name in files if not _is_hidden(name)]
    return sorted(found)


def is_shown(path: PurePath) -> bool:
    """Whether a member of an archive counts."""
    return not any(_is_hidden(part) for part in path.parts)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
