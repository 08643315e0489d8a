"""Kills stages at random moments, runs them again, and compares what comes out with uninterrupted runs, byte by byte.

    OMP_NUM_THREADS=1 python benchmarks/kills.py --kills 120

Every run is a process of its own that does what the command `pigan` does; it is forked from one that has imported the
libraries, so that kills fall into the work and not into the imports. A run is killed by SIGKILL or SIGTERM, alone or
with its process group, after a time drawn evenly from the stage's measured duration; then the same command runs again.
Wall times, and speeds and peaks of memory that go with them, are left out of the comparison: DROPPED names them.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA, STATS, RUN = "data/prepared/cars", "data/stats/cars/efficientnet_lite0_16.npz", "runs/cars/baseline/seed0"
CPU = ("--device", "cpu")
DROPPED = {
    "state.json": {"seconds", "peak_memory_mb"},
    "log.jsonl": {"seconds", "images_per_second"},
    "generated.json": {"seconds", "seconds_of_parts", "images_per_second"},
    "metrics.json": {"seconds"},
}
TEMPORARY = ".?*.????????*"
# a temporary file is cleared by the next run once it is a minute old and nobody's
AGE_SECONDS = 120
ORPHAN_SECONDS = 15


@dataclass(frozen=True)
class Stage:
    """A command, what it reads, and the outputs that it declares."""

    name: str
    command: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass
class Tally:
    """What happened to one stage."""

    seconds: float = 0.0
    ends: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    finished_first: int = 0
    half_written: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    temporaries: int = 0
    uncleared: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Everything that must not happen."""
        return [*self.half_written, *self.orphans, *self.uncleared, *self.differing, *self.failed]


def chain() -> list[Stage]:
    """The stages of one run of tests/tiny.yaml, in order."""
    from pigan import config
    from pigan.chain.place import Place, command

    params, place = config.parse(tiny_params()), Place(Path("runs/cars"), Path(DATA), "baseline", 0)

    def of_run(stage: str) -> tuple[str, ...]:
        return (*command(params, place, stage)[1:], *(() if stage == "init" else CPU))

    def train(side: int, after: str) -> Stage:
        out = f"{RUN}/r{side}"
        return Stage(f"train r{side}", of_run(f"r{side}"), (DATA, f"{RUN}/{after}"), _of_training(out, "log.jsonl"))

    generated, pictures, metrics = f"{RUN}/generated", f"{RUN}/evaluated", f"{RUN}/metrics.json"
    crop = ("--raw", "data/raw/cars", "--out", DATA)
    reported = ("--data", DATA, "--runs", "runs/cars", "--out", "reports/tiny")
    return [
        Stage("download", ("download", "--workers", "1", "--out", "data/raw/cars"), (), ("data/raw/cars",)),
        Stage("crop", ("crop", "--workers", "1", *crop), ("data/raw/cars",), (DATA,)),
        Stage("crop, 2 workers", ("crop", "--workers", "2", *crop), ("data/raw/cars",), (DATA,)),
        Stage("real-stats", ("real-stats", *CPU, "--data", DATA, "--out", STATS), (DATA,), (STATS,)),
        Stage("init", of_run("init"), (), _of_training(f"{RUN}/init")),
        train(8, "init"),
        train(16, "r8"),
        Stage("generate", of_run("generate"), (DATA, f"{RUN}/r16"), (generated,)),
        Stage("evaluate", of_run("evaluate"), (DATA, STATS, generated), (pictures, metrics)),
        Stage("report", ("report", *reported), (DATA, "runs/cars"), ("reports/tiny",)),
    ]


def _of_training(out: str, *more: str) -> tuple[str, ...]:
    return tuple(f"{out}/{name}" for name in ("checkpoint.safetensors", "state.json", "snapshots", *more))


def tiny_params() -> dict[str, Any]:
    """tests/tiny.yaml over the demo, with one arm and enough steps to be killed in."""
    from ruamel.yaml import YAML

    from pigan import config, presets

    yaml = YAML(typ="safe", pure=True)
    changes = yaml.load((Path(__file__).parents[1] / "tests/tiny.yaml").read_text(encoding="utf-8"))
    values = config.merge(yaml.load(presets.text("demo")), changes)
    quick = {"batch_size": 4, "lr_generator": 1e-3, "lr_generator_end": 1e-3}
    quick |= {"lr_discriminator": 1e-3, "lr_discriminator_end": 1e-3, "fade_steps": 2}
    values["curriculum"]["stages"] = {"r8": {"steps": 40, **quick}, "r16": {"steps": 30, **quick}}
    # a single arm, and checkpoints at a pace at which some kills fall between a snapshot and a checkpoint
    return config.merge(values, {"training": {"checkpoint_steps": 3}}) | {"arms": {"baseline": {}}, "seeds": [0]}


def start(stage: Stage, folder: Path) -> int:
    """Runs a stage in `folder` as a process that leads its own group; returns its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    code = 70
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        # beside the folder, whose disk may be full
        said = os.open(log_of(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(said, 1)
        os.dup2(said, 2)
        # where torchrun's or a test's own would lead elsewhere
        os.environ["PIGAN_WORK"] = "work"
        sys.argv = ["pigan", *stage.command]
        from pigan import cli

        cli.main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def log_of(folder: Path) -> Path:
    """What the last run in a folder said."""
    return folder.with_suffix(".log")


def finish(process: int) -> int:
    """Exit code of a process once it has ended; negative: the signal it died of."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(process: int, after: float, number: int, group: bool) -> tuple[bool, int]:
    """Waits `after` seconds and sends the signal; whether it was still running, and its exit code."""
    until = time.monotonic() + after
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.005))
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return False, os.waitstatus_to_exitcode(status)
    if group:
        # the child makes the group itself, perhaps only now
        while os.getpgid(process) != process:
            time.sleep(0.001)
        os.killpg(process, number)
    else:
        os.kill(process, number)
    return True, finish(process)


def outlives(group: int) -> bool:
    """Whether a process of the group is still there some seconds later; it is ended."""
    until = time.monotonic() + ORPHAN_SECONDS
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    os.killpg(group, signal.SIGKILL)
    return True


def files_of(folder: Path, outputs: tuple[str, ...]) -> Iterator[Path]:
    """Relative paths of all files of the outputs that are there."""
    for output in outputs:
        place = folder / output
        if place.is_dir():
            yield from sorted(path.relative_to(folder) for path in place.rglob("*") if path.is_file())
        elif place.exists():
            yield Path(output)


def content(path: Path) -> object:
    """What is compared of a file: its bytes, or its JSON without what depends on the clock."""
    dropped = DROPPED.get(path.name)
    if dropped is None:
        return path.read_bytes()
    try:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        return [{key: value for key, value in json.loads(line).items() if key not in dropped} for line in lines]
    except ValueError:
        return path.read_bytes()


def differences(folder: Path, whole: Path, outputs: tuple[str, ...]) -> list[str]:
    """Files that are in only one of the two, or not the same in both."""
    ours, theirs = (set(files_of(place, outputs)) for place in (folder, whole))
    unlike = [path for path in ours & theirs if content(folder / path) != content(whole / path)]
    return [str(path) for path in sorted(unlike + list(ours ^ theirs))]


def temporaries(folder: Path) -> list[Path]:
    """Temporary files and directories that are still there."""
    return sorted(folder.rglob(TEMPORARY))


def half_written(folder: Path, whole: Path, stage: Stage) -> list[str]:
    """Declared outputs that are there after a kill without being what they should be."""
    there = [output for output in stage.outputs if (folder / output).exists()]
    return [f"{stage.name}: {path} after a kill" for output in there for path in differences(folder, whole, (output,))]


def place_inputs(stage: Stage, whole: Path, folder: Path) -> None:
    """A fresh folder that has what the stage reads."""
    folder.mkdir(exist_ok=True)
    for place in folder.iterdir():
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    for name in ("params.yaml", *stage.inputs):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (whole / name).is_dir():
            shutil.copytree(whole / name, target)
        else:
            shutil.copyfile(whole / name, target)


def attempt(stage: Stage, whole: Path, folder: Path, draw: random.Random, most: int, tally: Tally) -> None:
    """Kills a stage up to `most` times, lets it end, and compares."""
    place_inputs(stage, whole, folder)
    for _ in range(most):
        number, group = draw.choice((signal.SIGKILL, signal.SIGTERM)), draw.random() < 0.5
        process, began = start(stage, folder), time.monotonic()
        running, code = killed(process, draw.uniform(0.0, tally.seconds), number, group)
        if not running:
            tally.finished_first += 1
            tally.seconds = min(tally.seconds, time.monotonic() - began)
            break
        if outlives(process):
            tally.orphans.append(f"{stage.name}: a process that it started goes on after {number.name}")
        # a training that is told to stop saves first, or has just ended
        tally.kills[f"{number.name}{' group' if group else ''}"] += 1
        tally.half_written += half_written(folder, whole, stage)
        if code not in (-number, 128 + number, 0):
            tally.failed.append(f"{stage.name}: exit code {code} after {number.name}: {last_line(folder)}")
        for left in temporaries(folder):
            tally.temporaries += 1
            os.utime(left, (time.time() - AGE_SECONDS,) * 2)
    if code := finish(start(stage, folder)):
        tally.failed.append(f"{stage.name}: exit code {code} when run again: {last_line(folder)}")
    tally.ends += 1
    tally.differing += [f"{stage.name}: {path} differs" for path in differences(folder, whole, stage.outputs)]
    tally.uncleared += [f"{stage.name}: {path.relative_to(folder)} is left" for path in temporaries(folder)]


def last_line(folder: Path) -> str:
    """Where errors are told."""
    return (log_of(folder).read_text(errors="replace").splitlines() or ["nothing"])[-1]


def uninterrupted(whole: Path, last: Stage) -> dict[str, float]:
    """Runs the chain up to a stage in a new folder; returns the seconds of each."""
    from ruamel.yaml import YAML

    whole.mkdir()
    YAML().dump(tiny_params(), whole / "params.yaml")
    seconds = {}
    for stage in chain()[: 1 + chain().index(last)]:
        began = time.monotonic()
        if code := finish(start(stage, whole)):
            raise SystemExit(f"{stage.name}: exit code {code} without a fault: {last_line(whole)}")
        seconds[stage.name] = time.monotonic() - began
        print(f"{stage.name}: {seconds[stage.name]:.2f} s", file=sys.stderr, flush=True)
    return seconds


def run(kills: int, seed: int, names: list[str], base: Path) -> dict[str, Tally]:
    """Runs the chain once, then kills its stages in turn until there were that many kills."""
    draw, number = random.Random(seed), 0
    chosen = [stage for stage in chain() if not names or stage.name.split()[0].rstrip(",") in names]
    whole = base / "whole"
    tallies = {name: Tally(seconds) for name, seconds in uninterrupted(whole, chosen[-1]).items()}
    while (left := kills - sum(sum(tally.kills.values()) for tally in tallies.values())) > 0:
        stage = chosen[number % len(chosen)]
        attempt(stage, whole, base / "trial", draw, min(left, draw.choice((1, 2, 3))), tallies[stage.name])
        number += 1
        print(f"{left} kills to go, {stage.name}", file=sys.stderr, flush=True)
    return {stage.name: tallies[stage.name] for stage in chosen}


def table(tallies: dict[str, Tally]) -> str:
    """A line a stage."""
    signals = ("SIGKILL", "SIGKILL group", "SIGTERM", "SIGTERM group")
    heads = ("stage", "seconds", *signals, "ended first", "temporaries left and cleared", "runs that ended", "faults")
    rows = [
        (
            name,
            f"{one.seconds:.2f}",
            *(str(one.kills[kind]) for kind in signals),
            *map(str, (one.finished_first, one.temporaries, one.ends, len(one.faults))),
        )
        for name, one in tallies.items()
    ]
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(2, len(heads))]
    lines = [heads, tuple("-" * len(head) for head in heads), *rows, ("all", "", *sums)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def import_libraries() -> None:
    """What the stages import, so that a fork has it; nothing here starts a thread."""
    import torch
    import torch.utils.tensorboard

    import pigan.data.cars.render
    import pigan.data.crop
    import pigan.evaluation.evaluate
    import pigan.report.page
    import pigan.stages.generate
    import pigan.stages.train  # noqa: F401
    from pigan import cli  # noqa: F401

    torch.set_num_threads(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", default="", help="only these, with commas, as crop,train")
    chosen = parser.parse_args()
    import_libraries()
    with tempfile.TemporaryDirectory() as base:
        began = time.monotonic()
        names = [name for name in chosen.stages.split(",") if name]
        tallies = run(chosen.kills, chosen.seed, names, Path(base))
    print(table(tallies))
    faults = [fault for tally in tallies.values() for fault in tally.faults]
    print(f"{time.monotonic() - began:.0f} s; seed {chosen.seed}; {len(faults)} faults")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
