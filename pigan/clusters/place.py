"""Whether the files of a project are where the jobs of a cluster find them."""

import os
import sys
import tempfile
from pathlib import Path

from pigan.files import work_root
from pigan.machine import Fact

MOUNTS = Path("/proc/self/mounts")
# what machines share, as Linux names it
SHARED = (
    *(
        "nfs",
        "nfs4",
        "lustre",
        "gpfs",
        "beegfs",
        "beegfs_nodev",
        "ceph",
        "cephfs",
        "fuse.ceph",
        "panfs",
        "wekafs",
        "afs",
    ),
    *("glusterfs", "fuse.glusterfs", "orangefs", "pvfs2", "cifs", "smb3", "fuse.sshfs", "fuse.juicefs", "efs", "daos"),
)


def place_facts(one_machine: bool) -> list[Fact]:
    """The project, its work in progress and its Python, which jobs find under the same paths.

    Args:
        one_machine: The jobs run here.
    """
    facts = [writable("work", work_root())]
    places = {"project": Path.cwd(), "work in progress": work_root(), "python": Path(sys.prefix)}
    for name, place in places.items():
        kind = file_system(place)
        told = f"{existing(place)} on {kind or 'an unknown file system'}"
        if one_machine or kind in SHARED:
            facts.append(Fact(name, told + (", where the jobs run too" if one_machine else ", which machines share")))
        else:
            advice = f"jobs on other nodes need it under the same path: is {kind or 'it'} shared by them?"
            facts.append(Fact(name, told, "advice", advice))
    return facts


def writable(name: str, folder: Path) -> Fact:
    """Whether something can be made in a folder, or where that will be."""
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            return Fact(name, f"{folder} can be written")
    except OSError as error:
        advice = "set PIGAN_WORK to a folder of yours that the nodes share"
        return Fact(name, f"{place} cannot be written ({error.strerror})", "missing", advice)


def existing(place: Path) -> Path:
    """The folder, or the nearest one above that is there."""
    place = place.absolute()
    while not place.exists():
        place = place.parent
    return place.resolve()


def file_system(place: Path) -> str:
    """The type of the file system that a folder is on, as Linux names it; empty where that cannot be known."""
    found = ("", "")
    here = str(existing(place))
    try:
        lines = MOUNTS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        # spaces and the like are written as \040
        point, kind = (part.encode().decode("unicode_escape") for part in line.split()[1:3])
        inside = here == point or here.startswith(point.rstrip(os.sep) + os.sep)
        if inside and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]
