"""`pigan bench`: all cases, and what they come to in a file, a table and plots."""

import datetime
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from pigan import __version__
from pigan.bench.case import Case, measure
from pigan.bench.estimate import estimates
from pigan.bench.field_cases import field_case, render_case
from pigan.bench.host_cases import data_case, fid_case
from pigan.bench.machine import measure_machine
from pigan.bench.scaling import scaling_points
from pigan.bench.step_cases import discriminator_case, share_with_gradient, step_case
from pigan.bench.subject import KERNELS, Subject, Way, chosen_way, own_subject, paper_subject, ways_of, with_way
from pigan.bench.table import as_markdown
from pigan.config import Params
from pigan.errors import UsageError
from pigan.files import atomic_file
from pigan.kernels.choose import DTYPES
from pigan.processor import processor_name
from pigan.progress import Progress
from pigan.report.speed import Speed, write_speed
from pigan.report.speedfigures import draw_roofline, draw_scaling
from pigan.runtime import device_name

PHOTOS, PHOTOS_QUICK = 512, 112
# share of dense samples once shapes have formed: 0.16 and 0.17 in the demo's trained baseline at 16 and 32 px
FORMED = 0.17
PATHS = tuple(Way(kernel, precision).name for kernel in KERNELS for precision in DTYPES)


class Settings(NamedTuple):
    """What was asked for on the command line."""

    device: torch.device
    threads: int
    quick: bool
    cases: tuple[str, ...]
    """Empty: all there are."""
    estimates: bool
    command: str
    paths: tuple[str, ...] = ()
    """pigan's; empty: all that this machine has."""


def _nowhere(_: Speed) -> None:
    """Keeps nothing."""


def bench(params: Params | None, settings: Settings, keep: Callable[[Speed], None] = _nowhere) -> Speed:
    """Measures the paper's network, or the main arm of `params`; `keep` gets what there is after every case.

    Raises:
        PiganError: no such case or path, or a path that the params ask for and this machine does not have.
    """
    device, quick = settings.device, settings.quick
    subject = own_subject(params, device, quick) if params else paper_subject(device, quick)
    subject = subject.on_threads(settings.threads)
    chosen = chosen_way(subject.params, device)
    ways, missing = _ways(subject, settings)
    wanted = _wanted(subject, ways, settings, own=params is not None)
    with Progress(len(wanted) + 2 + settings.estimates, "bench", "case") as progress:
        progress.advance(0, case="machine")
        speed = Speed(
            command=settings.command,
            date=datetime.date.today().isoformat(),
            device=_device(device),
            threads=settings.threads,
            torch=torch.__version__,
            pigan=__version__,
            subject=subject.name,
            machine=measure_machine(device, quick),
            rows=[],
            notes=[*subject.notes, *missing],
        )
        progress.advance()
        for make in wanted.values():
            rows = measure(make(), device, speed.machine, quick, progress)
            speed = speed.model_copy(update={"rows": [*speed.rows, *rows]})
            keep(speed)
            progress.advance()
        steps = any(name.startswith("step_") for name in wanted)
        best = with_way(subject.params, chosen)
        progress.advance(0, case="scaling", path=chosen.name)
        if steps:
            scaling, told = scaling_points(best, device, quick), _about_steps(subject, device)
            speed = speed.model_copy(update={"scaling": scaling, "notes": [*speed.notes, told]})
            keep(speed)
        progress.advance()
        if settings.estimates:
            progress.advance(0, case="estimates", path=chosen.name)
            estimated = estimates(device, quick, {subject.name: params} if params else None)
            speed = speed.model_copy(update={"estimates": estimated})
            progress.advance()
    return speed


def write_all(speed: Speed, out: Path) -> list[Path]:
    """The measurements as JSON, and beside it a table (.md) and plots (.svg); the paths."""
    write_speed(speed, out)
    table = out.with_suffix(".md")
    with atomic_file(table) as temporary:
        temporary.write_text(as_markdown(speed), encoding="utf-8")
    drawn = {"roofline": draw_roofline, "scaling": draw_scaling}
    plots = {name: out.with_name(f"{out.stem}_{name}.svg") for name in drawn}
    for name, draw in drawn.items():
        draw(speed, plots[name])
    return [out, table, *plots.values()]


def _wanted(subject: Subject, ways: list[Way], settings: Settings, own: bool) -> dict[str, Callable[[], Case]]:
    """How each case that was asked for is made, by its name."""
    device, quick = settings.device, settings.quick
    known: dict[str, Callable[[], Case]] = {
        "field": partial(field_case, subject, ways, device),
        "render": partial(render_case, subject, ways, device),
        "discriminator": partial(discriminator_case, subject, ways, device),
        **{f"step_{side}": partial(step_case, subject, side, ways, device) for side in subject.steps},
    }
    if subject.steps:
        last = max(subject.steps)
        known[f"step_{last}_formed"] = partial(step_case, subject, last, ways, device, FORMED)
    if not own:
        known["data"] = partial(data_case, PHOTOS_QUICK if quick else PHOTOS, device)
        known["fid"] = partial(fid_case, quick)
    unknown = [name for name in settings.cases if name not in known]
    if unknown:
        raise UsageError(f"--cases: no case {unknown[0]!r} here; there are {', '.join(known)}")
    return {name: make for name, make in known.items() if not settings.cases or name in settings.cases}


def _ways(subject: Subject, settings: Settings) -> tuple[list[Way], list[str]]:
    """pigan's paths that were asked for and are here, and why others are missing."""
    paths = settings.paths
    ways, notes = ways_of(subject.params, settings.device, settings.quick and not paths)
    unknown = [path for path in paths if path not in PATHS]
    if unknown:
        raise UsageError(f"--paths: no path {unknown[0]!r}; there are {', '.join(PATHS)}")
    if not paths:
        return ways, notes
    return [way for way in ways if way.name in paths], [*notes, f"Only {', '.join(paths)} were asked for."]


def _about_steps(subject: Subject, device: torch.device) -> str:
    side = max(subject.steps)
    share = share_with_gradient(subject.params, side, subject.steps[side], device)
    return (
        f"Training steps are at fresh weights, where {share:.0%} of the samples have a gradient, or with {FORMED:.0%} "
        "of the samples dense. pigan differentiates only where there is a gradient; operations are counted for all."
    )


def _device(device: torch.device) -> str:
    """The processor or GPU, with the instructions that count."""
    if device.type == "cuda":
        return device_name(device)
    return f"{processor_name() or 'CPU'} ({torch.backends.cpu.get_cpu_capability()})"
