"""Speed of the data path against plain references, interleaved in one process on one core.

    python benchmarks/data.py --quick
    python benchmarks/data.py --out data.json

Rates are the best of several repeats, since other work on the machine only ever makes them worse.
"""

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import imagehash
import numpy as np
import torch
from PIL import Image, ImageEnhance

from pigan import config, presets
from pigan.bench.host_cases import CELEBA, photo
from pigan.data.crop import crop
from pigan.data.duplicates import near_duplicates
from pigan.data.square import perceptual_hash
from pigan.data.store import Prepared, TrainingImages, batch_indices
from pigan.files import write_json

BATCH = 56


@dataclass(frozen=True)
class Row:
    """One measurement; `ratio` is how many times as fast as the reference."""

    case: str
    value: float
    unit: str
    target: str = ""
    reference: str = ""
    reference_value: float | None = None
    ratio: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sets and few repeats: half a minute")
    parser.add_argument("--out", type=Path, help="also write the table here (.json or .csv)")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    photos, many, repeats = (400, 20_000, 2) if chosen.quick else (2_000, 200_000, 4)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            *bench_crop(folder, photos, repeats),
            *bench_batches(folder, repeats),
            *bench_open(folder, many, repeats),
            *bench_duplicates(many, repeats),
            *bench_hashes(100 if chosen.quick else 600),
        ]
    show(rows)
    if chosen.out is not None:
        save(rows, chosen.out)


def bench_crop(folder: Path, count: int, repeats: int) -> list[Row]:
    """The whole stage at CelebA's size, against the published two steps with the same filter."""
    raw = folder / "raw"
    raw.mkdir()
    for number in range(count):
        photo(number).save(raw / f"{number:06d}.jpg", quality=90)
    size = np.mean([path.stat().st_size for path in raw.iterdir()]) / 1000

    def both() -> None:
        crop(celeba(128), raw, folder / "both", workers=1)

    def ours() -> None:
        crop(celeba(64), raw, folder / "prepared", workers=1)

    def reference() -> None:
        squares = [published_crop(path) for path in sorted(raw.iterdir())]
        np.save(folder / "reference.npy", np.stack(squares))

    seconds = best([ours, reference, both], repeats)
    case = f"crop {count} JPEGs of {CELEBA[0]} x {CELEBA[1]} ({size:.1f} kB), 1 worker"
    told = "resize 320, crop 256, resize 64 with Pillow; no hash, no checks"
    return [
        compared(f"{case}, to 64 px", count, seconds[0], seconds[1], "images/s", "≥ 700", told),
        Row(f"{case}, to 64 and 128 px (the preset)", count / seconds[2], "images/s"),
    ]


def bench_batches(folder: Path, repeats: int) -> list[Row]:
    """Float batches with flips from the prepared images, against files that are decoded one by one, and floats."""
    pool = TrainingImages(Prepared(folder / "prepared"), 64, torch.device("cpu"))
    images = Prepared(folder / "prepared").images(64)[Prepared(folder / "prepared").train]
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    steps = 20
    batches = [batch_indices(pool.count, BATCH, step, 0) for step in range(steps)]
    flips = [torch.rand(BATCH, generator=torch.Generator().manual_seed(step)) < 0.5 for step in range(steps)]

    def ours() -> None:
        for indices, flip in zip(batches, flips, strict=True):
            pool.images(indices, flip)

    def decoding() -> None:
        for indices, flip in zip(batches, flips, strict=True):
            parts = [decoded(encoded[index], bool(turn)) for index, turn in zip(indices.tolist(), flip, strict=True)]
            torch.stack(parts)

    def floats() -> None:
        for indices, flip in zip(batches, flips, strict=True):
            parts = [naive(images[index], bool(turn)) for index, turn in zip(indices.tolist(), flip, strict=True)]
            torch.stack(parts)

    seconds = best([ours, decoding, floats], 2 * repeats)
    case = f"batches of {BATCH} at 64 px with flips, 1 thread"
    count = steps * BATCH
    return [
        compared(case, count, seconds[0], seconds[1], "images/s", "≥ 10000", "PNGs decoded one by one"),
        compared(case, count, seconds[0], seconds[2], "images/s", "≥ 10000", "arrays converted one by one"),
    ]


def bench_open(folder: Path, count: int, repeats: int) -> list[Row]:
    """Opening a large set up to its first batch; the array is a hole in a file, since nothing is read before."""
    place = folder / "large"
    place.mkdir()
    order = np.random.default_rng(0).permutation(count).tolist()
    info = {
        "name": "large",
        "count": count,
        "names": [f"img_align_celeba/{number:06d}.jpg" for number in range(count)],
        "resolutions": [64],
        "rejected": [],
        "duplicates": [[number, number + 1] for number in range(0, count, 100)],
        "split": {"train": sorted(order[count // 100 :]), "held_out": sorted(order[: count // 100])},
        "sha256": {},
    }
    write_json(place / "dataset.json", info)
    with (place / "images_64.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, 64, 64, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + count * 64 * 64 * 3)

    def ours() -> None:
        pool = TrainingImages(Prepared(place), 64, torch.device("cpu"))
        pool.images(batch_indices(pool.count, BATCH, 0, 0))

    (seconds,) = best([ours], repeats)
    return [Row(f"open {count} images, first batch of {BATCH}", seconds, "s", "< 1")]


def bench_duplicates(count: int, repeats: int) -> list[Row]:
    """Random hashes with close ones among them, then thousands that share one hash; against all pairs."""
    rng = np.random.default_rng(0)

    def made(number: int) -> tuple[np.ndarray, np.ndarray]:
        hashes = rng.integers(0, 2**64, number, dtype=np.uint64)
        images = rng.integers(0, 256, (number, 16, 16, 3), dtype=np.uint8)
        twins = number // 20
        hashes[-twins:] = hashes[:twins] ^ (np.uint64(1) << rng.integers(0, 64, twins, dtype=np.uint64))
        images[-twins:] = images[:twins]
        return hashes, images

    few, small = made(20_000)

    def reference() -> None:
        for start in range(0, len(few), 256):
            near = np.bitwise_count(few[start : start + 256, None] ^ few) <= 3
            np.argwhere(near)

    seconds = best([lambda: near_duplicates(few, small, 3), reference], repeats)
    rows = [
        compared("near-duplicates of 20000 hashes, 3 bits", 20_000, *seconds, "images/s", "", "all pairs of hashes")
    ]
    hashes, images = made(count)
    same, flat = np.zeros(count, np.uint64), np.full((count, 16, 16, 3), 255, np.uint8)
    cases = (("near-duplicates of", hashes, images), ("near-duplicates of equal, flat", same, flat))
    for case, values, pictures in cases:
        (seconds_of_all,) = best([lambda values=values, pictures=pictures: near_duplicates(values, pictures, 3)], 1)
        rows.append(Row(f"{case} {count} images, 3 bits", seconds_of_all, "s", "< 30"))
    return rows


def bench_hashes(count: int) -> list[Row]:
    """How many changed copies stay within three bits, of the two hashes one could take."""
    rows = []
    originals = [photo(number) for number in range(count)]
    for name, function in (("dHash", perceptual_hash), ("pHash", plain_phash)):
        squares = [square(image) for image in originals]
        hashes = [function(image) for image in squares]
        (seconds,) = best([lambda squares=squares, function=function: [function(image) for image in squares]], 3)
        rows.append(Row(f"{name}, time", seconds / count * 1e6, "us/image"))
        for change, copies in changed(originals).items():
            near = [(a ^ function(square(copy))).bit_count() <= 3 for a, copy in zip(hashes, copies, strict=True)]
            rows.append(Row(f"{name}, copies within 3 bits: {change}", 100 * float(np.mean(near)), "%"))
    return rows


def changed(originals: Sequence[Image.Image]) -> dict[str, list[Image.Image]]:
    width, height = CELEBA

    def compressed(image: Image.Image, quality: int) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return {
        "JPEG 50": [compressed(image, 50) for image in originals],
        "JPEG 20": [compressed(image, 20) for image in originals],
        "half the size": [image.resize((width // 2, height // 2), Image.Resampling.LANCZOS) for image in originals],
        "8 % lighter": [ImageEnhance.Brightness(image).enhance(1.08) for image in originals],
        "1 % cropped": [image.crop((2, 2, width - 2, height - 2)) for image in originals],
    }


def square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((64, 64), Image.Resampling.LANCZOS, (left, top, left + side, top + side))


def plain_phash(image: Image.Image) -> int:
    return int(str(imagehash.phash(image)), 16)


def published_crop(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        image = file.convert("RGB")
    image = image.resize((320, 320 * image.height // image.width), Image.Resampling.LANCZOS)
    top = round((image.height - 256) / 2)
    return np.asarray(image.crop((32, top, 288, top + 256)).resize((64, 64), Image.Resampling.LANCZOS))


def decoded(data: bytes, flip: bool) -> torch.Tensor:
    return naive(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), flip)


def naive(image: np.ndarray, flip: bool) -> torch.Tensor:
    tensor = (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
    return tensor.flip(2) if flip else tensor


def celeba(largest: int) -> config.Params:
    """The CelebA preset for a folder, at 64 px and `largest` (the preset itself: 128)."""
    from ruamel.yaml import YAML

    values = YAML(typ="safe", pure=True).load(presets.text("celeba"))
    return config.parse(
        config.merge(values, {"dataset": {"kind": "folder", "source": "raw"}, "generate": {"resolution": largest}})
    )


def best(functions: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """The shortest time of each, seconds, all of them in turn."""
    seconds = [[] for _ in functions]
    for _ in range(repeats):
        for function, times in zip(functions, seconds, strict=True):
            began = time.perf_counter()
            function()
            times.append(time.perf_counter() - began)
    return [min(times) for times in seconds]


def compared(
    case: str, count: int, seconds: float, reference_seconds: float, unit: str, target: str, reference: str
) -> Row:
    return Row(case, count / seconds, unit, target, reference, count / reference_seconds, reference_seconds / seconds)


def show(rows: Sequence[Row]) -> None:
    width = max(len(row.case) for row in rows)
    for row in rows:
        against = f"{row.ratio:6.1f} x {row.reference_value:,.0f}: {row.reference}" if row.ratio is not None else ""
        value = f"{row.value:,.0f}" if row.value >= 10 else f"{row.value:.3f}"
        print(f"{row.case:{width}}  {value:>9} {row.unit:9} {row.target:8} {against}".rstrip())


def save(rows: Sequence[Row], path: Path) -> None:
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])))
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    elif path.suffix == ".json":
        write_json(path, [asdict(row) for row in rows])
    else:
        sys.exit(f"{path}: name a .json or a .csv file")


if __name__ == "__main__":
    main()
