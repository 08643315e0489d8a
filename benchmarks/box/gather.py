"""The folder that a box leaves: few files, none larger than may leave the machine."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.box.place import Place
from pigan.files import atomic_file, write_json

RESULT, REPORT, RELEASE, FILES = "result.json", "report.html", "release.zip", "files.zip"
# newest lines of a log that outgrew its file
KEPT_OF_LOG = 1 << 20
PICTURES = ("*.png", "*.jpg", "*.mp4", "*.gif", "*.glb", "*.csv", "generated.json")


def gather(place: Place, out: Path, limit: int, result: Mapping[str, Any], speeds: Iterable[Path]) -> list[str]:
    """Writes result.json, and of what is there report.html, release.zip and files.zip; what was left out, and why.

    `limit`: bytes of a file.
    """
    left_out: list[str] = []
    page, release = place.report / "report.html", place.folder / "release"
    if page.is_file() and _fits(page.stat().st_size, limit, REPORT, left_out):
        _write(out / REPORT, page.read_bytes())
    if release.is_dir():
        _archive(out / RELEASE, {path.name: path for path in sorted(release.iterdir())}, limit, left_out)
    files = {path.name: path for path in speeds if path.is_file()}
    run = place.run
    for stage in place.params.curriculum.order:
        files |= {f"{stage.name}/{name}": run / stage.name / name for name in ("state.json", "log.jsonl")}
        samples = sorted((place.work(stage) / "samples").glob("*.png"))
        files |= {f"{stage.name}/samples/{path.name}": path for path in samples[-3:]}
    files["metrics.json"] = run / "metrics.json"
    files["summary.json"] = place.report / "summary.json"
    for folder in ("generated", "evaluated"):
        files |= {f"{folder}/{path.name}": path for kind in PICTURES for path in sorted((run / folder).glob(kind))}
    _archive(out / FILES, {name: path for name, path in files.items() if path.is_file()}, limit, left_out)
    write_json(out / RESULT, {**result, "left_out": left_out})
    return left_out


def shorten(log: Path, limit: int) -> None:
    """Keeps the end of a log that is larger than `limit` bytes."""
    data = log.read_bytes() if log.is_file() else b""
    if len(data) > limit:
        _write(log, data[-min(limit, KEPT_OF_LOG) :])


def _archive(out: Path, files: Mapping[str, Path], limit: int, left_out: list[str]) -> None:
    """A zip of the files that fit, smallest first."""
    room, chosen = limit - 4096, []
    for name, path in sorted(files.items(), key=lambda item: item[1].stat().st_size):
        # before it is made smaller: rather too few than too many
        size = path.stat().st_size + 2 * len(name) + 256
        if _fits(size, room, f"{out.name}: {name}", left_out):
            chosen.append(name)
            room -= size
    with atomic_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(chosen):
            archive.write(files[name], name)


def _fits(size: int, room: int, name: str, left_out: list[str]) -> bool:
    if size > room:
        left_out.append(f"{name} ({size / 1e6:.1f} MB, room for {max(room, 0) / 1e6:.1f})")
    return size <= room


def _write(path: Path, data: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)
