"""What several seeds say of each arm against the main arm, in sentences."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import pandas as pd

from pigan.report.collect import Collected
from pigan.report.metrics import Metric
from pigan.report.ranking import compared
from pigan.report.seeds import seeds_text
from pigan.report.words import listed, names

# so many arms are told of one by one; more are counted
NAMED_ARMS = 6

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
    """Every arm but the main one on the metrics of the sentences; arms with fewer than two seeds in common have none.

    A metric of shape is compared only where both arms show surfaces.
    """
    rows, main_arm = ablation.set_index("arm"), collected.params.report.main_arm
    found = []
    for arm in (arm for arm in collected.params.arms if arm != main_arm):
        sides: dict[Outcome, list[Metric]] = {"better": [], "worse": [], "level": []}
        pairs = 0
        for metric in compared(collected):
            seeds = int(rows[f"{metric.key}_pairs"][arm])
            surfaces = bool(rows["surfaces"][arm] and rows["surfaces"][main_arm])
            if metric.better == "neither" or seeds < 2 or (metric.group == "shape" and not surfaces):
                continue
            ends = [float(rows[f"{metric.key}_difference_{end}"][arm]) for end in ("low", "high")]
            sides[_outcome(metric, *ends)].append(metric)
            pairs = max(pairs, seeds)
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
        told = "; ".join(_told(contrast) for contrast in apart[:NAMED_ARMS])
        seeds = seeds_text(contrast.pairs for contrast in apart)
        sentences.append(f"Against {main_arm}, paired by seed ({seeds}), {told}.")
    if len(apart) > NAMED_ARMS:
        sentences.append(f"{len(apart) - NAMED_ARMS} further arms differ from it too: the tables below have them.")
    if level:
        arms, seeds = listed([contrast.arm for contrast in level]), seeds_text(contrast.pairs for contrast in level)
        verb = "is" if len(level) == 1 else "are"
        sentences.append(f"{arms} {verb} not told apart from {main_arm} by {seeds} on anything.")
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
    alone = [contrast.arm for contrast in found if not contrast.tests and len(collected.of_arm(contrast.arm))]
    if alone:
        verb = "shares" if len(alone) == 1 else "share"
        notes.append(f"{listed(alone)} {verb} fewer than two seeds with {main_arm}: nothing is told apart there.")
    return notes


def _outcome(metric: Metric, low: float, high: float) -> Outcome:
    if low <= 0 <= high:
        return "level"
    return "better" if (high < 0) == (metric.better == "lower") else "worse"


def _told(contrast: Contrast) -> str:
    """`relu-pe is better on recall and worse on 7 of 13 metrics of shape and views, and not told apart on FID`.

    Of metrics of shape that are not told apart nothing is said: those that are were counted.
    """
    shape = sum(metric.group == "shape" for metric in (*contrast.better, *contrast.worse, *contrast.level))
    sides: Mapping[str, Sequence[Metric]] = {"better": contrast.better, "worse": contrast.worse}
    parts = [f"{side} on {listed(names(metrics, shape))}" for side, metrics in sides.items() if metrics]
    level = names([metric for metric in contrast.level if metric.group != "shape"])
    more = f", and not told apart on {listed(level)}" if level else ""
    return f"{contrast.arm} is {' and '.join(parts)}{more}"
