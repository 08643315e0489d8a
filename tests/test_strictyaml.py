"""YAML that means more than it says is refused in no time; what params files hold is read as ever."""

import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pigan import presets
from pigan.config import ParamsError, load
from pigan.strictyaml import VALUES, TooMuchError, read_yaml

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 10)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_presets_are_read_as_by_the_plain_reader() -> None:
    text = presets.text("demo")
    assert read_yaml(text) == YAML(typ="safe", pure=True).load(text)
    assert read_yaml("") is None and read_yaml("a: 2e-06") == {"a": 2e-06}


def test_anchors_may_be_used() -> None:
    assert read_yaml("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "{a: " * 1000,
        "- " * 5000 + "x",
        "x" * 2_000_000,
        "\n".join(f"k{number}: 1" for number in range(VALUES)),
    ],
    ids=["laughs", "in itself", "in itself, named", "stairs", "stairs of names", "dashes", "long", "many"],
)
def test_too_much_is_refused(text: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(TooMuchError):
        read_yaml(text)
    assert time.process_time() - began < 60
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml: no valid YAML \(") as caught:
        load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system", "a: !x 1"])
def test_objects_are_refused(text: str) -> None:
    with pytest.raises(YAMLError):
        read_yaml(text)
