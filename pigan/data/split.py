"""Which images are kept out of training: whole owners, so that nothing held out was nearly seen in training."""

import collections
import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# a file name without its last number: what the frames of one video, or the photos of one album, have in common
SERIES = re.compile(r"^(.*?)\d+\D*$")


def split(owners: Sequence[str], share: float, salt: str) -> tuple[list[int], list[int]]:
    """Indices for training and held out: about `share` of the images, whole owners only.

    Owners are held out in the order of a salted hash: the same ones on every machine, and nearly the same ones
    after images were added. One that would take the share further off than it was is passed over; where all of them
    would, the smallest is held out. Half of the images at least are left to train on.
    """
    members: dict[str, list[int]] = {}
    for index, owner in enumerate(owners):
        members.setdefault(owner, []).append(index)
    ranked = sorted(members, key=lambda owner: hashlib.sha256(f"{salt}:{owner}".encode()).digest())
    wanted = round(share * len(owners))
    held_out: list[int] = []
    for owner in ranked:
        size = len(members[owner])
        if size <= 2 * (wanted - len(held_out)) and 2 * (len(held_out) + size) <= len(owners):
            held_out += members[owner]
    if wanted and not held_out:
        smallest = min(ranked, key=lambda owner: len(members[owner]))
        held_out = members[smallest] if 2 * len(members[smallest]) <= len(owners) else []
    aside = set(held_out)
    return [index for index in range(len(owners)) if index not in aside], sorted(held_out)


def stated_split(held_out: Sequence[bool | None]) -> tuple[list[int], list[int]] | None:
    """The split that the files themselves state; what they leave open is for training. None: they state nothing."""
    if all(value is None for value in held_out):
        return None
    return (
        [index for index, value in enumerate(held_out) if not value],
        [index for index, value in enumerate(held_out) if value],
    )


def owners_by_name(names: Sequence[str], share: float) -> list[str]:
    """The owner of each image, told from its path: images of one folder, or of one series in it, may be alike.

    A folder (a video, an identity) is kept whole if it is no larger than the images to hold out, else each series in
    it (a_001.jpg, a_002.jpg) that is no larger, else every image stands for itself. So with 1 % of the seven folders of
    CAT_DATASET, of which each is a seventh, an owner is what shares the first number of names such as
    00000003_015.jpg. Plain numbers (000001.jpg) are no series: they say nothing about likeness.
    """
    wanted = round(share * len(names))
    folders = [str(PurePosixPath(name).parent) for name in names]
    series = [f"{folder}/{_series(PurePosixPath(name))}*" for folder, name in zip(folders, names, strict=True)]
    in_folder, in_series = collections.Counter(folders), collections.Counter(series)
    return [
        f"{folder}/" if in_folder[folder] <= wanted else serial if 1 < in_series[serial] <= wanted else name
        for name, folder, serial in zip(names, folders, series, strict=True)
    ]


def join(owners: Sequence[str], groups: Sequence[Sequence[int]]) -> list[str]:
    """`owners`, where those that meet in a group of image indices became one, named after the first in the alphabet."""
    known = sorted(set(owners))
    number = {owner: place for place, owner in enumerate(known)}
    mine = np.array([number[owner] for owner in owners], np.int64)
    first = [mine[group[0]] for group in groups for _ in group]
    other = [mine[index] for group in groups for index in group]
    links = coo_array((np.ones(len(first), bool), (first, other)), shape=(len(known), len(known)))
    part = connected_components(links, directed=False)[1]
    name: dict[int, str] = {}
    for owner, joined in zip(known, part.tolist(), strict=True):
        name.setdefault(joined, owner)
    return [name[joined] for joined in part[mine].tolist()]


def _series(path: PurePosixPath) -> str:
    """What comes before the last number of a file name; the whole name if nothing does."""
    found = SERIES.match(path.stem)
    return found[1] if found and found[1] else path.name
