"""Near-duplicates: pictures with close perceptual hashes that are alike pixel by pixel."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_BITS = 64
# pictures are compared at this size; above this root mean square difference (of values 0-255) they are not alike:
# copies of a JPEG of quality 20 differ by less, the nearest two of 1500 embedded cars by as much
THUMBNAIL, ALIKE = 16, 6.0
# of pictures with one hash, so many are all compared with each other; of more, each with its next few in brightness
SHARED, NEXT = 64, 8
# of pictures with one hash, so many stand for the others against the pictures of another hash
STAND_INS = 16
CHUNK = 1 << 13

Pairs = tuple[Int64[np.ndarray, " _"], Int64[np.ndarray, " _"]]


def near_duplicates(
    hashes: UInt64[np.ndarray, " n"], images: UInt8[np.ndarray, "n side side 3"], bits: int
) -> list[list[int]]:
    """Groups of pictures whose hashes differ in at most `bits` bits and that look alike; a chain is one group.

    Indices in a group, and groups by their first index, are sorted. All such pairs are found as long as no more than
    STAND_INS pictures share a hash; beyond it, time and memory stay bounded and some pairs may be missed.
    """
    small = thumbnails(images)
    brightness = small.mean(axis=(1, 2, 3))
    group = np.arange(len(hashes))
    waiting: list[Pairs] = []
    for one, other in _candidates(hashes, brightness, bits):
        # what is in one group already needs no look at its pixels
        new = group[one] != group[other]
        one, other = one[new], other[new]
        alike = _alike(small, brightness, one, other)
        waiting.append((one[alike], other[alike]))
        if sum(len(pair[0]) for pair in waiting) > CHUNK:
            group, waiting = _joined(group, waiting), []
    group = _joined(group, waiting)
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted(found.tolist() for found in members if len(found) > 1)


def near_pairs(hashes: UInt64[np.ndarray, " n"], bits: int) -> Iterator[Pairs]:
    """All pairs of hashes, which must differ from each other, that differ in at most `bits` bits, each pair once.

    Exact, by pigeonholes: two such hashes, cut into bits + 1 pieces, agree in a piece, so that only those with an
    equal piece have to be compared.
    """
    edges = np.linspace(0, HASH_BITS, bits + 2).astype(int)
    masks = [np.uint64(((1 << int(high)) - 1) ^ ((1 << int(low)) - 1)) for low, high in itertools.pairwise(edges)]
    for number, mask in enumerate(masks):
        order = np.argsort(hashes & mask, kind="stable")
        ordered = hashes[order]
        for here, there in _equal_neighbours(ordered & mask, len(hashes)):
            differing = ordered[here] ^ ordered[there]
            close = np.flatnonzero(np.bitwise_count(differing) <= bits)
            for earlier in masks[:number]:
                # a pair that agrees in two pieces was met before
                close = close[differing[close] & earlier != 0]
            if len(close):
                yield order[here[close]], order[there[close]]


def thumbnails(images: UInt8[np.ndarray, "n side side 3"]) -> UInt8[np.ndarray, "n s s 3"]:
    """Each picture at THUMBNAIL pixels, or as it is if it is smaller: means of equal blocks."""
    side = min(THUMBNAIL, images.shape[1])
    block = images.shape[1] // side
    small = np.empty((len(images), side, side, 3), np.uint8)
    for start in range(0, len(images), 256):
        part = np.asarray(images[start : start + 256, : side * block, : side * block])
        # lines first, which are added whole
        lines = part.reshape(len(part), side, block, -1).sum(axis=2, dtype=np.uint16)
        sums = lines.reshape(len(part), side, side, block, 3).sum(axis=3, dtype=np.uint32)
        small[start : start + 256] = (sums + block * block // 2) // (block * block)
    return small


def _candidates(hashes: UInt64[np.ndarray, " n"], brightness: Float[np.ndarray, " n"], bits: int) -> Iterator[Pairs]:
    """Pairs of pictures worth a look at their pixels."""
    values, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    order = np.lexsort((brightness, which))
    shared = counts[which[order]]
    for here, there in _equal_neighbours(which[order], SHARED):
        kept = (shared[here] <= SHARED) | (there - here <= NEXT)
        yield order[here[kept]], order[there[kept]]

    starts, stand_ins = np.cumsum(counts) - counts, np.minimum(counts, STAND_INS)

    def stand_in(hash_index: Int64[np.ndarray, " k"], number: int) -> Int64[np.ndarray, " k"]:
        """The `number`-th stand-in of a hash, evenly spread over the brightness of those that share it."""
        return order[starts[hash_index] + number * counts[hash_index] // stand_ins[hash_index]]

    for first, second in near_pairs(values, bits):
        for i, j in itertools.product(range(stand_ins[first].max()), range(stand_ins[second].max())):
            kept = (stand_ins[first] > i) & (stand_ins[second] > j)
            yield stand_in(first[kept], i), stand_in(second[kept], j)


def _equal_neighbours(ordered: np.ndarray, reach: int) -> Iterator[Pairs]:
    """Places i < j < i + reach of equal values in a sorted array, in parts by j - i."""
    places = np.arange(len(ordered))
    ends = np.searchsorted(ordered, ordered, side="right")
    for step in range(1, reach):
        places = places[places + step < ends[places]]
        if not len(places):
            return
        yield places, places + step


def _alike(
    small: UInt8[np.ndarray, "n s s 3"],
    brightness: Float[np.ndarray, " n"],
    one: Int64[np.ndarray, " k"],
    other: Int64[np.ndarray, " k"],
) -> Bool[np.ndarray, " k"]:
    # a root mean square is never below the mean, which is quickly told
    alike = np.abs(brightness[one] - brightness[other]) <= ALIKE
    places = np.flatnonzero(alike)
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK]
        difference = small[one[part]].astype(np.int32) - small[other[part]]
        alike[part] = np.square(difference).mean(axis=(1, 2, 3)) <= ALIKE**2
    return alike


def _joined(group: Int64[np.ndarray, " n"], pairs: list[Pairs]) -> Int64[np.ndarray, " n"]:
    """The group of each picture after `pairs` were joined."""
    one = np.concatenate([group[:0], *(pair[0] for pair in pairs)])
    other = np.concatenate([group[:0], *(pair[1] for pair in pairs)])
    links = coo_array((np.ones(len(one), bool), (group[one], group[other])), shape=(len(group), len(group)))
    joined: Int64[np.ndarray, " n"] = connected_components(links, directed=False)[1].astype(np.int64)[group]
    return joined
