"""What was measured, on its way into metrics.json: values, their intervals, and why a value is missing."""

from collections.abc import Mapping
from typing import NamedTuple

from pigan.evaluation.intervals import Estimate, Interval

# these say little without what the exact renderer of the data scores, which stands beside them
ACROSS_VIEWS = ("reprojection_error", "depth_reprojection_error", "visible_share", "depth_consistency")


class Measured(NamedTuple):
    """Metrics by their key in metrics.json."""

    values: dict[str, float | None]
    intervals: dict[str, Interval]
    """Of 95 %, for the metrics that have one."""
    notes: list[str]
    """For people: why a value is null, and what else a reader must know."""

    def __add__(self, other: "Measured") -> "Measured":  # type: ignore[override]
        return Measured(
            self.values | other.values, self.intervals | other.intervals, list(dict.fromkeys(self.notes + other.notes))
        )


def measured(estimates: Mapping[str, Estimate | float | None], reason: str, notes: tuple[str, ...] = ()) -> Measured:
    """Metrics with their intervals where they have one; `reason` says why those are missing that are None."""
    known = {key: estimate for key, estimate in estimates.items() if isinstance(estimate, Estimate)}
    values = {
        key: estimate.value if isinstance(estimate, Estimate) else estimate for key, estimate in estimates.items()
    }
    intervals = {key: estimate.interval for key, estimate in known.items() if estimate.interval is not None}
    return Measured(
        values, intervals, [*notes, *(f"{key} is null: {reason}" for key, value in values.items() if value is None)]
    )


def missing(keys: tuple[str, ...], reason: str) -> Measured:
    """Metrics that could not be measured."""
    return measured(dict.fromkeys(keys), reason)
