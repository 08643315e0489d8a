"""Pickles of PyTorch modules, read as plain data: nothing that a file names is imported, called or built.

A pickle is a program for a small machine. The one here knows only the instructions that `torch.save` writes, only the
names that pi-GAN checkpoints hold, and makes inert records of their objects. All else is refused by its name.
"""

import io
import pickletools
import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from pigan.errors import PiganError

# a released generator takes some 5,000 instructions
INSTRUCTIONS = 50_000
NESTING = 100
INTEGER_BITS = 128
DIMENSIONS = 8
SHOWN = 80

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# modules of the authors' code: any class of them is a record
AUTHORS = (
    "generators.generators",
    "siren.siren",
    "discriminators.discriminators",
    "discriminators.sgdiscriminators",
)
LAYERS = {
    ("torch.nn.modules.container", "ModuleList"),
    ("torch.nn.modules.container", "Sequential"),
    ("torch.nn.modules.linear", "Linear"),
    ("torch.nn.modules.linear", "Identity"),
    ("torch.nn.modules.conv", "Conv2d"),
    ("torch.nn.modules.pooling", "AvgPool2d"),
    ("torch.nn.modules.activation", "LeakyReLU"),
    ("torch.nn.modules.activation", "Sigmoid"),
    ("torch_ema.ema", "ExponentialMovingAverage"),
}
# what may be called: this module does it, not Python
ORDERED, DEVICE = ("collections", "OrderedDict"), ("torch", "device")
SETS = (("__builtin__", "set"), ("builtins", "set"))
TENSOR, PARAMETER = ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")
CALLS = {ORDERED, DEVICE, *SETS, TENSOR, PARAMETER}


class Refused(PiganError):
    """What is wrong with a file; whoever knows its name puts that before."""


class Mention(NamedTuple):
    """A name that a pickle holds; never imported."""

    module: str
    name: str


class Storage(NamedTuple):
    """Numbers that lie elsewhere in the file."""

    dtype: torch.dtype
    key: str
    numbers: int


class Strided(NamedTuple):
    """A tensor: where its numbers lie in a storage; checked when they are read."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass
class Instance:
    """An object of a class that is allowed: the class's name, and the attributes that were saved."""

    kind: str
    state: dict[str, Any] = field(default_factory=dict)


def shown(text: str) -> str:
    """A foreign name as messages can hold it: short, printable."""
    plain = text.encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}..."


def foreign(what: str) -> Refused:
    """The error about something that a file holds."""
    return Refused(f"holds {what}, which no pi-GAN checkpoint has; nothing of it was run")


def read_pickle(stream: io.BytesIO, storages: dict[str, Storage] | None = None) -> Any:
    """The value of the pickle that begins where `stream` stands, which then stands behind it.

    `storages` receives those that it mentions, by key. The value is made of None, bool, int, float, str, tuple, list,
    dict, set, `Instance`, `Strided`, `Mention`; it may hold itself.

    Raises:
        Refused: damaged, too large, or holding what pi-GAN checkpoints do not.
    """
    machine = _Machine({} if storages is None else storages)
    with warnings.catch_warnings():
        # about escapes in strings of foreign files
        warnings.simplefilter("ignore")
        try:
            for number, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
                if number >= INSTRUCTIONS:
                    raise Refused(f"its pickle has more than {INSTRUCTIONS:,} instructions; no pi-GAN checkpoint has")
                machine.step(instruction.name, argument)
        except (ValueError, OverflowError, EOFError, IndexError, KeyError, TypeError) as error:
            raise Refused(f"damaged, or no file of torch.save ({shown(str(error))})") from None
    return machine.result


class _Machine:
    """The stack, the stacks below marks, and the memo."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def step(self, name: str, argument: Any) -> None:
        """Obeys one instruction."""
        match name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                self.result = self.stack.pop()
            case "MARK":
                if len(self.below) >= NESTING:
                    raise Refused(f"its pickle is nested more than {NESTING} deep; no pi-GAN checkpoint is")
                self.below.append(self.stack)
                self.stack = []
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self.stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4":
                if argument.bit_length() > INTEGER_BITS:
                    raise foreign(f"an integer of {argument.bit_length():,} bits")
                self.stack.append(argument)
            case "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                self.stack.append(argument)
            case "EMPTY_TUPLE" | "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                made = tuple(self._items(name))
                self.stack.append(made)
            case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
                self.stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}[name]())
            case "APPEND" | "APPENDS":
                items = [self.stack.pop()] if name == "APPEND" else self._marked()
                _a(list, self.stack[-1]).extend(items)
            case "SETITEM" | "SETITEMS":
                items = [self.stack.pop() for _ in range(2)][::-1] if name == "SETITEM" else self._marked()
                _a(dict, self.stack[-1]).update(_pairs(items))
            case "ADDITEMS":
                words = _words(self._marked())
                _a(set, self.stack[-1]).update(words)
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                place = len(self.memo) if name == "MEMOIZE" else argument
                if place > INSTRUCTIONS:
                    raise Refused(f"its pickle remembers place {place:,}; no pi-GAN checkpoint has so many")
                self.memo[place] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "GLOBAL":
                self.stack.append(_mention(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                second, first = self.stack.pop(), self.stack.pop()
                self.stack.append(_mention(_a(str, first), _a(str, second)))
            case "INST":
                _mention(*argument.split(" ", 1))
                raise foreign("the pickle instruction INST")
            case "NEWOBJ":
                arguments, kind = self.stack.pop(), self.stack.pop()
                self.stack.append(_instance(kind, arguments))
            case "REDUCE":
                arguments, called = self.stack.pop(), self.stack.pop()
                self.stack.append(_called(_a(Mention, called), _a(tuple, arguments)))
            case "BUILD":
                state = self.stack.pop()
                _build(self.stack[-1], state)
            case "BINPERSID":
                found = _persistent(_a(tuple, self.stack.pop()))
                self.stack.append(found)
                if isinstance(found, Storage) and self.storages.setdefault(found.key, found) != found:
                    raise foreign("one storage of two kinds")
            case _:
                raise foreign(f"the pickle instruction {name}")

    def _marked(self) -> list[Any]:
        """What lies above the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def _items(self, name: str) -> list[Any]:
        """What a tuple is made of."""
        if name == "TUPLE":
            return self._marked()
        count = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}[name]
        return [self.stack.pop() for _ in range(count)][::-1]


def _mention(module: str, name: str) -> Mention:
    """A name of the allow-list."""
    pair = Mention(module, name)
    authors = module in AUTHORS and name.isidentifier()
    if not (authors or pair in LAYERS or pair in CALLS or (module == "torch" and name in DTYPES)):
        raise foreign(shown(f"{module}.{name}"))
    return pair


def _instance(kind: Any, arguments: Any) -> Instance:
    """A record in the place of an object."""
    if not isinstance(kind, Mention) or arguments != ():
        raise foreign("an object made with arguments")
    if not (kind.module in AUTHORS or kind in LAYERS):
        raise foreign(f"an object of {shown('.'.join(kind))}")
    return Instance(".".join(kind))


def _called(called: Mention, arguments: tuple[Any, ...]) -> Any:
    """What calling an allowed name means here."""
    if called == ORDERED and not arguments:
        return {}
    if called in SETS and len(arguments) == 1:
        return _words(_a(list, arguments[0]))
    if called == DEVICE:
        return None
    if called == PARAMETER and len(arguments) == 3:
        return _a(Strided, arguments[0])
    if called == TENSOR and len(arguments) in (6, 7):
        storage, offset, size, stride = arguments[:4]
        size, stride = _counts(size), _counts(stride)
        return Strided(_a(Storage, storage), _count(offset), size, stride)
    raise foreign(f"a call of {shown('.'.join(called))}")


def _build(target: Any, state: Any) -> None:
    """Gives a record its attributes; an OrderedDict's own, versions of layers, are left out."""
    if isinstance(target, Instance) and isinstance(state, dict) and all(isinstance(key, str) for key in state):
        target.state.update(state)
    elif not (isinstance(target, dict) and isinstance(state, dict) and state.keys() <= {"_metadata"}):
        raise foreign("attributes of something that has none")


def _persistent(key: tuple[Any, ...]) -> Any:
    """A storage; or, in files before PyTorch 1.6, a class that comes with its source, which nobody reads."""
    if key[:1] == ("storage",) and len(key) in (5, 6):
        _, kind, name, place, count, *view = key
        _a(str, place)
        if _a(Mention, kind).module != "torch" or kind.name not in DTYPES:
            raise foreign(f"a storage of {shown('.'.join(kind))}")
        if view and view[0] is not None:
            raise foreign("a view of a storage")
        return Storage(DTYPES[kind.name], _a(str, name), _count(count))
    if key[:1] == ("module",) and len(key) == 4:
        return _a(Mention, key[1])
    raise foreign("a reference to something outside of it")


def _pairs(items: list[Any]) -> dict[str | int, Any]:
    """Keys and values in turn; only keys whose hash costs nothing."""
    if len(items) % 2 or not all(isinstance(key, str | int) for key in items[::2]):
        raise foreign("a dictionary whose keys are no words")
    return dict(zip(items[::2], items[1::2], strict=True))


def _words(items: list[Any]) -> set[str]:
    if not all(isinstance(item, str) for item in items):
        raise foreign("a set of something else than words")
    return set(items)


def _counts(values: Any) -> tuple[int, ...]:
    if len(_a(tuple, values)) > DIMENSIONS:
        raise foreign(f"a tensor of {len(values):,} dimensions")
    return tuple(_count(value) for value in values)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**48:
        raise foreign("a tensor of impossible size")
    return value


def _a(kind: type, value: Any) -> Any:
    """`value`, which must be of `kind`."""
    if type(value) is not kind:
        raise foreign(f"a {type(value).__name__} in the place of a {kind.__name__}")
    return value
