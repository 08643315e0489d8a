"""The files of the authors' released checkpoints: which is what, and its weights by the authors' names."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pigan.errors import PiganError
from pigan.models.pickles import Instance, Strided, shown
from pigan.models.torchfile import TorchFile, named, parameters_of

GENERATOR, AVERAGE = "generators.generators.ImplicitGenerator3d", "torch_ema.ema.ExponentialMovingAverage"
WARPED, PLAIN = "siren.siren.SPATIALSIRENBASELINE", "siren.siren.TALLSIREN"
# with a learned feature cube
EMBEDDED = ("siren.siren.EmbeddingPiGAN128", "siren.siren.EmbeddingPiGAN256")
WARP = "siren.siren.UniformBoxWarp"
DISCRIMINATORS = ("discriminators.discriminators", "discriminators.sgdiscriminators")
# of the two moving averages, ema.pth has 0.999 and ema2.pth 0.9999
SLOW_FROM = 0.9995

Role = Literal["generator", "ema", "ema_slow", "discriminator"]


@dataclass
class Part:
    """One file of a released checkpoint."""

    role: Role
    path: Path
    sha256: str
    kind: str
    """The class that was saved; of a state dict, `state dict`."""
    tensors: dict[str, Tensor]
    """By the authors' names; those of a moving average, which has none, by their number."""
    step: int = 0
    epoch: int = 0
    decay: float | None = None
    coordinate_scale: float | None = None
    """None: the file does not say."""


def discriminator_kind(part: Part) -> Literal["progressive", "ccs", "strided"]:
    """Which of the authors' three, told by their layers: all shortcuts of ccs and strided are convolutions."""
    blocks = {name.split(".")[1] for name in part.tensors if name.startswith("layers.")}
    shortcuts = {name.split(".")[1] for name in part.tensors if re.fullmatch(r"layers\.\d+\.proj\.weight", name)}
    if not blocks or "final_layer.weight" not in part.tensors:
        raise PiganError(f"{part.path}: neither generator nor discriminator of pi-GAN: it has other weights")
    if "layers.0.network.0.weight" in part.tensors:
        return "strided"
    return "ccs" if blocks == shortcuts else "progressive"


def read_part(path: Path) -> Part:
    """What one file holds.

    Raises:
        PiganError: it is missing, damaged, malicious, or no part of a released checkpoint.
    """
    file = TorchFile(path)
    with named(path):
        part = _part(file, file.tree)
    broken = next((name for name, value in part.tensors.items() if not torch.isfinite(value).all()), None)
    if broken is not None:
        raise PiganError(f"{path}: {shown(broken)} is not finite; its training had diverged")
    return part


def _part(file: TorchFile, tree: Any) -> Part:
    if isinstance(tree, Instance) and tree.kind == GENERATOR:
        return _whole_generator(file, tree)
    if isinstance(tree, Instance) and tree.kind.rpartition(".")[0] in DISCRIMINATORS:
        tensors = _floats(file, parameters_of(tree))
        return Part("discriminator", file.path, file.sha256, tree.kind, tensors, *_progress(tree.state))
    if isinstance(tree, Instance) and tree.kind == AVERAGE:
        return _average(file, tree.kind, tree.state)
    if isinstance(tree, dict) and "shadow_params" in tree:
        return _average(file, "state dict", tree)
    if isinstance(tree, dict) and tree and all(isinstance(value, Strided) for value in tree.values()):
        tensors = _floats(file, {str(name): value for name, value in tree.items()})
        role: Role = "generator" if any(name.startswith("siren.") for name in tensors) else "discriminator"
        return Part(role, file.path, file.sha256, "state dict", tensors)
    what = shown(tree.kind) if isinstance(tree, Instance) else f"a {type(tree).__name__}"
    raise PiganError(
        f"{file.path}: holds {what}; name generator.pth, ema.pth, ema2.pth or a discriminator, which are what is read"
    )


def _whole_generator(file: TorchFile, tree: Instance) -> Part:
    """generator.pth: the module as it was pickled."""
    tensors = _floats(file, parameters_of(tree))
    siren = tree.state["_modules"].get("siren")
    kind = siren.kind if isinstance(siren, Instance) else "no network"
    scale: Any = 1.0
    if kind in (WARPED, *EMBEDDED):
        parts = siren.state["_modules"].values()
        warps = [part.state.get("scale_factor") for part in parts if isinstance(part, Instance) and part.kind == WARP]
        scale = warps[0] if len(warps) == 1 else None
        if not isinstance(scale, float) or not 0 < scale < math.inf:
            raise PiganError(f"{file.path}: does not say how large its box is (UniformBoxWarp.scale_factor)")
    elif kind != PLAIN:
        read = ", ".join(name.rpartition(".")[2] for name in (PLAIN, WARPED, *EMBEDDED))
        raise PiganError(f"{file.path}: its network is {shown(kind)}; {read} can be read")
    progress = _progress(tree.state)
    return Part("generator", file.path, file.sha256, kind, tensors, *progress, coordinate_scale=scale)


def _average(file: TorchFile, kind: str, state: dict[Any, Any]) -> Part:
    """ema.pth or ema2.pth: a bare list in the order of the generator's parameters."""
    shadow, decay = state.get("shadow_params"), state.get("decay")
    if not isinstance(shadow, list) or not all(isinstance(value, Strided) for value in shadow):
        raise PiganError(f"{file.path}: a moving average without shadow_params")
    if not isinstance(decay, float) or not 0 <= decay <= 1:
        raise PiganError(f"{file.path}: a moving average without its decay, which tells ema.pth from ema2.pth")
    tensors = _floats(file, {str(number): value for number, value in enumerate(shadow)})
    role: Role = "ema" if decay < SLOW_FROM else "ema_slow"
    return Part(role, file.path, file.sha256, kind, tensors, decay=decay)


def _progress(state: dict[str, Any]) -> tuple[int, int]:
    """Step and epoch that the authors note on a module; 0 where there is none."""
    found = [value if isinstance(value := state.get(key), int) else 0 for key in ("step", "epoch")]
    return max(0, min(found[0], 10**9)), max(0, min(found[1], 10**9))


def _floats(file: TorchFile, stored: dict[str, Strided]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in file.tensors(stored).items()}
