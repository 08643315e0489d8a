"""The sentences at the top of the report, computed from the tables."""

import math

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.contrasts import against_main, contrast_cautions
from pigan.report.metrics import (
    EXTRACTOR_NAMES,
    Metric,
    at_fewer,
    metrics_of,
    paints_background,
    sentence_keys,
    shows_nothing,
)
from pigan.report.protocol import differing_protocol
from pigan.report.ranking import compared, ranking
from pigan.report.sections import started_from
from pigan.report.seeds import several_seeds, values_of
from pigan.report.tables import decimals, write_number, write_significant, write_spread
from pigan.report.words import listed, names

# below this many images the bias of FID towards larger values is plain
FEW_IMAGES = 10_000


def subject(collected: Collected) -> str:
    """What was trained on what; or that the main arm has nothing to show yet."""
    main_arm, card = collected.params.report.main_arm, collected.dataset
    params, runs = collected.params.for_arm(main_arm), collected.of_arm(main_arm)
    what = f"a {params.model.field} field of {params.model.layers} layers and width {params.model.hidden}"
    images = f"{len(card.split.get('train', [])):,} images of “{card.name}”"
    if not runs:
        return (
            f"The main arm, {main_arm}, has no complete run: there is no verdict yet. It is {what}, to learn from "
            f"{images}."
        )
    sides = [stage.resolution for stage in runs[0].stages if stage.step > 0]
    grown = " → ".join(str(side) for side in sides) or str(params.generate.resolution)
    return (
        f"The main arm, {main_arm}, is {what}. It learnt from {images} at {grown} px, seeing "
        f"{runs[0].images_seen:,} images in all."
    )


def headline(collected: Collected, ablation: pd.DataFrame) -> str:
    """The main arm's image metrics, in one sentence; empty when it has no complete run."""
    params = collected.params
    rows, main_arm = ablation.set_index("arm"), params.report.main_arm
    runs = collected.of_arm(main_arm)
    if not runs:
        return ""
    parts = []
    for metric in (metric for metric in metrics_of(collected) if metric.key in sentence_keys(collected)):
        mean = float(rows[f"{metric.key}_mean"][main_arm])
        if math.isnan(mean):
            continue
        digits = decimals(ablation[f"{metric.key}_mean"], metric.key)
        spread = float(rows[f"{metric.key}_std"][main_arm])
        more = "" if math.isnan(spread) else f" ± {write_spread(spread, digits)}"
        parts.append(f"{metric.in_text} {write_number(mean, digits)}{more}")
    if not parts:
        return "Its image metrics have no value."
    extractor = EXTRACTOR_NAMES[params.evaluate.extractor]
    seeds = "one seed" if len(runs) == 1 else f"mean ± standard deviation over {len(runs)} seeds"
    return f"It reaches {listed(parts)} ({extractor} features, {seeds})."


def comparison(collected: Collected, ablation: pd.DataFrame) -> str:
    """What the arms' differences are; empty when nothing can be compared.

    With several seeds: which arms these tell from the main arm. With one: which arm is best and worst on what.
    """
    if several_seeds(collected):
        return against_main(collected, ablation)
    orders = {metric: ranking(metric, ablation) for metric in compared(collected)}
    ranked = {metric: order for metric, order in orders.items() if len(order) > 1}
    if not ranked:
        return ""
    best, worst = ({metric: order[place] for metric, order in ranked.items()} for place in (0, -1))
    arms = int((ablation["n"] > 0).sum())
    return f"Of {arms} arms, one seed each, {_by_arm(best, 'best')}. Conversely, {_by_arm(worst, 'worst')}."


def cautions(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """What a reader must keep in mind before trusting a difference."""
    params, notes = collected.params, _missing(collected, ablation)
    compared_arms = int((ablation["n"] > 0).sum()) > 1
    if several_seeds(collected):
        notes.extend(contrast_cautions(collected, ablation) if compared_arms else [])
    elif collected.runs:
        notes.append("One seed: differences may be noise." if compared_arms else "One seed: the numbers may be luck.")
        notes.extend(_close_calls(collected, ablation))
    hidden = [str(arm) for arm in ablation["arm"][(ablation["n"] > 0) & ~ablation["surfaces"]]]
    if compared_arms and hidden:
        whose = "it is" if len(hidden) == 1 else "they are"
        shows = "shows" if len(hidden) == 1 else "show"
        notes.append(
            f"{listed(hidden)} {shows} views without surfaces: {whose} ranked on no metric of shape and views."
        )
    notes.extend(_wrong_backgrounds(collected))
    seen = [run.images_seen for run in collected.runs]
    if compared_arms and min(seen) != max(seen):
        notes.append(
            f"The arms were not trained equally: they saw {min(seen):,} to {max(seen):,} images, "
            "so their differences also show how long each was trained."
        )
    notes.extend(_pretrained(collected))
    if params.evaluate.extractor != "inception" and collected.runs:
        name = EXTRACTOR_NAMES[params.evaluate.extractor]
        notes.append(
            f"The image metrics use {name} features. They compare the arms of this report with each other, "
            "and with nothing that was measured on Inception features."
        )
    images = min((run.generated.images for run in collected.runs), default=0)
    if 0 < images < FEW_IMAGES:
        notes.append(
            f"FID was measured on {images:,} generated images. Few images make FID larger, so compare it only "
            f"at equal counts.{_floor(collected)}"
        )
    changing = differing_protocol(collected)
    if changing:
        notes.append(f"The runs were not all measured alike: they differ in {listed(changing)}.")
    return notes


def _missing(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """That runs are not complete, and that means are then over unequal seeds."""
    count = len(collected.incomplete)
    if not count:
        return []
    every, verb = count + len(collected.runs), "is" if count == 1 else "are"
    notes = [f"{count} of {every} runs {verb} not complete and in no number of this page: they are listed below."]
    if ablation["n"].min() != ablation["n"].max():
        seeds = [f"{arm} {number}" for arm, number in ablation.set_index("arm")["n"].items()]
        notes.append(f"Means are over different numbers of seeds: {listed(seeds)}.")
    return notes


def _wrong_backgrounds(collected: Collected) -> list[str]:
    """Arms that generate only background, or that paint it: their images can look right, their depth is not."""
    notes = []
    for arm in collected.params.arms:
        training = collected.params.for_arm(arm).training
        empty, real = (float(values_of(collected, arm, key).mean()) for key in ("empty_rays", "empty_rays_real"))
        if shows_nothing(empty):
            notes.append(
                f"{arm} generates nothing but background: {empty:.1%} of its rays meet no surface. Noise on density "
                f"for longer (training.density_noise_steps, {training.density_noise_steps:,} here) is against it."
            )
        elif paints_background(empty, real):
            notes.append(
                f"{arm} paints part of the background as a surface: {empty:.0%} of its rays meet nothing, {real:.0%} "
                f"in the data, so its depth is wrong there (training.opacity_weight, {training.opacity_weight:g} here, "
                "is against it)."
            )
    return notes


def _pretrained(collected: Collected) -> list[str]:
    """Arms that did not start from seeded weights, by the model that they started from."""
    arms: dict[str, list[str]] = {}
    for arm, start in started_from(collected.params).items():
        arms.setdefault(start.path, []).append(arm)
    return [
        f"{listed(own)} started from the weights of {path}: what that model had seen is in no count of images here."
        for path, own in arms.items()
    ]


def _floor(collected: Collected) -> str:
    """What FID is between real images, as a sentence; empty when it was not measured."""
    key = f"fid_real_{collected.params.evaluate.extractor}"
    runs = collected.of_arm(collected.params.report.main_arm)[:1]
    known = [value for run in runs if not math.isnan(value := run.metrics.get(key, math.nan))]
    count = ", of which there are fewer," if at_fewer(runs, key) else ""
    return f" Real images against other real ones{count} have {write_significant(known[0])}." if known else ""


def _close_calls(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """Leads of runs of one seed whose intervals within the run overlap."""
    close: dict[tuple[str, str], list[Metric]] = {}
    for metric in compared(collected):
        arms = ranking(metric, ablation)
        if len(arms) > 1 and _overlap(collected, metric.key, arms[0], arms[1]):
            close.setdefault((arms[0], arms[1]), []).append(metric)
    if not close:
        return []
    told = [f"{first} before {second} on {listed(names(metrics))}" for (first, second), metrics in close.items()]
    return [f"The runs' intervals overlap on these leads: {'; '.join(told)}."]


def _overlap(collected: Collected, key: str, first: str, second: str) -> bool:
    """Whether two arms' intervals within their first runs have a value in common."""
    intervals = [collected.of_arm(arm)[0].intervals.get(key) for arm in (first, second)]
    (low, high), (other_low, other_high) = (interval or (math.nan, math.nan) for interval in intervals)
    return max(low, other_low) <= min(high, other_high)


def _by_arm(won: dict[Metric, str], place: str) -> str:
    """`a is best on x and y; b on z`."""
    shape = sum(metric.group == "shape" for metric in won)
    led = {arm: [metric for metric in won if won[metric] == arm] for arm in dict.fromkeys(won.values())}
    (first, text), *others = ((arm, listed(names(metrics, shape))) for arm, metrics in led.items())
    return "; ".join([f"{first} is {place} on {text}", *(f"{arm} on {own}" for arm, own in others)])
