"""The stages, a command each, in the order of the chain."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pigan import config
from pigan.cli.options import (
    PARAMS,
    ArmName,
    Data,
    Gpus,
    OnDevice,
    ParamsFile,
    Seed,
    Workers,
    app,
    new_file,
    new_folder,
    one_of,
    typed,
    wrote,
)
from pigan.errors import PiganError, UsageError
from pigan.processor import usable_processors


@app.command()
def download(
    out: Annotated[
        Path, typer.Option("--out", callback=new_folder, help="Folder to write; the engines take data/raw/<dataset>.")
    ],
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

    run(loaded, out, source=source, accept_terms=accept_terms, workers=workers or usable_processors())
    wrote(out)


@app.command()
def crop(
    raw: Annotated[Path, typer.Option("--raw", help="The output of `pigan download`.")],
    out: Annotated[
        Path,
        typer.Option("--out", callback=new_folder, help="Folder to write; the engines take data/prepared/<dataset>."),
    ],
    workers: Workers = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Crop and resize images into packed arrays, one a resolution; bad images are rejected by name."""
    loaded = config.load(params)
    from pigan.data.crop import crop as run
    from pigan.data.crop import depth_outside, told_reasons

    info = run(loaded, raw, out, workers or usable_processors())
    typer.echo(f"kept {info['count']:,} of {info['found']:,} images, rejected {len(info['rejected']):,}")
    for told in told_reasons(info["rejected"]):
        typer.echo(f"  {told}")
    if warning := depth_outside(out, loaded.camera):
        typer.echo(warning)
    wrote(out)


@app.command(name="real-stats")
def real_stats(
    data: Data,
    out: Annotated[
        Path,
        typer.Option("--out", callback=new_file, help="File to write: data/stats/<dataset>/<extractor>_<side>.npz."),
    ],
    extractor: Annotated[
        str | None, typer.Option("--extractor", help="One of evaluate.extractors; the first by default.")
    ] = None,
    params: ParamsFile = PARAMS,
    device: OnDevice = "auto",
    gpus: Gpus = 1,
) -> None:
    """Features of the real images that generated ones are compared with."""
    loaded = config.load(params)
    from pigan.evaluation.stats import real_stats as run
    from pigan.runtime import choose_device, prepare_process, share_among

    devices = share_among(choose_device(device, gpus), gpus)
    prepare_process(loaded.training.threads)
    run(loaded, data, one_of(extractor, loaded.evaluate.extractors), out, devices)
    wrote(out)


@app.command()
def init(
    arm: ArmName,
    seed: Seed,
    out: Annotated[
        Path, typer.Option("--out", callback=new_folder, help="Folder to write: runs/<dataset>/<arm>/seed<S>/init.")
    ],
    params: ParamsFile = PARAMS,
    released: Annotated[
        Path | None,
        typer.Option("--from", help="Start from this checkpoint instead, as `pigan import-checkpoint` writes."),
    ] = None,
) -> None:
    """Write the seeded weights that the first training stage starts from."""
    loaded = config.load(params)
    from pigan.stages.train import init_stage

    init_stage(loaded, arm, seed, out, released)
    wrote(out)


@app.command()
def train(
    arm: ArmName,
    seed: Seed,
    resolution: Annotated[int, typer.Option("--resolution", help="Stage of the curriculum, by its side in pixels.")],
    data: Data,
    init: Annotated[Path, typer.Option("--init", help="Folder of the stage that it starts from.")],
    out: Annotated[
        Path, typer.Option("--out", callback=new_folder, help="Folder to write: runs/<dataset>/<arm>/seed<S>/r<R>.")
    ],
    params: ParamsFile = PARAMS,
    device: OnDevice = "auto",
) -> None:
    """Train one resolution; interrupt it at any moment and run it again to go on.

    The state in progress is kept in work/ (PIGAN_WORK moves it) until the outputs are written.
    """
    loaded = config.load(params)
    from pigan.stages.train import train_stage
    from pigan.training.stopping import Stopped

    try:
        wrote_it = train_stage(loaded, arm, seed, resolution, data, init, out, device)
    except Stopped as stop:
        typer.echo(f"pigan: {stop}", err=True)
        raise typer.Exit(stop.exit_code) from None
    if wrote_it:
        wrote(out)


@app.command()
def generate(
    arm: ArmName,
    seed: Seed,
    model: Annotated[Path, typer.Option("--model", help="Folder of the training stage to render.")],
    data: Data,
    out: Annotated[
        Path,
        typer.Option("--out", callback=new_folder, help="Folder to write: runs/<dataset>/<arm>/seed<S>/generated."),
    ],
    params: ParamsFile = PARAMS,
    device: OnDevice = "auto",
    gpus: Gpus = 1,
) -> None:
    """Render evaluation images with depth and cameras, and pictures for people; invert held-out views.

    Pictures: sample sheets, strips of views, depth, sweeps of truncation and interpolation, pose explorer, turntable.
    """
    loaded = config.load(params)
    from pigan.stages.generate import generate_stage

    generate_stage(loaded, arm, seed, model, data, out, device, gpus)
    wrote(out)


@app.command()
def evaluate(
    data: Data,
    stats: Annotated[Path, typer.Option("--stats", help="Folder of what `pigan real-stats` wrote.")],
    generated: Annotated[Path, typer.Option("--generated", help="The output of `pigan generate`.")],
    pictures: Annotated[
        Path,
        typer.Option(
            "--pictures", callback=new_folder, help="Folder to write: runs/<dataset>/<arm>/seed<S>/evaluated."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", callback=new_file, help="File to write: .../metrics.json beside it.")],
    params: ParamsFile = PARAMS,
    device: OnDevice = "auto",
    gpus: Gpus = 1,
) -> None:
    """FID and the other image metrics, depth, pose and consistency, with intervals and the whole protocol."""
    loaded = config.load(params)
    from pigan.evaluation.evaluate import evaluate as run
    from pigan.runtime import choose_device, prepare_process, share_among

    devices = share_among(choose_device(device, gpus), gpus)
    prepare_process(loaded.training.threads)
    run(loaded, data, stats, generated, pictures, out, devices)
    wrote(pictures)
    wrote(out)


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
    paths: Annotated[
        str,
        typer.Option("--paths", help="Only these of pigan's, with commas: folded fp32, triton fp16, ..."),
    ] = "",
    estimates: Annotated[
        bool,
        typer.Option("--estimates/--no-estimates", help="Also estimate the hours of every preset, or of --params."),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", callback=new_file, help="Write FILE.json; without --params also a table and plots beside it."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="CPU threads: by default all processors, or training.threads."),
    ] = None,
    device: OnDevice = "auto",
) -> None:
    """Measure pigan beside a plain reference that does what the authors' code does: time, memory, error.

    Both get the same weights and inputs and take turns in one process. For example, in a minute or two on a CPU:

    pigan bench --quick --cases field,render
    """
    loaded = config.load(params) if params is not None else None
    if out is not None and out.suffix != ".json":
        raise UsageError(f"--out {out}: name a file that ends in .json")
    from pigan.bench.bench import Settings, write_all
    from pigan.bench.bench import bench as run
    from pigan.bench.table import as_text
    from pigan.report.speed import Speed, write_speed
    from pigan.runtime import choose_device, prepare_process

    used = threads or (loaded.training.threads if loaded else usable_processors())
    prepare_process(used)
    wanted, among = (tuple(name.strip() for name in names.split(",") if name.strip()) for names in (cases, paths))
    settings = Settings(choose_device(device, 1), used, quick, wanted, estimates, typed(), among)

    def keep(so_far: Speed) -> None:
        # cut off, it leaves what it has measured; but the file of an experiment is an output of a stage, whole or none
        if out is not None and loaded is None:
            write_speed(so_far, out)

    speed = run(loaded, settings, keep)
    typer.echo(as_text(speed))
    if out is not None and loaded is not None:
        write_speed(speed, out)
        wrote(out)
    elif out is not None:
        for path in write_all(speed, out):
            wrote(path)


@app.command()
def report(
    reports: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="REPORT", help="With --compare: folders of reports, such as reports/demo.", show_default=False
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Prepared data, the output of `pigan crop`.")] = None,
    runs: Annotated[Path | None, typer.Option("--runs", help="All runs on the dataset: runs/<dataset>.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare the reports that are named; needs neither --data nor --runs.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder to write, reports/<experiment>; with --compare a page, reports/comparison/comparison.html.",
        ),
    ] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Tables, figures and one self-contained HTML page over all arms and seeds; or a comparison of such reports.

    A report is a folder with summary.json. Experiments with other params, or of other commits, are compared by:

    pigan report --compare reports/first reports/second
    """
    if compare:
        if data is not None or runs is not None:
            _wrong("--compare reads reports alone: leave --data and --runs out")
        from pigan.report.comparison.page import compare_reports

        for path in compare_reports(reports or [], out or Path("reports/comparison/comparison.html")):
            wrote(path)
        return
    if reports:
        _wrong(f"{reports[0]}: reports are named only with --compare, as pigan report --compare reports/a reports/b")
    if data is None or runs is None or out is None:
        missing = [name for name, path in (("--data", data), ("--runs", runs), ("--out", out)) if path is None]
        _wrong(f"Missing option '{missing[0]}': a report needs --data, --runs and --out; see `pigan report --help`")
    if not runs.is_dir():
        raise PiganError(f"{runs}: there is no such folder; name runs/<dataset>, which `pigan init` begins")
    loaded = config.load(params)
    from pigan.report.page import make_report

    make_report(loaded, data, runs, out)
    wrote(out / "report.html")


def _wrong(message: str) -> NoReturn:
    """Leaves with the exit code of wrong usage."""
    typer.echo(f"pigan: {message}", err=True)
    raise typer.Exit(2)
