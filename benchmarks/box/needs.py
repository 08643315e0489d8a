"""Packages that a bare machine lacks, and wheels that were carried to it; imports only what every Python has."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# of downloads, which a box does not make; of films (a GIF takes their place), of pictures of a mesh, of other hashes
SPARED = {"gdown", "av", "embreex", "pywavelets"}
# comes whole with the image: what its own packages list of GPU libraries is not looked for
WHOLE = {"torch", "torchvision"}
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def missing(project: Path = ROOT / "pyproject.toml") -> list[str]:
    """Packages that pigan needs and this Python does not have, those that its packages need included."""
    wanted = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    waiting, seen, lacking = [*_names(wanted)], set(SPARED), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needed = importlib.metadata.requires(name) or []
            waiting += _names(needed if name not in WHOLE else [])
        except importlib.metadata.PackageNotFoundError:
            lacking.add(name)
    return sorted(lacking)


def advice(names: list[str]) -> str:
    """How to mend that packages are missing."""
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"this Python lacks {', '.join(names)}; where there is a network: pip download --no-deps --only-binary=:all: "
        f"--python-version {version} -c constraints.txt -d wheels {' '.join(names)}; then --wheels wheels, "
        "which with --needs tells what these need in turn"
    )


def install(wheels: Path, site: Path) -> None:
    """Puts the wheels of a folder into `site`, and starts this program again with it on the search path."""
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        raise SystemExit(f"gpu_run: --wheels {wheels}: holds no .whl; name the folder that pip download filled")
    options = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade", "--target", str(site.resolve()))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *files], check=True)
    path = os.pathsep.join(filter(None, [str(site.resolve()), os.environ.get("PYTHONPATH", "")]))
    os.execve(sys.executable, [sys.executable, "-m", "benchmarks.gpu_run", *sys.argv[1:]], _with(path))


def _with(path: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": path, "PIGAN_WHEELS": "installed"}


def _names(requirements: list[str]) -> Iterator[str]:
    """Names of requirements, without those of extras and of other systems and Pythons."""
    for text in requirements:
        match = NAME.match(text)
        marker = text.partition(";")[2]
        if match and "extra" not in marker and _applies(marker):
            yield match[0].lower().replace("_", "-")


def _applies(marker: str) -> bool:
    if not marker.strip():
        return True
    try:
        from packaging.markers import Marker
    except ImportError:
        return True
    return Marker(marker).evaluate()
