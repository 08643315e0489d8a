"""The kinds of data pigan trains on: what they are, on what terms, and where their files come from."""

from collections.abc import Iterator
from dataclasses import dataclass

from pigan.dataset_sections import Kind
from pigan.errors import UsageError

GRAF = "https://s3.eu-central-1.amazonaws.com/avg-projects/graf/data"
GIRAFFE = "https://s3.eu-central-1.amazonaws.com/avg-projects/giraffe/data"
CELEBA = "https://drive.google.com/file/d/0B7EVK8r0v71pZjFTYXZWM3FlRnM/view?resourcekey=0-dYn9z10tMJOBAkviAcfdyQ"
CATS = "https://archive.org/download/CAT_DATASET"
# the authors' server is gone; the Web Archive kept its files
CATS_THEN = "https://web.archive.org/web/20150703060412id_/http://137.189.35.203/WebUI/CatDatabase/Data"


@dataclass(frozen=True)
class Remote:
    """One file of a dataset and where it is, the official place first."""

    name: str
    sources: tuple[str, ...]
    size: int | None = None
    """Bytes; None: not published."""
    md5: str | None = None
    """None: no checksum is published."""
    sha256: str | None = None
    otherwise: "Remote | None" = None
    """Another file that does as well, for when no source has this one."""
    optional: bool = False

    @property
    def choices(self) -> Iterator["Remote"]:
        """This file, then those that do as well."""
        yield self
        if self.otherwise is not None:
            yield from self.otherwise.choices

    @property
    def checksum(self) -> tuple[str, str] | None:
        """Name and hex digits of the strongest published checksum."""
        if self.sha256 is not None:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 is not None else None


@dataclass(frozen=True)
class Card:
    """What a kind of data is, where it comes from and on what terms."""

    title: str
    description: str
    source: str
    licence: str
    terms: str | None = None
    """What has to be accepted before a download; None: nothing."""
    terms_url: str | None = None
    citation: str | None = None
    expected: int | None = None
    """How many images a complete copy has."""
    image_size: tuple[int, int] | None = None
    """Width and height of every image, pixels; None: they differ or are not published."""
    files: tuple[Remote, ...] = ()
    by_hand: str = ""
    """What a download by hand must look like, and from where."""
    suffixes: tuple[str, ...] = ()
    """Endings of the files that belong to the dataset beside its images."""


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
    "meshes": Card(
        title="A folder of 3-D models",
        description=(
            "Textured models (GLB, glTF, OBJ, PLY, STL), ray cast by pigan on white from the camera's pose law, each"
            " view with its exact depth map and camera."
        ),
        source="dataset.source",
        licence="as stated by whoever supplied the models",
    ),
    "celeba": Card(
        title="CelebA",
        description="Faces of 10,177 celebrities, aligned by eyes and mouth and cropped to 178 x 218 pixels.",
        source="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        licence="non-commercial research only; the pictures are not the publishers' own",
        terms=(
            "CelebA is for non-commercial research only. Its pictures were found on the Internet and belong to others"
            " than its publishers. No part of it, nor anything derived from it, may be sold or used commercially, and"
            " it may not be passed on or published beyond one site of your organisation; the publishers may end your"
            " access at any time."
        ),
        terms_url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        citation=(
            "Z. Liu, P. Luo, X. Wang, X. Tang: Deep Learning Face Attributes in the Wild."
            " International Conference on Computer Vision, 2015"
        ),
        expected=202_599,
        image_size=(178, 218),
        files=(
            Remote(
                name="img_align_celeba.zip",
                sources=(CELEBA,),
                size=1_443_490_838,
                md5="00d2c5bc6d35e252742224ab0c1e8fcb",
                # the same pictures, packed again by the authors of GIRAFFE
                otherwise=Remote(name="celeba.zip", sources=(f"{GIRAFFE}/celeba.zip",)),
            ),
        ),
        by_hand=(
            "img_align_celeba.zip (1.4 GB, folder Img of the Drive that https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
            " links under Align&Cropped Images)"
        ),
        suffixes=(".txt", ".csv"),
    ),
    "cats": Card(
        title="Cats (CAT_DATASET)",
        description="Photographs of cats, each with nine landmarks: eyes, mouth and three points of each ear.",
        source="https://archive.org/details/CAT_DATASET",
        licence="none stated; collected for research, the photographs belong to whoever took them",
        terms=(
            "CAT_DATASET was published for research without a stated licence. Its photographs were found on the"
            " Internet and belong to whoever took them: use it for research and do not pass the pictures on."
        ),
        terms_url="https://archive.org/details/CAT_DATASET",
        citation=(
            "W. Zhang, J. Sun, X. Tang: Cat Head Detection - How to Effectively Exploit Shape and Texture Features."
            " European Conference on Computer Vision, 2008"
        ),
        expected=9_997,
        files=(
            Remote(
                name="CAT_DATASET_01.zip",
                sources=(f"{CATS}/CAT_DATASET_01.zip", f"{CATS_THEN}/CAT_DATASET_01.zip"),
                md5="1c98d0f6931623623c1f3030ed8c582c",
            ),
            Remote(
                name="CAT_DATASET_02.zip",
                sources=(f"{CATS}/CAT_DATASET_02.zip", f"{CATS_THEN}/CAT_DATASET_02.zip"),
                md5="06423894f0fd5746481ae7f1149d38d2",
            ),
            Remote(
                name="00000003_015.jpg.cat",
                sources=(f"{CATS}/00000003_015.jpg.cat", f"{CATS_THEN}/00000003_015.jpg.cat"),
                md5="5f2be98abb9fb72fe02bd81408801b72",
                optional=True,
            ),
        ),
        by_hand=(
            "CAT_DATASET_01.zip, CAT_DATASET_02.zip (2.2 GB together) and 00000003_015.jpg.cat (the correction of one"
            " label) from https://archive.org/details/CAT_DATASET or https://www.kaggle.com/datasets/crawford/cat-dataset"
        ),
        suffixes=(".cat",),
    ),
    "carla": Card(
        title="CARLA cars",
        description=(
            "Cars of the driving simulator CARLA in random colours on white, rendered by the authors of GRAF from the"
            " upper hemisphere, with the camera of each view."
        ),
        source="https://github.com/autonomousvision/graf",
        licence="none stated; the simulator's own assets are under CC BY 4.0",
        terms=(
            "These renderings were published with GRAF without a stated licence: use them for research and cite GRAF"
            " and CARLA. The simulator's assets, which they show, are under CC BY 4.0."
        ),
        terms_url="https://github.com/autonomousvision/graf",
        citation=(
            "K. Schwarz, Y. Liao, M. Niemeyer, A. Geiger: GRAF: Generative Radiance Fields for 3D-Aware Image"
            " Synthesis. NeurIPS, 2020; A. Dosovitskiy, G. Ros, F. Codevilla, A. Lopez, V. Koltun: CARLA: An Open Urban"
            " Driving Simulator. Conference on Robot Learning, 2017"
        ),
        expected=10_000,
        files=(
            Remote(name="carla.zip", sources=(f"{GRAF}/carla.zip",)),
            Remote(name="carla_poses.zip", sources=(f"{GRAF}/carla_poses.zip",)),
        ),
        by_hand=(
            "carla.zip (the images) and carla_poses.zip (*_extrinsics.npy of each image, intrinsics.npy), which"
            " https://github.com/autonomousvision/graf links"
        ),
        suffixes=(".npy",),
    ),
    "deepview": Card(
        title="Images with depth and cameras",
        description=(
            "Images with cameras (transforms.json, an EG3D dataset.json or *_extrinsics.npy) and, where given,"
            " a depth map each."
        ),
        source="dataset.source",
        licence="as stated by whoever supplied the images",
        suffixes=(".json", ".npy", ".exr"),
    ),
    "folder": Card(
        title="A folder of images",
        description="Images of one class of object, each cropped to a square; cameras and depth unknown.",
        source="dataset.source",
        licence="as stated by whoever supplied the images",
    ),
}


def describe(name: str | None = None) -> str:
    """What `pigan datasets` prints: a line for each kind of data, or all about one.

    Raises:
        UsageError: there is no such kind.
    """
    if name is None:
        return "\n".join(f"{kind:10}{card.title}: {card.description}" for kind, card in CARDS.items())
    for kind, card in CARDS.items():
        if kind == name:
            return "\n".join(_details(kind, card))
    raise UsageError(f"{name}: no such kind of data; there are {', '.join(CARDS)}")


def _details(kind: Kind, card: Card) -> Iterator[str]:
    yield f"{card.title} (dataset.kind: {kind})"
    yield card.description
    facts = {
        "images": f"{card.expected:,}" if card.expected else None,
        "source": card.source,
        "licence": card.licence,
        "terms": f"{card.terms} {card.terms_url}" if card.terms else None,
        "cite": card.citation,
        "by hand": card.by_hand,
    }
    yield from (f"{fact:9}{text}" for fact, text in facts.items() if text)
    for file in card.files:
        for choice in file.choices:
            published = f" ({choice.checksum[0]} {choice.checksum[1]})" if choice.checksum else ""
            yield f"{'file':9}{choice.name}{published}"
            yield from (f"{'':11}{url}" for url in choice.sources)
