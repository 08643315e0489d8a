"""Features of many images: in batches, from arrays, on one device or shared among several."""

import io
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image

from pigan.evaluation.extractors import Extractor
from pigan.progress import Progress
from pigan.sections import Evaluate

JPEG_QUALITY = 75
# grey of a depth map's nearest and farthest surface; black is where there is none
NEAR_GREY, FAR_GREY = 255, 64


def extract(
    images: UInt8[np.ndarray, "all h w 3"],
    extractor: Extractor,
    config: Evaluate,
    devices: Sequence[torch.device],
    label: str = "features",
    rows: Int64[np.ndarray, "n"] | None = None,
    mirrored: Bool[np.ndarray, "n"] | None = None,
) -> Float32[np.ndarray, "n d"]:
    """Features of RGB images (0..255) under `config`'s protocol and batch size, with progress shown as `label`.

    Protocol `official` sends each image through JPEG (quality 75, 4:2:0) in memory first, as the authors' scripts do
    through files; `clean` does not. Of several devices each has a copy of the network and takes every n-th batch; the
    batches, and so the features, are those of one such device.

    Args:
        images: May be memory-mapped: a batch is read when its turn comes.
        extractor: As loaded, on the CPU; it stays there.
        config: The params' section.
        devices: One or more; naming one twice uses it from two threads.
        label: What the progress is called.
        rows: Which images, in this order; None: all.
        mirrored: Which of them are mirrored left to right; None: none is.
    """
    chosen = np.arange(len(images)) if rows is None else rows
    features = np.empty((len(chosen), extractor.dimension), np.float32)
    starts = range(0, len(chosen), config.batch_size)
    over, counting = threading.Event(), threading.Lock()

    def work(worker: int) -> None:
        replica = extractor.replica(devices[worker])
        with torch.inference_mode():
            for start in starts[worker :: len(devices)]:
                if over.is_set():
                    return
                part = slice(start, start + config.batch_size)
                batch = _batch(images, chosen[part], None if mirrored is None else mirrored[part], config)
                found = replica.features(torch.from_numpy(batch).permute(0, 3, 1, 2).to(devices[worker]))
                features[part] = found.cpu().numpy()
                with counting:
                    progress.advance(len(batch))

    # TF32 convolutions would change features in the third digit between GPUs
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with exact, Progress(len(chosen), label, "images") as progress:
        if len(devices) == 1:
            work(0)
        else:
            with ThreadPoolExecutor(len(devices)) as pool:
                working = [pool.submit(work, worker) for worker in range(len(devices))]
                try:
                    wait(working, return_when=FIRST_EXCEPTION)
                finally:
                    # after a failure, or Ctrl-C, the others would go on to their ends first
                    over.set()
            for done in working:
                done.result()
    return features


def depth_images(depth: Float32[np.ndarray, "n h w"], near: float, far: float) -> UInt8[np.ndarray, "n h w 3"]:
    """Depth maps as grey images, for distances between sets of depth maps: the nearer, the lighter, and black is none.

    Grey falls linearly from 255 at `near` to 64 at `far`, so that every surface stands out from what is behind it.

    Args:
        depth: z-depth, world units; NaN: nothing there.
        near: Depth of the lightest grey; what is nearer is as light. With the camera's near, which is a distance along
            the ray, these are surfaces off the axis just in front of the first sample.
        far: Depth of the darkest grey; what is farther is as dark.
    """
    share = np.clip((depth - near) / (far - near), 0, 1)
    grey = np.where(np.isnan(depth), 0, NEAR_GREY + share * (FAR_GREY - NEAR_GREY))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=-1)


def through_jpeg(images: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Each image encoded to JPEG (quality 75, 4:2:0 chroma) and decoded again."""
    decoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        decoded.append(np.asarray(Image.open(buffer).convert("RGB")))
    return np.stack(decoded)


def _batch(
    images: UInt8[np.ndarray, "all h w 3"],
    rows: Int64[np.ndarray, "b"],
    mirrored: Bool[np.ndarray, "b"] | None,
    config: Evaluate,
) -> UInt8[np.ndarray, "b h w 3"]:
    """Some of the images as the network sees them."""
    batch = np.asarray(images[rows])
    if mirrored is not None:
        batch[mirrored] = batch[mirrored, :, ::-1]
    return through_jpeg(batch) if config.protocol == "official" else batch
