"""The directive `package`: every module of a package on one page, with what its docstrings say.

Docstrings here are plain sentences with `code` in them, and Google's sections; what reStructuredText would take for its
own marks is escaped.
"""

import pkgutil
import re
import sys
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

QUOTED = re.compile(r"(`[^`]*`)")
RAISED = re.compile(r"^(\s+)(\w+)(?=:)")


def modules_of(package: str) -> list[str]:
    """The names of a package's modules, those of packages inside of it too; a module's own name."""
    path = getattr(import_module(package), "__path__", [])
    found = [each.name for each in pkgutil.walk_packages(path, f"{package}.") if not each.ispkg]
    return sorted(found) or [package]


class Package(SphinxDirective):
    """`.. package:: pigan.rendering`, or several names: a section a module."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The sections."""
        lines = []
        for name in (module for package in self.arguments[0].split() for module in modules_of(package)):
            title = f"``{name}``"
            lines += [title, "=" * len(title), "", f".. automodule:: {name}", ""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def plain(_app: Sphinx, _what: str, _name: str, described: Any, _options: Any, lines: list[str]) -> None:
    """A docstring as reStructuredText that says the same."""
    if lines and lines[0].startswith("Alias for field number"):
        # what Python says of a named tuple's fields that have no docstring
        lines[:] = []
    names = vars(sys.modules.get(getattr(described, "__module__", None) or "", sys))
    example = raises = False
    for number, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        raises = line == "Raises:" or (raises and (not line or line.startswith(" ")))
        if example:
            continue
        parts = QUOTED.split(line)
        lines[number] = "".join(p if p.startswith("`") else re.sub(r"([*|]|_\b)", r"\\\1", p) for p in parts)
        error = names.get(match[2]) if raises and (match := RAISED.match(line)) else None
        if isinstance(error, type) and error.__module__ != "builtins":
            # several modules have an error of the same name
            target = f"~{error.__module__}.{error.__qualname__}"
            lines[number] = RAISED.sub(rf"\1{target}", lines[number])


def tidy(_app: Sphinx, page: nodes.document) -> None:
    """Constructors return nothing worth saying, and a dash is not two hyphens."""
    for described in page.findall(addnodes.desc):
        if described["objtype"] in ("class", "exception"):
            for signature in described.findall(addnodes.desc_signature):
                for returned in list(signature.findall(addnodes.desc_returns)) if signature.parent is described else ():
                    returned.parent.remove(returned)
    for text in list(page.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(": "))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("package", Package)
    # before napoleon makes fields of the sections
    app.connect("autodoc-process-docstring", plain, priority=100)
    app.connect("doctree-read", tidy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
