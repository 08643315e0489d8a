"""Everything that docstrings, README and guides show is tried: Python is run, commands are parsed."""

import contextlib
import doctest
import importlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from pigan import cli, config
from pigan.stages.train import init_stage

ROOT = Path(__file__).parents[2]
# the gallery is run by `make gallery`
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.stem != "gallery")]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "pigan").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
COMMANDS = typer.main.get_command(cli.app).commands


def blocks(page: Path, *languages: str) -> list[str]:
    """Code of a page."""
    return [text for language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language in languages]


def typed(page: Path) -> list[list[str]]:
    """The calls of pigan on a page, word by word, without what the shell would take away."""
    calls = []
    for block in blocks(page, "", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||\||>|;", line.split(" #")[0]):
                words = part.split()
                if words[:1] == ["pigan"] and words[1:2] != ["..."] and "..." not in words:
                    calls.append(shlex.split(part)[1:])
    return calls


CALLS = [(page.name, words) for page in (*PAGES, ROOT / "docs" / "gallery.md") for words in typed(page)]


def test_there_are_examples() -> None:
    assert len(WITH_EXAMPLES) >= 10 and len(CALLS) >= 30


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstrings_show_what_happens(name: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried and not failed, said.getvalue()


@pytest.fixture
def trained(tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a run of the name that examples use."""
    init_stage(tiny_params, "baseline", 0, tmp_path / "runs/cars/baseline/seed0" / tiny_params.generate.checkpoint)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python") and p.stem != "gallery"], ids=lambda p: p.stem
)
@pytest.mark.usefixtures("trained")
def test_python_of_pages_runs(page: Path) -> None:
    names: dict[str, Any] = {}
    for text in blocks(page, "python"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(text, page.name, "exec"), names)
        # what is printed is what the comment beside it tells
        for told in re.findall(r"print\(.*  # (.*)$", text, re.MULTILINE):
            assert told in said.getvalue()


@pytest.mark.parametrize(("page", "words"), CALLS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_commands_of_pages_are_those_of_pigan(page: str, words: list[str]) -> None:
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, f"{page}: pigan has no command {words[0]}"
    command = COMMANDS[words[0]]
    # required options may be left out where the sentence before says them, others may not be unknown
    context = command.make_context(words[0], list(words[1:]), resilient_parsing=True)
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {"--help"}
    asked = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
    assert asked <= known and not context.args, f"{page}: pigan {shlex.join(words)}"
