"""Pickles read as data: whatever else they are, nothing of them runs, and one line says why."""

import contextlib
import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pigan.errors import PiganError
from pigan.models.pickles import INSTRUCTIONS, NESTING, read_pickle

CANARY = Path("canary")
Watch = Callable[[], AbstractContextManager[None]]


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


TOUCH = f"touch {CANARY}"
GOOD = pickle.dumps(OrderedDict(a=1), protocol=2)


def attacks() -> dict[str, tuple[bytes, str]]:
    """Pickles that would leave a canary, or worse, and what they are refused with."""
    text = TOUCH.encode()
    call = b"X" + struct.pack("<I", len(text)) + text
    return {
        "os.system": (pickle.dumps(Calls(os.system, TOUCH), 2), "posix.system"),
        "eval": (pickle.dumps({"a": Calls(eval, f"open({str(CANARY)!r}, 'w')")}, 2), "__builtin__.eval"),
        "chain": (pickle.dumps(Calls(getattr, Calls(__import__, "os"), "system"), 2), "__builtin__.getattr"),
        "nested": (pickle.dumps(Calls(pickle.loads, pickle.dumps(Calls(os.system, TOUCH))), 2), "pickle.loads"),
        "stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + call + b"\x85R.", "os.system"),
        "dotted": (b"\x80\x04\x8c\x05torch\x8c\x09os.system\x93.", "torch.os.system"),
        "inst": (b"(" + call + b"ios\nsystem\n.", "os.system"),
        "inst of an allowed one": (b"(icollections\nOrderedDict\n.", "the pickle instruction INST"),
        "obj": (b"(cos\nsystem\n" + call + b"o.", "os.system"),
        "obj of an allowed one": (b"(ccollections\nOrderedDict\n" + call + b"o.", "the pickle instruction OBJ"),
        "newobj": (b"\x80\x02cos\nsystem\n" + call + b"\x85\x81.", "os.system"),
        "newobj_ex": (b"\x80\x04ctorch\ndevice\n)}\x92.", "the pickle instruction NEWOBJ_EX"),
        "newobj with arguments": (b"\x80\x02ctorch.nn.modules.linear\nLinear\nK\x01\x85\x81.", "an object made with"),
        "newobj of a function": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n)\x81.", "an object of torch._utils"),
        "ext1": (b"\x80\x02\x82\x01.", "the pickle instruction EXT1"),
        "ext4": (b"\x80\x02\x84\x01\x00\x00\x00.", "the pickle instruction EXT4"),
        "persid": (b"P0\n.", "the pickle instruction PERSID"),
        "persistent class": (b"\x80\x02(X\x06\x00\x00\x00modulecos\nsystem\nNNtQ.", "os.system"),
        "persistent file": (b"\x80\x02(X\x04\x00\x00\x00fileX\x01\x00\x00\x00atQ.", "a reference to something outside"),
        "call of a class": (b"\x80\x02csiren.siren\nTALLSIREN\n)R.", "a call of siren.siren.TALLSIREN"),
        "call of a result": (b"\x80\x02}" + call + b"\x85R.", "a dict in the place of a Mention"),
        "device of a call": (b"\x80\x02ctorch\ndevice\n)R)R.", "a NoneType in the place of a Mention"),
        "authors' dotted": (b"\x80\x04\x8c\x0bsiren.siren\x8c\x09os.system\x93.", "siren.siren.os.system"),
        "build on a dictionary": (b"\x80\x02}}X\x01\x00\x00\x00aK\x01sb.", "attributes of something that has none"),
        "memo": (b"\x80\x02}r\x00\xca\x9a\x3b.", "its pickle remembers place 1,000,000,000"),
        "memo that is not": (b"\x80\x02j\x00\xca\x9a\x3b.", "damaged"),
        "deep": (b"\x80\x02" + b"(" * (NESTING + 1) + b".", "its pickle is nested more than"),
        "deep tuples as a key": (
            b"\x80\x02}" + b")" + b"\x85" * 5_000 + b"Ns.",
            "a dictionary whose keys are no words",
        ),
        "long": (b"\x80\x02" + b"N" * (INSTRUCTIONS + 1) + b".", "its pickle has more than"),
        "large integer": (b"\x80\x02\x8b" + struct.pack("<I", 1 << 20) + b"\x01" * (1 << 20) + b".", "an integer of"),
        "text integer": (b"L" + b"9" * 100_000 + b"L\n.", "damaged"),
        "bytes of a gigabyte": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".", "damaged"),
        "unprintable": (b"\x80\x04\x8c\x02os\x8c\x05\x1b[31m\x93.", r"os.\\x1b[31m"),
        "empty": (b"", "damaged"),
        "only stop": (b".", "damaged"),
        "no stop": (GOOD[:-1], "damaged"),
        "pop": (b"\x80\x02N0.", "the pickle instruction POP"),
    }


@pytest.mark.parametrize("name", attacks())
def test_pickles_that_do_something_are_refused_by_name(
    name: str, archive: Callable[..., bytes], refusal: Callable[[bytes], str]
) -> None:
    pickled, told = attacks()[name]
    for data in (archive(pickled), pickled):
        message = refusal(data)
        assert message.startswith((f"holds {told.replace(chr(92) * 2, chr(92))}", told)), message
        if message.startswith("holds"):
            assert message.endswith(", which no pi-GAN checkpoint has; nothing of it was run")


def test_what_python_would_run_really_runs_and_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_is_done: Watch
) -> None:
    # or the tests above would show nothing
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=r"os\.system"), nothing_is_done():
        pickle.loads(attacks()["stack global"][0])
    assert CANARY.exists()


@settings(max_examples=400)
@given(data=st.binary(max_size=60))
@example(data=b"\x80\x02]q\x00h\x00a.")
def test_any_bytes_as_a_pickle_do_nothing(
    nothing_is_done: Callable[[], AbstractContextManager[None]], data: bytes
) -> None:
    with nothing_is_done(), contextlib.suppress(PiganError):
        read_pickle(io.BytesIO(data))
    assert not CANARY.exists()
