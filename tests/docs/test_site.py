"""The sources of the documentation site: links, mirrored pages, gallery. `make docs` builds it; .ci/run does."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pigan import released

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def loaded(path: Path) -> ModuleType:
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


links = loaded(DOCS / "extensions" / "links.py")
gallery = loaded(DOCS / "gallery.py")


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        # pages of the site only stand as .rst in docs/reference
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.MULTILINE | re.DOTALL)
    listed = {re.sub(r".*<(.*)>", r"\1", line) for tree in trees for line in tree.splitlines() if line[:1] not in ":"}
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.[mr][ds]*")}
    assert listed - {""} == {page for page in pages if not page.startswith("_build")} - {"index"}


def test_every_guide_is_linked_from_the_first_page() -> None:
    linked = set(LINK.findall((DOCS / "index.md").read_text(encoding="utf-8")))
    assert {page.name for page in DOCS.glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a](docs/speed.md#measure)", "[a](../speed.md#measure)"),
        ("![a](docs/gallery/mesh.png)", "![a](../gallery/mesh.png)"),
        ("[a](CONTRIBUTING.md)", "[a](contributing.md)"),
        ("[a](workflow/Snakefile)", "a"),
        ("[a](https://example.org/x.md)", "[a](https://example.org/x.md)"),
        ("```\n[a](workflow/Snakefile)\n```", "```\n[a](workflow/Snakefile)\n```"),
    ],
)
def test_mirrored_pages_have_links_of_their_own(written: str, shown: str) -> None:
    assert links.translated(written, ROOT / "README.md", DOCS / "project" / "readme.md") == shown


@pytest.mark.parametrize("page", links.MIRRORS)
def test_links_of_mirrored_pages_lead_somewhere(page: str) -> None:
    there = DOCS / f"{page}.md"
    file = ROOT / links.MIRRORS[page]
    for target in LINK.findall(links.translated(file.read_text(encoding="utf-8"), file, there)):
        assert re.match(r"[a-z]+:|#", target) or (there.parent / target.partition("#")[0]).exists(), target


def test_mirrored_files_exist() -> None:
    for page, file in links.MIRRORS.items():
        assert (ROOT / file).is_file() and (DOCS / f"{page}.md").is_file()


def test_gallery_shows_what_it_has_and_has_what_it_shows() -> None:
    shown = set(gallery.FILE.findall((DOCS / "gallery.md").read_text(encoding="utf-8")))
    there = {path.relative_to(DOCS / "gallery").as_posix() for path in (DOCS / "gallery").rglob("*") if path.is_file()}
    assert shown == there
    assert sum((DOCS / "gallery" / file).stat().st_size for file in there) < 1.5e6


def test_gallery_runs_the_commands_that_stand_there() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    calls = [call for language, text in gallery.blocks(page) for call in gallery.commands(language, text)]
    assert len(calls) >= 6 and all(call[0] == sys.executable and call[1] in ("-m", "-c") for call in calls)
    with pytest.raises(SystemExit, match=r"holds a command that is not pigan's: rm x"):
        gallery.commands("sh", "rm x")


def test_gallery_needs_no_model_but_those_that_come_with_pigan() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    calls = [call for language, text in gallery.blocks(page) for call in gallery.commands(language, text)]
    named = [call[call.index("--model") + 1] for call in calls if call[1] == "-m"]
    named += re.findall(r'pigan\.load\("(.*?)"\)', page)
    assert len(named) >= len(calls) and set(named) <= set(released.names())
