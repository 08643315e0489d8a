"""The search for a photo's object and camera: many starts among the model's own objects, then the best ones freely.

First the latent of an object and the camera are sought together at a low resolution, from several starts at once: as
long as only objects of the model are allowed, a wrong camera cannot be made up for by a bent object. The best few are
made exact at the full resolution. Then the code itself (frequencies and phases of every layer, as in arXiv 2012.00926)
is moved, with the camera. Every random number is named by its step, so that a search can go on where it was
interrupted.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pigan.models.mapping import draw_latents
from pigan.rendering.cameras import edge_fov
from pigan.runtime import generator_for
from pigan.synthesis.inversion import FALL, FALLS, Search
from pigan.synthesis.inverting.losses import Features, Perceptual
from pigan.synthesis.inverting.newton import damped_step
from pigan.synthesis.inverting.objective import RAYS_A_PASS, Objective, Phase
from pigan.synthesis.inverting.orbit import (
    Known,
    spread_poses,
    to_numbers,
    turned_by,
    within,
)
from pigan.synthesis.inverting.photo import Photo, target_of
from pigan.synthesis.inverting.settings import SearchSettings
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.views import usual_pitch

CPU = torch.device("cpu")
COARSE_SIDES = (16, 32)
# poses and latents that are looked at for every start
POSES, LATENTS = 4, 16
# of all steps, those at the low resolution, and at most those that solve; the last phase has the rest
COARSE_SHARE, SOLVED_SHARE, SOLVED_STEPS = 0.25, 0.1, 15
# learning rates of latents and angles (radians); that of codes is a setting
LATENT_LR, POSE_LR, LAST_POSE_LR = 0.05, 0.03, 5e-4
DAMPING = 0.01
# other starts are given up when the best one is so many times better: after so many steps of solving, and at its end,
# since a free code would make up for a wrong camera
HOPELESS, FIRST_STEPS, UNLIKELY = 2.0, 6, 1.2
# images that a perceptual loss looks at
PERCEPTUAL_SIDE = 64
# starts that ended so near to each other (radians) are one
SAME = math.radians(5)


class Best(NamedTuple):
    """What the search would give if it ended now."""

    code: Float[Tensor, "1 code"]
    numbers: Float[Tensor, "1 3"]
    """Of the camera; see `pigan.synthesis.inverting.orbit`."""
    objective: float


class PhotoSearch:
    """A search that can be taken step by step, saved and gone on with."""

    codes: Search
    poses: Search

    def __init__(
        self,
        model: TrainedModel,
        photo: Photo,
        known: Known,
        settings: SearchSettings,
        features: Features | None = None,
    ) -> None:
        self.model, self.known, self.settings = model, known, settings
        params, device = model.params, model.device
        side, fov = settings.resolution, edge_fov(params.camera, settings.resolution)
        coarse = min(side, max(COARSE_SIDES[0], min(side // 2, COARSE_SIDES[1])))
        first, second = round(COARSE_SHARE * settings.steps), min(SOLVED_STEPS, int(SOLVED_SHARE * settings.steps))
        low, full = (target_of(photo, pixels, fov, device) for pixels in (coarse, side))
        rays = min(settings.rays, len(full.rays))
        self.phases = (
            Phase(low, first, len(low.rays), True),
            Phase(full, second, rays, True, solved=True),
            Phase(full, settings.steps - first - second, rays, False),
        )
        perceptual = None
        if features is not None and settings.perceptual > 0:
            perceptual = Perceptual(features, photo, min(side, PERCEPTUAL_SIDE), fov, device)
        self.objective = Objective(model, settings, perceptual)
        free = [float(known.find_pose)] * 2 + [float(known.find_distance)]
        self.free = torch.tensor(free, device=device)
        self.phase, self.step = 0, 0
        self._begin(*self._starts())
        self._leave_finished_phases()

    @property
    def done(self) -> int:
        """Steps taken."""
        return sum(phase.steps for phase in self.phases[: self.phase]) + self.step

    def advance(self) -> Float[Tensor, ""]:
        """Takes one step; returns the least squared error of its rays, still on the device."""
        phase = self.phases[self.phase]
        error = self._solve(phase) if phase.solved else self._descend(phase)
        self.step += 1
        self._leave_finished_phases()
        return error

    def _descend(self, phase: Phase) -> Float[Tensor, ""]:
        """One step of Adam."""
        settings, device = self.settings, self.model.device
        random = generator_for(CPU, settings.seed, "photo inversion", self.phase, self.step)
        chosen = torch.randperm(len(phase.target.rays), generator=random)[: phase.rays].to(device)
        free = (self.base + self.codes.offset).requires_grad_(phase.latent)
        code: Tensor = self.model.generator.mapping(free) if phase.latent else free
        noisy = code.detach()
        if not phase.latent:
            noise = torch.randn(code.shape, generator=random).to(device)
            noisy = noisy + settings.noise * (1 - self.step / phase.steps) * noise
        numbers, moves = self.start + self.poses.offset, bool(self.free.any())
        error, gradient, pose_gradient = self.objective.gradients(noisy, numbers, phase, chosen, moves)
        if phase.latent:
            gradient = torch.autograd.grad(code, free, gradient)[0]
        centre = torch.zeros_like(free) if phase.latent else self.model.average_code
        gradient = gradient + 2 * settings.regularisation * (free.detach() - centre)
        fall = FALL ** (FALLS * self.step // phase.steps)
        self.codes.step(gradient, (LATENT_LR if phase.latent else settings.lr) * fall)
        self.poses.step(self.free * pose_gradient, (POSE_LR if phase.latent else LAST_POSE_LR) * fall)
        self.poses.offset = within(self.start + self.poses.offset, self.model.params.camera.radius) - self.start
        return error.min()

    @torch.no_grad()
    def _solve(self, phase: Phase) -> Float[Tensor, ""]:
        """One step of Levenberg-Marquardt for every start, on the same rays each time."""
        settings, radius = self.settings, self.model.params.camera.radius
        random = generator_for(CPU, settings.seed, "photo inversion", self.phase)
        chosen = torch.randperm(len(phase.target.rays), generator=random)[: phase.rays].to(self.model.device)
        rays, colours = phase.target.rays[chosen], phase.target.colours[chosen]
        size, share = self.base.shape[1], (3 * len(chosen)) ** -0.5
        batch = max(1, RAYS_A_PASS // len(chosen))

        def residuals(guesses: Float[Tensor, "guess unknown"]) -> Float[Tensor, "guess residual"]:
            found = []
            for some in guesses.split(batch):
                latent, numbers = some[:, :size], within(some[:, size:], radius)
                colour = self.objective.render(self.model.generator.mapping(latent), numbers, rays)
                off = share * (2 * colour - 1 - colours).flatten(1)
                found.append(torch.cat((off, settings.regularisation**0.5 * latent), 1))
            return torch.cat(found)

        free = torch.cat((torch.ones(size, device=self.base.device), self.free))
        objectives = self.objective.of(self._codes(), self.start + self.poses.offset, phase)
        for row in range(len(self.base)):
            if self.step >= FIRST_STEPS and objectives[row] > HOPELESS * objectives.min():
                continue
            before = torch.cat((self.base[row] + self.codes.offset[row], self.start[row] + self.poses.offset[row]))
            after, damping = damped_step(residuals, before, free, float(self.damping[row]))
            self.codes.offset[row] = after[:size] - self.base[row]
            self.poses.offset[row] = within(after[None, size:], radius)[0] - self.start[row]
            self.damping[row] = damping
        return objectives.min()

    def best(self) -> Best:
        """The best object so far and its camera, by the objective without randomness."""
        code, numbers = self._codes(), self.start + self.poses.offset
        objectives = self.objective.of(code, numbers, self.phases[self.phase])
        row = int(objectives.argmin())
        return Best(code[row : row + 1], numbers[row : row + 1], float(objectives[row]))

    def tensors(self) -> dict[str, Tensor]:
        """Everything that steps change."""
        moving = {"codes": self.codes, "poses": self.poses}
        found = {f"{name}.{key}": value for name, search in moving.items() for key, value in vars(search).items()}
        return {"base": self.base, "start": self.start, "damping": self.damping, **found}

    def about(self) -> dict[str, Any]:
        """Where the search stands, beside its tensors."""
        return {"phase": self.phase, "step": self.step}

    def go_on_from(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Makes this the search that `tensors` and `about` were saved from."""
        here = {name: value.to(self.model.device) for name, value in tensors.items()}
        self._begin(here["base"], here["start"])
        for name, search in (("codes", self.codes), ("poses", self.poses)):
            for key in vars(search):
                setattr(search, key, here[f"{name}.{key}"])
        self.damping = here["damping"]
        self.phase, self.step = int(about["phase"]), int(about["step"])

    def _begin(self, base: Float[Tensor, "row numbers"], start: Float[Tensor, "row 3"]) -> None:
        self.base, self.start = base, start
        self.damping = torch.full((len(base),), DAMPING, device=base.device)
        self.codes = Search(base.shape[0], base.shape[1], base.device)
        self.poses = Search(start.shape[0], start.shape[1], start.device)

    @torch.no_grad()
    def _codes(self) -> Float[Tensor, "row code"]:
        free = self.base + self.codes.offset
        return self.model.generator.mapping(free) if self.phases[self.phase].latent else free

    def _leave_finished_phases(self) -> None:
        """Goes on with the best few that differ in their camera when a phase is over."""
        while self.phase + 1 < len(self.phases) and self.step >= self.phases[self.phase].steps:
            base, code, numbers = self.base + self.codes.offset, self._codes(), self.start + self.poses.offset
            objectives = self.objective.of(code, numbers, self.phases[self.phase])
            kept: list[int] = []
            for row in objectives.argsort(stable=True).tolist():
                apart = not kept or bool((turned_by(numbers[kept], numbers[row]) > SAME).all())
                hopeless = self.phases[self.phase].solved and objectives[row] > UNLIKELY * objectives.min()
                if apart and not hopeless and len(kept) < self.settings.kept:
                    kept.append(row)
            self.phase, self.step = self.phase + 1, 0
            self._begin((base if self.phases[self.phase].latent else code)[kept], numbers[kept])

    @torch.no_grad()
    def _starts(self) -> tuple[Float[Tensor, "row z"], Float[Tensor, "row 3"]]:
        """Latents and cameras to start from: the best of many, each camera with the latent that fits it best."""
        settings, known, camera = self.settings, self.known, self.model.params.camera
        model, device = self.model.params.model, self.model.device
        distance = known.distance or camera.radius
        if known.yaw is None:
            poses = spread_poses(camera, POSES * settings.starts, settings.seed)
        else:
            poses = torch.tensor([[known.yaw, usual_pitch(camera) if known.pitch is None else known.pitch]])
        numbers = to_numbers(poses, distance).to(device)
        random = generator_for(CPU, settings.seed, "latents")
        drawn = draw_latents(max(LATENTS, settings.starts), model.z_dim, model.z_distribution, random).to(device)
        code = self.model.generator.mapping(drawn)
        fits = torch.stack(
            [self.objective.of(code, one.expand(len(code), -1), self.phases[0]) for one in numbers], dim=0
        )
        if len(numbers) == 1:
            latents = fits[0].argsort(stable=True)[: settings.starts]
            return drawn[latents], numbers.expand(len(latents), -1).clone()
        least, latents = fits.min(1)
        first = least.argsort(stable=True)[: settings.starts]
        return drawn[latents[first]], numbers[first]
