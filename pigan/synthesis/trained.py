"""A trained model as its users have it: found by name or file, latents by seed, images from any camera."""

import copy
import functools
import math
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pigan import __version__, presets, released
from pigan.chain.place import CHECKPOINT, STATE
from pigan.config import Params, ParamsError, merge, parse
from pigan.errors import PiganError
from pigan.files import read_json, sha256_file
from pigan.models.generator import Generator
from pigan.models.mapping import draw_latents, truncate
from pigan.released import WEIGHTS
from pigan.runtime import generator_for
from pigan.sections import Pretrained, Weights
from pigan.synthesis.choices import Backdrop
from pigan.synthesis.released import released_folder
from pigan.synthesis.showing import facts_page, show
from pigan.synthesis.viewing import Cameras, look, orbit_cameras
from pigan.synthesis.views import average_code, usual_pitch, yaw_sweep
from pigan.training.checkpoint import describe
from pigan.training.state import load_generator

# objects and pixels a side of the picture that a notebook shows: a second or two on a CPU for the paper's network
PREVIEW, PREVIEW_SIDE = 6, 32


class TrainedModel:
    """A generator and the params it was trained with. A notebook shows it as a picture with a few facts."""

    def __init__(self, generator: Generator, params: Params, source: Path) -> None:
        self.generator, self.params, self.source = generator, params, source

    def __repr__(self) -> str:
        model = self.params.model
        return (
            f"TrainedModel({str(self.source)!r}: {model.field}, width {model.hidden}, z {model.z_dim}, {self.device})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: some objects, and what the model is."""
        return self._page

    @functools.cached_property
    def _page(self) -> str:
        camera, model, psi = self.params.camera, self.params.model, self.params.generate.sheet_truncation
        yaws = torch.tensor(yaw_sweep(camera, PREVIEW))
        colour, depth = self.render(self.latents(list(range(PREVIEW))), self.cameras(yaws), PREVIEW_SIDE, psi)
        weights = sum(values.numel() for values in self.generator.parameters())
        facts = {
            "model": str(self.source),
            "data": self.params.dataset.name,
            "network": f"{model.field}, {model.layers} layers of {model.hidden}, {weights:,} weights, on {self.device}",
            "camera": f"{math.degrees(camera.fov):.1f}° wide, {camera.radius:g} from the origin, "
            f"rays from {camera.near:g} to {camera.far:g}",
            "shown": f"seeds 0 to {PREVIEW - 1}, psi {psi:g}, {PREVIEW_SIDE} px; depth below",
        }
        return facts_page(show(colour, depth), facts)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.generator.device

    @functools.cached_property
    def average_code(self) -> Float[Tensor, "code"]:
        """The centre of truncation."""
        return average_code(self.generator, self.params)

    def latents(self, seeds: int | list[int]) -> Float[Tensor, "object z"]:
        """One latent a seed; each seed's is the same whatever others are drawn, on every device."""
        model, cpu = self.params.model, torch.device("cpu")
        wanted = [seeds] if isinstance(seeds, int) else seeds
        drawn = [draw_latents(1, model.z_dim, model.z_distribution, generator_for(cpu, "latent", s)) for s in wanted]
        return torch.cat(drawn).to(self.device)

    @torch.no_grad()
    def codes(self, latents: Float[Tensor, "object z"], psi: float = 1.0) -> Float[Tensor, "object code"]:
        """What conditions the field (frequencies and phases), truncated by `psi` towards the average."""
        code: Tensor = self.generator.mapping(latents.to(self.device))
        return code if psi == 1 else truncate(code, self.average_code, psi)

    def cameras(
        self,
        yaw: Float[Tensor, "view"] | float | None = None,
        pitch: Float[Tensor, "view"] | float | None = None,
        fov: float | None = None,
        radius: float | None = None,
    ) -> Cameras:
        """Cameras that look at the object (radians, world units); the training's usual ones where nothing is said."""
        camera = self.params.camera
        asked = (camera.yaw_mean if yaw is None else yaw, usual_pitch(camera) if pitch is None else pitch)
        # wherever each angle is: cameras are the same for a model on every device
        angles = (torch.as_tensor(angle, dtype=torch.float32, device="cpu") for angle in asked)
        yaws, pitches = torch.broadcast_tensors(*map(torch.atleast_1d, angles))
        return orbit_cameras(
            yaws, pitches, camera.fov if fov is None else fov, camera.radius if radius is None else radius
        )

    def with_locked_view(self, locked: bool) -> "TrainedModel":
        """The same model whose colours do not (or do) depend on where they are seen from."""
        generator = copy.copy(self.generator)
        generator.model = self.generator.model.model_copy(update={"lock_view_direction": locked})
        return TrainedModel(generator, self.params, self.source)

    def check_samples(self, samples: int | None) -> None:
        """Raises PiganError where the model cannot be rendered with so many samples a ray."""
        model = self.params.model
        if samples is not None and model.activation == "sigmoid" and samples != model.samples:
            raise PiganError(
                f"--samples {samples}: this model's opacities are those of {model.samples} samples a ray; leave it out"
            )

    def render(
        self,
        z: Float[Tensor, "object z"],
        cameras: Cameras,
        resolution: int | None = None,
        truncation: float = 1.0,
        samples: int | None = None,
        background: Backdrop | None = None,
    ) -> tuple[Float[Tensor, "view side side channel"], Float[Tensor, "view side side"]]:
        """Colour (0..1) and z-depth (world units, NaN: nothing there) of latents, each from the camera of its row.

        One camera serves all latents, one latent is seen from all cameras. `resolution` (pixels) is that of the
        evaluation images by default; before a `transparent` background the colour has a fourth channel.

        Raises:
            PiganError: the numbers of latents and cameras differ, or this model's samples cannot be chosen.
        """
        self.check_samples(samples)
        views = max(len(z), len(cameras))
        if {len(z), len(cameras)} - {1, views}:
            raise PiganError(f"render: {len(z)} latents and {len(cameras)} cameras; give one of one kind, or as many")
        z = z.expand(views, -1)
        cameras = Cameras(
            cameras.cam2world.expand(views, 4, 4), cameras.fov.expand(views), from_edges=cameras.from_edges
        )
        side = resolution or self.params.generate.resolution
        seen = look(self.generator, self.codes(z, truncation), cameras, side, self.params, samples, background)
        return seen.colour, seen.depth


def load_model(name: str | Path, device: torch.device | str = "cpu", weights: Weights | None = None) -> TrainedModel:
    """The trained model of a checkpoint file, of a folder with one, or of a run: `baseline`, `cars/baseline/seed0`.

    So is a released model by its name, as `pigan models` lists them. `weights` are those that its params evaluate, by
    default.

    Raises:
        PiganError: there is no such model, or its checkpoint is damaged or of another version.
    """
    path = find_checkpoint(Path(name))
    params = params_of(path)
    chosen = weights or params.generate.weights
    generator = load_generator(path, params, chosen, torch.device(device))
    return TrainedModel(generator.eval(), params, path)


def find_checkpoint(name: Path, runs: Path = Path("runs")) -> Path:
    """The checkpoint file that a name, folder or file means; of a run, the stage that its params evaluate.

    The name of a released model means that one where no file or run here has it.

    Raises:
        PiganError: nothing fits, or more than one run.
    """
    if name.is_file():
        return name
    for own in (CHECKPOINT, WEIGHTS):
        if (name / own).is_file():
            return name / own
    places = [name, runs / name, *sorted(runs.glob(f"*/{name}"))] if not name.is_absolute() else [name]
    found = [run for place in places if place.is_dir() for run in (place, *sorted(place.glob("seed*")))]
    runs_found = {path.resolve(): path for run in found if (path := _evaluated(run)) is not None}
    if len(runs_found) > 1 and len({path.parent.parent.parent for path in runs_found.values()}) > 1:
        listed = ", ".join(str(path.parent.parent) for path in runs_found.values())
        raise PiganError(f"{name}: means several runs: {listed}; name one")
    if runs_found:
        return next(iter(runs_found.values()))
    known = released.names()
    if str(name) in known:
        return released_folder(str(name)) / WEIGHTS
    raise PiganError(
        f"{name}: no model; name a checkpoint (.safetensors), the folder of a stage or of `pigan export`, a run such "
        f"as {runs}/cars/baseline/seed0, or a released model: {', '.join(known) or 'there is none here'}"
    )


def pretrained_checkpoint(asked: Pretrained) -> Path:
    """The checkpoint that `training.pretrained` names.

    Raises:
        PiganError: it is missing, or another one than its `sha256` says.
    """
    try:
        path = find_checkpoint(Path(asked.path).expanduser())
    except PiganError as error:
        raise PiganError(f"training.pretrained: {error}") from None
    found = sha256_file(path)
    if found != asked.sha256:
        raise PiganError(
            f"training.pretrained: {path} has SHA-256 {found}, not {asked.sha256}; name the file that was meant, or "
            "correct sha256 if this is the one"
        )
    return path


def params_of(checkpoint: Path) -> Params:
    """The params that a checkpoint was trained with: from its own description, or from state.json beside it.

    Raises:
        PiganError: neither has them.
    """
    saved = describe(checkpoint).get("params")
    if saved is None:
        beside = checkpoint.with_name(STATE)
        if not beside.is_file():
            raise PiganError(f"{checkpoint}: does not say what it was trained with, and there is no {STATE} beside it")
        described = read_json(beside)
        saved = described.get("params") if isinstance(described, dict) else None
    if not isinstance(saved, dict):
        raise PiganError(f"{checkpoint}: the params it was trained with are missing; copy {STATE} beside it")
    try:
        return parse(_completed(saved), where=str(checkpoint))
    except ParamsError as error:
        raise PiganError(f"{error}; a model of another version of pigan? This is {__version__}") from None


def _completed(saved: dict[str, Any]) -> dict[str, Any]:
    """Saved params, and the demo's values of settings that came after them."""
    base = presets.values(presets.BASE)
    merged = merge(base, saved)
    merged["curriculum"] = saved.get("curriculum", base["curriculum"])
    merged["arms"] = saved.get("arms", base["arms"])
    return merged


def _evaluated(run: Path) -> Path | None:
    """The checkpoint of a run that its params evaluate, else that of its last stage."""
    stages = [path for path in run.glob(f"r*/{CHECKPOINT}") if path.parent.name[1:].isdigit()]
    stages.sort(key=lambda path: int(path.parent.name[1:]))
    if not stages:
        return None
    wanted = params_of(stages[-1]).generate.checkpoint
    return next((path for path in stages if path.parent.name == wanted), stages[-1])
