"""Complete params files to start from: the commented demo.yaml, and what each other preset changes in it."""

import copy
import difflib
import io
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pigan.config import Params, parse
from pigan.dataset_sections import Depth, Meshes, World
from pigan.errors import UsageError
from pigan.sections import Section

BASE = "demo"
# what the demo leaves out, below dataset
SECTIONS: dict[str, type[Section]] = {"meshes": Meshes, "world": World, "depth": Depth}


CHANGES = (files(__package__) / "changes.yaml").read_text(encoding="utf-8")
# every start of the command line names them: reading all of it as YAML takes as long as starting Python
NAMES = [BASE, *re.findall(r"^([\w-]+):", CHANGES, re.MULTILINE)]


def text(name: str) -> str:
    """A commented params.yaml.

    Raises:
        PiganError: no such preset.
    """
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        told = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(NAMES)}"
        raise UsageError(f"no preset {name!r}; {told}")
    base = (files(__package__) / f"{BASE}.yaml").read_text(encoding="utf-8")
    if name == BASE:
        return base
    writer = YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 4096
    writer.representer.add_representer(
        type(None), lambda yaml, _: yaml.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    values = writer.load(base)
    # the round-trip reader keeps 6.0e-5 as it is written; YAML 1.1 readers take 6e-05 for a string
    _apply(values, YAML().load(CHANGES)[name])
    stream = io.StringIO()
    writer.dump(values, stream)
    return stream.getvalue()


def values(name: str) -> dict[str, Any]:
    """The same as plain values.

    Raises:
        PiganError: no such preset.
    """
    return dict(YAML(typ="safe", pure=True).load(text(name)))


def params(name: str) -> Params:
    """The same, validated.

    Raises:
        PiganError: no such preset.
    """
    return parse(values(name), name)


def _apply(values: CommentedMap, changes: Mapping[str, Any]) -> None:
    """Lays `changes` over `values`, whose comments stay."""
    for key, change in changes.items():
        old = values[key]
        if key == "stages":
            values[key] = _stages(old, change)
        elif old is None and isinstance(change, Mapping):
            values[key] = _described(SECTIONS[key], change)
        elif key != "arms" and isinstance(change, Mapping) and isinstance(old, CommentedMap):
            _apply(old, change)
            continue
        else:
            values[key] = _block(change)
        # what stands between this section and the next hangs on the old one's last entry
        container, place = _last_entry(values, key, old)
        if place in container.ca.items:
            new_container, new_place = _last_entry(values, key, values[key])
            own = new_container.ca.items.get(new_place, [None] * 4)
            moved = container.ca.items.pop(place)
            new_container.ca.items[new_place] = [mine or other for mine, other in zip(own, moved, strict=True)]


def _stages(stages: CommentedMap, changes: Mapping[str, Any]) -> CommentedMap:
    """Other stages in the place of the demo's; the first has the comments of the demo's first."""
    commented, plain = stages["r16"], copy.deepcopy(stages["r32"])
    plain.ca.items.clear()
    new = CommentedMap()
    for name, change in changes.items():
        new[name] = copy.deepcopy(plain if new else commented)
        new[name].update(change)
    return new


def _described(section: type[Section], change: Mapping[str, Any]) -> CommentedMap:
    """A section of dataset that the demo leaves out, commented with the descriptions of its fields."""
    block: CommentedMap = _block(change)
    for key in block:
        block.yaml_set_comment_before_after_key(key, before=section.model_fields[key].description, indent=4)
    return block


def _last_entry(parent: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """The last line of a section: its container, and its key there."""
    while isinstance(value, CommentedMap | CommentedSeq) and value:
        parent, key = value, list(value)[-1] if isinstance(value, CommentedMap) else len(value) - 1
        value = parent[key]
    return parent, key


def _block(value: Any) -> Any:
    """Lists and mappings in block style."""
    if isinstance(value, list):
        return CommentedSeq([_block(item) for item in value])
    if isinstance(value, Mapping):
        return CommentedMap((key, _block(item)) for key, item in value.items())
    return value
