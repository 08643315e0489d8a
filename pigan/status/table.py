"""The study as text for a terminal: totals, a table of runs, what runs, what went wrong."""

from collections.abc import Sequence

from pigan.status.cells import STYLES, Paint, Words, cell, look_of, totals
from pigan.status.choose import Shown, count
from pigan.status.estimate import Left
from pigan.status.look import RunStatus, Study
from pigan.status.stage import WRONG, StageStatus
from pigan.status.words import duration, rate

GAP = "  "
ONLY_BACKGROUND = "generates nothing but background now: no ray meets a surface (training.density_noise is against it)"


def as_text(study: Study, shown: Shown, left: Left, paint: Paint, width: int, most: int | None) -> str:
    """Everything on one page of `width` columns; at most `most` stages are told of at length, None: all of them."""
    listed = [*study.shared, *(stage for run in shown.runs for stage in run.stages)]
    parts = [
        _head(study, left, paint),
        _shared(study.shared, paint, width),
        *_table(shown, paint, width),
        # the end of a page is what a terminal shows
        _at_length("Running", [stage for stage in listed if stage.state == "running"], paint, most, "--running"),
        _at_length("Stopped", [stage for stage in listed if stage.state == "stopped"], paint, most, "--all"),
        _at_length("Failed", [stage for stage in listed if stage.state in WRONG], paint, most, "--failed"),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(study: Study, left: Left, paint: Paint) -> str:
    """Totals, and how long is left."""
    stages = study.stages
    what = f"{study.experiment} on {study.dataset}: {_many(len(study.runs), 'run')}, {_many(len(stages), 'stage')}"
    return f"{what}\n{totals(count(stages), paint)}\n{_time_left(left)}".rstrip()


def _time_left(left: Left) -> str:
    """An estimate, or what it lacks."""
    about = "at least" if left.unknown else "about"
    if not left.work:
        known = ""
    elif left.wait is None:
        known = f"{about} {duration(left.work)} of work left, none of it running"
    else:
        known = f"{about} {duration(left.wait)} left with {left.slots} running at a time"
    lacking = f"no run tells yet how long {', '.join(left.unknown)} takes" if left.unknown else ""
    return "\n".join(part for part in (known, lacking) if part)


def _shared(stages: Sequence[StageStatus], paint: Paint, width: int) -> str:
    """The stages that all runs share, as many to a line as there is room for."""
    lines, length = [""], 0
    for stage in stages:
        text = f"{stage.stage} {cell(stage, paint, 'many')}"
        if length and length + len(GAP) + len(text) > width:
            lines.append("")
            length = 0
        lines[-1] += f"{GAP if length else ''}{paint.painted(text, look_of(stage))}"
        length += len(text) + (len(GAP) if length else 0)
    return "\n".join(lines)


def _table(shown: Shown, paint: Paint, width: int) -> list[str]:
    """The runs, a line each, in as many words as `width` has room for, and what was left out."""
    folded = _folded(shown)
    if not shown.runs:
        return [folded]
    every: tuple[Words, ...] = ("many", "some", "few", "none")
    for words in every:
        rows = _rows(shown.runs, paint, words)
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        if sum(widths) + len(GAP) * (len(widths) - 1) <= width:
            break
    lines = [GAP.join(text.ljust(size) for text, size in zip(rows[0], widths, strict=True)).rstrip()]
    for run, row in zip(shown.runs, rows[1:], strict=True):
        padded = [text.ljust(size) for text, size in zip(row, widths, strict=True)]
        coloured = [paint.painted(text, look_of(stage)) for text, stage in zip(padded[2:], run.stages, strict=True)]
        lines.append(GAP.join([*padded[:2], *coloured]).rstrip())
    legend = GAP.join(f"{paint.symbol(look)} {look}" for look in STYLES) if words in ("few", "none") else ""
    return ["\n".join(lines), *(part for part in (folded, legend) if part)]


def _rows(runs: Sequence[RunStatus], paint: Paint, words: Words) -> list[list[str]]:
    names = [stage.stage for stage in runs[0].stages]
    rows = [["arm", "seed", *names]]
    return rows + [[run.arm, str(run.seed), *(cell(stage, paint, words) for stage in run.stages)] for run in runs]


def _folded(shown: Shown) -> str:
    """What became of the runs without a line."""
    parts = [
        f"{amount:,} {words}"
        for amount, words in (
            (shown.done, "all done"),
            (shown.between, "between two stages"),
            (shown.waiting, "all waiting"),
        )
        if amount
    ]
    return f"{'and ' if shown.runs else ''}runs without a line: {', '.join(parts)} (--all shows them)" if parts else ""


def _at_length(title: str, stages: Sequence[StageStatus], paint: Paint, most: int | None, option: str) -> str:
    """What is to be known of each of these stages, two or more lines each."""
    if not stages:
        return ""
    told = stages if most is None else stages[:most]
    lines = [title]
    for stage in told:
        lines.append(f"{GAP}{paint.painted(f'{paint.symbol(look_of(stage))} {_name(stage)}', look_of(stage))}")
        lines.extend(f"{GAP * 3}{line}" for line in _facts(stage))
    if len(told) < len(stages):
        lines.append(f"{GAP}and {len(stages) - len(told):,} more ({option} shows them)")
    return "\n".join(lines)


def _name(stage: StageStatus) -> str:
    return stage.stage if stage.arm is None else f"{stage.arm} seed {stage.seed} {stage.stage}"


def _facts(stage: StageStatus) -> list[str]:
    if stage.state == "running":
        warned = ONLY_BACKGROUND if stage.only_background else ""
        return [line for line in (_progress(stage), warned, _who(stage)) if line]
    return [stage.error, f"log: {stage.log}", f"resume: {stage.command}"]


def _progress(stage: StageStatus) -> str:
    """How far a stage that runs is."""
    if stage.step is None or stage.steps is None or stage.seconds_left is None:
        return stage.says
    images = "" if stage.images_per_second is None else f", {rate(stage.images_per_second)}"
    return f"step {stage.step:,} of {stage.steps:,}{images}, {duration(stage.seconds_left)} left"


def _who(stage: StageStatus) -> str:
    """Who works on it, and whether it has been silent for long."""
    parts = [
        f"process {stage.pid} on {stage.host}" if stage.host else "",
        f"job {stage.job}" if stage.job else "",
        f"silent for {duration(stage.silent)}" if stage.silent is not None and stage.silent >= 60 else "",
    ]
    return ", ".join(part for part in parts if part)


def _many(amount: int, what: str) -> str:
    return f"{amount:,} {what}{'' if amount == 1 else 's'}"
