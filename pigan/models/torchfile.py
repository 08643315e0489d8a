"""Files of `torch.save`, both formats, read without PyTorch's loader; see `pigan.models.pickles` for why that is safe.

A zip archive (since PyTorch 1.6) holds the pickle and, uncompressed, each storage. Before, pickles followed each other:
a magic number, a version, facts about the machine, the object, the storages' keys; then the storages.
"""

import contextlib
import functools
import hashlib
import io
import math
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pigan.errors import PiganError
from pigan.models.pickles import Instance, Refused, Storage, Strided, foreign, read_pickle, shown

LARGEST = 1 << 28
ENTRIES, CENTRAL = 10_000, b"PK\x01\x02"
MODULES = 1_000
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
BESIDE = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, OSError, EOFError, RuntimeError, struct.error, KeyError)

Bytes = Callable[[Storage], bytearray]


class TorchFile:
    """What a file of `torch.save` holds, as plain data; tensors are read when asked for."""

    def __init__(self, path: Path) -> None:
        """Read `path`; nothing in it is run.

        Raises:
            PiganError: missing, damaged, too large, or holding what pi-GAN checkpoints do not; named in one line.
        """
        self.path = path
        with named(path):
            data = _content(path)
            self.size, self.sha256 = len(data), hashlib.sha256(data).hexdigest()
            self.tree, self._bytes = _archive(data) if zipfile.is_zipfile(io.BytesIO(data)) else _legacy(data)

    def tensors(self, stored: Mapping[str, Strided]) -> dict[str, Tensor]:
        """Tensors by name, on the CPU.

        Raises:
            PiganError: they do not lie in the file as it says, or are more than it holds.
        """
        with named(self.path):
            wanted = sum(math.prod(part.size) * part.storage.dtype.itemsize for part in stored.values())
            if wanted > self.size:
                raise Refused("its tensors are larger than the file; no pi-GAN has parts that share numbers")
        return {name: self.tensor(part) for name, part in stored.items()}

    def tensor(self, stored: Strided) -> Tensor:
        """The numbers of one tensor, on the CPU, in memory of its own.

        Raises:
            PiganError: they do not lie in the file as it says.
        """
        with named(self.path):
            storage, offset, size, stride = stored
            last = offset + sum(step * (side - 1) for side, step in zip(size, stride, strict=False))
            numbers = math.prod(size)
            if len(size) != len(stride) or numbers < 1 or numbers > storage.numbers or last >= storage.numbers:
                raise Refused(f"a tensor of shape {list(size)} does not fit its storage of {storage.numbers:,} numbers")
            flat = torch.frombuffer(self._bytes(storage), dtype=storage.dtype)
            return flat.as_strided(size, stride, offset).clone()


def parameters_of(module: Instance) -> dict[str, Strided]:
    """Names and tensors of a saved module's parameters, in the order of its `parameters()`.

    Raises:
        Refused: it is no module, or has more parts than any pi-GAN.
    """
    found: dict[str, Strided] = {}
    waiting = [("", module)]
    for _ in range(MODULES):
        if not waiting:
            return found
        prefix, part = waiting.pop()
        own, children = part.state.get("_parameters"), part.state.get("_modules")
        if not isinstance(own, dict) or not isinstance(children, dict):
            raise Refused(f"{shown(part.kind)} is no module")
        found |= {f"{prefix}{name}": value for name, value in own.items() if isinstance(value, Strided)}
        inner = [(f"{prefix}{name}.", child) for name, child in children.items() if isinstance(child, Instance)]
        waiting += reversed(inner)
    raise Refused(f"it has more than {MODULES:,} parts; no pi-GAN has")


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Puts the file's name before what is wrong with it."""
    try:
        yield
    except Refused as error:
        raise PiganError(f"{path}: {error}") from None


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise Refused(f"{size / 2**20:,.0f} MiB; pi-GAN checkpoints have less than {LARGEST >> 20}")
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror or error})") from None


def _archive(data: bytes) -> tuple[Any, Bytes]:
    """The pickled value, and what reads storages, of a zip archive."""
    # counted first: each entry costs memory
    if data.count(CENTRAL) > ENTRIES:
        raise Refused(f"an archive of more than {ENTRIES:,} entries; no pi-GAN checkpoint has so many")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
        _check_entries(entries, len(data))
        roots = [entry.filename.removesuffix("/data.pkl") for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(roots) != 1:
            raise Refused("a zip archive, but none of torch.save; if it holds checkpoints, unpack it and name them")
        root, known = roots[0], {entry.filename: entry for entry in entries}
        for name in known:
            inner = name.removeprefix(f"{root}/")
            if name == inner or not (inner in ("data.pkl", *BESIDE) or _is_storage(inner)):
                raise foreign(f"the entry {shown(name)}")
        order = known.get(f"{root}/byteorder")
        if order is not None and archive.read(order).strip() != b"little":
            raise Refused("written on a machine of the other byte order; save it again on a common one")
        tree = read_pickle(io.BytesIO(archive.read(known[f"{root}/data.pkl"])))
    except DAMAGE as error:
        raise _damaged(error) from None

    return tree, functools.partial(
        _read_entry, archive, {name.removeprefix(f"{root}/data/"): known[name] for name in known}
    )


def _read_entry(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], storage: Storage) -> bytearray:
    """The bytes of a storage in an archive."""
    entry = entries.get(storage.key)
    if entry is None or entry.file_size != storage.numbers * storage.dtype.itemsize:
        raise Refused(f"storage {shown(storage.key)} is missing or not as large as it says")
    try:
        return bytearray(archive.read(entry))
    except DAMAGE as error:
        raise _damaged(error) from None


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Raises Refused unless the entries lie in the file as they are, each once."""
    names = [entry.filename for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise foreign(f"the entry {shown(twice)} twice")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise foreign(f"the compressed or encrypted entry {shown(entry.filename)}")
    if sum(entry.file_size for entry in entries) > size:
        raise Refused("its entries overlap; no file of torch.save is so")


def _is_storage(name: str) -> bool:
    folder, _, key = name.partition("/")
    return folder == "data" and key.isascii() and key.isalnum()


def _legacy(data: bytes) -> tuple[Any, Bytes]:
    """The same of a file from before the archives."""
    stream = io.BytesIO(data)
    if read_pickle(stream) != MAGIC or read_pickle(stream) != VERSION:
        raise Refused("a pickle, but no file of torch.save")
    machine = read_pickle(stream)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise Refused("written on a machine of the other byte order; save it again on a common one")
    storages: dict[str, Storage] = {}
    tree, keys = read_pickle(stream, storages), read_pickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refused("damaged, or no file of torch.save (it does not name its storages)")
    places = _places(data, stream.tell(), keys, storages)

    return tree, functools.partial(_read_place, data, places)


def _read_place(data: bytes, places: dict[str, tuple[int, Storage]], storage: Storage) -> bytearray:
    """The bytes of a storage in a file from before the archives."""
    start, stored = places.get(storage.key, (0, None))
    if storage != stored:
        raise Refused(f"storage {shown(storage.key)} is missing or not as large as it says")
    return bytearray(data[start : start + storage.numbers * storage.dtype.itemsize])


def _places(data: bytes, start: int, keys: list[str], storages: dict[str, Storage]) -> dict[str, tuple[int, Storage]]:
    """Where the storages lie that follow the pickles: each a count of 64 bits, then its numbers."""
    places: dict[str, tuple[int, Storage]] = {}
    for key in keys:
        storage = storages.get(key)
        if storage is None or key in places:
            raise Refused(f"storage {shown(key)} belongs to no tensor")
        end = start + 8 + storage.numbers * storage.dtype.itemsize
        if end > len(data) or int.from_bytes(data[start : start + 8], "little") != storage.numbers:
            raise Refused(f"storage {shown(key)} is missing or not as large as it says")
        places[key] = (start + 8, storage)
        start = end
    return places


def _damaged(error: Exception) -> PiganError:
    return (
        error if isinstance(error, PiganError) else Refused(f"damaged, or no file of torch.save ({shown(str(error))})")
    )
