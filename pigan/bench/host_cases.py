"""What the host does: batches of training images, and the Fréchet distance of cached features."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pigan.bench.case import Case, Side
from pigan.data.store import Prepared, TrainingImages, batch_indices
from pigan.evaluation.frechet import frechet_distance, statistics
from pigan.files import write_json

CELEBA = (178, 218)
BATCH, SIDE, FLIPPED = 56, 64, 0.5
FEATURES, FEATURES_QUICK = 2048, 512
# images a feature, so that the covariances have full rank
IMAGES_A_FEATURE = 2


def data_case(photos: int, device: torch.device) -> Case:
    """A batch of 56 images of 64 px with flips: prepared bytes against the authors' chain, image by image.

    The authors run the chain in four processes beside the training; here it is one.
    """
    encoded = [_jpeg(photo(number)) for number in range(photos)]
    indices = batch_indices(photos, BATCH, 0, 0)
    flip = torch.rand(BATCH, generator=torch.Generator().manual_seed(0)) < FLIPPED

    def reference() -> Callable[[], Tensor]:
        chosen = list(zip(indices.tolist(), flip.tolist(), strict=True))
        return lambda: torch.stack([official_item(encoded[index], turned) for index, turned in chosen]).to(device)

    def ours() -> Callable[[], Tensor]:
        with tempfile.TemporaryDirectory() as folder:
            # what is mapped stays when its folder goes
            pool = _pool(Path(folder), np.stack([_prepared(data) for data in encoded]), device)
        return lambda: pool.images(indices, flip)

    return Case(
        slug="data",
        title="Training batch",
        size=f"{BATCH} × {SIDE}×{SIDE} from {CELEBA[0]}×{CELEBA[1]} JPEGs, one process",
        reference=Side("plain", "fp32", reference),
        sides=[Side("prepared bytes", "fp32", ours)],
        tensors=False,
    )


def fid_case(quick: bool) -> Case:
    """Fréchet distance of cached features, statistics included."""
    width = FEATURES_QUICK if quick else FEATURES
    generated, real = (_features(width, seed) for seed in (0, 1))

    def ours() -> float:
        return frechet_distance(statistics(generated), statistics(real))

    def reference() -> float:
        return plain_frechet_distance(generated, real)

    return Case(
        slug="fid",
        title="Fréchet distance",
        size=f"2 × {len(real)} images, {width} features",
        reference=Side("plain", "fp64", lambda: reference),
        sides=[Side("eigenvalues", "fp64", lambda: ours, lambda: abs(ours() / reference() - 1))],
        error_of="relative difference of the two distances",
        tensors=False,
    )


def official_item(data: bytes, mirrored: bool) -> Float[Tensor, "3 side side"]:
    """One CelebA image as the authors load it: shorter side 320, central 256, mirrored, nearest 64."""
    with Image.open(io.BytesIO(data)) as file:
        image = file.convert("RGB")
    scale = 320 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 256) // 2, (image.height - 256) // 2
    pixels = torch.from_numpy(np.array(image.crop((left, top, left + 256, top + 256))))
    tensor = (pixels.permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    if mirrored:
        tensor = tensor.flip(2)
    return functional.interpolate(tensor[None], size=(SIDE, SIDE), mode="nearest")[0]


def plain_frechet_distance(generated: Float32[np.ndarray, "n width"], real: Float32[np.ndarray, "m width"]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)), the square root of the matrix taken as a whole."""
    means = [features.mean(0, dtype=np.float64) for features in (generated, real)]
    covariances = [np.cov(features.astype(np.float64), rowvar=False) for features in (generated, real)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    distance = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    return float(distance)


def photo(seed: int) -> Image.Image:
    """Soft texture of all sizes, whose JPEG is about as large as CelebA's."""
    rng = np.random.default_rng(seed)
    width, height = CELEBA
    total = np.full((height, width, 3), 128.0)
    for cells in (3, 7, 15, 30, 60, 120):
        shape = (max(2, cells), max(2, cells * width // height))
        for channel in range(3):
            layer = Image.fromarray(rng.normal(0, 1, shape).astype(np.float32))
            total[..., channel] += np.asarray(layer.resize(CELEBA, Image.Resampling.BICUBIC)) * 90 / cells**0.8
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _prepared(data: bytes) -> UInt8[np.ndarray, "side side 3"]:
    pixels = (official_item(data, False) + 1) * 127.5
    return pixels.round().to(torch.uint8).permute(1, 2, 0).numpy()


def _pool(folder: Path, images: UInt8[np.ndarray, "n side side 3"], device: torch.device) -> TrainingImages:
    """The images as `pigan crop` leaves them, opened for training."""
    count = len(images)
    np.save(folder / f"images_{SIDE}.npy", images)
    split = {"train": list(range(count)), "held_out": []}
    names = [f"{number}.jpg" for number in range(count)]
    info = {"name": "bench", "count": count, "names": names, "resolutions": [SIDE], "split": split, "sha256": {}}
    write_json(folder / "dataset.json", info)
    return TrainingImages(Prepared(folder), SIDE, device)


def _features(width: int, seed: int) -> Float32[np.ndarray, "n width"]:
    """Correlated features, like those of a network."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(0, 1, (IMAGES_A_FEATURE * width, width)) * np.geomspace(1, 1e-2, width)
    return (mixed @ rng.normal(0, width**-0.5, (width, width)) + 0.1 * seed).astype(np.float32)
