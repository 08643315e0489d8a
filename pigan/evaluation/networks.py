"""Networks of the user's (ONNX or TorchScript) that are asked about images: estimated depth, identity of faces."""

import hashlib
import io
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from pigan.errors import PiganError
from pigan.evaluation.depth import zscore_mse
from pigan.evaluation.geometry import SURFACE_PIXELS
from pigan.evaluation.intervals import Estimate, mean_of
from pigan.progress import Progress
from pigan.sections import DepthEstimator, Network

# as many as the public code for EG3D's measure takes (GMPI, Carver)
DEPTH_IMAGES = 1024
# characters of a library's message that a person is shown
REASON = 200

Run = Callable[[Tensor], Any]
"""Float32 images [n, 3, side, side] in, whatever the network answers out."""


class EstimatedDepth(NamedTuple):
    """How far a model's depth is from what a depth estimator sees in its images."""

    zscore_mse: Estimate | None
    """Mean over images of the z-scored error; None: no image could be compared."""
    images: int
    """Images that were compared."""
    dropped: int
    """Images that were not: too few pixels have both depths."""


def estimated_depth_error(
    images: UInt8[np.ndarray, "n side side 3"],
    depth: Float32[np.ndarray, "n side side"],
    estimator: DepthEstimator,
    batch_size: int,
    device: torch.device,
) -> EstimatedDepth:
    """EG3D's depth error with any monocular estimator in the place of its face model: no true depth is needed.

    The first 1,024 images are shown to the estimator. Its maps are brought to the images' side; disparity is inverted
    (what is not positive is unknown); then both depths are standardised where both are known, and their mean square
    difference is averaged over images: 1 for a flat card, near 4 for a hollow shape, and what the estimator itself
    gets wrong for the truth. Compare numbers of the same estimator only (arXiv 2112.07945; EG3D's authors use
    Deep3DFaceRecon and published no code).

    Raises:
        PiganError: the file is missing, not the one that params trust, or answers something else than one map an image.
    """
    count, side = min(len(images), DEPTH_IMAGES), images.shape[1]
    errors: list[float] = []
    for maps in ask(estimator, images[:count], batch_size, device, "estimated depth"):
        start = len(errors)
        theirs = _depth_of(estimator, maps, side)
        errors += [_zscore(*both) for both in zip(depth[start : start + len(maps)], theirs, strict=True)]
    used = int(np.isfinite(errors).sum())
    return EstimatedDepth(mean_of(np.array(errors, np.float64)), used, count - used)


def identity_similarity(
    pairs: UInt8[np.ndarray, "object 2 side side 3"], embedder: Network, batch_size: int, device: torch.device
) -> Estimate | None:
    """Mean cosine similarity of the embeddings of two views of the same object; 1: the embedder sees no difference.

    None without pairs. Two views of different people have their own similarity under an embedder, so compare numbers
    of the same embedder only. The protocol of EG3D (arXiv 2112.07945) with any embedder in the place of ArcFace, on
    whole images, without face detection or alignment.

    Raises:
        PiganError: the file is missing, not the one that params trust, or answers something else than one vector an
            image.
    """
    if not len(pairs):
        return None
    answers = np.concatenate(list(ask(embedder, pairs.reshape(-1, *pairs.shape[2:]), batch_size, device, "identity")))
    if answers.ndim < 2 or answers.size != answers.shape[0] * answers.shape[1]:
        raise PiganError(
            f"{embedder.path}: answers {_shape(answers)} to {2 * len(pairs)} images, not one vector an image"
            f" [{2 * len(pairs)}, d]; export the network with its embedding as the first output"
        )
    vectors = answers.reshape(len(pairs), 2, -1).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=-1)
    products = (vectors[:, 0] * vectors[:, 1]).sum(-1)
    # an embedding of nothing but zeros has no direction: NaN, which the mean leaves out
    product_of_lengths = lengths.prod(-1)
    cosines = np.divide(products, product_of_lengths, out=np.full_like(products, np.nan), where=product_of_lengths > 0)
    return mean_of(cosines)


def ask(
    network: Network, images: UInt8[np.ndarray, "n side side 3"], batch_size: int, device: torch.device, label: str
) -> Iterator[Float32[np.ndarray, "batch *answer"]]:
    """What the network's first output says of RGB images, batch by batch, with progress shown as `label`.

    Images are resized to `side` (bilinear, antialiased), scaled to 0..1, less `mean`, divided by `std`, and given as
    float32 [batch, 3, side, side]. ONNX runs on the CPU, TorchScript on `device`.

    Raises:
        PiganError: the file is missing, not the one that params trust, cannot be run, or does not answer once an image.
    """
    run = _open(network, device)
    mean, std = (torch.tensor(values)[:, None, None] for values in (network.mean, network.std))
    with Progress(len(images), label, "images") as progress:
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(np.array(images[start : start + batch_size])).permute(0, 3, 1, 2)
            answer = _first(_run(network, run, (_resized(batch.float() / 255, network.side) - mean) / std))
            if answer.ndim == 0 or len(answer) != len(batch):
                raise PiganError(
                    f"{network.path}: answers {_shape(answer)} to {len(batch)} images; export it with a free batch size"
                    " as its first dimension"
                )
            yield answer
            progress.advance(len(batch))


def _depth_of(
    estimator: DepthEstimator, maps: Float32[np.ndarray, "batch *answer"], side: int
) -> Float32[np.ndarray, "batch side side"]:
    """Depth in the images' pixels from what an estimator answers; NaN where it is unknown."""
    if maps.ndim == 4 and maps.shape[1] == 1:
        maps = maps[:, 0]
    if maps.ndim != 3:
        raise PiganError(
            f"{estimator.path}: answers {_shape(maps)} to {len(maps)} images, not one map an image"
            f" [{len(maps)}, h, w]; export the network with its depth as the first output"
        )
    if maps.shape[1:] != (side, side):
        maps = _resized(torch.from_numpy(maps)[:, None], side)[:, 0].numpy()
    if estimator.says == "disparity":
        maps = np.divide(1, maps, out=np.full_like(maps, np.nan), where=maps > 0)
    return maps


def _open(network: Network, device: torch.device) -> Run:
    """The network, read and compared with its SHA-256 before anything in the file is believed."""
    path = Path(network.path)
    if path.suffix not in (".onnx", ".pt"):
        raise PiganError(f"{path}: neither .onnx nor .pt (TorchScript); export the network as one of them")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PiganError(f"{path}: cannot be read ({error.strerror}); correct its path in evaluate") from None
    found = hashlib.sha256(content).hexdigest()
    if found != network.sha256:
        raise PiganError(
            f"{path}: has SHA-256 {found}, not {network.sha256}, and is not opened; fetch the file again, or correct"
            " sha256 in evaluate if you trust it"
        )
    try:
        return _onnx(content) if path.suffix == ".onnx" else _torchscript(content, device)
    # what is wrong with a file, these libraries say in many kinds of exception
    except Exception as error:
        raise PiganError(f"{path}: cannot be opened ({_line(error)}); export the network again, as one file") from error


def _onnx(content: bytes) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # what fails is an exception, which need not be told on the terminal as well
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images.numpy()})


def _torchscript(content: bytes, device: torch.device) -> Run:
    with warnings.catch_warnings():
        # deprecated since torch 2.15 and still what people have
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", FutureWarning)
        module = torch.jit.load(io.BytesIO(content), map_location=device).eval()
    return lambda images: module(images.to(device))


def _run(network: Network, run: Run, images: Tensor) -> Any:
    try:
        with torch.inference_mode():
            return run(images)
    except Exception as error:
        raise PiganError(
            f"{network.path}: cannot be run on float32 images {_shape(images)} ({_line(error)}); give it one input"
            " [batch, 3, side, side] with a free batch size, and set its side in evaluate"
        ) from error


def _first(answer: Any) -> Float32[np.ndarray, "*answer"]:
    """The first output as an array."""
    while isinstance(answer, list | tuple) and len(answer):
        answer = answer[0]
    array = answer.float().cpu().numpy() if isinstance(answer, Tensor) else np.asarray(answer)
    return array.astype(np.float32)


def _resized(images: Float[Tensor, "n channel h w"], side: int) -> Float[Tensor, "n channel side side"]:
    return nn.functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def _zscore(ours: Float32[np.ndarray, "side side"], theirs: Float32[np.ndarray, "side side"]) -> float:
    """NaN where too few pixels have both."""
    known = np.isfinite(ours) & np.isfinite(theirs)
    return zscore_mse(ours, theirs) if known.sum() >= SURFACE_PIXELS else float("nan")


def _shape(values: Any) -> str:
    return str(list(values.shape))


def _line(error: Exception) -> str:
    """What a library says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # TorchScript puts the reason under the lines of its code
    said = lines[-1] if "Traceback of TorchScript" in str(error) else " ".join(lines)
    return textwrap.shorten(said, REASON, placeholder=" ...")
