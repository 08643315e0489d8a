"""The sentences at the top of the report, computed from the tables."""

import math

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.metrics import EXTRACTOR_NAMES, SENTENCE, Metric, metrics_of
from pigan.report.protocol import differing_protocol
from pigan.report.tables import decimals, write_number, write_significant, write_spread

# below this many images the bias of FID towards larger values is plain
FEW_IMAGES = 10_000
# of the metrics of shape and views, so many are named in a sentence; more are counted
NAMED = 2


def ranking(metric: Metric, ablation: pd.DataFrame) -> list[str]:
    """Arms from best to worst by their mean over seeds; empty when the metric has no better side or all are equal.

    An arm that shows no surfaces, with some seed, is left out of all metrics of shape: nothing is as sharp and as
    consistent as nothing.
    """
    if metric.better == "neither":
        return []
    rows = ablation.set_index("arm")
    if metric.group == "shape":
        rows = rows[rows["surfaces"]]
    column = rows[f"{metric.key}_mean"].dropna()
    if len(column) > 1 and column.min() == column.max():
        return []
    return [str(arm) for arm in column.sort_values(ascending=metric.better == "lower", kind="stable").index]


def subject(collected: Collected) -> str:
    """What was trained on what."""
    params = collected.params.for_arm(collected.params.report.main_arm)
    main, card = collected.main, collected.dataset
    sides = [stage.resolution for stage in main.stages if stage.step > 0]
    grown = " → ".join(str(side) for side in sides) or str(params.generate.resolution)
    return (
        f"The main arm, {main.arm}, is a {params.model.field} field of {params.model.layers} layers and width "
        f"{params.model.hidden}. It learnt from {len(card.split.get('train', [])):,} images of “{card.name}” at "
        f"{grown} px, seeing {main.images_seen:,} images in all."
    )


def headline(collected: Collected, ablation: pd.DataFrame) -> str:
    """The main arm's image metrics, in one sentence."""
    params = collected.params
    rows, main_arm = ablation.set_index("arm"), params.report.main_arm
    shown = [f"{stem}_{params.evaluate.extractor}" for stem in SENTENCE]
    parts = []
    for metric in (metric for metric in metrics_of(collected) if metric.key in shown):
        mean = float(rows[f"{metric.key}_mean"][main_arm])
        if math.isnan(mean):
            continue
        digits = decimals(ablation[f"{metric.key}_mean"])
        spread = float(rows[f"{metric.key}_std"][main_arm])
        more = "" if math.isnan(spread) else f" ± {write_spread(spread, digits)}"
        parts.append(f"{metric.in_text} {write_number(mean, digits)}{more}")
    if not parts:
        return "Its image metrics have no value."
    extractor = EXTRACTOR_NAMES[params.evaluate.extractor]
    seeds = "one seed" if len(params.seeds) == 1 else f"mean ± standard deviation over {len(params.seeds)} seeds"
    return f"It reaches {listed(parts)} ({extractor} features, {seeds})."


def comparison(collected: Collected, ablation: pd.DataFrame) -> str:
    """Which arm is best and which is worst on what; empty with a single arm."""
    if len(collected.params.arms) < 2:
        return ""
    orders = {metric: ranking(metric, ablation) for metric in _compared(collected)}
    ranked = {metric: order for metric, order in orders.items() if len(order) > 1}
    if not ranked:
        return ""
    best, worst = ({metric: order[place] for metric, order in ranked.items()} for place in (0, -1))
    return f"Of {len(collected.params.arms)} arms, {_by_arm(best, 'best')}. Conversely, {_by_arm(worst, 'worst')}."


def cautions(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """What a reader must keep in mind before trusting a difference."""
    params, notes = collected.params, []
    compared = len(params.arms) > 1
    if len(params.seeds) == 1:
        notes.append("One seed: differences may be noise." if compared else "One seed: the numbers may be luck.")
    if compared:
        notes.extend(_close_calls(collected, ablation))
    hidden = [str(arm) for arm in ablation["arm"][~ablation["surfaces"]]]
    if compared and hidden:
        whose = "it is" if len(hidden) == 1 else "they are"
        shows = "shows" if len(hidden) == 1 else "show"
        notes.append(
            f"{listed(hidden)} {shows} views without surfaces: {whose} ranked on no metric of shape and views."
        )
    seen = [run.images_seen for run in collected.runs]
    if compared and min(seen) != max(seen):
        notes.append(
            f"The arms were not trained equally: they saw {min(seen):,} to {max(seen):,} images, "
            "so their differences also show how long each was trained."
        )
    if params.evaluate.extractor != "inception":
        name = EXTRACTOR_NAMES[params.evaluate.extractor]
        notes.append(
            f"The image metrics use {name} features. They compare the arms of this report with each other, "
            "and with nothing that was measured on Inception features."
        )
    images = collected.main.generated.images
    if 0 < images < FEW_IMAGES:
        notes.append(
            f"FID was measured on {images:,} generated images. Few images make FID larger, so compare it only "
            f"at equal counts.{_floor(collected)}"
        )
    changing = differing_protocol(collected)
    if changing:
        notes.append(f"The runs were not all measured alike: they differ in {listed(changing)}.")
    return notes


def _floor(collected: Collected) -> str:
    """What FID is between real images at the same count, as a sentence; empty when it was not measured."""
    value = collected.main.metrics.get(f"fid_real_{collected.params.evaluate.extractor}", math.nan)
    return "" if math.isnan(value) else f" Real images against other real ones have {write_significant(value)}."


def _close_calls(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """Leads that are no larger than chance would make them.

    Of several seeds: smaller than the spread over seeds of the two arms concerned. Of one: their intervals overlap.
    """
    rows = ablation.set_index("arm")
    several = len(collected.params.seeds) > 1
    close: dict[tuple[str, str], list[Metric]] = {}
    for metric in _compared(collected):
        arms = ranking(metric, ablation)
        if len(arms) < 2:
            continue
        first, second = arms[:2]
        lead = abs(float(rows[f"{metric.key}_mean"][first]) - float(rows[f"{metric.key}_mean"][second]))
        spread = float(rows.loc[[first, second], f"{metric.key}_std"].max())
        if lead < spread if several else _overlap(collected, metric.key, first, second):
            close.setdefault((first, second), []).append(metric)
    if not close:
        return []
    told = [f"{first} before {second} on {listed(_names(metrics))}" for (first, second), metrics in close.items()]
    why = (
        "These leads are smaller than the spread over seeds"
        if several
        else "The runs' intervals overlap on these leads"
    )
    return [f"{why}: {'; '.join(told)}."]


def _overlap(collected: Collected, key: str, first: str, second: str) -> bool:
    """Whether two arms' intervals within their first runs have a value in common."""
    intervals = [collected.first_seed(arm).intervals.get(key) for arm in (first, second)]
    (low, high), (other_low, other_high) = (interval or (math.nan, math.nan) for interval in intervals)
    return max(low, other_low) <= min(high, other_high)


def _compared(collected: Collected) -> list[Metric]:
    """What the sentences compare arms on: the image metrics of the headline, all metrics of shape and views."""
    shown = [f"{stem}_{collected.params.evaluate.extractor}" for stem in SENTENCE]
    return [metric for metric in metrics_of(collected) if metric.key in shown or metric.group == "shape"]


def _by_arm(won: dict[Metric, str], place: str) -> str:
    """`a is best on x and y; b on z`."""
    shape = sum(metric.group == "shape" for metric in won)
    led = {arm: [metric for metric in won if won[metric] == arm] for arm in dict.fromkeys(won.values())}
    (first, text), *others = ((arm, listed(_names(metrics, shape))) for arm, metrics in led.items())
    return "; ".join([f"{first} is {place} on {text}", *(f"{arm} on {own}" for arm, own in others)])


def _names(metrics: list[Metric], shape: int = 0) -> list[str]:
    """Names inside a sentence; metrics of shape are counted when they are many, out of `shape` when that is known."""
    names = [metric.in_text for metric in metrics if metric.group != "shape"]
    led = [metric for metric in metrics if metric.group == "shape"]
    if len(led) > NAMED:
        count = "all" if len(led) == shape else f"{len(led)} of {shape}" if shape else f"{len(led)}"
        return [*names, f"{count} metrics of shape and views"]
    return names + [metric.in_text for metric in led]


def listed(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
