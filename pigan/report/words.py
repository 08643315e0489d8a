"""How lists of things are put into sentences."""

from collections.abc import Sequence

from pigan.report.metrics import Metric

# of the metrics of shape and views, so many are named in a sentence; more are counted
NAMED = 2


def names(metrics: Sequence[Metric], shape: int = 0) -> list[str]:
    """Names inside a sentence; metrics of shape are counted when they are many, out of `shape` when that is known."""
    others = [metric.in_text for metric in metrics if metric.group != "shape"]
    led = [metric for metric in metrics if metric.group == "shape"]
    if len(led) > NAMED:
        count = "all" if len(led) == shape else f"{len(led)} of {shape}" if shape else f"{len(led)}"
        return [*others, f"{count} metrics of shape and views"]
    return others + [metric.in_text for metric in led]


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
