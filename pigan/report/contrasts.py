"""What several seeds say of each arm against the main arm, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.metrics import Metric, metrics_of, sentence_keys
from pigan.report.seeds import seeds_text
from pigan.report.tables import decimals, write_interval, write_number
from pigan.report.words import listed, names

# so many arms are told of one by one; more are counted
NAMED_ARMS = 6
# of so many it is told which way the leading metric points even if that may be chance
FEW_ARMS = 2

Outcome = Literal["better", "worse", "level"]


class Contrast(NamedTuple):
    """An arm against the main arm: the metrics on which it is better, worse or not told apart, and the seeds paired."""

    arm: str
    better: list[Metric]
    worse: list[Metric]
    level: list[Metric]
    pairs: int

    @property
    def apart(self) -> int:
        """Metrics on which the two are told apart."""
        return len(self.better) + len(self.worse)

    @property
    def tests(self) -> int:
        """Metrics on which they were compared."""
        return self.apart + len(self.level)


def contrasts(collected: Collected, ablation: pd.DataFrame) -> list[Contrast]:
    """Every arm but the main one on all metrics with a better side; arms of fewer than two common seeds have none.

    A metric of shape is compared only where both arms show surfaces.
    """
    rows, main_arm = ablation.set_index("arm"), collected.params.report.main_arm
    found = []
    for arm in (arm for arm in collected.params.arms if arm != main_arm):
        sides: dict[Outcome, list[Metric]] = {"better": [], "worse": [], "level": []}
        pairs = 0
        for metric in (metric for metric in metrics_of(collected) if metric.better != "neither"):
            seeds = int(rows[f"{metric.key}_pairs"][arm])
            surfaces = bool(rows["surfaces"][arm] and rows["surfaces"][main_arm])
            if seeds < 2 or (metric.group == "shape" and not surfaces):
                continue
            pairs = max(pairs, seeds)
            low, high = (float(rows[f"{metric.key}_difference_{end}"][arm]) for end in ("low", "high"))
            # seeds that agree to the last digit, as on a share of 0, tell nothing
            if low < high:
                sides[_outcome(metric, low, high)].append(metric)
        found.append(Contrast(arm, sides["better"], sides["worse"], sides["level"], pairs))
    return found


def against_main(collected: Collected, ablation: pd.DataFrame) -> str:
    """Where the seeds tell an arm from the main one, and which arms they do not; empty when nothing was paired."""
    main_arm = collected.params.report.main_arm
    paired = [contrast for contrast in contrasts(collected, ablation) if contrast.pairs]
    apart = sorted((contrast for contrast in paired if contrast.apart), key=lambda contrast: -contrast.apart)
    level = [contrast for contrast in paired if not contrast.apart]
    sentences = []
    if apart:
        told = "; ".join(_told(contrast, sentence_keys(collected)) for contrast in apart[:NAMED_ARMS])
        seeds = seeds_text(contrast.pairs for contrast in apart)
        sentences.append(f"Against {main_arm}, paired by seed ({seeds}), {told}.")
    if len(apart) > NAMED_ARMS:
        sentences.append(f"{len(apart) - NAMED_ARMS} further arms differ from it too: the tables below have them.")
    if level:
        arms, seeds = listed([contrast.arm for contrast in level]), seeds_text(contrast.pairs for contrast in level)
        verb = "is" if len(level) == 1 else "are"
        sentences.append(f"{arms} {verb} not told apart from {main_arm} by {seeds} on any metric.")
    if len(paired) <= FEW_ARMS:
        sentences += [sentence for contrast in paired if (sentence := _undecided(collected, ablation, contrast))]
    return " ".join(sentences)


def contrast_cautions(collected: Collected, ablation: pd.DataFrame) -> list[str]:
    """What to keep in mind of many comparisons, and of arms that could not be paired."""
    found, notes = contrasts(collected, ablation), []
    main_arm = collected.params.report.main_arm
    tests = sum(contrast.tests for contrast in found)
    if tests > 1:
        by_chance = max(1, round(0.05 * tests))
        notes.append(
            f"{tests} differences to {main_arm} were looked at, each with an interval of 95 %: about {by_chance} of "
            "them would seem told apart by chance alone. Few seeds tell only large differences apart."
        )
    alone = [contrast.arm for contrast in found if not contrast.pairs and len(collected.of_arm(contrast.arm))]
    if alone:
        verb = "shares" if len(alone) == 1 else "share"
        notes.append(f"{listed(alone)} {verb} fewer than two seeds with {main_arm}: nothing is told apart there.")
    return notes


def _outcome(metric: Metric, low: float, high: float) -> Outcome:
    if low <= 0 <= high:
        return "level"
    return "better" if (high < 0) == (metric.better == "lower") else "worse"


def _undecided(collected: Collected, ablation: pd.DataFrame, contrast: Contrast) -> str:
    """Which way the leading metric points if the seeds do not tell it from chance; empty if they do, or there is none.

    `relu-pe has the lower mean FID, 112 against 156, which may be chance: the difference is −45 [−112, +23].`
    """
    metric = next((metric for metric in contrast.level if metric.key == sentence_keys(collected)[0]), None)
    if metric is None:
        return ""
    rows, key, main_arm = ablation.set_index("arm"), metric.key, collected.params.report.main_arm
    digits = decimals(ablation[f"{key}_mean"], key)
    away, low, high = (float(rows[f"{key}_difference{end}"][contrast.arm]) for end in ("", "_low", "_high"))
    arms = (contrast.arm, main_arm) if (away < 0) == (metric.better == "lower") else (main_arm, contrast.arm)
    means = " against ".join(write_number(float(rows[f"{key}_mean"][arm]), digits) for arm in arms)
    between = f"{write_number(away, digits, sign=True)} {write_interval((low, high), digits, sign=True)}"
    return (
        f"{arms[0]} has the {metric.better} mean {metric.in_text}, {means}, which may be chance: {contrast.arm} less "
        f"{main_arm} is {between}."
    )


def _told(contrast: Contrast, leading: Sequence[str]) -> str:
    """`relu-pe is better on recall and worse on 7 of 13 metrics of shape and views, and not told apart on FID`.

    Of metrics that are not told apart only the `leading` ones are named: of shape those that are were counted.
    """
    shape = sum(metric.group == "shape" for metric in (*contrast.better, *contrast.worse, *contrast.level))
    sides: Mapping[str, Sequence[Metric]] = {"better": contrast.better, "worse": contrast.worse}
    parts = [f"{side} on {listed(names(metrics, shape))}" for side, metrics in sides.items() if metrics]
    level = names([metric for metric in contrast.level if metric.key in leading])
    more = f", and not told apart on {listed(level)}" if level else ""
    return f"{contrast.arm} is {' and '.join(parts)}{more}"
