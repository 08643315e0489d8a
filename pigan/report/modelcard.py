"""The model card: what a trained model is, was trained on, is good for and not, in Hugging Face's form."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment
from ruamel.yaml import YAML

from pigan import __version__
from pigan.config import Params
from pigan.data.sources.catalog import CARDS
from pigan.report.markdown import escape, table_of
from pigan.report.metrics import EXTRACTOR_NAMES, known_metrics, notes_of, paints_background, shows_nothing
from pigan.report.protocol import flat
from pigan.report.records import Evaluated, numbers_of
from pigan.report.templating import environment
from pigan.sections import Camera, Training

LIBRARY, TASK = "pigan", "unconditional-image-generation"
UNKNOWN = "unknown: whoever exported the model did not state it; ask them before you use or pass on the weights"
# identifiers that hubs know; all else is `other` and its name
LICENCES = (
    *("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-4.0", "gpl-3.0", "isc", "lgpl-3.0", "mit", "openrail", "unlicense"),
)


@dataclass(frozen=True)
class Measured:
    """metrics.json of the run that the model comes from."""

    values: Mapping[str, float]
    evaluated: Evaluated

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How it was measured."""
        return self.evaluated.protocol


@dataclass(frozen=True)
class Facts:
    """Everything that the card tells and that does not follow from the params."""

    title: str
    licence: str | None
    weights: str
    picture: str
    parameters: int
    provenance: Sequence[tuple[str, str]]
    data: Sequence[tuple[str, str]] | None
    """Rows of the data card; None: the prepared data is not here."""
    measured: Measured | None
    no_metrics: str = ""
    """Why there is no `measured`."""
    half: bool = False
    """Whether the weights were rounded to 16 bits."""
    onnx_errors: Mapping[str, float] = field(default_factory=dict)


def model_card(params: Params, facts: Facts) -> str:
    """README.md of an exported model: YAML front matter, then Markdown."""
    card = CARDS[params.dataset.kind]
    rows = facts.data or [
        ("Name and kind", f"{params.dataset.name}, {params.dataset.kind}"),
        ("What it is", card.description),
        ("Source", card.source),
        ("Licence", card.licence),
        ("Citation", card.citation or ""),
    ]
    context = {
        "front": front_matter(params, facts),
        "title": facts.title,
        "what": (
            f"A pi-GAN trained on {params.dataset.name}: from a random vector it makes an object as a radiance field, "
            f"which can be seen from any camera. Made with pigan {__version__}."
        ),
        "picture": facts.picture,
        "weights": facts.weights,
        "resolution": params.generate.resolution,
        "truncation": params.generate.sheet_truncation,
        "onnx": bool(facts.onnx_errors),
        "onnx_difference": f"{max(facts.onnx_errors.values(), default=0):.0e}",
        "raw": "raw opacity" if params.model.activation == "sigmoid" else "raw density",
        "facts": _table(fact_rows(params, facts.parameters)),
        "data": _table([row for row in rows if row[1]]),
        "data_note": "" if card.terms is None else f"Terms of the data: {card.terms}",
        "metrics": "" if facts.measured is None else metrics_table(params, facts.measured),
        "protocol": "" if facts.measured is None else protocol_sentence(facts.measured),
        "rounded": facts.half,
        "no_metrics": facts.no_metrics,
        "limits": limits(params, facts.measured),
        "licence": facts.licence or UNKNOWN,
        "provenance": _table(facts.provenance),
    }
    return _environment().get_template("modelcard.md.jinja").render(context)


def front_matter(params: Params, facts: Facts) -> str:
    """The YAML that model hubs read."""
    values: dict[str, Any] = {
        **_licence(facts.licence),
        "library_name": LIBRARY,
        "pipeline_tag": TASK,
        "tags": ["pigan", "pi-gan", "nerf", "3d", "gan", "3d-aware-image-generation"],
        "datasets": [params.dataset.name],
    }
    if facts.measured is not None:
        found = _index_metrics(params, facts.measured)
        values["metrics"] = list(dict.fromkeys(entry["type"] for entry in found))
        result = {
            "task": {"type": TASK, "name": "3D-aware image generation"},
            "dataset": {"type": params.dataset.name, "name": params.dataset.name},
            "metrics": found,
        }
        values["model-index"] = [{"name": facts.title, "results": [result]}]
    yaml, stream = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 4096
    # the version that hubs read, in which `yes` and 5e-05 are other things than in 1.2
    yaml.version = (1, 1)
    yaml.dump(values, stream)
    return stream.getvalue().removeprefix("%YAML 1.1\n---\n")


def metrics_table(params: Params, measured: Measured) -> str:
    """Known metrics that have a value, each with its interval and what it says."""
    rows = [["Metric", "Value", "95 % interval", "Better", "What it says"]]
    intervals = measured.evaluated.known_intervals()
    for metric in known_metrics(params.evaluate.extractor):
        if metric.key in measured.values:
            low, high = intervals.get(metric.key, (math.nan, math.nan))
            interval = "" if math.isnan(low) else f"{low:.4g} to {high:.4g}"
            value = f"{measured.values[metric.key]:.4g}"
            rows.append([metric.label, value, interval, metric.better, metric.meaning])
    return table_of([list(map(escape, row)) for row in rows], words=True)


def protocol_sentence(measured: Measured) -> str:
    """How the metrics were measured, and what was not."""
    protocol = flat(dict(measured.protocol))
    extractor = str(protocol.get("extractor", ""))
    told = [f"features of {EXTRACTOR_NAMES.get(extractor, extractor)}"] if extractor else []
    for key, words in (
        ("protocol", "protocol {}"),
        ("resolution", "{} pixels"),
        ("filter", "{} filter"),
        ("real_images", "{} real images"),
        ("fake_images", "{} generated images"),
        ("truncation", "truncation {}"),
        ("weights", "{} weights"),
        ("sampling", "sampling {}"),
    ):
        if protocol.get(key) is not None:
            told.append(words.format(protocol[key]))
    notes = notes_of(measured.protocol)
    more = f" Notes: {'; '.join(notes)}." if notes else ""
    return f"Protocol: {', '.join(told)}. Numbers measured otherwise are not comparable with these.{more}"


def fact_rows(params: Params, parameters: int) -> list[tuple[str, str]]:
    """What the network is and from where it sees its objects, in words."""
    model, camera = params.model, params.camera
    poses = f"yaw {_degrees(camera.yaw_mean)} ± {_degrees(camera.yaw_spread)}, pitch {_pitches(camera)}"
    passes = f"{model.samples} samples a ray" + (
        ", and as many where those found density" if model.hierarchical else ""
    )
    return [
        ("Field", f"{model.field}, {model.layers} layers of {model.hidden}"),
        ("Latent", f"{model.z_dim} numbers, {model.z_distribution}"),
        ("Parameters of the generator", f"{parameters:,}"),
        ("Sampling", passes),
        ("Trained at", f"up to {params.curriculum.order[-1].resolution} pixels a side"),
        (
            "Camera",
            f"{camera.fov_degrees:g} degrees, distance {camera.radius:g}, rays {camera.near:g} to {camera.far:g}",
        ),
        ("Poses in training", f"{camera.pose_law}: {poses} degrees (90, 90: level from the front)"),
        ("Losses", _losses(params.training)),
    ]


def limits(params: Params, measured: Measured | None) -> list[str]:
    """What it is not good for, as far as params and metrics tell."""
    top = params.curriculum.order[-1].resolution
    hollow = None if measured is None else measured.values.get("hollow_share")
    share = "None" if hollow == 0 else f"{hollow or 0:.0%}"
    told = (
        "Shapes can be hollow (a face seen from inside looks right from the front)"
        if hollow is None
        else f"{share} of its shapes were found hollow when measured (middle behind the rim)"
    )
    law = params.camera.pose_law
    values: Mapping[str, float] = {} if measured is None else measured.values
    empty, real = (values.get(name, math.nan) for name in ("empty_rays", "empty_rays_real"))
    background = []
    if shows_nothing(empty):
        background.append(f"It generates nothing but background: {empty:.1%} of its rays meet no surface.")
    elif paints_background(empty, real):
        background.append(
            f"It paints part of the background as a surface: {empty:.0%} of its rays meet nothing, {real:.0%} in the "
            "data."
        )
    return [
        *background,
        f"{told}; look at depth or a mesh before you trust a shape.",
        f"It was trained at {top} pixels a side: larger images are smoother, not more detailed.",
        f"Poses were assumed to follow the law above ({law}); a wrong one bends shapes, other views are guesses.",
        "It has seen one kind of object and knows nothing else; what is rare in the data is rare or missing here.",
        "Biases of the data are its own, and it may repeat images that it was trained on.",
    ]


def _index_metrics(params: Params, measured: Measured) -> list[dict[str, Any]]:
    """The metrics of the model-index."""
    extractor = params.evaluate.extractor
    found = []
    for metric in known_metrics(extractor):
        if metric.key in measured.values:
            stem = metric.key.removesuffix(f"_{extractor}")
            own = "" if stem == metric.key else f" ({EXTRACTOR_NAMES[extractor]})"
            value = float(measured.values[metric.key])
            found.append({"type": stem, "name": f"{metric.label}{own}", "value": value})
    return found


def _licence(licence: str | None) -> dict[str, str]:
    """What the front matter says: a known identifier, or `other` and a name."""
    if licence is None:
        return {"license": "unknown"}
    if licence in LICENCES:
        return {"license": licence}
    return {"license": "other", "license_name": licence}


def _losses(training: Training) -> str:
    """The generator's and the discriminator's, with weights."""
    weighted = {
        "R1": training.r1_weight,
        "pose": training.pose_weight,
        "latent": training.latent_weight,
        "reconstruction": training.reconstruction_weight,
        "prior on opacity (not in the paper)": training.opacity_weight,
    }
    return ", ".join(
        [training.adversarial, *(f"{name} × {weight:g}" for name, weight in weighted.items() if weight > 0)]
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return table_of([["What", "Which"], *([escape(name), escape(text)] for name, text in rows)], words=True)


def _pitches(camera: Camera) -> str:
    """Mean and spread, degrees; of the law that is uniform on the sphere, its ends."""
    mean, spread = camera.pitch_mean, camera.pitch_spread
    if camera.pose_law != "spherical_uniform":
        return f"{_degrees(mean)} ± {_degrees(spread)}"
    ends = (min(max((mean + side) / math.pi, 0.0), 1.0) for side in (-spread, spread))
    return " to ".join(_degrees(math.acos(1 - 2 * end)) for end in ends)


def _degrees(radians: float) -> str:
    return f"{math.degrees(radians):.0f}"


def _environment() -> Environment:
    """Markdown, not HTML: everything that is not the card's own goes through `md`."""
    found = environment(escaped=False)
    found.filters["md"] = escape
    return found


def measured_of(values: Mapping[str, Any]) -> Measured:
    """metrics.json as the card needs it.

    Raises:
        ValueError: it holds something else.
    """
    numbers = {key: value for key, value in numbers_of(values).items() if math.isfinite(value)}
    return Measured(numbers, Evaluated.model_validate(values))


def metrics_file(checkpoint: Path) -> Path:
    """Where the metrics of a stage's checkpoint are: runs/<dataset>/<arm>/seed<S>/metrics.json."""
    return checkpoint.parent.parent / "metrics.json"
