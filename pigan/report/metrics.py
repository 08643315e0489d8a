"""What the numbers of a metrics.json are called, which side is better, and what they say in plain words."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pigan.evaluation.measured import ACROSS_VIEWS
from pigan.report.collect import Collected, Run

EXTRACTOR_NAMES = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "inception": "Inception-v3",
    "dinov2": "DINOv2",
    "clip": "CLIP",
}

Group = Literal["image", "shape", "other"]
Side = Literal["lower", "higher", "neither"]

# an arm that shows no surfaces has no value here; it is then ranked on no shape metric
SURFACE_METRICS = ("reprojection_error", "depth_reprojection_error", "depth_consistency", "depth_variance")

# a model whose share of empty rays is this much below that of the data shows surfaces where the data has none
PAINTED_BACKGROUND = 0.1
# a model with more empty rays than this generates plain background
NOTHING_SHOWN = 0.999

# what the plots of shape metrics show: without and with true depth
DEPTH_PLOT = (*SURFACE_METRICS, "hollow_share", "empty_rays")
GEOMETRY_PLOT = (
    "depth_rmse",
    "depth_delta",
    "depth_zscore_mse",
    "normal_error",
    "inversion_psnr",
    "pose_error_generated",
)
UNITS = {
    "depth_variance": "10⁻⁴ world units²",
    "inversion_psnr": "dB",
    "depth_rmse": "world units",
    "normal_error": "degrees",
    "pose_error_generated": "degrees",
    "pose_error_real": "degrees",
}
# what stands beside the picture of inverted views
INVERSION = ("inversion_psnr", "depth_rmse", "depth_abs_rel", "depth_delta", "depth_zscore_mse", "normal_error")
# what the sentence and the table at the top show
SENTENCE = ("fid", "kid", "precision", "recall")
HEADLINE_IMAGE = (*SENTENCE, "fid_infinity", "inception_score", "memorisation")
HEADLINE_SHAPE = (
    "reprojection_error",
    "depth_consistency",
    "hollow_share",
    "depth_rmse",
    "normal_error",
    "pose_error_generated",
    "identity_similarity",
)
# what a further extractor's own table shows
FURTHER = (*SENTENCE, "inception_score")

NULL_NOTE = re.compile(r"(?P<names>[a-z0-9_]+(?:(?:, | and )[a-z0-9_]+)*) (?:is|are) null: (?P<reason>.+)", re.DOTALL)


@dataclass(frozen=True)
class Metric:
    """A row of the tables: its key, what people call it, which way is better, what it says.

    `context` is the key of a number that is shown beside it, after `context_label`: no metric of the arms.
    """

    key: str
    label: str
    better: Side
    meaning: str
    group: Group = "other"
    context: str = ""
    context_label: str = ""

    @property
    def unit(self) -> str:
        """Of its numbers, as axes name it; empty for shares and distances of features."""
        return UNITS.get(self.key, "")

    @property
    def arrow(self) -> str:
        """Points to the better side."""
        return {"lower": "↓", "higher": "↑", "neither": ""}[self.better]

    @property
    def in_text(self) -> str:
        """The label inside a sentence: initials and names stay large."""
        first, _, _ = self.label.partition(" ")
        if first.isupper() or first == "Inception":
            return self.label
        return self.label[0].lower() + self.label[1:]


def paints_background(empty: float, real: float) -> bool:
    """Whether surfaces fill rays that are empty in the data, from both shares; not where one is unknown (NaN)."""
    return empty < real - PAINTED_BACKGROUND


def shows_nothing(empty: float) -> bool:
    """Whether all images are plain background, from the share of empty rays; not where it is unknown (NaN)."""
    return empty > NOTHING_SHOWN


def image_metrics(extractor: str) -> list[Metric]:
    """Metrics of image features; their keys carry the extractor."""

    def metric(stem: str, label: str, better: Side, meaning: str) -> Metric:
        floor = (f"fid_real_{extractor}", "real against real") if stem == "fid" else ("", "")
        return Metric(f"{stem}_{extractor}", label, better, meaning, "image", *floor)

    return [
        metric("fid", "FID", "lower", "distance between real and generated feature distributions"),
        metric("fid_infinity", "FID at infinity", "lower", "FID as it would be with endlessly many generated images"),
        metric("kid", "KID", "lower", "kernel distance between real and generated features"),
        metric("precision", "Precision", "higher", "share of generated images that look real"),
        metric("recall", "Recall", "higher", "share of real images that the generator can reach"),
        metric(
            "inception_score",
            "Inception score",
            "higher",
            "how surely each image shows one ImageNet class, and how many all show",
        ),
        metric(
            "memorisation",
            "Memorisation",
            "neither",
            "chance that a generated image lies nearer to the training images than a held-out one does: 0.5 is what "
            "new images of the data have, 1 is copies, 0 is far from the data",
        ),
        metric("fid_depth", "FID of depth", "lower", "FID between real and generated depth maps, shown as images"),
        metric("kid_depth", "KID of depth", "lower", "KID between real and generated depth maps, shown as images"),
    ]


def shape_metrics() -> list[Metric]:
    """Metrics of surfaces, cameras and identity; no image features."""
    lower: Side = "lower"
    higher: Side = "higher"
    rows: list[tuple[str, str, Side, str]] = [
        (
            "reprojection_error",
            "Reprojection error",
            lower,
            "squared colour difference when one view predicts the next",
        ),
        (
            "depth_reprojection_error",
            "Depth reprojection error",
            lower,
            "gap in depth when one view predicts the next, share of the depth range",
        ),
        ("visible_share", "Visible share", "neither", "share of surface pixels that both views see: what is compared"),
        (
            "depth_consistency",
            "Depth consistency",
            lower,
            "gap between surfaces of adjacent views, share of the depth range",
        ),
        (
            "depth_variance",
            "Depth variance",
            lower,
            "spread of density along a ray, 10⁻⁴ world units²: low is a sharp surface",
        ),
        (
            "hollow_share",
            "Hollow share",
            lower,
            "share of objects whose middle lies behind their rim, as if seen from inside",
        ),
        ("empty_rays", "Empty rays", "neither", "share of rays that meet no surface"),
        ("inversion_psnr", "PSNR of inversions", higher, "how closely held-out views can be met, decibels"),
        ("depth_rmse", "Depth RMSE", lower, "depth error on held-out views, scale and shift fitted, world units"),
        ("depth_abs_rel", "Depth AbsRel", lower, "the same error as a share of the true depth"),
        ("depth_delta", "Depth δ < 1.25", higher, "share of pixels within a factor of 1.25 of the true depth"),
        ("depth_zscore_mse", "Depth z-score MSE", lower, "squared difference of standardised depth to the true one"),
        ("normal_error", "Normal error", lower, "angle between true and inverted surface normals, degrees"),
        (
            "pose_error_generated",
            "Pose error",
            lower,
            "angle between the true camera and what the discriminator reads off generated images, degrees",
        ),
        ("pose_error_real", "Pose error, real", lower, "the same on held-out real images, degrees"),
        ("identity_similarity", "Identity similarity", higher, "likeness of one face from two cameras, by an embedder"),
        (
            "depth_estimated_zscore_mse",
            "Depth against estimator",
            lower,
            "squared difference of standardised depth to what a depth estimator sees",
        ),
    ]
    context = {"empty_rays": ("empty_rays_real", "in the data")}
    context |= {key: (f"{key}_exact", "exact renderer") for key in ACROSS_VIEWS}
    return [Metric(*row, "shape", *context.get(row[0], ())) for row in rows]


def known_metrics(extractor: str) -> list[Metric]:
    """The metrics of the leading extractor, then those of shape and views."""
    return image_metrics(extractor) + shape_metrics()


def metrics_of(collected: Collected) -> list[Metric]:
    """Known metrics of the leading extractor and of shape that have a value in some run, then numbers unknown here.

    An unknown number of metrics.json is a metric under its own name, of the group `other`.
    """
    extractors = collected.params.evaluate.extractors
    known = known_metrics(extractors[0])
    named = {metric.key for metric in known} | _context_keys(extractors) | {"seconds"}
    named |= {metric.key for extractor in extractors[1:] for metric in image_metrics(extractor)}
    valued = _valued(collected)
    further = [Metric(key, key, "neither", "") for key in valued if key not in named]
    return [metric for metric in known if metric.key in valued] + further


def further_metrics(collected: Collected) -> dict[str, list[Metric]]:
    """Of each extractor but the first, what its own table shows; empty lists are left out."""
    valued = _valued(collected)
    found: dict[str, list[Metric]] = {}
    for extractor in collected.params.evaluate.extractors[1:]:
        keys = {f"{stem}_{extractor}" for stem in FURTHER} & set(valued)
        metrics = [metric for metric in image_metrics(extractor) if metric.key in keys]
        if metrics:
            found[extractor] = metrics
    return found


def sentence_keys(collected: Collected) -> list[str]:
    """The keys of what sentences tell of the leading extractor, the most telling first."""
    return [f"{stem}_{collected.params.evaluate.extractor}" for stem in SENTENCE]


def headline_metrics(collected: Collected) -> list[Metric]:
    """The few metrics that stand at the top of the page."""
    extractor = collected.params.evaluate.extractor
    keys = [f"{stem}_{extractor}" for stem in HEADLINE_IMAGE] + list(HEADLINE_SHAPE)
    return [metric for metric in metrics_of(collected) if metric.key in keys]


def unmeasured(collected: Collected) -> dict[str, list[str]]:
    """Reason -> labels of the metrics that are null in every run that names them; as the notes of the runs say."""
    extractors = collected.params.evaluate.extractors
    labels: dict[str, str] = {}
    for number, extractor in enumerate(extractors):
        own = f" ({EXTRACTOR_NAMES[extractor]})" if number else ""
        labels |= {metric.key: metric.label + own for metric in image_metrics(extractor)}
        labels[f"fid_real_{extractor}"] = f"FID of real against real{own}"
    labels |= {metric.key: metric.label for metric in shape_metrics()} | {"empty_rays_real": "Empty rays in the data"}
    labels |= {f"{key}_exact": f"{labels[key]} of the exact renderer" for key in ACROSS_VIEWS}
    valued, reasons = _valued(collected), _reasons(collected)
    missing: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for run in collected.runs for key in run.metrics):
        if key not in valued and not key.startswith("kid_std_"):
            missing.setdefault(reasons.get(key, "no reason was noted"), []).append(labels.get(key, key))
    return missing


def notes_of(protocol: Mapping[str, Any]) -> list[str]:
    """What the evaluation of a run noted."""
    notes = protocol.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def at_fewer(runs: Iterable[Run], key: str) -> bool:
    """Whether the floor `key` of a metric is that of fewer images than the metric, which makes it larger."""
    return any(note.startswith(f"{key} is that of") for run in runs for note in notes_of(run.protocol))


def _reasons(collected: Collected) -> dict[str, str]:
    """Metric key -> why it is null, of the first run that says so."""
    found: dict[str, str] = {}
    for run in collected.runs:
        for note in notes_of(run.protocol):
            match = NULL_NOTE.fullmatch(note)
            for key in re.split(", | and ", match["names"]) if match else []:
                found.setdefault(key, match["reason"] if match else "")
    return found


def _valued(collected: Collected) -> list[str]:
    """Keys that have a value in some run, in the order of the files."""
    return list(
        dict.fromkeys(key for run in collected.runs for key, value in run.metrics.items() if not math.isnan(value))
    )


def _context_keys(extractors: Sequence[str]) -> set[str]:
    """Numbers that accompany a metric and are none themselves."""
    own = {f"{stem}_{extractor}" for extractor in extractors for stem in ("fid_real", "kid_std")}
    return own | {metric.context for metric in shape_metrics() if metric.context}
