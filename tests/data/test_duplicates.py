import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pigan.data import duplicates
from pigan.data.duplicates import near_duplicates, near_pairs, thumbnails


def noise(count: int, side: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def brute(hashes: np.ndarray, bits: int) -> set[tuple[int, int]]:
    close = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= bits
    return {(int(i), int(j)) for i, j in np.argwhere(np.triu(close, 1))}


def found(hashes: np.ndarray, bits: int) -> list[tuple[int, int]]:
    pairs = near_pairs(hashes, bits)
    return [(min(i, j), max(i, j)) for one, other in pairs for i, j in zip(one.tolist(), other.tolist(), strict=True)]


@settings(deadline=None)
@given(
    hnp.arrays(
        np.uint64, st.integers(1, 60), elements=st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 40)), unique=True
    ),
    st.integers(0, 8),
)
def test_pairs_are_those_of_brute_force_each_once(hashes: np.ndarray, bits: int) -> None:
    pairs = found(hashes, bits)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute(hashes, bits)


@pytest.mark.parametrize("bits", range(9))
def test_pairs_among_many_hashes(bits: int) -> None:
    rng = np.random.default_rng(bits)
    base = rng.integers(0, 2**64, 400, dtype=np.uint64)
    flips = [base ^ (np.uint64(1) << rng.integers(0, 64, 400, dtype=np.uint64)) for _ in range(4)]
    hashes = np.unique(np.concatenate([base, flips[0], flips[1], flips[2] ^ flips[3] ^ base]))
    pairs = found(hashes, bits)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute(hashes, bits)
    assert bool(pairs) == (bits > 0)


def test_close_hashes_are_confirmed_by_the_pixels() -> None:
    images = noise(5)
    images[1] = np.clip(images[0].astype(int) + 3, 0, 255)
    images[3] = 255 - images[2]
    hashes = np.array([8, 9, 1 << 40, 1 << 40, 2**63], np.uint64)
    assert near_duplicates(hashes, images, 1) == [[0, 1]]
    # equal hashes only
    assert near_duplicates(hashes, images, 0) == []


def test_pictures_are_alike_up_to_a_root_mean_square_difference_of_six() -> None:
    images = np.full((2, 16, 16, 3), 100, np.uint8)
    for off, groups in ((6, [[0, 1]]), (7, [])):
        # half of the pixels brighter and half darker, so that the means say nothing
        images[1, ::2], images[1, 1::2] = 100 + off, 100 - off
        assert near_duplicates(np.zeros(2, np.uint64), images, 0) == groups


def test_chain_is_one_group() -> None:
    images = np.repeat(noise(2), 4, axis=0)
    hashes = np.array([0, 0b1, 0b11, 0b111, 1 << 60, 1 << 61, 1 << 62, 1 << 63], np.uint64)
    assert near_duplicates(hashes, images, 1) == [[0, 1, 2, 3]]
    assert near_duplicates(hashes, images, 2) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_other_colours_are_no_duplicates() -> None:
    grey = np.linspace(0, 200, 16, dtype=np.uint8)[None, :, None]
    red = np.zeros((16, 16, 3), np.uint8) + grey * np.array([1, 0, 0], np.uint8)
    images = np.stack([red, red[..., ::-1]])
    assert near_duplicates(np.zeros(2, np.uint64), images, 0) == []


def test_thousands_that_share_a_hash_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.full((20_000, 16, 16, 3), 255, np.uint8)
    images[7] = 0
    images[[3, 19_999]] = noise(1)
    compared = []
    alike = duplicates._alike

    def counting(small: np.ndarray, brightness: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        compared.append(len(one))
        return alike(small, brightness, one, other)

    monkeypatch.setattr(duplicates, "_alike", counting)
    groups = near_duplicates(np.zeros(20_000, np.uint64), images, 3)
    assert groups == [[index for index in range(20_000) if index not in (3, 7, 19_999)], [3, 19_999]]
    # of two hundred million pairs
    assert sum(compared) < 20_000 * 10


def test_stand_ins_link_crowded_hashes() -> None:
    images = np.repeat(noise(1), 600, axis=0)
    hashes = np.repeat(np.array([1, 3], np.uint64), 300)
    assert near_duplicates(hashes, images, 1) == [list(range(600))]
    assert near_duplicates(hashes, images, 0) == [list(range(300)), list(range(300, 600))]


def test_groups_do_not_depend_on_when_they_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images = noise(40)[rng.integers(0, 40, 500)]
    hashes = rng.integers(0, 16, 500).astype(np.uint64)
    whole = near_duplicates(hashes, images, 1)
    monkeypatch.setattr(duplicates, "CHUNK", 5)
    assert near_duplicates(hashes, images, 1) == whole
    assert len(whole) > 10


def test_thumbnails_are_means_of_blocks() -> None:
    images = noise(3, 64)
    expected = images.reshape(3, 16, 4, 16, 4, 3).mean(axis=(2, 4))
    assert thumbnails(images).shape == (3, 16, 16, 3)
    assert np.abs(thumbnails(images) - expected).max() <= 0.5
    assert np.array_equal(thumbnails(noise(3, 8)), noise(3, 8))


def test_few_images_have_no_neighbours() -> None:
    assert near_duplicates(np.zeros(1, np.uint64), noise(1), 3) == []
