"""The command line: one sub-command a stage, and the params they start from.

Heavy imports wait inside the commands, so that `pigan params` and `--help` answer at once.
"""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pigan import __version__, config, presets
from pigan.errors import PiganError

app = typer.Typer(
    name="pigan",
    help="Train, evaluate, ablate and report on pi-GAN (arXiv 2012.00926). DVC and Snakemake call these commands.",
    epilog="Start with `pigan params demo > params.yaml`, then `make report`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


ParamsFile = Annotated[Path, typer.Option("--params", help="The experiment; see `pigan params`.")]
ArmName = Annotated[str, typer.Option("--arm", help="Ablation arm, a key of `arms` in the params.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, batches and noise.")]
Data = Annotated[Path, typer.Option("--data", help="Prepared data, the output of `pigan crop`.")]
OnDevice = Annotated[Device, typer.Option("--device", help="auto takes a GPU if there is one; cuda fails without one.")]
PARAMS = Path("params.yaml")


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command."""
    if version:
        typer.echo(f"pigan {__version__}")
        raise typer.Exit
    if debug:
        os.environ["PIGAN_DEBUG"] = "1"


@app.command()
def params(
    preset: Annotated[str, typer.Argument(help=f"One of: {', '.join(presets.NAMES)}.")] = "demo",
    check: Annotated[Path | None, typer.Option("--check", help="Check this params file instead.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema instead.")] = False,
) -> None:
    """Print a complete, commented params.yaml to start from."""
    if check:
        config.load(check)
        typer.echo(f"{check}: valid")
    elif schema:
        typer.echo(config.schema_text(), nl=False)
    else:
        typer.echo(presets.text(preset), nl=False)


@app.command()
def download(
    out: Annotated[Path, typer.Option("--out", help="data/raw/<dataset>")], params: ParamsFile = PARAMS
) -> None:
    """Fetch the dataset, or render the embedded one."""
    loaded = config.load(params)
    from pigan.data.sources.download import download as run

    run(loaded, out)
    _wrote(out)


@app.command()
def crop(
    raw: Annotated[Path, typer.Option("--raw", help="The output of `pigan download`.")],
    out: Annotated[Path, typer.Option("--out", help="data/prepared/<dataset>")],
    params: ParamsFile = PARAMS,
) -> None:
    """Crop and resize images into packed arrays, one a resolution; bad images are rejected by name."""
    loaded = config.load(params)
    from pigan.data.crop import crop as run

    run(loaded, raw, out)
    _wrote(out)


@app.command(name="real-stats")
def real_stats(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="data/stats/<dataset>/<extractor>_<resolution>.npz")],
    params: ParamsFile = PARAMS,
    device: OnDevice = Device.auto,
) -> None:
    """Features of the real images that generated ones are compared with."""
    loaded = config.load(params)
    from pigan.evaluation.stats import real_stats as run
    from pigan.runtime import choose_device, prepare_process

    prepare_process(loaded.training.threads)
    run(loaded, data, out, choose_device(device))
    _wrote(out)


@app.command()
def init(
    arm: ArmName,
    seed: Seed,
    out: Annotated[Path, typer.Option("--out", help="runs/<dataset>/<arm>/seed<S>/init")],
    params: ParamsFile = PARAMS,
) -> None:
    """Write the seeded weights that the first training stage starts from."""
    loaded = config.load(params)
    from pigan.stages.train import init_stage

    init_stage(loaded, arm, seed, out)
    _wrote(out)


@app.command()
def train(
    arm: ArmName,
    seed: Seed,
    resolution: Annotated[int, typer.Option("--resolution", help="Which stage of the curriculum, pixels.")],
    data: Data,
    init: Annotated[Path, typer.Option("--init", help="Directory of the stage it starts from.")],
    out: Annotated[Path, typer.Option("--out", help="runs/<dataset>/<arm>/seed<S>/r<R>")],
    params: ParamsFile = PARAMS,
    device: OnDevice = Device.auto,
) -> None:
    """Train one resolution; interrupt it at any moment and run it again to go on.

    The state in progress is kept in work/ (PIGAN_WORK moves it) until the outputs are written.
    """
    loaded = config.load(params)
    from pigan.stages.train import train_stage
    from pigan.training.loop import Stopped

    try:
        train_stage(loaded, arm, seed, resolution, data, init, out, device)
    except Stopped as stop:
        typer.echo(f"pigan: {stop}", err=True)
        raise typer.Exit(stop.exit_code) from None
    _wrote(out)


@app.command()
def generate(
    arm: ArmName,
    seed: Seed,
    model: Annotated[Path, typer.Option("--model", help="Directory of the training stage to render.")],
    out: Annotated[Path, typer.Option("--out", help="runs/<dataset>/<arm>/seed<S>/generated")],
    params: ParamsFile = PARAMS,
    device: OnDevice = Device.auto,
) -> None:
    """Render evaluation images with depth and cameras, sample sheets, strips of views and a turntable video."""
    loaded = config.load(params)
    from pigan.stages.generate import generate_stage

    generate_stage(loaded, arm, seed, model, out, device)
    _wrote(out)


@app.command()
def evaluate(
    data: Data,
    stats: Annotated[Path, typer.Option("--stats", help="The output of `pigan real-stats`.")],
    generated: Annotated[Path, typer.Option("--generated", help="The output of `pigan generate`.")],
    out: Annotated[Path, typer.Option("--out", help="runs/<dataset>/<arm>/seed<S>/metrics.json")],
    params: ParamsFile = PARAMS,
    device: OnDevice = Device.auto,
) -> None:
    """FID, KID, precision and recall, and depth metrics, with the whole protocol beside the numbers."""
    loaded = config.load(params)
    from pigan.evaluation.evaluate import evaluate as run
    from pigan.runtime import choose_device, prepare_process

    prepare_process(loaded.training.threads)
    run(loaded, data, stats, generated, out, choose_device(device))
    _wrote(out)


@app.command()
def report(
    data: Data,
    runs: Annotated[Path, typer.Option("--runs", help="runs/<dataset>")],
    out: Annotated[Path, typer.Option("--out", help="reports/<experiment>")],
    params: ParamsFile = PARAMS,
) -> None:
    """Tables, figures and one self-contained HTML page over all arms and seeds."""
    loaded = config.load(params)
    from pigan.report.page import make_report

    make_report(loaded, data, runs, out)
    _wrote(out / "report.html")


def main() -> None:
    """Runs the command line; errors that the user can mend are one line."""
    try:
        app()
    except config.ParamsError as error:
        _fail(error, str(error), 2)
    except PiganError as error:
        _fail(error, str(error), 1)
    except BrokenPipeError:
        # the reader of our output has left, as in `pigan params | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        _fail(error, f"unexpected {type(error).__name__}: {error} (`pigan --debug ...` shows where)", 1)


def _fail(error: Exception, message: str, code: int) -> None:
    if os.environ.get("PIGAN_DEBUG"):
        raise error
    print(f"pigan: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _wrote(path: Path) -> None:
    typer.echo(f"wrote {path}")
