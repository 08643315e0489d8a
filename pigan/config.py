"""params.yaml as typed, frozen models: the only place where a number enters pigan.

Every value is explicit in the file: no field has a default, so that DVC, Snakemake and the code see the same numbers.
"""

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pigan.errors import PiganError

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
Side = Annotated[int, Field(ge=4, le=512)]

FieldKind = Literal["film-siren", "concat-siren", "relu-pe"]
PoseLaw = Literal["gaussian", "uniform", "hybrid", "truncated_gaussian", "spherical_uniform", "fixed"]
Background = Literal["none", "last", "white"]
Precision = Literal["fp32", "bf16", "fp16"]
Weights = Literal["ema", "ema_slow", "raw"]
Extractor = Literal["efficientnet_lite0", "inception"]

ARM_SECTIONS = ("model", "training", "curriculum")


class ParamsError(PiganError):
    """A params file that cannot be used; the message is one line: where, what, how to fix."""


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, no implicit conversion of strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Cars(Section):
    """The embedded renderer of procedural cars."""

    views: PositiveInt
    views_per_car: PositiveInt
    size: Side
    supersampling: Annotated[int, Field(ge=1, le=8)]
    seed: NonNegativeInt


class Crop(Section):
    """From any image to a square one."""

    resize: PositiveInt | None
    center: PositiveInt | None
    filter: Literal["lanczos", "nearest"]
    min_pixels: PositiveInt
    background: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]


class Dataset(Section):
    """Where the images come from and how they are prepared."""

    name: Name
    kind: Literal["cars", "folder", "deepview"]
    source: str | None
    cars: Cars | None
    crop: Crop
    held_out: Annotated[float, Field(ge=0, le=0.5)]
    flip: bool

    @model_validator(mode="after")
    def _kind_has_its_settings(self) -> "Dataset":
        if self.kind == "cars" and self.cars is None:
            raise ValueError("kind cars needs the section dataset.cars")
        if self.kind != "cars" and not self.source:
            raise ValueError(f"kind {self.kind} needs dataset.source, the folder that holds your images")
        return self


class Camera(Section):
    """Intrinsics, ray bounds and the law poses are drawn from (radians, world units)."""

    fov_degrees: Annotated[float, Field(gt=0, lt=180)]
    align_corners: bool
    radius: PositiveFloat
    near: PositiveFloat
    far: PositiveFloat
    pose_law: PoseLaw
    yaw_mean: float
    yaw_spread: NonNegativeFloat
    pitch_mean: float
    pitch_spread: NonNegativeFloat

    @model_validator(mode="after")
    def _far_behind_near(self) -> "Camera":
        if self.far <= self.near:
            raise ValueError(f"far ({self.far}) must be larger than near ({self.near})")
        return self

    @property
    def fov(self) -> float:
        """Full opening angle, radians."""
        return math.radians(self.fov_degrees)


class DiscriminatorConfig(Section):
    """Shape of the discriminator."""

    kind: Literal["progressive", "ccs", "strided"]
    encoder: bool
    width: PositiveFloat
    max_channels: PositiveInt


class Model(Section):
    """Generator and discriminator."""

    field: FieldKind
    z_dim: PositiveInt
    z_distribution: Literal["gaussian", "uniform"]
    hidden: PositiveInt
    layers: PositiveInt
    mapping_hidden: PositiveInt
    mapping_layers: PositiveInt
    coordinate_scale: PositiveFloat
    samples: Annotated[int, Field(ge=2, le=1024)]
    hierarchical: bool
    density_activation: Literal["relu", "softplus"]
    background: Background
    eval_background: Background
    lock_view_direction: bool
    discriminator: DiscriminatorConfig

    @model_validator(mode="after")
    def _enough_samples(self) -> "Model":
        if self.hierarchical and self.samples < 4:
            raise ValueError(f"hierarchical sampling needs samples >= 4, not {self.samples}")
        return self


class Link(Section):
    """One training stage and what it starts from."""

    resolution: Side
    after: Annotated[str, Field(pattern=r"^(init|r[0-9]+)$")]

    @property
    def name(self) -> str:
        """The stage's key in `stages`, and its folder below runs/."""
        return f"r{self.resolution}"


class Stage(Section):
    """How one resolution is trained."""

    steps: NonNegativeInt
    batch_size: PositiveInt
    micro_batches: PositiveInt
    lr_generator: PositiveFloat
    lr_generator_end: PositiveFloat
    lr_discriminator: PositiveFloat
    lr_discriminator_end: PositiveFloat
    fade_steps: NonNegativeInt

    @model_validator(mode="after")
    def _parts_are_equal(self) -> "Stage":
        if self.batch_size % self.micro_batches:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of micro_batches ({self.micro_batches})"
            )
        return self


class Curriculum(Section):
    """The progressive curriculum: one training stage a resolution."""

    order: Annotated[list[Link], Field(min_length=1)]
    stages: dict[Annotated[str, Field(pattern=r"^r[0-9]+$")], Stage]

    @model_validator(mode="after")
    def _order_is_a_chain(self) -> "Curriculum":
        expected = ["init", *(link.name for link in self.order)][:-1]
        for link, after in zip(self.order, expected, strict=True):
            if link.after != after:
                raise ValueError(f"order: {link.name} comes after {after}, so write `after: {after}`, not {link.after}")
        names = [link.name for link in self.order]
        if sorted(set(names)) != sorted(self.stages) or len(set(names)) != len(names):
            raise ValueError(f"order names {', '.join(names)} but stages describes {', '.join(self.stages)}")
        if [link.resolution for link in self.order] != sorted(link.resolution for link in self.order):
            raise ValueError("order: resolutions must grow")
        if any(link.resolution & (link.resolution - 1) for link in self.order):
            raise ValueError("order: resolutions must be powers of two (4 to 512)")
        return self


class Training(Section):
    """Losses, optimisation, logging."""

    precision: Precision
    threads: PositiveInt
    r1_weight: NonNegativeFloat
    pose_weight: NonNegativeFloat
    latent_weight: NonNegativeFloat
    grad_clip: PositiveFloat
    adam_betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)]
    mapping_lr_scale: PositiveFloat
    topk_interval: PositiveInt
    topk_minimum: Annotated[float, Field(gt=0, le=1)]
    density_noise: NonNegativeFloat
    density_noise_steps: NonNegativeInt
    ema_decay: Fraction
    ema_slow_decay: Fraction
    checkpoint_steps: PositiveInt
    checkpoint_minutes: PositiveFloat
    log_steps: PositiveInt
    sample_steps: PositiveInt


class Generate(Section):
    """What is rendered from a trained model."""

    checkpoint: Annotated[str, Field(pattern=r"^r[0-9]+$")]
    weights: Weights
    resolution: Side
    images: Annotated[int, Field(ge=2)]
    truncation: Annotated[float, Field(gt=0, le=1)]
    sheet_truncation: Annotated[float, Field(gt=0, le=1)]
    truncation_latents: PositiveInt
    samples_multiplier: PositiveInt
    consistency_latents: PositiveInt
    sheet_side: Annotated[int, Field(ge=1, le=32)]
    turntable_frames: Annotated[int, Field(ge=2)]
    picture_pixels: Side
    seed: NonNegativeInt


class Evaluate(Section):
    """Metrics and their protocol."""

    extractor: Extractor
    inception_weights: str | None
    inception_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    protocol: Literal["clean", "official"]
    real_images: Annotated[int, Field(ge=2)]
    kid_subsets: PositiveInt
    kid_subset_size: Annotated[int, Field(ge=2)]
    neighbours: PositiveInt
    batch_size: PositiveInt
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _inception_has_weights(self) -> "Evaluate":
        if self.extractor == "inception" and not self.inception_weights:
            raise ValueError("extractor inception needs inception_weights, the path of the 2015-12-05 weight file")
        return self


class Report(Section):
    """What the report says at its top."""

    title: str
    subtitle: str
    published: Literal["none", "celeba", "cats", "carla"]
    main_arm: Name


class Params(Section):
    """One experiment: the whole of params.yaml."""

    experiment: Name
    dataset: Dataset
    camera: Camera
    model: Model
    curriculum: Curriculum
    training: Training
    generate: Generate
    evaluate: Evaluate
    arms: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)]
    report: Report

    @model_validator(mode="after")
    def _sections_agree(self) -> "Params":
        if self.generate.checkpoint not in self.curriculum.stages:
            raise ValueError(
                f"generate.checkpoint: {self.generate.checkpoint} is no stage; "
                f"there are {', '.join(self.curriculum.stages)}"
            )
        if self.report.main_arm not in self.arms:
            raise ValueError(f"report.main_arm: no arm {self.report.main_arm}; there are {', '.join(self.arms)}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: the same seed twice")
        encoder_terms = self.training.pose_weight > 0 or self.training.latent_weight > 0
        if encoder_terms and not self.model.discriminator.encoder:
            raise ValueError("training.pose_weight and latent_weight need model.discriminator.encoder: true")
        return self

    def for_arm(self, arm: str) -> "Params":
        """The params that one ablation arm runs with.

        Raises:
            ParamsError: unknown arm, or an override that is not allowed or not valid.
        """
        if arm not in self.arms:
            raise ParamsError(f"arms: no arm {arm!r}{_nearest(arm, self.arms)}")
        overrides = self.arms[arm]
        for section in overrides:
            if section not in ARM_SECTIONS:
                raise ParamsError(f"arms.{arm}.{section}: an arm changes only {', '.join(ARM_SECTIONS)}")
        curriculum = overrides.get("curriculum")
        if isinstance(curriculum, Mapping) and "order" in curriculum:
            raise ParamsError(f"arms.{arm}.curriculum.order: all arms share one order; set `steps: 0` to skip a stage")
        merged = merge(self.model_dump(), overrides)
        return parse(merged, where=f"arm {arm}")

    def resolutions(self) -> list[int]:
        """Sides in pixels that the prepared data is stored at."""
        return sorted({*(link.resolution for link in self.curriculum.order), self.generate.resolution})


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, section by section."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse(values: Any, where: str = "params.yaml") -> Params:
    """Validated params, every arm included.

    Raises:
        ParamsError: one line that names the first thing wrong and how to mend it.
    """
    if not isinstance(values, Mapping):
        raise ParamsError(f"{where}: holds no settings; start from `pigan params demo > params.yaml`")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(f"{where}: {_explain(error)}") from None


def load(path: Path) -> Params:
    """Params from a YAML file, with all of its arms checked.

    Raises:
        ParamsError: the file is missing, no YAML, or not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; make one with `pigan params demo > {path}`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: cannot be read ({error})") from None
    try:
        # YAML 1.2: reads 2e-06, which `dvc exp run -S` writes, as a number
        values = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise ParamsError(f"{path}:{line} no valid YAML ({getattr(error, 'problem', error)})") from None
    params = parse(values, where=str(path))
    for arm in params.arms:
        params.for_arm(arm)
    return params


def fingerprint(*parts: Any) -> str:
    """SHA-256 of JSON-able parts: equal settings, equal fingerprint."""
    text = json.dumps(parts, sort_keys=True, default=_jsonable)
    return hashlib.sha256(text.encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON Schema of params.yaml, for editors and Snakemake's `validate`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema()}


def schema_text() -> str:
    """The JSON Schema as the file in workflow/schemas/ holds it."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _nearest(name: str, known: Any) -> str:
    """`; did you mean X?` or the list of what there is."""
    names = [str(key) for key in known]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"


def _explain(error: ValidationError) -> str:
    """The first of pydantic's complaints, unknown keys first, as one line."""
    found = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")[0]
    place = [str(part) for part in found["loc"] if part != "[key]"]
    where = ".".join(place)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if found["type"] == "extra_forbidden":
        return f"{where}: unknown key{_nearest(place[-1], _known_keys(place[:-1]))}{more}"
    if found["type"] == "missing":
        return f"{where}: missing; `pigan params demo` shows every key{more}"
    message = found["msg"].removeprefix("Value error, ")
    given = found["input"]
    shown = f", not {given!r}" if isinstance(given, str | int | float | bool) or given is None else ""
    return f"{where}: {message}{shown}{more}" if where else f"{message}{more}"


def _known_keys(place: list[str]) -> list[str]:
    """Keys that the section at `place` knows."""
    section: Any = Params
    for part in place:
        if section is Params.model_fields["curriculum"].annotation and part == "stages":
            section = {"*": Stage}
        elif isinstance(section, dict):
            section = section["*"]
        elif part.isdigit():
            continue
        elif isinstance(section, type) and issubclass(section, Section):
            section = section.model_fields[part].annotation
        options = getattr(section, "__args__", ())
        section = next(
            (option for option in options if isinstance(option, type) and issubclass(option, Section)), section
        )
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, Section) else []
