import pytest
from hypothesis import given
from hypothesis import strategies as st

from pigan.data.split import join, owners_by_name, split, stated_split

OWNERS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60)


@given(OWNERS, st.floats(0, 0.5), st.text(max_size=5))
def test_objects_stay_whole_and_something_is_left_to_train_on(owners: list[str], share: float, salt: str) -> None:
    train, held_out = split(owners, share, salt)
    assert sorted(train + held_out) == list(range(len(owners)))
    assert len(train) >= len(owners) / 2
    assert not {owners[index] for index in train} & {owners[index] for index in held_out}
    assert split(owners, share, salt) == (train, held_out)
    if round(share * len(owners)) == 0:
        assert not held_out


@given(OWNERS, st.floats(0, 0.5))
def test_share_is_missed_by_less_than_half_an_owner(owners: list[str], share: float) -> None:
    wanted = round(share * len(owners))
    held_out = split(owners, share, "x")[1]
    sizes = {owner: owners.count(owner) for owner in owners}
    smallest = min(sizes.values())
    # the smallest is taken even if it is too large, as long as enough is left
    assert len(held_out) <= max(wanted + max(sizes.values()) / 2, smallest)
    if wanted and len(sizes) > 1:
        assert held_out


def test_share_is_met_by_single_images_and_depends_on_the_salt() -> None:
    owners = [f"{number}.png" for number in range(1000)]
    first, other = split(owners, 0.05, "cars")[1], split(owners, 0.05, "cats")[1]
    assert len(first) == len(other) == 50
    assert first != other
    # more images move few of the old ones
    grown = set(split([*owners, *(f"new{number}.png" for number in range(20))], 0.05, "cars")[1])
    assert len(set(first) - grown) <= 3


def test_one_huge_owner_is_never_held_out() -> None:
    owners = ["video"] * 900 + [f"{number}.png" for number in range(100)]
    for salt in "abcdefgh":
        held_out = split(owners, 0.05, salt)[1]
        assert len(held_out) == 50
        assert min(held_out) >= 900


def test_few_large_objects() -> None:
    owners = [f"car{index // 10}" for index in range(30)]
    assert len(split(owners, 0.05, "x")[1]) == 10
    assert split(["only"] * 9, 0.5, "x")[1] == []


@pytest.mark.parametrize("salt", ["x", "y", "z"])
def test_smallest_object_is_held_out_where_all_are_too_large(salt: str) -> None:
    assert split(["a"] * 10 + ["b"] * 7 + ["c"] * 20, 0.05, salt)[1] == list(range(10, 17))


def test_half_of_the_images_may_be_held_out() -> None:
    assert len(split("abcd", 0.5, "x")[1]) == 2
    assert len(split("aaabbb", 0.1, "x")[1]) == 3


def test_two_images_are_a_series() -> None:
    names = ["cat_1.jpg", "cat_2.jpg", "dog_7.jpg", *(f"{number}.jpg" for number in range(17))]
    owners = owners_by_name(names, 0.1)
    assert owners[0] == owners[1] and len(set(owners)) == 19


def test_files_own_split() -> None:
    assert stated_split([None, None]) is None
    assert stated_split([True, False, None, True]) == ([1, 2], [0, 3])


def test_folders_that_are_small_enough_are_owners() -> None:
    videos = [f"v{index // 10:02d}/{index % 10:03d}.jpg" for index in range(200)]
    assert set(owners_by_name(videos, 0.05)) == {f"v{number:02d}/" for number in range(20)}
    # folders that are larger are not: here every file, since plain numbers say nothing
    assert owners_by_name(videos, 0.02) == videos


def test_cats_go_by_the_first_number_of_their_names() -> None:
    names = [f"CAT_{index // 300:02d}/{index // 30:08d}_{index % 30:03d}.jpg" for index in range(2100)]
    owners = owners_by_name(names, 0.02)
    assert len(set(owners)) == 70
    assert owners[0] == owners[29] != owners[30]
    # with a share that a seventh fits in, folders
    assert len(set(owners_by_name(names, 0.2))) == 7


def test_faces_with_plain_numbers_stand_for_themselves() -> None:
    names = [f"img_align_celeba/{index:06d}.jpg" for index in range(1, 500)]
    assert owners_by_name(names, 0.5) == names


@given(
    st.lists(st.from_regex(r"\A([a-c]/){0,2}[ab]{0,2}_?[0-9]{0,3}\.(png|jpg)\Z"), min_size=1, unique=True),
    st.floats(0, 0.5),
)
def test_owners_by_name_are_never_larger_than_what_is_held_out(names: list[str], share: float) -> None:
    owners = owners_by_name(names, share)
    wanted = round(share * len(names))
    assert len(owners) == len(names)
    for owner in set(owners):
        assert owners.count(owner) <= max(wanted, 1)
        together = {name.rpartition("/")[0] for name, of in zip(names, owners, strict=True) if of == owner}
        assert len(together) == 1


@given(
    OWNERS.flatmap(
        lambda owners: st.tuples(
            st.just(owners),
            st.lists(st.lists(st.integers(0, len(owners) - 1), min_size=2, max_size=4), max_size=4),
        )
    )
)
def test_joined_owners_are_the_finest_that_keep_groups_whole(drawn: tuple[list[str], list[list[int]]]) -> None:
    owners, groups = drawn
    joined = join(owners, groups)
    for group in groups:
        assert len({joined[index] for index in group}) == 1
    for owner, new in zip(owners, joined, strict=True):
        assert all(other == new for of, other in zip(owners, joined, strict=True) if of == owner)
        assert new <= owner
    links = {frozenset(owners[index] for index in group) for group in groups}
    assert len(set(owners)) - len(set(joined)) <= sum(len(link) - 1 for link in links)
    if not groups:
        assert joined == owners


def test_joining_names_the_first() -> None:
    assert join(["b", "a", "c", "c", "d"], [[0, 2], [3, 4]]) == ["b", "a", "b", "b", "b"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_nothing_near_a_held_out_image_is_trained_on(share: float) -> None:
    names = [f"{index:04d}.png" for index in range(300)]
    groups = [[index, index + 1, index + 2] for index in range(0, 300, 7) if index + 2 < 300]
    train, held_out = split(join(owners_by_name(names, share), groups), share, "x")
    for group in groups:
        assert set(group) <= set(train) or set(group) <= set(held_out)
    assert len(held_out) == pytest.approx(share * 300, abs=2)
