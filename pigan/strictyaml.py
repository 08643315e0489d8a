"""YAML from anybody: plain values only, and never more of them than a params file has.

An alias stands for a whole branch, so that a few lines can mean more values than any memory holds.
"""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

BYTES, VALUES, DEPTH = 1 << 20, 20_000, 40
STAIRS = re.compile(rf"(?:[\[{{]\s*){{{DEPTH + 1}}}")


class TooMuchError(YAMLError):
    """The text is longer, deeper or means more values than is read."""


def read_yaml(text: str) -> Any:
    """The values of a YAML 1.2 document.

    Raises:
        YAMLError: no valid YAML, or more than any params file holds.
    """
    if len(text) > BYTES:
        raise TooMuchError(f"{len(text):,} characters, more than {BYTES:,}")
    if STAIRS.search(text):
        # the reader takes its time over these
        raise TooMuchError(f"more than {DEPTH} levels")
    # 1.2 reads 2e-06, which `dvc exp run -S` writes, as a number
    reader = YAML(typ="safe", pure=True)
    try:
        node = reader.compose(text)
        if node is None:
            return None
        _count(node, {}, set())
        return reader.constructor.construct_document(node)
    except RecursionError:
        raise TooMuchError("nested too deeply") from None


def _count(node: Node, known: dict[int, int], above: set[int]) -> int:
    """Values below and with `node`, aliases written out; `known` has those counted, `above` those this one is in."""
    if id(node) in above:
        raise TooMuchError("an alias stands for what it is in")
    if len(above) > DEPTH:
        raise TooMuchError(f"more than {DEPTH} levels")
    if id(node) not in known:
        children: list[Node] = []
        if isinstance(node, SequenceNode):
            children = list(node.value)
        elif isinstance(node, MappingNode):
            children = [child for pair in node.value for child in pair]
        known[id(node)] = 1 + sum(_count(child, known, above | {id(node)}) for child in children)
    if known[id(node)] > VALUES:
        raise TooMuchError(f"more than {VALUES:,} values, aliases written out")
    return known[id(node)]
