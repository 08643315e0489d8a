"""Tables for a paper: tabular environments with the rules of booktabs, which a document inputs."""

import re
from collections.abc import Sequence
from itertools import groupby

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.metrics import EXTRACTOR_NAMES, Metric, headline_metrics
from pigan.report.metricsection import TITLES, Cell, headline_tables, metric_rows
from pigan.report.seeds import seeds_text, several_seeds

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
# signs of the report that every engine and font encoding can set
SIGNS = {
    "−": "$-$",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\to$",
    "ψ": r"$\psi$",
    "δ": r"$\delta$",
    "∞": r"$\infty$",
}
ARROWS = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", "neither": ""}
POWER = re.compile(r"(?P<sign>[+−]?)(?P<digits>[\d,.]+)e(?P<power>[+−-]\d+)")


def ablation_tex(collected: Collected, ablation: pd.DataFrame, source: str) -> str:
    """A table a group of metrics: arms below each other, the most telling metrics beside each other.

    Args:
        collected: What the report is made from.
        ablation: Its table by arm.
        source: Where the numbers come from, for a comment.
    """
    main, arms = collected.params.report.main_arm, list(collected.params.arms)
    parts: list[str] = []
    for group, metrics in groupby(headline_metrics(collected), lambda metric: metric.group):
        rows = metric_rows(collected, ablation, list(metrics), arms)
        head = [f"Arm & {' & '.join(_column(row.metric) for row in rows)}"]
        body = []
        for place, arm in enumerate(arms):
            name = f"{escape(arm)} (main)" if arm == main and len(arms) > 1 else escape(arm)
            body.append(" & ".join([name, *(cell_tex(row.cells[place]) for row in rows)]))
        best = " and what the seeds do not tell from it" if several_seeds(collected) else ""
        caption = f"{TITLES[group]} by arm{_features(collected, group)}; {_values(collected)}. Bold: best{best}."
        told = _comments(caption, f"tab:{collected.params.experiment}-ablation-{group}")
        parts.append("\n".join([told, tabular("l" + "r@{\\,}l" * len(rows), head, body)]))
    # a file that is input as a whole has room between its tables
    return "\n".join([_preamble(source), "\\par\\medskip\n".join(parts)])


def headline_tex(collected: Collected, ablation: pd.DataFrame, source: str) -> str:
    """The main arm's most telling metrics below each other, by group; arguments as of `ablation_tex`."""
    main = collected.params.report.main_arm
    head, body = [f"Metric & \\multicolumn{{2}}{{c}}{{{escape(main)}}}"], []
    for number, table in enumerate(headline_tables(collected, ablation)):
        title = f"{table.title}{_features(collected, table.group)}"
        body.append(("\\addlinespace\n" if number else "") + f"\\multicolumn{{3}}{{l}}{{\\emph{{{escape(title)}}}}}")
        for row in table.rows:
            name = f"{escape(row.metric.label)}{ARROWS[row.metric.better]}"
            body.append(f"{name} & {cell_tex(row.cells[0], mark=False)}")
    caption = f"Metrics of the arm {main}; {_values(collected)}."
    parts = [_preamble(source), _comments(caption, f"tab:{collected.params.experiment}-headline")]
    return "\n".join([*parts, tabular("lr@{\\,}l", head, body)])


def tabular(columns: str, head: Sequence[str], body: Sequence[str]) -> str:
    """A tabular of rows without their line ends."""
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", *(f"{row} \\\\" for row in head), "\\midrule"]
    return "\n".join([*lines, *(f"{row} \\\\" for row in body), "\\bottomrule", "\\end{tabular}", ""])


def cell_tex(cell: Cell, mark: bool = True) -> str:
    """A number in two columns: its value, which is flush right, and its spread or interval."""
    value = number_tex(cell.text)
    more = f"$\\pm$ {number_tex(cell.spread)}" if cell.spread else number_tex(cell.interval)
    bold = f"\\textbf{{{value}}}" if cell.best and mark else value
    return f"{bold} & {{\\scriptsize {more}}}" if more else f"{bold} &"


def number_tex(text: str) -> str:
    """A number as the report writes it, in LaTeX: 1.20e−07 becomes a power of ten."""
    parts, place = [], 0
    for found in POWER.finditer(text):
        power = int(found["power"].replace("−", "-"))
        sign = found["sign"].replace("−", "-")
        parts += [_letters(text[place : found.start()]), f"${sign}{found['digits']}\\times10^{{{power}}}$"]
        place = found.end()
    # a bracket after a line end would be its optional argument
    return "".join([*parts, _letters(text[place:])]).replace("[", "{[}").replace("]", "{]}")


def escape(text: str) -> str:
    """Text as LaTeX shows it, on one line."""
    return _letters(" ".join(text.split()))


def _letters(text: str) -> str:
    return "".join(SPECIAL.get(letter, SIGNS.get(letter, letter)) for letter in text)


def _column(metric: Metric) -> str:
    return f"\\multicolumn{{2}}{{c}}{{{escape(metric.label)}{ARROWS[metric.better]}}}"


def _features(collected: Collected, group: str) -> str:
    return f", {EXTRACTOR_NAMES[collected.params.evaluate.extractor]} features" if group == "image" else ""


def _values(collected: Collected) -> str:
    """What stands in a cell, and over how many seeds."""
    if not several_seeds(collected):
        return "one seed, in brackets 95 % within the run"
    return f"mean ± standard deviation over {seeds_text(len(collected.of_arm(arm)) for arm in collected.params.arms)}"


def _preamble(source: str) -> str:
    return f"% {' '.join(source.split())}\n% \\usepackage{{booktabs}}\n"


def _comments(caption: str, label: str) -> str:
    return f"% \\caption{{{escape(caption)}}}\n% \\label{{{label}}}"
