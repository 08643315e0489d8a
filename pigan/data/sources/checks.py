"""Whether what came is what its kind of data should be, and the one label that CAT_DATASET has wrong."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pigan.data.sources.catalog import CARDS
from pigan.data.sources.transfer import tell
from pigan.dataset_sections import Kind
from pigan.errors import PiganError

CAMERAS = ("transforms*.json", "dataset.json", "*_extrinsics.npy")
POSES = "*_extrinsics.npy"
# the authors named the landmarks of image 015 after an image 019 that there is not
CAT_IMAGE, CAT_LABEL, MISNAMED_LABEL = "00000003_015.jpg", "00000003_015.jpg.cat", "00000003_019.jpg.cat"


def correct_cats(folder: Path) -> None:
    """Put the authors' correction of the one wrong label in its place; without it the image stays without label."""
    correction = folder / CAT_LABEL
    images = sorted(folder.rglob(CAT_IMAGE))
    for image in images:
        label, misnamed = image.with_name(CAT_LABEL), image.with_name(MISNAMED_LABEL)
        if not misnamed.with_suffix("").exists():
            misnamed.unlink(missing_ok=True)
        if not label.exists() and correction.exists():
            shutil.copyfile(correction, label)
        if not label.exists():
            tell(f"{CAT_IMAGE} has no landmarks, for its correction ({CAT_LABEL}) is missing; `pigan crop` rejects it")
    if correction.with_suffix("") not in images:
        correction.unlink(missing_ok=True)


def check_tree(kind: Kind, folder: Path, images: Sequence[str], where: str) -> None:
    """Compare `images` below `folder`, which came from `where`, with what the catalog says.

    A difference that can be lived with is told in a line.

    Raises:
        PiganError: landmarks or cameras that this kind of data needs are all missing.
    """
    card = CARDS[kind]
    if card.expected is not None and len(images) != card.expected:
        tell(f"{where}: {len(images)} images, a complete {card.title} has {card.expected}; going on with these")
    if card.image_size is not None:
        found = _size(folder / images[0])
        if found != card.image_size:
            seen, wanted = ("{} x {} pixels".format(*size) if size else "no image" for size in (found, card.image_size))
            tell(f"{where}: {images[0]} is {seen}, those of {card.title} are {wanted}; is it the right archive?")
    if kind == "cats":
        bare = [name for name in images if not (folder / f"{name}.cat").exists()]
        if len(bare) == len(images):
            raise PiganError(
                f"{where}: {len(images)} images, but no landmarks beside them (as in {CAT_LABEL}); give {card.by_hand}"
            )
        if bare:
            tell(f"{where}: {len(bare)} images have no landmarks, {bare[0]} is the first; `pigan crop` rejects them")
    if kind == "carla" and not any(folder.rglob(POSES)):
        tell(f"{where}: no cameras ({POSES} of carla_poses.zip); going on with images alone")
    if kind == "deepview" and not any(any(folder.rglob(pattern)) for pattern in CAMERAS):
        raise PiganError(f"{where}: holds no cameras ({', '.join(CAMERAS)}); kind folder does without them")


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError):
        return None
