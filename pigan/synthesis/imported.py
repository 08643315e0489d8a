"""The authors' released checkpoints as pigan's: which file is what, which network it is, which camera belongs to it."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pigan import presets
from pigan.config import Params, merge, parse
from pigan.errors import PiganError, UsageError
from pigan.models.discriminator import Discriminator
from pigan.models.generator import Generator
from pigan.models.official import discriminator_from_official, generator_from_official
from pigan.models.pickles import shown
from pigan.models.released import EMBEDDED, PLAIN, WARPED, Part, Role, discriminator_kind, read_part
from pigan.training.checkpoint import write_tensors
from pigan.training.state import Counters, architecture

RELEASED = ("celeba", "cats", "carla")
# the same box, written with another number of digits
CLOSE = 1e-6


@dataclass
class Imported:
    """What was read, and what it became."""

    params: Params
    preset: str
    parts: list[Part]
    notes: list[str] = field(default_factory=list)


def import_checkpoint(files: list[Path], out: Path, preset: str | None = None) -> Imported:
    """Writes a checkpoint that `pigan.load` reads from the authors' files: generator, moving averages, discriminator.

    Which one is what is told by its content. The network comes from the files, camera and curriculum from `preset`,
    one of RELEASED; None: that which the network belongs to. Without a moving average its place has the raw weights.

    Raises:
        PiganError: a file is missing, damaged, malicious, or of another network; or it does not tell the preset.
    """
    parts = [read_part(path) for path in files]
    by_role: dict[Role, Part] = {}
    for part in parts:
        if part.role in by_role:
            raise PiganError(f"{part.path}: holds the {part.role}, as {by_role[part.role].path} does; name one of them")
        by_role[part.role] = part
    generator, discriminator = by_role.get("generator"), by_role.get("discriminator")
    if generator is None:
        raise PiganError(f"{', '.join(map(str, files))}: no generator among them; name generator.pth too")
    name = preset or _preset_of(generator, discriminator)
    notes: list[str] = []
    imported = Imported(_params(name, generator, discriminator, notes), name, parts, notes)
    tensors = _below("generator", _fitting(Generator, generator, _ours(generator), imported))
    tensors |= _averages(by_role, imported)
    if discriminator is not None:
        tensors |= _below("discriminator", _discriminator(discriminator, imported))
    else:
        notes.append("no discriminator among the files: `pigan init --from` begins with a new one")
    write_tensors(out, tensors, _about(imported, generator))
    return imported


def _preset_of(generator: Part, discriminator: Part | None) -> str:
    """The preset that a network belongs to."""
    if generator.kind == PLAIN:
        return "carla"
    of_kind, boxed = {"ccs": "celeba", "strided": "cats"}, generator.kind in (WARPED, *EMBEDDED)
    found = of_kind.get(discriminator_kind(discriminator)) if boxed and discriminator else None
    if found is None:
        choices = RELEASED[:2] if generator.kind == WARPED else RELEASED
        options = " or ".join(f"--preset {name}" for name in choices)
        raise PiganError(f"{generator.path}: does not tell whether it is {' or '.join(choices)}; say {options}")
    return found


def _params(preset: str, generator: Part, discriminator: Part | None, notes: list[str]) -> Params:
    """The preset, with the network that the files hold."""
    if preset not in RELEASED:
        raise UsageError(f"--preset {preset}: no released curriculum; there are {', '.join(RELEASED)}")
    values = presets.values(preset)
    model, ours = values["model"], _ours(generator)
    own = values["model"]["coordinate_scale"]
    scale = own if generator.coordinate_scale is None else generator.coordinate_scale
    if generator.coordinate_scale is None:
        notes.append(f"{generator.path.name} has weights only: the box of {preset} is taken, points times {own:g}")
    elif abs(scale - own) > CLOSE:
        notes.append(f"{generator.path.name} takes points times {scale:g}, {preset} times {own:g}: the file's is taken")
    else:
        scale = own
    changes: dict[str, Any] = {"coordinate_scale": scale, **_sizes(generator, ours)}
    if discriminator is not None:
        kind = discriminator_kind(discriminator)
        changes["discriminator"] = {"kind": kind, "encoder": len(discriminator.tensors["final_layer.weight"]) > 1}
    return parse(merge(values, {"model": merge(model, changes)}), where=f"preset {preset} with {generator.path}")


def _sizes(generator: Part, tensors: dict[str, Tensor]) -> dict[str, int | str]:
    """Widths and depths, read from the shapes."""
    first, mapping = tensors.get("field.layers.0.weight"), tensors.get("mapping.0.weight")
    if first is None or mapping is None or first.ndim != 2 or mapping.ndim != 2:
        raise PiganError(f"{generator.path}: no first layer of field and mapping network; is it a pi-GAN?")
    cube, own = tensors.get("field.cube"), dict[str, int | str]()
    if cube is not None:
        if cube.ndim != 5 or len(cube) != 1 or len(set(cube.shape[2:])) != 1:
            raise PiganError(f"{generator.path}: its feature cube has shape {list(cube.shape)}, which is no cube")
        own = {"field": "embedding-siren", "features": cube.shape[1], "embedding_side": cube.shape[2]}
    inputs = 3 + (0 if cube is None else cube.shape[1])
    if first.shape[1] != inputs:
        raise PiganError(
            f"{generator.path}: its first layer sees {first.shape[1]} numbers of a point, not {inputs}; "
            "is it another network?"
        )
    layers = sum(re.fullmatch(r"field\.layers\.\d+\.weight", name) is not None for name in tensors)
    linears = sum(re.fullmatch(r"mapping\.\d+\.weight", name) is not None for name in tensors)
    return {
        "hidden": first.shape[0],
        "layers": layers,
        "z_dim": mapping.shape[1],
        "mapping_hidden": mapping.shape[0],
        "mapping_layers": linears - 1,
        **own,
    }


def _averages(by_role: dict[Role, Part], imported: Imported) -> dict[str, Tensor]:
    """Weights of both moving averages; where one is missing, those that are nearest to it."""
    generator, notes = by_role["generator"], imported.notes
    weights, tensors = {"raw": generator.tensors}, dict[str, Tensor]()
    for role in ("ema", "ema_slow"):
        part = by_role.get(role)
        if part is None:
            instead = "raw" if role == "ema" or "ema" not in by_role else "ema"
            file = "ema.pth" if role == "ema" else "ema2.pth"
            notes.append(f"no {file} among the files: weights {role} are the {instead} ones")
            # safetensors holds no tensor twice
            weights[role] = {name: value.clone() for name, value in weights[instead].items()}
        else:
            if len(part.tensors) != len(generator.tensors):
                raise PiganError(
                    f"{part.path}: averages {len(part.tensors)} tensors, {generator.path} has {len(generator.tensors)}"
                )
            weights[role] = dict(zip(generator.tensors, part.tensors.values(), strict=True))
        source = part or generator
        tensors |= _below(role, _fitting(Generator, source, _ours(generator, weights[role]), imported))
    return tensors


def _discriminator(part: Part, imported: Imported) -> dict[str, Tensor]:
    """Its weights from the curriculum's last resolution on; layers for larger images have no use there."""
    top = imported.params.curriculum.order[-1].resolution
    sides = sum(name.startswith("fromRGB.") and name.endswith(".weight") for name in part.tensors)
    spare = sides - int(math.log2(top))
    kept: dict[str, Tensor] = {}
    for name, value in _ours(part).items():
        match = re.fullmatch(r"(blocks|from_rgb)\.(\d+)\.(.+)", name)
        if match is None:
            kept[name] = value
        elif int(match[2]) >= spare:
            kept[f"{match[1]}.{int(match[2]) - spare}.{match[3]}"] = value
    if spare > 0:
        imported.notes.append(f"{part.path.name}: its layers for images above {top} px are left out")
    return _fitting(Discriminator, part, kept, imported)


def _fitting(
    kind: type[Generator] | type[Discriminator], part: Part, tensors: dict[str, Tensor], imported: Imported
) -> dict[str, Tensor]:
    """`tensors`, if they are those that a network of these params has."""
    params = imported.params
    with torch.device("meta"):
        if issubclass(kind, Generator):
            ours = kind(params.model).state_dict()
        else:
            top = params.curriculum.order[-1].resolution
            ours = kind(params.model.discriminator, params.model.z_dim, top).state_dict()
    for name in sorted(ours.keys() | tensors.keys()):
        wanted, there = ours.get(name), tensors.get(name)
        if wanted is None or there is None or wanted.shape != there.shape:
            shapes = [None if value is None else list(value.shape) for value in (there, wanted)]
            raise PiganError(
                f"{part.path}: {shown(name)} has shape {shapes[0]}, pi-GAN's {shapes[1]}; another network?"
            )
    return tensors


def _ours(part: Part, tensors: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """A part's weights (or others in their place) by pigan's names."""
    renamed = discriminator_from_official if part.role == "discriminator" else generator_from_official
    try:
        return renamed(part.tensors if tensors is None else tensors)
    except PiganError as error:
        raise PiganError(f"{part.path}: {error}") from None


def _about(imported: Imported, generator: Part) -> dict[str, Any]:
    """The description that goes with the weights."""
    parts = [
        {"role": part.role, "file": part.path.name, "sha256": part.sha256, "class": part.kind, "decay": part.decay}
        for part in imported.parts
    ]
    return {
        "counters": vars(Counters(global_step=generator.step)),
        "scaler": {},
        "architecture": architecture(imported.params),
        "params": imported.params.model_dump(),
        "imported": {
            "preset": imported.preset,
            "step": generator.step,
            "epoch": generator.epoch,
            "parts": parts,
            "notes": imported.notes,
        },
    }


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}
