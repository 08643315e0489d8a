"""The catalog says of each kind of data what people need to know."""

import typing
from urllib.parse import urlsplit

import pytest

from pigan.data.sources.catalog import CARDS, Card, describe
from pigan.dataset_sections import SOURCE_NEEDED, Kind
from pigan.errors import PiganError

FILES = [choice for card in CARDS.values() for file in card.files for choice in file.choices]


def test_every_kind_has_a_card() -> None:
    assert set(CARDS) == set(typing.get_args(Kind))


@pytest.mark.parametrize("kind", CARDS)
def test_kinds_are_fetched_or_need_a_source(kind: Kind) -> None:
    card = CARDS[kind]
    assert bool(card.files) == (kind not in (*SOURCE_NEEDED, "cars"))
    if card.files:
        assert card.terms and card.terms_url and card.citation and card.expected and card.by_hand
        assert all(file.name in card.by_hand for file in card.files)


def test_files_have_sources_and_checksums_of_the_right_length() -> None:
    assert len({file.name for file in FILES}) == len(FILES) > 0
    for file in FILES:
        assert file.sources and all(urlsplit(url).scheme == "https" for url in file.sources)
        assert file.md5 is None or len(file.md5) == 32
        assert file.checksum in (None, ("md5", file.md5), ("sha256", file.sha256))


def test_all_kinds_are_described_in_a_line_and_one_in_full() -> None:
    assert [line.split()[0] for line in describe().splitlines()] == list(CARDS)
    text = describe("cats")
    for part in ("9,997", "CAT_DATASET_02.zip (md5 06423894f0fd5746481ae7f1149d38d2)", "Cat Head Detection", "terms"):
        assert part in text
    assert "terms" not in describe("cars")
    with pytest.raises(PiganError, match="dogs: no such kind of data; there are cars, meshes, celeba"):
        describe("dogs")


def test_cards_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        CARDS["cars"].title = "x"
    assert isinstance(CARDS["cars"], Card)
