"""Links of Markdown files that work on a code host and in the site alike; pages that mirror files outside of docs/.

A link out of docs/ goes to the page that mirrors its file, if there is one; else only its words are left. A picture is
a link too.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MIRRORS = {
    "project/readme": "README.md",
    "project/changelog": "CHANGELOG.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/security": "SECURITY.md",
    "project/results": "benchmarks/RESULTS.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
CODE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def translated(text: str, file: Path, page: Path) -> str:
    """The text of `file` with its relative links as they must be on `page`, both absolute paths."""

    def link(match: re.Match[str]) -> str:
        mark, words, target, anchor = match[1], match[2], match[3], match[4] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        there = (file.parent / target).resolve()
        for mirror, mirrored in MIRRORS.items():
            if there == ROOT / mirrored:
                there = DOCS / f"{mirror}.md"
        if not there.is_relative_to(DOCS):
            return words
        return f"{mark}[{words}]({os.path.relpath(there, page.parent)}{anchor})"

    parts = CODE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Puts the mirrored file in the place of its page, and translates links."""
    page = DOCS / f"{name}.md"
    if not page.is_file():
        return
    file = ROOT / MIRRORS[name] if name in MIRRORS else page
    app.env.note_dependency(str(file))
    source[0] = translated(file.read_text(encoding="utf-8"), file, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
