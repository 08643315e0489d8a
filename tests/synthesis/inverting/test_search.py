"""Single steps of a search, from places that tests choose; that it finds things is in test_photo_inversion.py."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pigan import config
from pigan.models.generator import Generator
from pigan.synthesis.inversion import Search
from pigan.synthesis.inverting import orbit
from pigan.synthesis.inverting.orbit import Known
from pigan.synthesis.inverting.photo import Photo
from pigan.synthesis.inverting.search import DAMPING, FIRST_STEPS, SAME, PhotoSearch
from pigan.synthesis.inverting.settings import SearchSettings
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.viewing import look

SIDE = 8
CPU = torch.device("cpu")
# yaw, pitch (radians) of the photo, of its object
YAW, PITCH, OBJECT = 0.4, 0.9, 0
# 20 steps by Adam, 8 that solve, 52 of codes
SETTINGS = SearchSettings(SIDE, steps=80, starts=3, kept=3, rays=48)
FIRST, SOLVED = 20, 8


@pytest.fixture(scope="module")
def model(ball_params: config.Params) -> TrainedModel:
    """Random weights, dense and colourful enough that objects and views differ."""
    params = config.parse(config.merge(ball_params.model_dump(), {"model": {"samples": 6}}))
    torch.manual_seed(3)
    generator = Generator(params.model)
    with torch.no_grad():
        generator.field.density_head.weight.mul_(300)
        generator.field.colour_head.weight.mul_(10)
    return TrainedModel(generator.eval().requires_grad_(False), params, Path("random"))


@pytest.fixture(scope="module")
def photo(model: TrainedModel) -> Photo:
    codes = model.codes(model.latents(OBJECT))
    colour = look(model.generator, codes, model.cameras(YAW, PITCH), SIDE, model.params).colour[0]
    pixels = (colour * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return Photo(Path("random.png"), pixels, np.ones(pixels.shape[:2], bool))


def at(*poses: tuple[float, float], distance: float = 1.0) -> Tensor:
    return orbit.to_numbers(torch.tensor(poses), distance)


def put(search: PhotoSearch, base: Tensor, numbers: Tensor, phase: int, step: int) -> PhotoSearch:
    """The search, with starts at these latents (or codes) and cameras, and none of them moved yet."""
    moving = {"codes": Search(*base.shape, CPU), "poses": Search(*numbers.shape, CPU)}
    fresh = {f"{name}.{key}": value for name, own in moving.items() for key, value in vars(own).items()}
    damping = torch.full((len(base),), DAMPING)
    search.go_on_from({"base": base, "start": numbers, "damping": damping, **fresh}, {"phase": phase, "step": step})
    return search


def objectives(search: PhotoSearch, phase: int = 0) -> Tensor:
    found = search.tensors()
    return search.objective.of(search.model.generator.mapping(found["base"]), found["start"], search.phases[phase])


def test_starts_are_the_best_of_many_in_their_order(model: TrainedModel, photo: Photo) -> None:
    search = PhotoSearch(model, photo, Known(), SETTINGS)
    assert [phase.steps for phase in search.phases] == [FIRST, SOLVED, 52]
    starts = objectives(search)
    assert len(starts) == 3 and (starts.diff() >= 0).all()
    latents = torch.randn((30, model.params.model.z_dim), generator=torch.Generator().manual_seed(1))
    random = put(search, latents, orbit.to_numbers(orbit.spread_poses(model.params.camera, 30, 1), 1.0), 0, 0)
    assert starts[-1] < objectives(random).median()


@pytest.mark.parametrize("known", [Known(distance=1.3), Known(YAW, PITCH, distance=1.3)])
def test_starts_stand_at_the_distance_that_is_known(model: TrainedModel, photo: Photo, known: Known) -> None:
    start = PhotoSearch(model, photo, known, SETTINGS).tensors()["start"]
    torch.testing.assert_close(orbit.from_numbers(start)[:, 2], torch.full((3,), 1.3))


def test_best_is_the_nearest_wherever_it_stands(model: TrainedModel, photo: Photo) -> None:
    search = PhotoSearch(model, photo, Known(), SETTINGS)
    starts, first = search.tensors(), search.best()
    put(search, starts["base"].flip(0), starts["start"].flip(0), 0, 0)
    assert search.best().objective == first.objective == float(objectives(search).min())
    assert torch.equal(search.best().code, first.code) and torch.equal(search.best().numbers, first.numbers)


def test_what_is_known_stays_and_what_is_searched_for_moves(model: TrainedModel, photo: Photo) -> None:
    latents, start = model.latents([OBJECT]) + 0.05, at((YAW + 0.05, PITCH + 0.05), distance=1.05)
    for phase in (0, 1, 2):
        for known, moves in (
            (Known(YAW, PITCH), [True, True, False]),
            (Known(YAW, PITCH, find_pose=False, find_distance=True), [False, False, True]),
        ):
            search = PhotoSearch(model, photo, known, SETTINGS)
            put(search, model.codes(latents) if phase == 2 else latents, start, phase, 0).advance()
            assert (search.tensors()["poses.offset"] != 0)[0].tolist() == moves, (phase, known)


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_cameras_stay_off_the_poles_and_near_the_trainings_distance(
    model: TrainedModel, photo: Photo, phase: int
) -> None:
    radius, edge = model.params.camera.radius, 1e-4
    known = Known(find_distance=True)
    corners = [
        at((YAW, pitch), distance=distance)
        for pitch in (orbit.POLE + edge, math.pi - orbit.POLE - edge)
        for distance in (orbit.NEAREST * radius * (1 + edge), orbit.FARTHEST * radius * (1 - edge))
    ]
    numbers, latents = torch.cat(corners), model.latents([1, 2, 3, 4])
    search = PhotoSearch(model, photo, known, SETTINGS)
    put(search, model.codes(latents) if phase == 2 else latents, numbers, phase, 0)
    for _ in range(3):
        search.advance()
    now = search.tensors()["start"] + search.tensors()["poses.offset"]
    assert not torch.equal(now, numbers)
    torch.testing.assert_close(now, orbit.within(now, radius), rtol=0, atol=1e-6)


def test_starts_that_end_in_one_camera_go_on_as_one(model: TrainedModel, photo: Photo) -> None:
    """A better start stands elsewhere: the second of the two in one place is near to some that are kept, not to all."""
    latents, numbers = model.latents([OBJECT, 1, 1]), at((YAW, PITCH), (YAW + 2, PITCH), (YAW + 2, PITCH))
    search = put(PhotoSearch(model, photo, Known(), SETTINGS), latents, numbers, 0, FIRST - 1)
    search.advance()
    left = search.tensors()["start"]
    assert search.about() == {"phase": 1, "step": 0} and len(left) == 2
    assert orbit.turned_by(left[:1], left[1]) > SAME


def test_only_solved_starts_are_given_up_for_a_better_one(model: TrainedModel, photo: Photo) -> None:
    latents, numbers = model.latents([OBJECT, 1, 2]), at((YAW, PITCH), (YAW + 2, PITCH), (YAW + 4, PITCH))
    search = PhotoSearch(model, photo, Known(find_pose=False), SETTINGS)
    put(search, latents, numbers, 0, FIRST - 1).advance()
    assert search.about() == {"phase": 1, "step": 0} and len(search.tensors()["base"]) == 3
    put(search, latents, numbers, 1, SOLVED - 1).advance()
    assert search.about() == {"phase": 2, "step": 0} and len(search.tensors()["base"]) == 1
    torch.testing.assert_close(search.tensors()["start"], numbers[:1])


def test_hopeless_starts_are_solved_no_longer(model: TrainedModel, photo: Photo) -> None:
    latents, numbers = model.latents([OBJECT, 1]) + 0.05, at((YAW, PITCH), (YAW + 2, PITCH))
    search = PhotoSearch(model, photo, Known(find_pose=False), SETTINGS)
    for step, moved in ((FIRST_STEPS - 1, [True, True]), (FIRST_STEPS, [True, False])):
        put(search, latents, numbers, 1, step).advance()
        assert (search.tensors()["codes.offset"] != 0).any(1).tolist() == moved


def test_latents_are_solved_for_near_zero_where_that_weighs(model: TrainedModel, photo: Photo) -> None:
    lengths = []
    for weight in (0.0, 10.0):
        search = PhotoSearch(model, photo, Known(YAW, PITCH), SETTINGS._replace(regularisation=weight))
        put(search, model.latents([1]), at((YAW, PITCH)), 1, 0).advance()
        lengths.append(float((search.tensors()["base"] + search.tensors()["codes.offset"]).norm()))
    assert lengths[1] < 0.5 * lengths[0]


def test_noise_is_on_codes_alone_and_falls(model: TrainedModel, photo: Photo) -> None:
    def error(noise: float, phase: int, step: int) -> float:
        search = PhotoSearch(model, photo, Known(YAW, PITCH), SETTINGS._replace(noise=noise))
        latents = model.latents([OBJECT])
        put(search, model.codes(latents) if phase == 2 else latents, at((YAW, PITCH)), phase, step)
        return float(search.advance())

    assert error(1.0, 0, 0) == error(0.0, 0, 0) and error(1.0, 1, 0) == error(0.0, 1, 0)
    still, early, late = error(0.0, 2, 0), error(1.0, 2, 0), error(1.0, 2, 51)
    assert early > 10 * late > 0 and late > still
