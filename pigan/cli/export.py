"""The command that makes a folder to hand on of a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from pigan.cli.options import ModelName, OnDevice, app, new_folder, wrote


@app.command()
def export(
    model: ModelName,
    out: Annotated[Path, typer.Option("--out", callback=new_folder, help="The folder to write.")],
    licence: Annotated[
        str | None, typer.Option("--license", help="Licence of the weights, such as cc-by-4.0; unknown without it.")
    ] = None,
    title: Annotated[str | None, typer.Option("--title", help="What the model card calls the model.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Prepared data it was trained on; found by its name where it is.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx/--no-onnx", help="Write mapping.onnx and field.onnx.")] = True,
    half: Annotated[bool, typer.Option("--half/--full", help="Weights in 16 bits, or in the 32 of training.")] = False,
    device: OnDevice = "auto",
) -> None:
    """Write a trained model as safetensors and ONNX, with settings, a picture and a model card.

    What its training took and its metrics go along where they are known to be of this very checkpoint.
    ONNX Runtime is asked about random points, and its difference to PyTorch is printed.
    """
    from pigan.report.handout import export_model

    errors = export_model(model, out, licence, title, data, onnx, half, device)
    for name, error in errors.items():
        typer.echo(f"{name}: ONNX Runtime differs from PyTorch by {error:.1e} at most")
    wrote(out)
