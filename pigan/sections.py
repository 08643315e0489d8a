"""The sections of params.yaml: what each value is and may be. No field has a default: every value is in the file."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
# a word that any shell and any file system takes as it is
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=100)]
Side = Annotated[int, Field(ge=4, le=512)]

FieldKind = Literal["film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"]
# what a field's raw values are put through: densities; or (sigmoid) opacities of samples
Activation = Literal["relu", "softplus", "sigmoid"]
Adversarial = Literal["softplus", "log"]
PoseLaw = Literal["gaussian", "uniform", "hybrid", "truncated_gaussian", "spherical_uniform", "fixed"]
Background = Literal["none", "last", "white"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Kernel = Literal["auto", "plain", "folded", "compiled", "triton"]
Weights = Literal["ema", "ema_slow", "raw"]
Extractor = Literal["efficientnet_lite0", "inception", "dinov2", "clip"]


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, no implicit conversion of strings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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

    kind: Literal["progressive", "ccs", "strided", "patch-pose"]
    encoder: bool
    width: PositiveFloat
    max_channels: PositiveInt

    @model_validator(mode="after")
    def _poses_are_seen(self) -> "DiscriminatorConfig":
        if self.kind == "patch-pose" and not self.encoder:
            raise ValueError("kind patch-pose needs encoder: true, which tells the poses of real images")
        return self

    @property
    def blocks(self) -> Literal["progressive", "ccs", "strided"]:
        """The kind of the residual blocks."""
        return "progressive" if self.kind == "patch-pose" else self.kind


class Model(Section):
    """Generator and discriminator."""

    field: FieldKind
    z_dim: PositiveInt
    z_distribution: Literal["gaussian", "uniform"]
    hidden: PositiveInt
    layers: PositiveInt
    features: PositiveInt
    embedding_side: Annotated[int, Field(ge=2, le=256)]
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

    @property
    def activation(self) -> Activation:
        """What makes alphas of the field's raw values: by way of a density, or the sigmoid of an opacity as it is."""
        return "sigmoid" if self.field == "sincos-concat" else self.density_activation

    @property
    def samples_a_ray(self) -> int:
        """Samples of both passes, as in training."""
        return self.samples * (2 if self.hierarchical else 1)

    def points(self, side: int) -> int:
        """Points at which the field of one image of `side` pixels is asked in training."""
        return side**2 * self.samples_a_ray


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
    lr_generator: PositiveFloat
    lr_generator_end: PositiveFloat
    lr_discriminator: PositiveFloat
    lr_discriminator_end: PositiveFloat
    fade_steps: NonNegativeInt


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


class Pretrained(Section):
    """A trained model whose weights a run starts from."""

    path: Annotated[
        str,
        Field(
            min_length=1,
            description="Checkpoint, folder of a stage or of `pigan export`, or a model of `pigan models`.",
        ),
    ]
    sha256: Annotated[
        str,
        Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its weights; another file is another experiment."),
    ]

    @model_validator(mode="before")
    @classmethod
    def _says_which_file(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("sha256"), str):
            raise ValueError(
                "write path: and sha256:, the 64 digits that `sha256sum FILE` prints of its weights; or null"
            )
        return values


class Training(Section):
    """Losses, optimisation, logging."""

    pretrained: Pretrained | None
    devices: Annotated[
        Literal["auto"] | PositiveInt,
        Field(description="How many GPUs (or processes on CPUs) train one run together; auto: all that are there."),
    ]
    precision: Precision
    kernel: Kernel
    memory_limit_gb: PositiveFloat | None
    threads: PositiveInt
    adversarial: Adversarial
    r1_weight: NonNegativeFloat
    pose_weight: NonNegativeFloat
    latent_weight: NonNegativeFloat
    reconstruction_weight: NonNegativeFloat
    opacity_weight: NonNegativeFloat
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
    snapshot_steps: NonNegativeInt
    log_steps: PositiveInt
    sample_steps: PositiveInt


class Inversion(Section):
    """How held-out views are inverted into the generator."""

    views: NonNegativeInt
    steps: PositiveInt
    rays: PositiveInt
    lr: PositiveFloat
    regularisation: NonNegativeFloat
    noise: NonNegativeFloat


class Mesh(Section):
    """The mesh of one generated object."""

    resolution: Annotated[int, Field(ge=8, le=512)]
    faces: Annotated[int, Field(ge=100)]


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
    precision: Precision
    consistency_latents: PositiveInt
    snapshot_images: Annotated[int, Field(ge=2)]
    inversion: Inversion
    sheet_side: Annotated[int, Field(ge=1, le=32)]
    turntable_frames: Annotated[int, Field(ge=2)]
    picture_pixels: Side
    mesh: Mesh
    seed: NonNegativeInt


class WeightFile(Section):
    """Where an extractor's published weights are."""

    path: str | None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None


class WeightFiles(Section):
    """The weight file of each extractor that does not ship with pigan."""

    inception: WeightFile
    dinov2: WeightFile
    clip: WeightFile


class Network(Section):
    """A network of the user's, as ONNX (.onnx) or TorchScript (.pt), that is asked about images."""

    path: Annotated[str, Field(min_length=1, description="The file: .onnx, or .pt for TorchScript.")]
    sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file; only what you trust is opened.")
    ]
    side: Annotated[Side, Field(description="Side that images are resized to, pixels.")]
    mean: Annotated[
        list[float], Field(min_length=3, max_length=3, description="Subtracted from colours in 0..1, a channel each.")
    ]
    std: Annotated[
        list[PositiveFloat], Field(min_length=3, max_length=3, description="Divides what is left, a channel each.")
    ]


class DepthEstimator(Network):
    """A monocular depth estimator: images in, one map an image out."""

    says: Annotated[Literal["depth", "disparity"], Field(description="What its maps hold: depth, or its inverse.")]


class Evaluate(Section):
    """Metrics and their protocol."""

    extractors: Annotated[list[Extractor], Field(min_length=1)]
    weights: WeightFiles
    protocol: Literal["clean", "official"]
    real_images: Annotated[int, Field(ge=2)]
    half_samples: Annotated[int, Field(ge=2)]
    infinity_points: Annotated[int, Field(ge=3)]
    kid_subsets: PositiveInt
    kid_subset_size: Annotated[int, Field(ge=2)]
    inception_splits: PositiveInt
    neighbours: PositiveInt
    occlusion_tolerance: PositiveFloat
    depth_estimator: DepthEstimator | None
    face_embedder: Network | None
    batch_size: PositiveInt
    seed: NonNegativeInt

    @model_validator(mode="after")
    def _extractors_differ(self) -> "Evaluate":
        if len(set(self.extractors)) != len(self.extractors):
            raise ValueError("extractors: the same extractor twice")
        return self

    @property
    def extractor(self) -> Extractor:
        """The one that leads the report."""
        return self.extractors[0]


class Report(Section):
    """What the report says at its top."""

    title: str
    subtitle: str
    published: Literal["none", "celeba", "cats", "carla"]
    released: Name | None
    main_arm: Name
