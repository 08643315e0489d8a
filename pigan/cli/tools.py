"""Commands beside the chain: params to start from, data, weights, the machine."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pigan import config, presets
from pigan.cli.options import PARAMS, Data, OnDevice, ParamsFile, app, new_file, new_folder, wrote


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
def cameras(
    source: Annotated[Path, typer.Argument(help="Your images, data/raw/<dataset> or data/prepared/<dataset>.")],
    out: Annotated[
        Path, typer.Option("--out", callback=new_folder, help="Folder for the pictures and camera.yaml.")
    ] = Path("cameras"),
    params: ParamsFile = PARAMS,
) -> None:
    """Suggest camera settings for own data, with pictures to judge them by; says what is measured and what assumed."""
    loaded = config.load(params)
    from pigan.guide.guide import guide

    typer.echo(guide(loaded, source, out))
    wrote(out)


@app.command(name="data-card")
def data_card(
    data: Data,
    out: Annotated[Path, typer.Option("--out", callback=new_file, help="The page to write, for example card.html.")],
) -> None:
    """One self-contained page about prepared data: counts, rejects, examples, poses, depth, near-duplicates, split."""
    from pigan.report.datacard import make_datacard

    make_datacard(data, out)
    wrote(out)


@app.command(name="export-data")
def export_data(
    data: Data,
    out: Annotated[Path, typer.Option("--out", callback=new_file, help="The zip archive to write.")],
    resolution: Annotated[int, typer.Option("--resolution", help="Side of the images, one that was prepared.")],
) -> None:
    """Write prepared data as the zip archive that EG3D and StyleGAN3 train on, cameras included."""
    from pigan.data.export import export_eg3d

    export_eg3d(data, resolution, out)
    wrote(out)


@app.command()
def models() -> None:
    """List the trained models that come with pigan: resolution, device, time, images seen, FID."""
    from pigan.report.handout import released_lines

    typer.echo("\n".join(released_lines()) or "none")


@app.command()
def weights(
    name: Annotated[str | None, typer.Argument(help="Extractor whose weight file is fetched: inception, ...")] = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="The experiment; by default params.yaml, if there is one.")
    ] = None,
) -> None:
    """Tell which feature extractors there are and where their weights lie, or fetch the weights of one.

    Run it on a machine with network; an interrupted download goes on.
    """
    from pigan.evaluation.weights import describe, weight_file

    place = params or PARAMS
    loaded = config.load(place) if params or place.is_file() else presets.params(presets.BASE)
    if name is None:
        typer.echo(describe(loaded.evaluate))
    else:
        typer.echo(f"{name}: {weight_file(name, loaded.evaluate)}")


@app.command()
def doctor(
    params: Annotated[
        Path | None, typer.Option("--params", help="The experiment; by default params.yaml, if there is one.")
    ] = None,
    estimates: Annotated[
        bool, typer.Option("--estimates", help="Measure for a minute and estimate what each preset takes here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    device: OnDevice = "auto",
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="Check a Snakemake profile instead: slurm, gpu-workstation, ... or a folder."),
    ] = None,
) -> None:
    """Tell what this machine has, and what it lacks for an experiment; leaves with 1 when that lacks something.

    With --profile: whether the scheduler can run what the rules ask for, before anything waits in its queue.
    """
    from pigan import doctor as ask
    from pigan.clusters.examine import examine_profile
    from pigan.runtime import choose_device

    chosen = choose_device(device)
    facts = ask.examine(params, chosen) if profile is None else examine_profile(profile)
    estimated = ask.estimates(chosen) if estimates else None
    typer.echo(json.dumps(ask.as_json(facts, estimated), indent=2) if as_json else ask.as_text(facts, estimated))
    if not ask.ready(facts):
        raise typer.Exit(1)
