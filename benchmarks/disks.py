"""Runs stages on disks that are full or read-only and two at a time, and compares what comes out in the end.

    OMP_NUM_THREADS=1 python benchmarks/disks.py

Needs the right to mount a file system in memory. A full disk has room for a share of what the stage writes; it must be
told in one line, nothing half written may bear a final name, and with room again the same command must end with the
bits of a run that never met a full disk. The same holds for a read-only disk. Of two processes that run the same stage
at once either both end well, or one says that the other is at work.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kills import (
    Stage,
    chain,
    differences,
    finish,
    half_written,
    import_libraries,
    last_line,
    log_of,
    place_inputs,
    start,
    temporaries,
    uninterrupted,
)

DISK_BYTES = 192 << 20
PAGE = 4096
SHARES = (0.0, 0.02, 0.06, 0.25, 0.5, 0.75, 0.95)
FULL, READ_ONLY, AT_WORK = "the disk is full; free some space", "no permission to write here", " is at work in "


@contextmanager
def disk(place: Path) -> Iterator[None]:
    """A file system in memory."""
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"cannot mount a disk here ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def free(place: Path) -> int:
    """Bytes that are left on the disk."""
    import os

    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def fill(place: Path, room: int) -> Path:
    """A file that leaves that much of the disk."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        file.truncate(0)
        for _ in range(max(0, free(place) - room) // PAGE):
            file.write(bytes(PAGE))
    return ballast


def refused(stage: Stage, folder: Path, whole: Path, told: str) -> tuple[bool, list[str]]:
    """Runs a stage that cannot write all; whether it failed, and what was wrong with how."""
    code = finish(start(stage, folder))
    faults = half_written(folder, whole, stage)
    said = [line for line in log_of(folder).read_text().splitlines() if line.startswith(("pigan:", "Traceback"))]
    if code and (code != 1 or len(said) != 1 or told not in said[0]):
        faults.append(f"{stage.name}: exit code {code}: {' / '.join(said) or last_line(folder)}")
    return bool(code), faults


def ends_well(stage: Stage, folder: Path, whole: Path) -> list[str]:
    """Runs a stage on a good disk and compares."""
    if code := finish(start(stage, folder)):
        return [f"{stage.name}: exit code {code} on a good disk: {last_line(folder)}"]
    faults = [f"{stage.name}: {path} differs" for path in differences(folder, whole, stage.outputs)]
    return faults + [f"{stage.name}: {path.relative_to(folder)} is left" for path in temporaries(folder)]


def on_full_disk(stage: Stage, folder: Path, whole: Path) -> tuple[str, list[str]]:
    """With room for shares of what it writes."""
    place_inputs(stage, whole, folder)
    before = free(folder)
    faults = ends_well(stage, folder, whole)
    # what is left in the end; a stage may need more for a while
    needed, failures = before - free(folder), 0
    for share in SHARES:
        place_inputs(stage, whole, folder)
        ballast = fill(folder, int(share * needed))
        failed, wrong = refused(stage, folder, whole, FULL)
        ballast.unlink()
        failures += failed
        faults += wrong + ends_well(stage, folder, whole)
    return f"{failures} of {len(SHARES)} runs met a full disk", faults


def on_read_only_disk(stage: Stage, folder: Path, whole: Path) -> tuple[str, list[str]]:
    """Mounted so that nothing can be written."""
    place_inputs(stage, whole, folder)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    failed, faults = refused(stage, folder, whole, READ_ONLY)
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    if not failed:
        faults.append(f"{stage.name}: no error on a read-only disk")
    return "refused", faults + ends_well(stage, folder, whole)


def two_at_once(stage: Stage, folder: Path, whole: Path) -> tuple[str, list[str]]:
    """Started a fraction of a second apart."""
    place_inputs(stage, whole, folder)
    second = folder.with_name("second")
    second.unlink(missing_ok=True)
    # another name of the same folder: their logs are apart
    second.symlink_to(folder)
    processes = {folder: start(stage, folder)}
    time.sleep(0.05)
    processes[second] = start(stage, second)
    codes = {place: finish(process) for place, process in processes.items()}
    failed = [place for place, code in codes.items() if code]
    faults = [f"{stage.name}: {last_line(place)}" for place in failed if AT_WORK not in last_line(place)]
    if len(failed) == 2:
        faults.append(f"{stage.name}: neither of two ended well")
    faults += [f"{stage.name}: {path} differs" for path in differences(folder, whole, stage.outputs)]
    left = [f"{stage.name}: {path.relative_to(folder)} is left" for path in temporaries(folder)]
    return "both ended well" if not failed else "one was told that the other is at work", faults + left


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", default="crop,train,generate,evaluate,report", help="only these, with commas")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    import_libraries()
    stages = [stage for stage in chain() if stage.name in ("train r16", "crop", "generate", "evaluate", "report")]
    stages = [stage for stage in stages if stage.name.split()[0] in chosen.stages.split(",")]
    faults = []
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        with disk(base / "trial"):
            uninterrupted(base / "whole", stages[-1])
            for stage in stages:
                for trial in (on_full_disk, on_read_only_disk, two_at_once):
                    result, wrong = trial(stage, base / "trial", base / "whole")
                    faults += wrong
                    print(f"{stage.name:10}  {trial.__name__:18}  {result}; {len(wrong)} faults", flush=True)
    print("\n".join([f"{len(faults)} faults", *faults]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
