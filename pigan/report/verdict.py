"""The sentences at the top of the report, computed from the tables."""

import math

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.tables import DEPTH_METRICS, EXTRACTOR_NAMES, Metric, decimals, metrics_of, write_number, write_spread

# below this many images the bias of FID towards larger values is plain
FEW_IMAGES = 10_000


def ranking(metric: Metric, ablation: pd.DataFrame) -> list[str]:
    """Arms from best to worst by their mean over seeds; empty when the metric has no better side or all are equal.

    An arm that shows no surfaces, so that some depth metric has no value, is left out of all of them: nothing is as
    sharp and as consistent as nothing.
    """
    if metric.better == "neither":
        return []
    rows = ablation.set_index("arm")
    columns = [f"{metric.key}_mean"]
    if metric.key in DEPTH_METRICS:
        columns += [name for key in DEPTH_METRICS if (name := f"{key}_mean") in rows]
    column = rows.dropna(subset=columns)[columns[0]]
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
    parts = []
    for metric in metrics_of(collected)[:4]:
        digits = decimals(ablation[f"{metric.key}_mean"])
        spread = float(rows[f"{metric.key}_std"][main_arm])
        more = "" if math.isnan(spread) else f" ± {write_spread(spread, digits)}"
        parts.append(f"{_in_text(metric)} {write_number(float(rows[f'{metric.key}_mean'][main_arm]), digits)}{more}")
    extractor = EXTRACTOR_NAMES[params.evaluate.extractor]
    seeds = "one seed" if len(params.seeds) == 1 else f"mean ± standard deviation over {len(params.seeds)} seeds"
    return f"It reaches {_listed(parts)} ({extractor} features, {seeds})."


def comparison(collected: Collected, ablation: pd.DataFrame) -> str:
    """Which arm is best and which is worst on what; empty with a single arm."""
    if len(collected.params.arms) < 2:
        return ""
    best: dict[str, list[Metric]] = {}
    worst: dict[str, list[Metric]] = {}
    for metric in metrics_of(collected):
        arms = ranking(metric, ablation)
        if len(arms) < 2:
            continue
        best.setdefault(arms[0], []).append(metric)
        worst.setdefault(arms[-1], []).append(metric)
    if not best:
        return ""
    return f"Of {len(collected.params.arms)} arms, {_by_arm(best, 'best')}. Conversely, {_by_arm(worst, 'worst')}."


def cautions(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """What a reader must keep in mind before trusting a difference."""
    params, notes = collected.params, []
    compared = len(params.arms) > 1
    if len(params.seeds) == 1:
        notes.append("One seed: differences may be noise." if compared else "One seed: the numbers may be luck.")
    elif compared:
        notes.extend(_close_calls(collected, ablation))
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
            "at equal counts."
        )
    changing = differing_protocol(collected)
    if changing:
        notes.append(f"The runs were not all measured alike: they differ in {_listed(changing)}.")
    return notes


def differing_protocol(collected: Collected) -> list[str]:
    """Protocol fields that should be equal in all runs and are not."""
    own = {"checkpoint_sha256", "device", "notes"}
    keys = {key: None for run in collected.runs for key in run.protocol if key not in own}
    return [key for key in keys if len({repr(run.protocol.get(key)) for run in collected.runs}) > 1]


def _close_calls(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """Leads that are smaller than the spread over seeds of the two arms concerned."""
    rows, notes = ablation.set_index("arm"), []
    for metric in metrics_of(collected):
        arms = ranking(metric, ablation)
        if len(arms) < 2:
            continue
        first, second = arms[:2]
        lead = abs(float(rows[f"{metric.key}_mean"][first]) - float(rows[f"{metric.key}_mean"][second]))
        spread = float(rows.loc[[first, second], f"{metric.key}_std"].max())
        if lead < spread:
            notes.append(f"{metric.label} ({first} before {second})")
    if not notes:
        return []
    return [f"These leads are smaller than the spread over seeds: {_listed(notes)}."]


def _by_arm(won: dict[str, list[Metric]], place: str) -> str:
    """`a is best on x and y; b on z`."""
    (first, led), *others = ((arm, _listed(_names(metrics))) for arm, metrics in won.items())
    return "; ".join([f"{first} is {place} on {led}", *(f"{arm} on {own}" for arm, own in others)])


def _names(metrics: list[Metric]) -> list[str]:
    """Names inside a sentence; the depth metrics are one when all of them are there."""
    rest = [metric for metric in metrics if metric.key not in DEPTH_METRICS]
    if len(metrics) - len(rest) == len(DEPTH_METRICS):
        return [*map(_in_text, rest), "all depth metrics"]
    return [_in_text(metric) for metric in metrics]


def _in_text(metric: Metric) -> str:
    """The label inside a sentence: initials stay large."""
    return metric.label if metric.label.isupper() else metric.label.lower()


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
