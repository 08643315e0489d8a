"""Files of torch.save read as data: equal to PyTorch's loader on good ones, one line and no deed on all others."""

import contextlib
import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from pigan.errors import PiganError
from pigan.models.pickles import Instance
from pigan.models.torchfile import TorchFile, parameters_of

GOOD = pickle.dumps(OrderedDict(a=1), protocol=2)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.ModuleList([nn.Linear(4, 2), nn.Conv2d(2, 3, 1)]))


def saved(value: Any, legacy: bool = False, protocol: int = 2) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 4])
def test_modules_are_read_as_pytorch_reads_them(
    legacy: bool, protocol: int, opened: Callable[[bytes], TorchFile]
) -> None:
    module = network()
    file = opened(saved(module, legacy, protocol))
    assert isinstance(file.tree, Instance) and file.tree.kind == "torch.nn.modules.container.Sequential"
    read = file.tensors(parameters_of(file.tree))
    wanted = dict(module.named_parameters())
    assert list(read) == list(wanted)
    for name, value in wanted.items():
        assert torch.equal(read[name], value)


@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_and_views_are_read(legacy: bool, opened: Callable[[bytes], TorchFile]) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    state = OrderedDict(
        a=whole[1:3, ::2], b=whole.T, c=torch.ones(3).half(), d=torch.tensor(5), e=torch.ones(2, 2).bool()
    )
    file = opened(saved(state, legacy))
    for name, value in state.items():
        assert torch.equal(file.tensor(file.tree[name]), value) and file.tensor(file.tree[name]).dtype == value.dtype


def test_numbers_of_a_gpu_come_to_the_cpu(opened: Callable[[bytes], TorchFile], archive: Callable[..., bytes]) -> None:
    data = saved(OrderedDict(a=torch.arange(3.0)))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        pickled = file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))
    pickled = pickled.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:1")
    file_on_gpu = opened(archive(pickled, {"0": torch.arange(3.0).numpy().tobytes()}))
    value = file_on_gpu.tensor(file_on_gpu.tree["a"])
    assert torch.equal(value, torch.arange(3.0)) and value.device.type == "cpu"


def test_storages_that_lie_are_refused(opened: Callable[[bytes], TorchFile], archive: Callable[..., bytes]) -> None:
    def read(size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, numbers: int = 6, held: int = 24) -> Any:
        head = (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(("
            b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        )
        head += b"X\x03\x00\x00\x00cpu" + pickle.dumps(numbers, 2)[2:-1] + b"tQ"
        parts = b"".join(pickle.dumps(part, 2)[2:-1] for part in (offset, size, stride))
        tail = parts + b"\x89ccollections\nOrderedDict\n)RtR."
        file = opened(archive(head + tail, {"0": bytes(held)}))
        return file.tensor(file.tree)

    assert read((2, 3), (3, 1)).shape == (2, 3)
    for lie in (
        {"size": (2, 4), "stride": (4, 1)},
        {"size": (2, 3), "stride": (4, 1)},
        {"size": (2, 3), "stride": (3, 1), "offset": 1},
        {"size": (100_000, 100_000), "stride": (0, 0)},
        {"size": (2, 3), "stride": (3,)},
        {"size": (0, 3), "stride": (3, 1)},
        {"size": (1,), "stride": (1,), "offset": 6},
    ):
        with pytest.raises(PiganError, match="does not fit its storage of 6 numbers"):
            read(**lie)
    with pytest.raises(PiganError, match="storage 0 is missing or not as large as it says"):
        read((2, 3), (3, 1), numbers=1 << 40)
    with pytest.raises(PiganError, match="storage 0 is missing or not as large as it says"):
        read((2, 3), (3, 1), held=20)
    with pytest.raises(PiganError, match="a tensor of impossible size"):
        read((2, -3), (3, 1))
    with pytest.raises(PiganError, match="a tensor of impossible size"):
        read((2, 3), (3, 1), offset=-1)
    with pytest.raises(PiganError, match="a tensor of impossible size"):
        read((1 << 60, 3), (3, 1))


def test_many_views_of_few_numbers_are_refused(opened: Callable[[bytes], TorchFile]) -> None:
    whole = torch.zeros(100_000)
    file = opened(saved(OrderedDict({str(number): whole for number in range(50)})))
    with pytest.raises(PiganError, match="its tensors are larger than the file"):
        file.tensors(file.tree)


def test_archives_that_are_none_of_torch_save_are_refused(
    archive: Callable[..., bytes], refusal: Callable[[bytes], str]
) -> None:
    assert refusal(archive(GOOD, None, **{"../../evil": b""})).startswith("holds the entry ../../evil,")
    assert refusal(archive(GOOD, None, **{"archive/code/x.py": b""})).startswith("holds the entry archive/code/x")
    assert refusal(archive(GOOD, {"../x": b""})).startswith("holds the entry archive/data/../x,")
    assert "unpack it and name them" in refusal(_zip({"CelebA/generator.pth": b"x"}))
    assert "compressed or encrypted entry archive/data/0" in refusal(_zip({"archive/data/0": bytes(9999)}, 8))
    assert "other byte order" in refusal(archive(GOOD, None, **{"archive/byteorder": b"big"}))
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = archive(GOOD, {"0": b""}, **{"archive/data/0": b"x"})
    assert refusal(twice).startswith("holds the entry archive/data/0 twice")
    assert "more than 10,000 entries" in refusal(b"PK\x01\x02" * 10_001 + archive(GOOD))
    assert refusal(pickle.dumps({"a": 1}, 2)) == "a pickle, but no file of torch.save"
    assert refusal(b"<html>not found</html>").startswith("damaged, or no file of torch.save")


def _zip(entries: dict[str, bytes], method: int = 0) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return stream.getvalue()


def test_missing_and_huge_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(PiganError, match=r"none\.pth: cannot be read \(No such file"):
        TorchFile(tmp_path / "none.pth")
    with pytest.raises(PiganError, match="cannot be read"):
        TorchFile(tmp_path)
    huge = tmp_path / "huge.pth"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PiganError, match="1,048,576 MiB; pi-GAN checkpoints have less than 256"):
        TorchFile(huge)


def test_modules_in_circles_come_to_an_end() -> None:
    module = Instance("siren.siren.TALLSIREN", {"_parameters": {}, "_modules": {}})
    module.state["_modules"] = {"a": module, "b": module}
    with pytest.raises(PiganError, match="more than 1,000 parts"):
        parameters_of(module)
    with pytest.raises(PiganError, match="is no module"):
        parameters_of(Instance("siren.siren.TALLSIREN"))


@pytest.fixture(scope="module")
def originals(archive: Callable[..., bytes]) -> dict[str, bytes]:
    """Good files of both formats, and the pickle within one."""
    whole = saved(network())
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        pickled = file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))
    return {"zip": whole, "legacy": saved(network(), legacy=True), "pickle": pickled}


EDITS = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.binary(max_size=6), st.sampled_from([None, 0, 1, 40])), min_size=1, max_size=4
)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(which=st.sampled_from(["zip", "legacy", "pickle"]), edits=EDITS)
def test_mutations_of_good_files_do_nothing(
    originals: dict[str, bytes],
    archive: Callable[..., bytes],
    nothing_is_done: Callable[[], AbstractContextManager[None]],
    tmp_path: Path,
    which: str,
    edits: list[tuple[int, bytes, int | None]],
) -> None:
    changed = bytearray(originals[which])
    for number, new, length in edits:
        place = number % len(changed)
        changed[place : place + (len(new) if length is None else length)] = new
    path = tmp_path / "mutated.pth"
    # the archive's checksums would find what is changed in its pickle
    path.write_bytes(archive(bytes(changed), {"0": bytes(48)}) if which == "pickle" else changed)
    # whatever else is raised fails
    with nothing_is_done(), contextlib.suppress(PiganError):
        file = TorchFile(path)
        if isinstance(file.tree, Instance):
            file.tensors(parameters_of(file.tree))
