"""The file of a checkpoint: tensors, a description, and a SHA-256 of both, in one safetensors file."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pigan.errors import PiganError
from pigan.files import atomic_file

FORMAT = 2
SEAL = "sha256"


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes tensors, a description that `describe` reads and a hash of both, atomically; same ones, same bytes.

    Raises:
        PiganError: a tensor is not finite, the disk is full, or no permission.
    """
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    broken = next((name for name, value in plain.items() if not torch.isfinite(value).all()), None)
    if broken:
        raise PiganError(f"{path}: not saved, {broken} is not finite; lower the learning rates or use fp32")
    description = {"format": FORMAT, **about}
    sealed = {SEAL: content_sha256(description, plain), **description}
    # one key: the order of several would differ from run to run
    data = save(plain, {"pigan": json.dumps(sealed)})
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def content_sha256(description: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 (hex) of a description and of names, types, shapes and bytes of tensors on the CPU."""
    digest = hashlib.sha256(json.dumps(description).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def describe(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without reading its tensors; its hash is not checked.

    Raises:
        PiganError: missing, damaged, or not written by pigan.
    """
    with _opened(path) as handle:
        description, _ = _description(path, handle)
    return description


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and all tensors of a checkpoint, whose hash was checked.

    Raises:
        PiganError: missing, damaged, or not written by pigan.
    """
    with _opened(path) as handle:
        description, seal = _description(path, handle)
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 (no mapping)
    if content_sha256(description, tensors) != seal:
        raise damaged(path, "its content is not that of its SHA-256")
    return description, tensors


def damaged(path: Path, how: str) -> PiganError:
    """What is told of a file that is not as it was written."""
    return PiganError(f"{path}: damaged, or no checkpoint of pigan ({how}); delete it and run its stage again")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, opened by safetensors."""
    try:
        with safe_open(path, framework="pt") as handle:
            yield handle
    except FileNotFoundError:
        raise PiganError(f"{path}: no such checkpoint; run the stage that writes it first") from None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from None


def _description(path: Path, handle: Any) -> tuple[dict[str, Any], str]:
    """What an opened file says of itself, and its hash."""
    text = (handle.metadata() or {}).get("pigan")
    if text is None:
        raise damaged(path, "it has no description")
    description = json.loads(text)
    if not isinstance(description, dict):
        raise damaged(path, "its description is no object")
    if description.get("format") != FORMAT:
        raise PiganError(f"{path}: format {description.get('format')}, this pigan reads format {FORMAT}; train again")
    # written otherwise it may mean the same, but nothing here wrote it
    if json.dumps(description) != text:
        raise damaged(path, "its description was changed")
    return description, str(description.pop(SEAL, None))
