"""The command that shows a trained model live, in a browser."""

from typing import Annotated

import typer

from pigan.cli.options import ModelName, OnDevice, app
from pigan.errors import PiganError
from pigan.processor import usable_processors


@app.command()
def view(
    model: ModelName,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, or only print its address.")
    ] = True,
    device: OnDevice = "auto",
) -> None:
    """Show a model on a page of this machine: turn objects, change seed and camera live, save images and meshes.

    For example: pigan view --model cars/baseline/seed0
    """
    try:
        from pigan.view.server import serve
    except ModuleNotFoundError as error:
        raise PiganError(f"the viewer needs {error.name}: pip install 'pigan[view]'") from None
    from pigan.runtime import choose_device, prepare_process
    from pigan.synthesis.trained import load_model

    chosen = choose_device(device, 1)
    trained = load_model(model, chosen)
    prepare_process(usable_processors())
    serve(trained, model, port, open_browser)
