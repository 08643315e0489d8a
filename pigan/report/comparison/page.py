"""`pigan report --compare`: several experiments, also of other commits, on one page."""

from collections.abc import Sequence
from pathlib import Path

from pigan import __version__
from pigan.errors import UsageError
from pigan.files import atomic_file
from pigan.report.comparison.experiments import Entry, difference, entry, estimate, metrics_in, ranked
from pigan.report.comparison.protocols import differing_fields, field_name, obstacles
from pigan.report.comparison.tables import (
    arm_table,
    cost_rows,
    long_table,
    metric_tables,
    params_rows,
    protocol_rows,
)
from pigan.report.metrics import Metric
from pigan.report.seeds import Over
from pigan.report.summary import NAME, read_summary
from pigan.report.tables import decimals, write_interval, write_number
from pigan.report.templating import environment
from pigan.report.words import listed

PAGE = "comparison.html"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# so many protocol fields are named in a sentence
NAMED = 5


def compare_reports(reports: Sequence[Path], out: Path) -> list[Path]:
    """Writes the comparison of experiments: a page, and its numbers as CSV beside it.

    Args:
        reports: Folders of reports, or their summary.json; the others are compared with the first.
        out: The page, a name that ends in .html.

    Returns:
        The page and the CSV file.

    Raises:
        PiganError: fewer than two, the same one twice, or one without a readable summary.
    """
    if out.suffix != ".html":
        raise UsageError(f"--out {out}: name a page that ends in .html, as reports/comparison/{PAGE}")
    entries = read_entries(reports)
    table = out.with_suffix(".csv")
    text = render(entries)
    with atomic_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with atomic_file(table) as temporary:
        long_table(entries).to_csv(temporary, index=False, lineterminator="\n")
    return [out, table]


def read_entries(reports: Sequence[Path]) -> list[Entry]:
    """The experiments under the letters A, B, C ...

    Raises:
        PiganError: as of `compare_reports`.
    """
    if len(reports) < 2:
        raise UsageError("--compare: name two reports or more, as pigan report --compare reports/a reports/b")
    if len(reports) > len(LETTERS):
        raise UsageError(f"--compare: {len(reports)} reports are too many for one page, at most {len(LETTERS)}")
    known: dict[Path, Path] = {}
    for path in reports:
        file = (path / NAME if path.is_dir() else path).resolve()
        if file in known:
            raise UsageError(f"--compare: {known[file]} and {path} are the same report; name each once")
        known[file] = path
    read = [(path, read_summary(path)) for path in reports]
    return [entry(letter, path, summary) for letter, (path, summary) in zip(LETTERS, read, strict=False)]


def render(entries: Sequence[Entry]) -> str:
    """The page as text."""
    tables = metric_tables(entries)
    columns, arm_groups = arm_table(entries)
    return (
        environment()
        .get_template("compare.html.jinja")
        .render(
            entries=entries,
            title=listed([f"{one.letter} {one.summary.experiment}" for one in entries]),
            version=__version__,
            findings=[finding(entries, one) for one in entries[1:]],
            cautions=cautions(entries),
            tables=tables,
            several_seeds=any(len(one.main) > 1 for one in entries),
            apart=any(cell.apart for table in tables for row in table.rows for cell in row.cells),
            params=params_rows(entries),
            protocol=protocol_rows(entries),
            columns=columns,
            arm_groups=arm_groups,
            costs=cost_rows(entries),
        )
    )


def finding(entries: Sequence[Entry], one: Entry) -> str:
    """How an experiment's main arm does against the first one's, in two sentences."""
    first = entries[0]
    who, whom = (f"{side.letter} ({side.summary.experiment})" for side in (one, first))
    found = _judged(entries, one)
    if not found:
        return f"{who} has no metric that can be compared with {whom}."
    good = {metric: (away.value < 0) == (metric.better == "lower") for metric, away in found.items() if away.value}
    better = sum(good.values())
    told = f"It is better on {better} and worse on {len(good) - better} of {len(found)} metrics that can be compared"
    if all(away.interval is None for away in found.values()):
        told += ", as far as one seed tells"
    else:
        sides = [good[metric] for metric, away in found.items() if away.told_apart]
        told += f"; on {sum(sides)} and {len(sides) - sum(sides)} of these the interval over seeds leaves zero out"
    lead, away = next(iter(found.items()))
    digits = decimals((estimate(side.main, lead.key).mean for side in (first, one)), lead.key)
    interval = "" if away.interval is None else f" {write_interval(away.interval, digits, sign=True)}"
    value = write_number(away.value, digits, sign=True)
    return f"{who} against {whom}: {lead.in_text} {value}{interval}. {told}."


def cautions(entries: Sequence[Entry]) -> list[str]:
    """What a reader must keep in mind before trusting a difference."""
    notes = [note for one in entries[1:] if (note := _not_alike(entries, one))]
    protocols = {one.letter: one.protocol for one in entries}
    differing = differing_fields(list(protocols.values()))
    silent: dict[str, list[str]] = {}
    for letter, protocol in protocols.items():
        if unstated := [field_name(field) for field in differing if field not in protocol]:
            silent.setdefault(_shortened(unstated), []).append(letter)
    for fields, letters in silent.items():
        verb = "does" if len(letters) == 1 else "do"
        notes.append(f"{listed(letters)} {verb} not state {fields}: there it may have been measured otherwise.")
    single = [one.letter for one in entries if len(one.main) == 1]
    if single:
        notes.append(f"One seed in {listed(single)}: differences may be noise.")
    looked = sum(away.interval is not None for one in entries[1:] for away in _judged(entries, one).values())
    if looked > 1:
        notes.append(
            f"{looked} differences were looked at, each with an interval of 95 %: about "
            f"{max(1, round(0.05 * looked))} would seem told apart by chance alone."
        )
    for one in entries:
        if not one.main:
            notes.append(f"{one.letter} has no complete run of its main arm, {one.summary.main_arm}.")
        if missing := one.summary.incomplete:
            runs = listed([f"{run.arm}/seed{run.seed}" for run in missing])
            notes.append(f"{one.letter} has runs that are not complete, and in no number here: {runs}.")
    dirty = [one.letter for one in entries if one.summary.dirty]
    if dirty:
        verb = "was" if len(dirty) == 1 else "were"
        notes.append(f"{listed(dirty)} {verb} reported with changes that are in no commit.")
    return notes


def _judged(entries: Sequence[Entry], one: Entry) -> dict[Metric, Over]:
    """The differences to the first experiment of metrics that have a better side and can be compared."""
    first = entries[0]
    return {
        metric: difference(first.main, one.main, metric.key)
        for metrics in metrics_in(entries).values()
        for metric in metrics
        if metric.better != "neither" and ranked(entries, one, metric) and ranked(entries, first, metric)
    }


def _not_alike(entries: Sequence[Entry], one: Entry) -> str:
    """Which numbers cannot be compared with the first experiment's, and why; empty when all can."""
    first = entries[0]
    keys = [metric.key for metrics in metrics_in(entries).values() for metric in metrics]
    reasons = {key: found for key in keys if (found := obstacles(key, first.protocol, one.protocol))}
    if not reasons:
        return ""
    fields = list(dict.fromkeys(field_name(field) for found in reasons.values() for field in found))
    count = "all metrics" if len(reasons) == len(keys) else f"{len(reasons)} of {len(keys)} metrics"
    return (
        f"{one.letter} was not measured as {first.letter} was: they differ in {_shortened(fields)}. "
        f"Their numbers are not comparable on {count}: these are grey, not ranked and not subtracted."
    )


def _shortened(names: Sequence[str]) -> str:
    """The first names, and how many more there are, in quotation marks."""
    more = len(names) - NAMED
    quoted = [f"“{name}”" for name in names]
    return listed([*quoted[:NAMED], f"{more} more"] if more > 1 else quoted)
