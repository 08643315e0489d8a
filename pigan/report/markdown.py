"""summary.md: the report in a few tables, for the description of a pull request."""

import re
from collections.abc import Sequence

import pandas as pd

from pigan.report import verdict
from pigan.report.collect import Collected
from pigan.report.metrics import EXTRACTOR_NAMES
from pigan.report.metricsection import Cell, MetricRow, MetricTable, arm_tables, headline_tables, unmeasured_sentence
from pigan.report.protocol import differing_protocol, flat
from pigan.report.seeds import several_seeds
from pigan.report.words import listed

SPECIAL = re.compile(r"([\\`*_\[\]#|~$])")
# what the line on the protocol tells, as far as the runs state it
PROTOCOL = {
    "protocol": "protocol {}",
    "resolution": "{} px",
    "filter": "{} filter",
    "real_images": "{} real images",
    "fake_images": "{} generated images",
    "truncation": "truncation ψ = {}",
    "weights": "{} weights",
}


def summary_markdown(collected: Collected, ablation: pd.DataFrame, commit: str | None, date: str) -> str:
    """Verdict, cautions, the main arm's metrics, every arm's metrics, and the protocol in one line.

    Args:
        collected: What the report is made from.
        ablation: Its table by arm.
        commit: As `provenance.git_commit` gives it.
        date: When the runs were measured.
    """
    params = collected.params
    sentences = [
        verdict.subject(collected),
        verdict.headline(collected, ablation),
        verdict.comparison(collected, ablation),
    ]
    parts = [f"## {escape(params.report.title)}"]
    parts += [escape(sentence) for sentence in sentences if sentence]
    cautions = verdict.cautions(collected, ablation)
    if cautions:
        parts.append("\n".join(["> **Keep in mind**", ">", *(f"> - {escape(note)}" for note in cautions)]))
    if collected.incomplete:
        rows = [[run.arm, str(run.seed), run.stage, run.problem, run.resume] for run in collected.incomplete]
        cells = [list(map(escape, row)) for row in [["Arm", "Seed", "Stage", "What is wrong", "To go on"], *rows]]
        parts += ["### Runs that are in no number", table_of(cells, words=True)]
    parts += ["### Headline", _headline(headline_tables(collected, ablation), params.report.main_arm, collected)]
    if len(params.arms) > 1:
        parts += ["### Ablation", escape(legend(collected))]
        for table in arm_tables(collected, ablation):
            parts += [f"#### {escape(table.title)}", _by_arm(table, list(params.arms), params.report.main_arm)]
    missing = unmeasured_sentence(collected)
    parts += [escape(missing)] if missing else []
    parts.append(f"**Protocol:** {escape(protocol_line(collected))}.")
    made = f"Experiment {params.experiment}, measured {date} UTC, commit {commit or 'unknown'}."
    parts.append(f"<sub>{escape(made)} Written by `pigan report`.</sub>")
    return "\n\n".join(parts) + "\n"


def legend(collected: Collected) -> str:
    """What stands in a cell of the table by arm."""
    main = collected.params.report.main_arm
    if several_seeds(collected):
        told = "± is the standard deviation over seeds and brackets hold the interval of 95 % of the mean"
        return (
            f"Arrows point to the better side; {told}; Δ is the difference to {main}, paired by seed; bold is the "
            "best and what the seeds do not tell from it."
        )
    return (
        f"One seed. Arrows point to the better side; brackets hold the interval of 95 % within a run; Δ is the "
        f"difference to {main}; bold is best."
    )


def protocol_line(collected: Collected) -> str:
    """How the main arm was measured, in one line."""
    runs = collected.of_arm(collected.params.report.main_arm)
    protocol = flat(runs[0].protocol) if runs else {}
    extractor = EXTRACTOR_NAMES[collected.params.evaluate.extractor]
    told = [text.format(_plain(protocol[key])) for key, text in PROTOCOL.items() if protocol.get(key) is not None]
    changing = differing_protocol(collected)
    warning = [f"the runs differ in {listed(changing)}"] if changing else []
    return "; ".join([f"{extractor} features", *told, *warning])


def escape(text: str) -> str:
    """Text as Markdown shows it: no markup, no line breaks, no table columns, and nobody is mentioned."""
    plain = " ".join(text.split())
    plain = SPECIAL.sub(r"\\\1", plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    # a word joiner keeps hosts from making a person of it
    plain = re.sub(r"@(?=\w)", "@\u2060", plain)
    # what begins a list or underlines a heading
    return re.sub(r"^(\d*)([-+=]|(?<=\d)[.)])(?=\s|$|-|=)", r"\1\\\2", plain)


def _headline(tables: Sequence[MetricTable], main: str, collected: Collected) -> str:
    several = len(collected.params.arms) > 1
    rows = [["Metric", escape(main), *(["Best arm"] if several else [])]]
    rows += [
        [_name(row), _cell(row.cells[0]), *([escape(row.best)] if several else [])]
        for table in tables
        for row in table.rows
    ]
    return table_of(rows)


def _by_arm(table: MetricTable, arms: Sequence[str], main: str) -> str:
    seeds = {arm: f"<br><sub>{escape(told)}</sub>" for arm, told in table.counts.items()}
    names = [f"{escape(arm)}{' (main)' if arm == main else ''}{seeds.get(arm, '')}" for arm in arms]
    return table_of([["Metric", *names], *([_name(row), *map(_cell, row.cells)] for row in table.rows)])


def table_of(rows: Sequence[Sequence[str]], words: bool = False) -> str:
    """A table of escaped cells, its head first; numbers, in all columns but the first, stand to the right."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    rule = " --- |" if words else " ---: |"
    return "\n".join([head, f"| --- |{rule * (len(rows[0]) - 1)}", *body])


def _name(row: MetricRow) -> str:
    label = escape(f"{row.metric.label} {row.metric.arrow}".strip())
    return f"{label}<br><sub>{escape(row.context)}</sub>" if row.context else label


def _cell(cell: Cell) -> str:
    """A number; its parts are the report's own and need no escape."""
    parts = [f"**{cell.text}**" if cell.best else cell.text, f"± {cell.spread}" if cell.spread else ""]
    text = " ".join(part for part in [*parts, cell.interval, f"({cell.count})" if cell.count else ""] if part)
    return f"{text}<br><sub>Δ {cell.difference}</sub>" if cell.difference else text


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
