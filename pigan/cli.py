"""The command line: one sub-command a stage, and the params they start from.

Heavy imports wait inside the commands, so that `pigan params` and `--help` answer at once.
"""

import json
import os
import shlex
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
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes, by default one a processor; results do not depend on it."),
]
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
def datasets(
    name: Annotated[str | None, typer.Argument(help="One kind of data; all of them without it.")] = None,
) -> None:
    """Tell what each kind of data is: licence, terms, citation, where it comes from, how to fetch it by hand."""
    from pigan.data.sources.catalog import describe

    typer.echo(describe(name))


@app.command()
def download(
    out: Annotated[Path, typer.Option("--out", help="data/raw/<dataset>")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Archive or folder that you have already, instead of a download."),
    ] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="Accept the dataset's terms; remembered for later downloads.")
    ] = False,
    workers: Workers = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Fetch the dataset, take it from a folder or archive, or render it; an interrupted download goes on."""
    loaded = config.load(params)
    from pigan.data.sources.download import download as run

    run(loaded, out, source=source, accept_terms=accept_terms, workers=workers or _processors())
    _wrote(out)


@app.command()
def crop(
    raw: Annotated[Path, typer.Option("--raw", help="The output of `pigan download`.")],
    out: Annotated[Path, typer.Option("--out", help="data/prepared/<dataset>")],
    workers: Workers = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Crop and resize images into packed arrays, one a resolution; bad images are rejected by name."""
    loaded = config.load(params)
    from pigan.data.crop import crop as run

    info = run(loaded, raw, out, workers or _processors())
    typer.echo(f"kept {info['count']:,} of {info['found']:,} images, rejected {len(info['rejected']):,}")
    _wrote(out)


@app.command()
def cameras(
    source: Annotated[Path, typer.Argument(help="Your images, data/raw/<dataset> or data/prepared/<dataset>.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures and camera.yaml.")] = Path("cameras"),
    params: ParamsFile = PARAMS,
) -> None:
    """Suggest camera settings for own data, with pictures to judge them by; says what is measured and what assumed."""
    loaded = config.load(params)
    from pigan.guide.guide import guide

    typer.echo(guide(loaded, source, out))
    _wrote(out)


@app.command(name="data-card")
def data_card(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="The page to write, for example card.html.")],
) -> None:
    """One self-contained page about prepared data: counts, rejects, examples, poses, depth, near-duplicates, split."""
    from pigan.report.datacard import make_datacard

    make_datacard(data, out)
    _wrote(out)


@app.command(name="export-data")
def export_data(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="The zip archive to write.")],
    resolution: Annotated[int, typer.Option("--resolution", help="Side of the images, one that was prepared.")],
) -> None:
    """Write prepared data as the zip archive that EG3D and StyleGAN3 train on, cameras included."""
    from pigan.data.export import export_eg3d

    export_eg3d(data, resolution, out)
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


@app.command()
def doctor(
    params: Annotated[
        Path | None, typer.Option("--params", help="The experiment; by default params.yaml, if there is one.")
    ] = None,
    estimates: Annotated[
        bool, typer.Option("--estimates", help="Measure for a minute and estimate what each preset takes here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    device: OnDevice = Device.auto,
) -> None:
    """Tell what this machine has, and what it lacks for an experiment; leaves with 1 when that lacks something."""
    from pigan import doctor as ask
    from pigan.runtime import choose_device

    chosen = choose_device(device)
    facts = ask.examine(params, chosen)
    estimated = ask.estimates(chosen) if estimates else None
    typer.echo(json.dumps(ask.as_json(facts, estimated), indent=2) if as_json else ask.as_text(facts, estimated))
    if not ask.ready(facts):
        raise typer.Exit(1)


@app.command()
def bench(
    params: Annotated[
        Path | None, typer.Option("--params", help="Measure this experiment's main arm instead of the paper's network.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, few repeats, only the paths in use.")] = False,
    cases: Annotated[
        str,
        typer.Option(
            "--cases",
            help="Only these, with commas: field, render, discriminator, step_32, step_64, step_64_formed, data, fid; "
            "of an experiment without the last two, and step_<resolution> of its own.",
        ),
    ] = "",
    estimates: Annotated[
        bool,
        typer.Option("--estimates/--no-estimates", help="Also estimate the hours of every preset, or of --params."),
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write FILE.json; without --params also a table and plots beside it.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="CPU threads: by default all processors, or training.threads."),
    ] = None,
    device: OnDevice = Device.auto,
) -> None:
    """Measure pigan beside a plain reference that does what the authors' code does: time, memory, error.

    Both get the same weights and inputs and take turns in one process. For example, in a minute or two on a CPU:

    pigan bench --quick --cases field,render
    """
    loaded = config.load(params) if params is not None else None
    if out is not None and out.suffix != ".json":
        raise PiganError(f"--out {out}: name a file that ends in .json")
    from pigan.bench.bench import Settings, write_all
    from pigan.bench.bench import bench as run
    from pigan.bench.table import as_text
    from pigan.report.speed import write_speed
    from pigan.runtime import choose_device, prepare_process

    used = threads or (loaded.training.threads if loaded else _processors())
    prepare_process(used)
    wanted = tuple(name.strip() for name in cases.split(",") if name.strip())
    speed = run(loaded, Settings(choose_device(device), used, quick, wanted, estimates, _typed()))
    typer.echo(as_text(speed))
    if out is not None and loaded is not None:
        write_speed(speed, out)
        _wrote(out)
    elif out is not None:
        for path in write_all(speed, out):
            _wrote(path)


def main() -> None:
    """Runs the command line; errors that the user can mend are one line."""
    # read when PyTorch starts: threads that spin while they wait slow each other many times over on a busy machine
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
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


def _typed() -> str:
    """The command as it was typed."""
    return shlex.join(["pigan", *sys.argv[1:]])


def _processors() -> int:
    """How many this process may use, as a cluster's scheduler set it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _wrote(path: Path) -> None:
    typer.echo(f"wrote {path}")
