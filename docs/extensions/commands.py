"""The directive `commands`: every sub-command of pigan, from the very help that `--help` prints."""

from typing import ClassVar

import click
import typer
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pigan.cli import app as pigan_app


def literal(text: str) -> str:
    """Words of the help as reStructuredText that is taken literally, but for `code`."""
    for special in ("\\", "*", "|", "_"):
        text = text.replace(special, f"\\{special}")
    return text


def section(command: click.Command) -> list[str]:
    """Title, usage, help and options of a command."""
    context = click.Context(command, info_name=f"pigan {command.name}")
    title = f"pigan {command.name}"
    lines = [title, "=" * len(title), ""]
    paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    for paragraph in paragraphs:
        words, _, example = paragraph.partition("For example: ")
        if words:
            lines += [literal(words), ""]
        if example:
            lines += [".. code-block:: sh", "", f"   {example}", ""]
    for option in command.params:
        record = option.get_help_record(context)
        if record is None or option.name == "help":
            continue
        names, says = record
        lines += [f"``{names}``", f"   {literal(' '.join(says.split())) or '—'}", ""]
    return lines


class Commands(SphinxDirective):
    """`.. commands:: render video`: these sub-commands, in this order; with `:but: render video` all others."""

    has_content = False
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"but": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """The sections."""
        known: dict[str, click.Command] = typer.main.get_command(pigan_app).commands  # type: ignore[attr-defined]
        but = self.options.get("but", "").split()
        names = self.arguments[0].split() if self.arguments else [name for name in known if name not in but]
        unknown = [name for name in (*names, *but) if name not in known]
        if unknown:
            raise self.error(f"pigan has no command {', '.join(unknown)}")
        text = "\n".join(line for name in names for line in section(known[name]))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
