"""params.yaml as typed, frozen models: the only place where a number enters pigan.

Every value is explicit in the file: no field has a default, so that DVC, Snakemake and the code see the same numbers.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator
from ruamel.yaml.error import YAMLError

from pigan import released
from pigan.dataset_sections import Dataset
from pigan.errors import PiganError
from pigan.sections import (
    Camera,
    Curriculum,
    Evaluate,
    Generate,
    Model,
    Name,
    NonNegativeInt,
    Report,
    Section,
    Stage,
    Training,
)
from pigan.strictyaml import read_yaml

ARM_SECTIONS = ("model", "training", "curriculum")
# the authors' crops: rule, resize, center, and of Cats the side of the stored faces
CROPS: dict[str, dict[str, Any]] = {
    "celeba": {"rule": "center", "resize": 320, "center": 256},
    "cats": {"rule": "cat-landmarks", "min_pixels": 128},
    "carla": {"rule": "center", "resize": None, "center": None},
}


class ParamsError(PiganError):
    """A params file that cannot be used; the message is one line: where, what, how to fix."""

    code = 2


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
        self._check_patch_pose_family()
        if self.evaluate.protocol == "official" and (unmet := self._unlike_the_authors()):
            raise ValueError(f"evaluate.protocol official needs {', '.join(unmet)}; docs/evaluation.md explains it")
        return self

    def _check_patch_pose_family(self) -> None:
        """Raises ValueError where the other reading of the paper (`pigan params seed-card`) lacks what it stands on."""
        training, order = self.training, self.curriculum.order
        if training.reconstruction_weight > 0 and not (training.latent_weight > 0 and training.pose_weight > 0):
            raise ValueError(
                "training.reconstruction_weight needs model.discriminator.encoder: true, and training.latent_weight "
                "and pose_weight above 0, from which the encoder learns latents and poses"
            )
        if self.model.discriminator.kind == "patch-pose":
            if training.pose_weight == 0:
                raise ValueError(
                    "model.discriminator.kind patch-pose needs training.pose_weight above 0, from which its encoder "
                    "learns the poses that real images are judged with"
                )
            if order[0].resolution < 8:
                raise ValueError("model.discriminator.kind patch-pose needs resolutions of 8 or more in the curriculum")
        if self.model.activation == "sigmoid" and self.generate.samples_multiplier != 1:
            raise ValueError(
                "model.field sincos-concat needs generate.samples_multiplier: 1: its opacities are those of as many "
                "samples as it was trained with, more would make everything denser"
            )

    def _unlike_the_authors(self) -> list[str]:
        """What the authors' evaluation does otherwise, as `key: value`; their counts are 8,000 real images and
        8,000 (README) or 2,048 (while training) generated ones.
        """
        evaluate, generate, kind = self.evaluate, self.generate, self.dataset.kind
        crop = self.dataset.crop.model_dump()
        asked = {
            f"dataset.crop of `pigan params {kind}`": crop | CROPS.get(kind, {}) == crop,
            "dataset.crop.filter: nearest": self.dataset.crop.filter == "nearest",
            "dataset.flip: true": self.dataset.flip or kind not in ("celeba", "cats"),
            "generate.resolution: 128": generate.resolution == 128,
            "generate.images: 8000 or 2048": generate.images in (8000, 2048),
            "generate.truncation: 1.0": generate.truncation == 1,
            "generate.samples_multiplier: 1": generate.samples_multiplier == 1,
            "generate.weights: ema": generate.weights == "ema",
            "evaluate.real_images: 8000": evaluate.real_images == 8000,
            "inception among evaluate.extractors": "inception" in evaluate.extractors,
        }
        return [what for what, met in asked.items() if not met]

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

    @property
    def rendered_samples(self) -> int:
        """Samples a ray in the coarse pass of all that is rendered after training."""
        return self.model.samples * self.generate.samples_multiplier

    def resolutions(self) -> list[int]:
        """Sides in pixels that the prepared data is stored at."""
        return sorted({*(link.resolution for link in self.curriculum.order), self.generate.resolution})


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, section by section.

    >>> merge({"model": {"hidden": 256, "samples": 12}, "seeds": [0]}, {"model": {"hidden": 64}, "seeds": [0, 1]})
    {'model': {'hidden': 64, 'samples': 12}, 'seeds': [0, 1]}
    """
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
        values = read_yaml(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark else ""
        raise ParamsError(f"{path}:{line} no valid YAML ({getattr(error, 'problem', error)})") from None
    params = parse(values, where=str(path))
    for arm in params.arms:
        params.for_arm(arm)
    named = params.report.released
    if named is not None and named not in released.names():
        raise ParamsError(f"{path}: report.released: no released model {named!r}{_nearest(named, released.names())}")
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
