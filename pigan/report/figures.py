"""How all plots look as SVG: the same bytes for the same tables, ink that reads on light and on dark paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType

# one grey for axes and text and one for grid lines; the page replaces both by colours of its own theme
INK = "#737c8a"
GRID = "#9aa3b033"
COLOURS = ["#3577c9", "#d9822b", "#2f9e77", "#a85fc4", "#cf4f5f", "#8a8f2a", "#2a9bb0", "#8b6b52"]
DASHES = ["-", "--", ":", "-."]
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pigan",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}


def arm_styles(arms: Sequence[str], main_arm: str) -> dict[str, tuple[str, str]]:
    """Colour and dash of each arm, the same in every figure; the main arm has the first."""
    ordered = [main_arm, *(arm for arm in arms if arm != main_arm)]
    count = len(COLOURS)
    return {arm: (COLOURS[i % count], DASHES[i // count % len(DASHES)]) for i, arm in enumerate(ordered)}


def nothing(axes: Axes) -> None:
    """Says in the empty axes that there is no value."""
    axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center")
    axes.set(xticks=[], yticks=[])


def save_nothing(path: Path, size: tuple[float, float], panels: int) -> None:
    """A plot of that size, inches, whose panels say that there is no value."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        for axes in figure.subplots(1, panels, squeeze=False).flat:
            nothing(axes)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """SVG with text kept as text, a transparent ground and no date."""
    nameless: dict[str, None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(path, format="svg", transparent=True, metadata=nameless)
    text = path.read_text(encoding="utf-8").replace("'DejaVu Sans'", FONTS)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")


def locator(ticks: int) -> MaxNLocator:
    """About so many round numbers along an axis."""
    return MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10])


def short(value: float) -> str:
    """12000 -> 12k."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
