"""Figures of the report: each an SVG and, beside it, a CSV of the numbers that it draws."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from pigan.report import embed


@dataclass(frozen=True)
class Plot:
    """A figure: its file's stem, what it shows, its numbers, and how they are drawn.

    `measured` is false where a value is missing altogether: the files then say so, and the page leaves it out.
    """

    name: str
    label: str
    numbers: pd.DataFrame
    draw: Callable[[Path, pd.DataFrame], None]
    measured: bool = True


class Shown(NamedTuple):
    """A figure in the page: the drawing, and the address of its numbers, empty where the page stands alone."""

    drawing: Markup
    numbers: str


def files_of(name: str) -> tuple[str, str]:
    """The two files of a figure, relative to the report's folder."""
    return f"tables/{name}.csv", f"figures/{name}.svg"


def write_plots(plots: Iterable[Plot], folder: Path) -> None:
    """The figures' files below `folder`: tables/NAME.csv and figures/NAME.svg."""
    for plot in plots:
        table, figure = (folder / file for file in files_of(plot.name))
        for path in (table, figure):
            path.parent.mkdir(exist_ok=True)
        plot.numbers.to_csv(table, index=False, lineterminator="\n")
        plot.draw(figure, plot.numbers)


def shown(plots: Iterable[Plot], folder: Path, alone: bool = False) -> dict[str, Shown]:
    """What the page shows of the figures that `write_plots` wrote below `folder`, by name.

    `alone`: the page is one file without a folder, so that there is nothing to link to.
    """
    found = {}
    for plot in plots:
        if plot.measured:
            table, figure = files_of(plot.name)
            found[plot.name] = Shown(embed.inline_svg(folder / figure, plot.label), "" if alone else table)
    return found
