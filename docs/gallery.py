"""Makes the pictures of gallery.md anew by running the commands that stand there: python docs/gallery.py."""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\]\(gallery/([^)\s]+)\)")


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of the page's code, in order."""
    return BLOCK.findall(page)


def commands(language: str, text: str) -> list[list[str]]:
    """What to start for a block: pigan's commands, or Python."""
    if language == "python":
        return [[sys.executable, "-c", text]]
    lines = [shlex.split(line) for line in text.splitlines()]
    if any(line[:1] != ["pigan"] for line in lines):
        raise SystemExit(f"gallery.md: holds a command that is not pigan's: {text}")
    return [[sys.executable, "-m", *line] for line in lines]


def main() -> None:
    """Runs the page in an empty folder, then takes over the files that it shows."""
    page = (HERE / "gallery.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for language, text in blocks(page):
            for command in commands(language, text):
                print(shlex.join(["pigan", *command[3:]]) if language == "sh" else text, flush=True)
                subprocess.run(command, cwd=folder, check=True)
        shown = FILE.findall(page)
        missing = [file for file in shown if not (folder / file).is_file()]
        if missing:
            raise SystemExit(f"gallery.md: shows what its commands do not make: {', '.join(missing)}")
        shutil.rmtree(HERE / "gallery", ignore_errors=True)
        for file in shown:
            (HERE / "gallery" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / file, HERE / "gallery" / file)


if __name__ == "__main__":
    main()
