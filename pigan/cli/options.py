"""What the commands share: the application, options that several have, how they say what they did."""

import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from pigan import __version__
from pigan.errors import UsageError
from pigan.files import check_place
from pigan.sections import Extractor

app = typer.Typer(
    name="pigan",
    help="Train, evaluate, ablate and report on pi-GAN (arXiv 2012.00926). DVC and Snakemake call these commands.",
    epilog="Start with `pigan params demo > params.yaml`, then `make report`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def finite(value: float | None) -> float | None:
    """Refuses inf and nan, which pass for numbers."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value:g} is no finite number")
    return value


def new_file(path: Path | None) -> Path | None:
    """Refuses at once what nothing can be written to at the end."""
    return _place_for(path, Path.is_dir, "is a folder; name a file")


def new_folder(path: Path | None) -> Path | None:
    """The same of a folder."""
    return _place_for(path, Path.is_file, "is a file; name a folder")


def _place_for(path: Path | None, is_taken: Callable[[Path], bool], told: str) -> Path | None:
    if path is not None:
        check_place(path)
        if is_taken(path):
            raise typer.BadParameter(f"{path} {told}")
    return path


ParamsFile = Annotated[Path, typer.Option("--params", help="The experiment; see `pigan params`.")]
ArmName = Annotated[str, typer.Option("--arm", help="Ablation arm, a key of `arms` in the params.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, batches and noise.")]
Data = Annotated[Path, typer.Option("--data", help="Prepared data, the output of `pigan crop`.")]
OnDevice = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option("--device", help="auto takes a GPU if there is one; cuda fails without one."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes, by default one a processor; results do not depend on it."),
]
Gpus = Annotated[
    int, typer.Option("--gpus", min=1, help="How many GPUs share the work; the result does not depend on it.")
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model", help="A checkpoint, a stage's folder, a run (cars/baseline/seed0), or a model of `pigan models`."
    ),
]
Seeds = Annotated[str, typer.Option("--seeds", help="Seeds of latents: 7, or 0-8, or 0-3,7,9.")]
Truncation = Annotated[
    float | None,
    typer.Option(
        "--truncation",
        callback=finite,
        min=0,
        max=1,
        help="Psi, from 0 (the average object) to 1 (none); generate.sheet_truncation by default.",
    ),
]
PARAMS = Path("params.yaml")
MOST_SEEDS = 10_000


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command."""
    if version:
        typer.echo(f"pigan {__version__}")
        raise typer.Exit
    if debug:
        os.environ["PIGAN_DEBUG"] = "1"


def one_of(name: str | None, names: Sequence[Extractor]) -> Extractor:
    """The extractor of that name, or the first.

    Raises:
        PiganError: the params do not have it.
    """
    found = next((known for known in names if name in (known, None)), None)
    if found is None:
        raise UsageError(f"--extractor {name}: evaluate.extractors has {', '.join(names)}; add it there")
    return found


def parse_seeds(text: str) -> list[int]:
    """Seeds in the order they are named, each once.

    >>> parse_seeds("0-3,8,2")
    [0, 1, 2, 3, 8]

    Raises:
        PiganError: neither numbers nor ranges, or too many.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise UsageError(f"--seeds {text!r}: {part.strip()!r} is no seed and no range; write 7, or 0-8, or 0-3,7,9")
        if len(found) + last - first >= MOST_SEEDS:
            raise UsageError(f"--seeds {text!r}: more than {MOST_SEEDS:,}; name fewer")
        found |= dict.fromkeys(range(first, last + 1))
    return list(found)


def typed() -> str:
    """The command as it was typed."""
    return shlex.join(["pigan", *sys.argv[1:]])


def wrote(path: Path) -> None:
    """Tells what a command made."""
    typer.echo(f"wrote {path}")
