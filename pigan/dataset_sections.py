"""The section `dataset` of params.yaml: where images come from and how they are prepared."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pigan.sections import Name, NonNegativeInt, PositiveFloat, PositiveInt, Section, Side

Kind = Literal["cars", "meshes", "celeba", "cats", "carla", "deepview", "folder"]

# the kinds that read dataset.source, and those that can do without it because the catalog knows where to fetch them
SOURCE_NEEDED = ("meshes", "deepview", "folder")


class Cars(Section):
    """The embedded renderer of procedural cars."""

    views: PositiveInt
    views_per_car: PositiveInt
    size: Side
    supersampling: Annotated[int, Field(ge=1, le=8)]
    seed: NonNegativeInt


class Meshes(Section):
    """How a folder of 3-D models is rendered."""

    views: Annotated[PositiveInt, Field(description="Number of rendered views, shared evenly between the models.")]
    size: Annotated[Side, Field(description="Side of a view, pixels.")]
    supersampling: Annotated[int, Field(ge=1, le=8, description="Rays per pixel side: 2 = 2 x 2 rays a pixel.")]
    up: Annotated[Literal["y", "z"], Field(description="The models' axis that points up (glTF: y).")]
    hue: Annotated[
        float, Field(ge=0, le=1, description="Colours of a view are turned by up to this share of the colour circle.")
    ]
    light: Annotated[
        float,
        Field(ge=0, le=1, description="How much the light's direction and strength vary between views; 0: never."),
    ]
    max_faces: Annotated[PositiveInt, Field(description="Models with more faces are rejected by name.")]
    seed: Annotated[NonNegativeInt, Field(description="Seed of poses, hues and lights.")]


class World(Section):
    """Where pigan's world (y up, the object at the origin) lies in that of the raw cameras."""

    up: Annotated[Literal["y", "-y", "z", "-z"], Field(description="The raw axis that points up.")]
    center: Annotated[
        list[float], Field(min_length=3, max_length=3, description="The raw point that becomes the origin.")
    ]
    scale: Annotated[PositiveFloat, Field(description="Raw lengths, depths too, times this are world units.")]


class Depth(Section):
    """What the raw depth maps hold."""

    unit: Annotated[PositiveFloat, Field(description="Raw world units of the value 1 (0.001: millimetres of a metre).")]
    measure: Annotated[
        Literal["z", "ray"], Field(description="z: along the optical axis; ray: along each pixel's ray.")
    ]


class Crop(Section):
    """From any image to a square one."""

    rule: Literal["center", "cat-landmarks"]
    resize: PositiveInt | None
    center: PositiveInt | None
    filter: Literal["lanczos", "nearest"]
    min_pixels: PositiveInt
    background: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]

    @model_validator(mode="after")
    def _landmarks_need_no_size(self) -> "Crop":
        if self.rule == "cat-landmarks" and (self.resize is not None or self.center is not None):
            raise ValueError("rule cat-landmarks finds the face by itself: set resize and center to null")
        return self


class Dataset(Section):
    """Where the images come from and how they are prepared."""

    name: Name
    kind: Kind
    source: str | None
    accept_terms: bool
    cars: Cars | None
    meshes: Meshes | None
    world: World | None
    depth: Depth | None
    crop: Crop
    near_duplicates: Annotated[int, Field(ge=0, le=8)]
    held_out: Annotated[float, Field(ge=0, le=0.5)]
    flip: bool

    @model_validator(mode="after")
    def _kind_has_its_settings(self) -> "Dataset":
        for kind, section in (("cars", self.cars), ("meshes", self.meshes)):
            if self.kind == kind and section is None:
                raise ValueError(f"kind {kind} needs the section dataset.{kind}; `pigan params {kind}` shows it")
        if self.kind in SOURCE_NEEDED and not self.source:
            what = "3-D models" if self.kind == "meshes" else "images"
            raise ValueError(f"kind {self.kind} needs dataset.source, the folder that holds your {what}")
        return self
