"""The kinds of data pigan trains on, in words for data cards."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["cars", "folder", "deepview"]


@dataclass(frozen=True)
class Card:
    """What a kind of data is, where it comes from and on what terms."""

    title: str
    description: str
    source: str
    licence: str


CARDS: dict[Kind, Card] = {
    "cars": Card(
        title="Procedural cars",
        description=(
            "Cars of ten body styles, drawn by pigan from a seed and ray traced exactly on a white floor from the"
            " upper hemisphere, each view with its depth map and camera."
        ),
        source="rendered by pigan",
        licence="CC0 1.0: made by a program from random numbers, free for any use",
    ),
    "folder": Card(
        title="A folder of images",
        description="Images of one class of object, each cropped to a square; cameras and depth unknown.",
        source="dataset.source",
        licence="as stated by whoever supplied the images",
    ),
    "deepview": Card(
        title="Images with depth and cameras",
        description="Images with cameras in a NeRF-style transforms.json and, where given, a z-depth map each.",
        source="dataset.source",
        licence="as stated by whoever supplied the images",
    ),
}
