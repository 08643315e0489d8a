"""How far a study is."""

import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from pigan import config
from pigan.cli.options import PARAMS, ParamsFile, app, finite

if TYPE_CHECKING:
    from pigan.status.estimate import Left
    from pigan.status.look import Study

# of a page that is not a terminal: a log, a pipe
WIDTH, HEIGHT = 160, 50
# lines of a screen that are not runs
OTHER_LINES = 14
# stages that are told of at length where nobody asks for all
AT_LENGTH = 5
HOME_AND_CLEAR = "\x1b[H\x1b[J"


@app.command()
def status(
    arm: Annotated[list[str] | None, typer.Option("--arm", help="Only this arm; may be repeated.")] = None,
    seed: Annotated[list[int] | None, typer.Option("--seed", help="Only this seed; may be repeated.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs of which a stage failed or was killed.")] = False,
    running: Annotated[bool, typer.Option("--running", help="Only runs of which a stage is running.")] = False,
    every: Annotated[bool, typer.Option("--all", help="A line for every run, however many there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/status.md has its keys.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a stage failed or was killed.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", callback=finite, min=0.2, help="Seconds between two looks of --watch.")
    ] = 5.0,
    params: ParamsFile = PARAMS,
) -> None:
    """Show every stage of every arm and seed: waiting, running with the time left, done, or failed and why.

    Reads files only, so that it works while Snakemake or DVC runs elsewhere, as on a cluster's login node.
    """
    loaded = config.load(params)
    from pigan.status.choose import count, narrowed
    from pigan.status.estimate import time_left
    from pigan.status.look import look
    from pigan.status.stage import WRONG

    try:
        while True:
            whole = look(loaded)
            study = narrowed(whole, loaded, arm, seed)
            left = time_left(whole, study.runs)
            told = _json(study, left, failed, running) if as_json else _page(study, left, failed, running, every)
            typer.echo(f"{HOME_AND_CLEAR}{told}" if watch and not as_json and sys.stdout.isatty() else told)
            if not watch:
                break
            time.sleep(interval)
    except KeyboardInterrupt:
        pass
    if check and any(count(study.stages)[state] for state in WRONG):
        raise typer.Exit(1)


def _json(study: "Study", left: "Left", failed: bool, running: bool) -> str:
    from pigan.status.choose import those
    from pigan.status.machine_readable import as_json

    return json.dumps(as_json(study, those(study.runs, failed, running), left), indent=2)


def _page(study: "Study", left: "Left", failed: bool, running: bool, every: bool) -> str:
    """As much as fits on this terminal."""
    from pigan.status.cells import Paint
    from pigan.status.choose import Shown, fold, those
    from pigan.status.table import as_text

    size = shutil.get_terminal_size((WIDTH, HEIGHT))
    runs = those(study.runs, failed, running)
    asked = failed or running or every
    shown = Shown(runs) if asked else fold(runs, max(size.lines - OTHER_LINES, 1))
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    paint = Paint(colour, "utf" in (sys.stdout.encoding or "").lower())
    return as_text(study, shown, left, paint, size.columns, None if asked else AT_LENGTH)
