"""Which metrics of two experiments can be compared, given how each was measured."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pigan.evaluation.measured import ACROSS_VIEWS
from pigan.report.metrics import EXTRACTOR_NAMES, INVERSION
from pigan.report.protocol import NAMES, OF_THE_MODEL, PARTS, flat
from pigan.report.summary import Summary

UNSTATED = "not stated"


class Effect(NamedTuple):
    """What another value of a protocol's field changes (a pattern of the metrics' keys), and what it leaves alone."""

    metrics: str
    leaves: str


EXTRACTORS = "|".join(EXTRACTOR_NAMES)
ALL = Effect(r".*", "nothing")
IMAGE = Effect(rf".*_({EXTRACTORS})", "all but image metrics")
VIEWS = Effect(rf"({'|'.join(ACROSS_VIEWS)})(_exact)?", "all but metrics across views")
INVERTED = Effect("|".join(INVERSION), "all but metrics of inverted views")
NONE, MODEL, SOFTWARE, CHANCE = (
    Effect("", leaves)
    for leaves in (
        "everything",
        "everything: it is part of the model",
        "everything, up to the last digits",
        "everything: other random draws",
    )
)

# the longest name that a field begins with decides; other fields count for all metrics
EFFECTS: dict[str, Effect] = {
    "extractors": IMAGE,
    "weights_sha256": IMAGE,
    "real_images": IMAGE,
    "fake_images": IMAGE,
    "sampling.images": IMAGE,
    "protocol": IMAGE,
    "filter": IMAGE,
    "flip": IMAGE,
    "other_real_images": Effect(rf"fid_real_({EXTRACTORS})", "all but the floor of FID"),
    "held_out_images": Effect(rf"memorisation_({EXTRACTORS})|pose_error_real", "all but metrics of held-out images"),
    "depth_sha256": Effect(
        rf"(fid|kid)_depth_({EXTRACTORS})|empty_rays_real|{INVERTED.metrics}", "all but metrics of true depth"
    ),
    "infinity_points": Effect(rf"fid_infinity_({EXTRACTORS})", "all but FID at infinity"),
    "kid_subsets": Effect(rf"kid_(std_|depth_)?({EXTRACTORS})", "all but KID"),
    "kid_subset_size": Effect(rf"kid_(std_|depth_)?({EXTRACTORS})", "all but KID"),
    "inception_splits": Effect(rf"inception_score_({EXTRACTORS})", "all but the Inception score"),
    "neighbours": Effect(rf"(precision|recall)_({EXTRACTORS})", "all but precision and recall"),
    "occlusion_tolerance": VIEWS,
    "depth_estimator": Effect("depth_estimated_zscore_mse", "all but depth against an estimator"),
    "face_embedder": Effect("identity_similarity", "all but identity"),
    "sampling.inversion": INVERTED,
    "extractor": NONE,
    "intervals": Effect("", "everything but the intervals within a run"),
    "half_samples": Effect("", "everything but the intervals within a run"),
    "sampling.snapshot_images": Effect("", "everything but the curves along training"),
    "seed": CHANCE,
    "sampling.seed": CHANCE,
    "sampling.kernel": SOFTWARE,
    "torch": SOFTWARE,
    "torch_fidelity": SOFTWARE,
    "sampling.samples": MODEL,
    **dict.fromkeys(OF_THE_MODEL, MODEL),
}
# said again under `extractors`, for each of them
OF_THE_LEAD = ("weights_sha256",)


def protocol_of(summary: Summary, arm: str) -> dict[str, Any]:
    """The protocol of an arm's runs as one level; see `merged_protocols`."""
    return merged_protocols([summary.protocols.get(run.protocol, {}) for run in summary.of_arm(arm)])


def merged_protocols(protocols: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Protocols as one of one level; a field in which they differ has the list of its values."""
    flats = [flat(protocol) for protocol in protocols]
    merged = {}
    for key in dict.fromkeys(key for values in flats for key in values):
        values = [own.get(key, UNSTATED) for own in flats]
        merged[key] = values[0] if len({repr(value) for value in values}) == 1 else {"runs": values}
    each = any(key.startswith("extractors.") for key in merged)
    return {key: value for key, value in merged.items() if not (each and key in OF_THE_LEAD)}


def differing_fields(protocols: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fields whose value is not the same in all protocols; one that is not stated by some is among them."""
    keys = dict.fromkeys(key for protocol in protocols for key in protocol)
    return [key for key in keys if len({repr(protocol.get(key, UNSTATED)) for protocol in protocols}) > 1]


def obstacles(metric: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Fields for which a metric measured under `other` cannot be compared with the one under `first`.

    A field that only one of them states, as protocols of older versions do, is no obstacle.
    """
    shared = [key for key in first if key in other and repr(first[key]) != repr(other[key])]
    return [key for key in shared if _concerns(key, metric)]


def effect_of(field: str) -> Effect:
    """What another value of the field does."""
    parts = field.split(".")
    for size in range(len(parts), 0, -1):
        if (known := EFFECTS.get(".".join(parts[:size]))) is not None:
            return known
    return ALL


def field_name(field: str) -> str:
    """What people call a field of a protocol."""
    head, *rest = field.split(".")
    name = NAMES.get(head, head.replace("_", " ").capitalize())
    return f"{name}: {', '.join(PARTS.get(part, part.replace('_', ' ')) for part in rest)}" if rest else name


def _concerns(field: str, metric: str) -> bool:
    owner, _, rest = field.partition(".")
    if owner == "extractors" and rest:
        return metric.endswith(f"_{rest.partition('.')[0]}")
    return re.fullmatch(effect_of(field).metrics, metric) is not None
