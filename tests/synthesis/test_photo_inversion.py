"""Photos into a model: its own renderings are found again with their cameras, whatever the file, after any kill."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from pigan import config
from pigan.errors import PiganError
from pigan.kernels.choose import Numerics, field_of
from pigan.models.generator import Generator, ray_settings
from pigan.rendering.cameras import edge_fov
from pigan.rendering.rays import pixel_directions
from pigan.rendering.render import no_randomness
from pigan.runtime import generator_for
from pigan.synthesis import ray_gradients
from pigan.synthesis.inverted_code import load_code
from pigan.synthesis.inverting import batch, losses, orbit
from pigan.synthesis.inverting.losses import Perceptual, similarity
from pigan.synthesis.inverting.newton import damped_step
from pigan.synthesis.inverting.orbit import Known
from pigan.synthesis.inverting.outcome import HeldOut, other_cameras, write_outcome, write_preview
from pigan.synthesis.inverting.photo import Photo, read_photo, target_of
from pigan.synthesis.inverting.search import Best, PhotoSearch
from pigan.synthesis.inverting.settings import SearchSettings
from pigan.synthesis.pictures import depth_colours, grid
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.viewing import as_levels, look

SIDE, STEPS, FITTING_STEPS = 16, 150, 300
CPU = torch.device("cpu")
# yaw and pitch, radians, of the model's own views
POSES = [(0.4, 0.9), (1.9, 1.2), (3.0, 0.7), (4.1, 1.1)]
SETTINGS = SearchSettings(SIDE, steps=STEPS)
QUICK = SearchSettings(SIDE, steps=20, starts=2, rays=64)


@pytest.fixture(scope="module")
def model(ball_params: config.Params) -> TrainedModel:
    """A FiLM-SIREN that was fitted to painted bodies with a head at one end: their camera can be told."""
    changes = {"model": {"layers": 3, "coordinate_scale": 1.0}}
    params = config.parse(config.merge(ball_params.model_dump(), changes))
    torch.manual_seed(3)
    generator, random = Generator(params.model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        generator.field.density_head.weight.mul_(300)
        generator.field.colour_head.weight.mul_(10)
    adam = torch.optim.Adam(generator.parameters(), lr=2e-3)
    for _ in range(FITTING_STEPS):
        z = torch.randn((16, 4), generator=random)
        points = 0.6 * (torch.rand((16, 256, 3), generator=random) - 0.5)
        size = 1 + 0.25 * z[:, None, 3].tanh()
        body = 1 - (points / torch.tensor((0.2, 0.09, 0.11))).norm(dim=-1) / size
        head = 1 - ((points - torch.tensor((0.1, 0.1, 0.0))) / 0.08).norm(dim=-1)
        stripes = (20 * points[..., :1]).sin() * torch.tensor((0.25, -0.25, 0.25))
        paint = (0.5 + 2 * points + stripes + 0.2 * z[:, None, :3].tanh()).clamp(0, 1)
        colour, density = field_of(generator, generator.mapping(z))(points, torch.zeros_like(points))
        inside = 1.2 * torch.maximum(body, head)
        loss = (density / 30 - inside).square().mean() + (colour - paint).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return TrainedModel(generator.requires_grad_(False), params, Path("figures"))


def picture(model: TrainedModel, seed: int, yaw: float, pitch: float, radius: float | None = None) -> np.ndarray:
    cameras = model.cameras(yaw, pitch, radius=radius)
    colour = look(model.generator, model.codes(model.latents(seed)), cameras, SIDE, model.params).colour[0]
    return (colour * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def photo_of(pixels: np.ndarray, counts: np.ndarray | None = None) -> Photo:
    return Photo(Path("figure.png"), pixels, np.ones(pixels.shape[:2], bool) if counts is None else counts)


def run(search: PhotoSearch) -> PhotoSearch:
    while search.done < search.settings.steps:
        search.advance()
    return search


def shown(model: TrainedModel, search: PhotoSearch) -> np.ndarray:
    best = search.best()
    cameras = orbit.cameras_at(best.numbers, model.params.camera.fov)
    return look(model.generator, best.code, cameras, SIDE, model.params).colour[0].numpy()


def psnr(colour: np.ndarray, pixels: np.ndarray) -> float:
    return similarity(colour, pixels, np.ones(pixels.shape[:2], bool)).psnr


def off(search: PhotoSearch, yaw: float, pitch: float) -> float:
    """Degrees between the camera that was found and the true one."""
    return math.degrees(float(orbit.turned_by(search.best().numbers, torch.tensor((yaw, pitch, 1.0)))))


def test_an_own_view_is_found_again_with_its_camera(model: TrainedModel) -> None:
    yaw, pitch = POSES[0]
    pixels = picture(model, 0, yaw, pitch)
    search = PhotoSearch(model, photo_of(pixels), Known(), SETTINGS)
    # no start is the answer
    assert off(search, yaw, pitch) > 2
    run(search)
    assert psnr(shown(model, search), pixels) > 30 and off(search, yaw, pitch) < 2


def test_distance_is_found_as_well(model: TrainedModel) -> None:
    (yaw, pitch), distance = POSES[1], 1.25
    pixels = picture(model, 1, yaw, pitch, distance)
    known = Known(yaw + 0.1, pitch - 0.1, find_distance=True)
    search = run(PhotoSearch(model, photo_of(pixels), known, SETTINGS))
    found = orbit.from_numbers(search.best().numbers)[0]
    assert off(search, yaw, pitch) < 2 and float(found[2]) == pytest.approx(distance, rel=0.02)
    assert psnr(shown(model, search), pixels) > 30


def test_known_camera_stays_as_it_is(model: TrainedModel) -> None:
    yaw, pitch = POSES[0]
    pixels = picture(model, 0, yaw, pitch)
    search = run(PhotoSearch(model, photo_of(pixels), Known(yaw, pitch, find_pose=False), SETTINGS._replace(starts=2)))
    expected = torch.tensor([[yaw, pitch, model.params.camera.radius]])
    torch.testing.assert_close(orbit.from_numbers(search.best().numbers), expected)
    assert psnr(shown(model, search), pixels) > 30


def test_masked_garbage_has_no_say(model: TrainedModel) -> None:
    yaw, pitch = POSES[2]
    clean = picture(model, 2, yaw, pitch)
    counts = np.ones((SIDE, SIDE), bool)
    counts[:, :5] = counts[13:] = False
    spoiled = np.where(counts[..., None], clean, np.random.default_rng(0).integers(0, 256, clean.shape, np.uint8))
    few = SETTINGS._replace(starts=4)
    blind = run(PhotoSearch(model, photo_of(spoiled), Known(yaw, pitch), few))
    masked = run(PhotoSearch(model, photo_of(spoiled, counts), Known(yaw + 0.1, pitch + 0.1), few))
    again = similarity(shown(model, masked), clean, counts).psnr
    assert again > 30 and off(masked, yaw, pitch) < 2
    assert again > similarity(shown(model, blind), clean, counts).psnr + 5
    other = np.where(counts[..., None], clean, np.uint8(7))
    quick = [run(PhotoSearch(model, photo_of(p, counts), Known(), QUICK)) for p in (spoiled, other)]
    assert torch.equal(*(search.best().code for search in quick))


def blurs(images: torch.Tensor) -> list[torch.Tensor]:
    """Features that stand in for a network's: colours and their differences, at two scales."""
    maps = []
    for size in (1, 2):
        pooled = torch.nn.functional.avg_pool2d(images, size)
        across, down = pooled[..., 1:, 1:] - pooled[..., 1:, :-1], pooled[..., 1:, 1:] - pooled[..., :-1, 1:]
        maps.append(torch.cat((pooled[..., 1:, 1:], 4 * across, 4 * down), 1))
    return maps


def test_perceptual_term_brings_features_nearer(model: TrainedModel) -> None:
    # what the model cannot show exactly
    yaw, pitch = POSES[3]
    photo = photo_of(255 - picture(model, 3, yaw, pitch))
    distance = Perceptual(blurs, photo, SIDE, edge_fov(model.params.camera, SIDE), CPU)
    left = []
    for weight in (0.0, 1.0):
        settings = SETTINGS._replace(steps=60, starts=1, perceptual=weight)
        search = run(PhotoSearch(model, photo, Known(yaw, pitch, find_pose=False), settings, blurs))
        left.append(float(distance(torch.from_numpy(shown(model, search)).flatten(0, 1)[None])))
    assert left[1] < 0.95 * left[0]


def test_regularisation_pulls_towards_the_average_code(model: TrainedModel) -> None:
    yaw, pitch = POSES[0]
    photo, known = photo_of(picture(model, 0, yaw, pitch)), Known(yaw, pitch, find_pose=False)
    away = []
    for weight in (0.0, 0.1):
        settings = SETTINGS._replace(steps=40, starts=1, regularisation=weight)
        code = run(PhotoSearch(model, photo, known, settings)).best().code
        away.append(float((code - model.average_code).norm()))
    assert away[0] > 1.2 * away[1]


def test_gradient_of_the_camera_is_that_of_differences_in_float64(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_gradients, "EXACT", Numerics("plain", torch.float64))
    before, code = torch.get_default_dtype(), model.codes(model.latents([0, 1])).double()
    torch.set_default_dtype(torch.float64)
    try:
        generator = Generator(model.params.model).double().requires_grad_(False)
        generator.load_state_dict({k: v.double() for k, v in model.generator.state_dict().items()})
        camera = model.params.camera
        sampling = ray_settings(model.params.model, camera, "white")._replace(hierarchical=False)
        numbers = orbit.to_numbers(torch.tensor(POSES[:2]), 1.1)
        rays = target_of(photo_of(np.zeros((8, 8, 3), np.uint8)), 8, camera.fov, CPU).rays
        weights = torch.rand((64, 3), generator=generator_for(CPU, "weights"))

        def towards(values: torch.Tensor, cameras: bool = True) -> ray_gradients.Towards:
            along = orbit.cast(orbit.cameras_at(values, 1.0), rays, camera.radius)
            still = no_randomness(2, 64, sampling, CPU)
            loss = lambda colour: (colour * weights).sum((1, 2))  # noqa: E731
            return ray_gradients.ray_gradients(generator, code, along, sampling, still, loss, 1 << 9, cameras)

        gradient = orbit.towards_numbers(numbers, rays, camera.radius, towards(numbers))
        step = 1e-6 * torch.eye(3)
        differences = [(towards(numbers + s, False).loss - towards(numbers - s, False).loss) / 2e-6 for s in step]
        torch.testing.assert_close(gradient, torch.stack(differences, 1), rtol=1e-4, atol=1e-5)
        assert gradient.abs().min() > 1e-3
    finally:
        torch.set_default_dtype(before)


def test_solving_ends_a_linear_problem_at_once_and_never_climbs() -> None:
    matrix, goal = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 0.0], [1.0, 1.0, 0.0]]), torch.tensor([1.0, -2.0, 0.5])
    free = torch.tensor([1.0, 1.0, 0.0])
    there, damping = damped_step(lambda x: x @ matrix.mT - goal, torch.zeros(3), free, 1e-6)
    expected = torch.linalg.lstsq(matrix[:, :2], goal[:, None]).solution[:, 0]
    torch.testing.assert_close(there[:2], expected, rtol=1e-3, atol=1e-3)
    assert there[2] == 0 and damping == 1e-6

    # a step that would climb is not taken, and the next one is shorter
    def steep(x: torch.Tensor) -> torch.Tensor:
        return 1 + (40 * x).cos()

    here = torch.tensor([0.05])
    there, damping = damped_step(steep, here, torch.ones(1), 1e-6)
    climbs = steep(there) > steep(here)
    assert not climbs and (damping > 1e-6) == torch.equal(there, here)


def test_damping_shortens_a_step_and_follows_its_success() -> None:
    free = torch.ones(1)
    there, damping = damped_step(lambda x: 2 * x - 6, torch.zeros(1), free, 1.0)
    assert (there.item(), damping) == (pytest.approx(1.5), pytest.approx(1 / 3))
    # nothing is better here: the next step is shorter, but not without end
    for before, after in ((0.5, 2.0), (9e5, 1e6)):
        assert damped_step(lambda x: x.square() + 1, torch.zeros(1), free, before) == (torch.zeros(1), after)


def test_numbers_of_a_camera_are_its_pose_and_stay_off_the_poles_and_near_the_trainings_distance() -> None:
    pose = torch.tensor([[1.0, 0.7], [7.0, 2.0]])
    numbers = orbit.to_numbers(pose, 1.3)
    torch.testing.assert_close(orbit.from_numbers(numbers), torch.cat((pose, torch.full((2, 1), 1.3)), 1))
    torch.testing.assert_close(orbit.within(numbers, 1.5), numbers)
    further = orbit.from_numbers(numbers + torch.tensor([0.0, 0.0, 1.0]))[:, 2]
    torch.testing.assert_close(further, torch.full((2,), 1.3 * math.exp(orbit.DISTANCE_STEP)))
    for pitch, distance, nearest in ((-0.2, 100.0, (0, 3.0)), (4.0, 0.01, (math.pi, 0.75))):
        beyond = orbit.to_numbers(torch.tensor([[9.0, pitch]]), distance)
        kept = orbit.from_numbers(orbit.within(beyond, 1.5))[0].tolist()
        assert kept == pytest.approx([9, *nearest], abs=1e-4) and 0 < kept[1] < math.pi


def test_rays_of_cameras_meet_and_samples_stay_about_the_origin() -> None:
    numbers = torch.cat(
        [orbit.to_numbers(torch.tensor([pose]), far) for pose, far in zip(POSES, (1.3, 0.8), strict=False)]
    )
    ahead = torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, -0.8]])
    along = orbit.cast(orbit.cameras_at(numbers, 1.0), ahead, 1.0)
    torch.testing.assert_close(along.further, torch.tensor([0.3, -0.2]))
    torch.testing.assert_close(along.origins.norm(dim=1), torch.tensor([1.3, 0.8]))
    torch.testing.assert_close(along.directions[:, 0], -torch.nn.functional.normalize(along.origins, dim=1))
    torch.testing.assert_close((along.directions[:, 0] * along.directions[:, 1]).sum(1), torch.full((2,), 0.8))


def test_turn_between_cameras_is_the_angle_of_their_places() -> None:
    level = math.pi / 2
    some = torch.tensor([[1.0, level, 0.0], [1.4, level, 5.0], [1.0, level + 0.3, 0.0], [1.0 - math.pi, level, 0.0]])
    angles = orbit.turned_by(some, torch.tensor([1.0, level, 0.0])).tolist()
    assert angles == pytest.approx([0, 0.4, 0.3, math.pi], abs=1e-3)


@pytest.fixture
def own(model: TrainedModel, tmp_path: Path) -> Path:
    """A view of the model's own as a file."""
    path = tmp_path / "figure.png"
    Image.fromarray(picture(model, 0, *POSES[0])).save(path)
    return path


class Killed(Exception):
    """Stands for the end of a process."""


def bits(folder: Path) -> dict[str, Any]:
    """All files of a result, but for how long it took."""
    read = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "result.json"}
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {**read, "result": {key: value for key, value in result.items() if key != "seconds"}}


@pytest.mark.parametrize("at", [1, 7, 19])
def test_a_killed_search_ends_in_the_same_bits(
    at: int, model: TrainedModel, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, advance = read_photo(own, SIDE), PhotoSearch.advance
    batch.invert_photos(model, [photo], Known(), QUICK, tmp_path / "whole", preview_steps=3)

    def killed(search: PhotoSearch) -> float:
        if search.done == at:
            raise Killed
        return advance(search)

    monkeypatch.setattr(PhotoSearch, "advance", killed)
    with pytest.raises(Killed):
        batch.invert_photos(model, [photo], Known(), QUICK, tmp_path / "cut", preview_steps=3)
    assert not (tmp_path / "cut" / "figure").exists()
    begun: list[int] = []

    def counted(search: PhotoSearch) -> float:
        begun.append(search.done)
        return advance(search)

    monkeypatch.setattr(PhotoSearch, "advance", counted)
    batch.invert_photos(model, [photo], Known(), QUICK, tmp_path / "cut", preview_steps=3)
    # it went on from the last save
    assert begun[0] == at - at % 3
    assert bits(tmp_path / "cut" / "figure") == bits(tmp_path / "whole" / "figure")
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["figure", "preview.png"]


def test_another_search_does_not_go_on_from_a_saved_one(
    model: TrainedModel, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = PhotoSearch.advance

    def killed(search: PhotoSearch) -> float:
        if search.done == 10:
            raise Killed
        return advance(search)

    monkeypatch.setattr(PhotoSearch, "advance", killed)
    with pytest.raises(Killed):
        batch.invert_photos(model, [read_photo(own, SIDE)], Known(), QUICK, tmp_path / "out", preview_steps=3)
    monkeypatch.setattr(PhotoSearch, "advance", advance)
    other = QUICK._replace(seed=1)
    for place in ("out", "fresh"):
        batch.invert_photos(model, [read_photo(own, SIDE)], Known(), other, tmp_path / place, preview_steps=3)
    assert bits(tmp_path / "out" / "figure") == bits(tmp_path / "fresh" / "figure")


def test_done_photos_are_not_done_again_and_others_are_not_overwritten(
    model: TrainedModel, own: Path, tmp_path: Path
) -> None:
    out, photo = tmp_path / "out", read_photo(own, SIDE)
    ((first, there),) = batch.invert_photos(model, [photo], Known(), QUICK, out)
    ((second, still),) = batch.invert_photos(model, [photo], Known(), QUICK, out)
    assert (there, still) == (False, True) and first["fingerprint"] == second["fingerprint"]
    ((third, new),) = batch.invert_photos(model, [photo], Known(), QUICK._replace(seed=3), out)
    assert not new and third["fingerprint"] != first["fingerprint"]
    elsewhere = tmp_path / "other" / "figure.png"
    elsewhere.parent.mkdir()
    Image.new("RGB", (9, 9), "red").save(elsewhere)
    with pytest.raises(PiganError, match=r"out/figure: is there and no inversion of .*other/figure\.png"):
        batch.invert_photos(model, [read_photo(elsewhere, SIDE)], Known(), QUICK, out)
    with pytest.raises(PiganError, match="both would become"):
        batch.invert_photos(model, [photo, read_photo(elsewhere, SIDE)], Known(), QUICK, tmp_path / "two")


def test_whatever_a_result_depends_on_makes_it_anew(model: TrainedModel, own: Path, tmp_path: Path) -> None:
    photo, quick = read_photo(own, SIDE), QUICK._replace(steps=4)
    half = photo.counts.copy()
    half[:, : SIDE // 2] = False
    masked = photo._replace(counts=half)
    beside = HeldOut(photo, *POSES[0])
    calls: list[tuple[Photo, Known, HeldOut | None]] = [
        (photo, Known(), None),
        (masked, Known(), None),
        (photo, Known(distance=1.1), None),
        (photo, Known(), beside),
    ]
    prints = []
    for seen, known, held_out in calls:
        for there in (False, True):
            ((result, found),) = batch.invert_photos(model, [seen], known, quick, tmp_path / "out", held_out=held_out)
            assert found == there
        prints.append(result["fingerprint"])
    assert len(set(prints)) == len(calls)


def test_seconds_are_those_of_all_attempts(
    model: TrainedModel, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that a step moves by a minute, with two interruptions of 20 steps."""
    clock, stops, advance = [0.0], [11, 16], PhotoSearch.advance

    def slow(search: PhotoSearch) -> Tensor:
        if stops and search.done == stops[0]:
            stops.pop(0)
            raise Killed
        clock[0] += 60
        return advance(search)

    monkeypatch.setattr(PhotoSearch, "advance", slow)
    monkeypatch.setattr(batch.time, "monotonic", lambda: clock[0])
    for _ in range(2):
        with pytest.raises(Killed):
            batch.invert_photos(model, [read_photo(own, SIDE)], Known(), QUICK, tmp_path, preview_steps=5)
    ((result, _),) = batch.invert_photos(model, [read_photo(own, SIDE)], Known(), QUICK, tmp_path, preview_steps=5)
    # what was lost after a save is not counted
    assert result["seconds"] == 20 * 60


def test_result_can_be_used_with_its_model_only(model: TrainedModel, own: Path, tmp_path: Path) -> None:
    yaw, pitch = POSES[0]
    held_out = HeldOut(photo_of(picture(model, 0, yaw + 0.5, pitch)), yaw + 0.5, pitch)
    out, known = tmp_path / "out", Known(yaw, pitch, find_pose=False)
    settings = SETTINGS._replace(starts=2, steps=100)
    ((result, _),) = batch.invert_photos(model, [read_photo(own, SIDE)], known, settings, out, held_out=held_out)
    names = ["code.safetensors", "depth.png", "input.png", "rendered.png", "result.json", "strip.png"]
    assert sorted(path.name for path in (out / "figure").iterdir()) == names
    assert result["camera"]["yaw_degrees"] == pytest.approx(math.degrees(yaw), abs=1e-3)
    code, found = load_code(out / "figure", model), result["camera"]
    angles = (math.radians(found[f"{angle}_degrees"]) for angle in ("yaw", "pitch"))
    cameras = model.cameras(*angles, radius=found["distance"])
    seen = look(model.generator, code, cameras, SIDE, model.params).colour[0].numpy()
    pixels = np.asarray(Image.open(own))
    assert psnr(seen, pixels) == pytest.approx(result["psnr_db"], abs=0.1) and result["psnr_db"] > 30
    # an object, not a picture: the side that was not seen is right as well
    assert result["held_out"]["psnr_db"] > 20
    assert np.array_equal(
        np.asarray(Image.open(out / "figure" / "rendered.png")), (seen * 255).round().astype(np.uint8)
    )
    other = TrainedModel(Generator(model.params.model), model.params, Path("another"))
    with pytest.raises(PiganError, match=r"belongs to other weights than another; give --model figures"):
        load_code(out / "figure", other)


def untrained(generator: Generator, params: config.Params, **camera: float | bool) -> TrainedModel:
    changed = config.parse(config.merge(params.model_dump(), {"camera": camera}))
    return TrainedModel(generator, changed, Path("untrained"))


def best_of(model: TrainedModel, yaw: float, pitch: float, distance: float) -> Best:
    numbers = orbit.to_numbers(torch.tensor([[yaw, pitch]]), distance)
    return Best(model.codes(model.latents(0)) + 0.1, numbers, 0.0)


def test_result_measures_the_best_code_from_its_camera_where_the_photo_counts(
    generator: Generator, tiny_params: config.Params, tmp_path: Path
) -> None:
    model = untrained(generator, tiny_params, align_corners=True)
    best, rng = best_of(model, -0.3, 1.2, 1.1), np.random.default_rng(0)
    photo, other = (
        photo_of(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), rng.random((SIDE, SIDE)) < 0.5) for _ in "ab"
    )
    held_out, about = HeldOut(other, 0.9, 1.1, 1.2), {"seconds": 1.5}
    result = write_outcome(tmp_path, model, photo, best, QUICK, about, held_out, blurs)
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == result
    colours = []
    for yaw, pitch, radius in ((-0.3, 1.2, 1.1), (0.9, 1.1, 1.2)):
        cameras = model.cameras(yaw, pitch, radius=radius)
        colours.append(look(generator, best.code, cameras, SIDE, model.params).colour[0].numpy())
    assert float(np.abs(colours[0] - colours[1]).max()) > 0.01
    for told, colour, pictured in ((result, colours[0], photo), (result["held_out"], colours[1], other)):
        alike = similarity(colour, pictured.pixels, pictured.counts)
        assert (told["psnr_db"], told["ssim"]) == pytest.approx(alike, abs=1e-3)
    assert result["camera"] == pytest.approx(
        {
            "yaw_degrees": 360 - math.degrees(0.3),
            "pitch_degrees": math.degrees(1.2),
            "distance": 1.1,
            "fov_degrees": math.degrees(model.params.camera.fov),
        },
        rel=1e-5,
    )
    off = (2 * colours[0] - photo.pixels / 127.5)[photo.counts]
    distance = Perceptual(blurs, photo, SIDE, edge_fov(model.params.camera, SIDE), CPU)
    assert result["losses"] == pytest.approx(
        {
            "pixels": float((off**2).mean()),
            "away_from_average": float(((best.code - model.average_code) ** 2).sum()),
            # the same rays, though told by their outer edges
            "features": float(distance(torch.from_numpy(colours[0]).flatten(0, 1)[None])),
        },
        rel=1e-4,
    )
    assert result["counted_share"] == photo.counts.mean() and result["seconds"] == 1.5
    assert result["settings"] == QUICK._asdict()


def test_strip_and_preview_show_the_photo_the_best_code_its_depth_and_other_sides(
    generator: Generator, tiny_params: config.Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pigan.synthesis.inverting.outcome.enlargement", lambda _: 1)
    model = untrained(generator, tiny_params)
    best = best_of(model, 0.4, 1.2, 1.1)
    photo = photo_of(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    write_outcome(tmp_path, model, photo, best, QUICK, {})
    write_preview(tmp_path / "preview.png", model, photo, best)
    read = {path.stem: np.asarray(Image.open(path)) for path in tmp_path.glob("*.png")}
    quarters = model.cameras(0.4 + math.pi / 2 * torch.arange(4), 1.2, radius=1.1)
    seen = look(generator, best.code.expand(4, -1), quarters, SIDE, model.params)
    levels = as_levels(seen.colour)
    depth = depth_colours(seen.depth[:1].numpy())[0]
    tiles = [photo.pixels, levels[0], depth, *levels[1:]]
    assert len({tile.tobytes() for tile in tiles}) == 6
    for name, shown in (("strip", tiles), ("preview", tiles[:3])):
        assert read[name].shape[0] == SIDE
        assert np.abs(read[name].astype(int) - grid(np.stack(shown), len(shown))).max() <= 1
    assert np.array_equal(read["input"], photo.pixels)
    # wide enough for the numbers of its scale
    assert read["depth"].shape[1] == 23 * SIDE and read["depth"].shape[0] > 23 * SIDE


def test_other_views_stay_within_what_was_trained_on(generator: Generator, tiny_params: config.Params) -> None:
    model = untrained(generator, tiny_params, yaw_mean=1.0, yaw_spread=0.3)
    found = other_cameras(model, best_of(model, 0.9, 1.2, 1.1))
    expected = model.cameras(torch.tensor([0.7, 1.0, 1.3]), 1.2, radius=1.1)
    torch.testing.assert_close(found.cam2world, expected.cam2world)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I"])
def test_photos_of_every_mode(mode: str, tmp_path: Path) -> None:
    grey = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (24, 1))
    path = tmp_path / f"photo.{'tif' if mode in ('CMYK', 'YCbCr', 'LAB', 'I') else 'png'}"
    if mode.startswith("I"):
        Image.fromarray((grey.astype(np.uint16 if mode == "I;16" else np.int32)) * 257).save(path)
    elif mode == "HSV":
        Image.fromarray(grey).convert("RGB").convert("HSV").convert("RGB").save(path)
    elif mode == "LAB":
        Image.fromarray(np.stack((grey, grey * 0 + 128, grey * 0 + 128), -1).astype(np.uint8), "RGB").save(path)
    else:
        Image.fromarray(grey).convert("RGB").convert(mode).save(path)
    photo = read_photo(path, SIDE)
    assert photo.pixels.shape == (SIDE, SIDE, 3) and photo.counts.all()
    if mode not in ("1", "LAB"):
        wanted = np.linspace(0, 255, SIDE)
        assert np.abs(photo.pixels[SIDE // 2].mean(-1) - wanted).max() < 16


def test_transparent_pixels_do_not_count_unless_flattened(tmp_path: Path) -> None:
    pixels = np.full((32, 48, 4), 90, np.uint8)
    pixels[..., 3] = np.where(np.arange(48) < 24, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "cut.png")
    photo = read_photo(tmp_path / "cut.png", SIDE)
    # the middle square begins 8 pixels from the left
    assert photo.counts[:, 9:].all() and not photo.counts[:, :7].any()
    whole = read_photo(tmp_path / "cut.png", SIDE, background=(10, 20, 30))
    assert whole.counts.all() and whole.pixels[0, 0].tolist() == [10, 20, 30] and whole.pixels[0, -1, 0] == 90
    mask = Image.new("L", (32, 32), 0)
    mask.paste(255, (0, 0, 32, 20))
    mask.save(tmp_path / "mask.png")
    both = read_photo(tmp_path / "cut.png", SIDE, tmp_path / "mask.png")
    assert both.counts[:9, 9:].all() and not both.counts[11:].any() and not both.counts[:, :7].any()
    Image.new("L", (24, 32)).save(tmp_path / "other.png")
    with pytest.raises(PiganError, match=r"other\.png: 24 x 32 pixels do not fit the 48 x 32 of cut\.png; give a mask"):
        read_photo(tmp_path / "cut.png", SIDE, tmp_path / "other.png")


def test_pixels_count_from_half_opaque_on_where_the_mask_shines_in_any_colour(tmp_path: Path) -> None:
    pixels, mask = np.full((8, 8, 4), 90, np.uint8), np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4, 3], pixels[:, 4:, 3] = 127, 128
    mask[:3, :, 0], mask[3:, :, 0] = 128, 127
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    counts = read_photo(tmp_path / "photo.png", 8, tmp_path / "mask.png").counts
    assert counts[:3, 4:].all() and counts.sum() == 12


def test_photos_stand_upright(tmp_path: Path) -> None:
    turned = Image.new("RGB", (20, 20), "black")
    turned.paste("white", (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    pixels = read_photo(tmp_path / "phone.jpg", SIDE).pixels
    assert pixels[:6].min() > 200 and pixels[10:].max() < 50


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read as an image"),
        (b"no image at all", "cannot be read as an image"),
        ((3, 50), "3 x 50 pixels are too few"),
        ("clear", "transparent all over"),
        ("masked", r"mask\.png: no pixel of photo\.png is left"),
    ],
)
def test_what_is_no_photo_is_refused_in_one_line(content: Any, reason: str, tmp_path: Path) -> None:
    path, mask = tmp_path / "photo.png", None
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, tuple):
        Image.new("RGB", content).save(path)
    elif content is not None:
        Image.new("RGBA" if content == "clear" else "RGB", (20, 20)).save(path)
        if content == "masked":
            mask = tmp_path / "mask.png"
            Image.new("L", (20, 20)).save(mask)
    with pytest.raises(PiganError, match=reason) as refused:
        read_photo(path, SIDE, mask)
    assert "\n" not in str(refused.value)


def test_low_resolution_is_the_mean_of_what_counts() -> None:
    pixels, counts = np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), bool)
    pixels[:2, :2], pixels[0, 0] = 255, 7
    counts[0, 0] = counts[2:, 2:] = False
    target = target_of(photo_of(pixels, counts), 2, 0.5, CPU)
    assert target.colours[:, 0].tolist() == [1, -1, -1] and len(target.rays) == 3


@pytest.mark.parametrize("law", ["spherical_uniform", "gaussian", "uniform", "fixed"])
def test_starts_stand_for_the_whole_law(law: str, ball_params: config.Params) -> None:
    camera = ball_params.camera.model_copy(update={"pose_law": law})
    poses = orbit.spread_poses(camera, 12, 0)
    if law == "fixed":
        assert poses.shape == (1, 2)
        return
    assert poses.shape == (12, 2) and torch.equal(poses, orbit.spread_poses(camera, 12, 0))
    drawn = torch.stack(orbit.poses_of(camera, 400, generator_for(CPU, "others")), 1)
    places = [orbit.position_on_sphere(some[:, 0], some[:, 1], 1.0) for some in (drawn, poses)]
    nearest = (places[0] @ places[1].mT).amax(1).clamp(-1, 1).arccos()
    assert nearest.median() < math.radians(25)


def test_similarity_is_of_what_counts() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    colour, counts = (pixels / 255).astype(np.float32), np.zeros((16, 16), bool)
    counts[:6] = True
    colour[12:] = 0
    same = similarity(colour, pixels, counts)
    assert same.psnr > 90 and same.ssim == pytest.approx(1, abs=1e-6)
    shifted = similarity(colour + np.float32(0.1), pixels, counts)
    assert shifted.psnr == pytest.approx(20, abs=1e-3)
    assert similarity(colour, pixels, ~counts).ssim < 0.9 and losses.WINDOW == 7


@pytest.mark.parametrize(("side", "window"), [(4, 3), (5, 5), (6, 5), (8, 7)])
def test_similarity_of_small_photos_has_the_largest_odd_window_that_fits(side: int, window: int) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (side, side, 3), np.uint8)
    colour = random.random((side, side, 3), np.float32)
    found = similarity(colour, pixels, np.ones((side, side), bool))
    _, local = structural_similarity(
        colour.astype(float), pixels / 255, win_size=window, channel_axis=2, data_range=1.0, full=True
    )
    assert found.ssim == pytest.approx(local.mean())


def test_perceptual_distance_is_that_of_unit_vectors_where_the_photo_counts() -> None:
    pixels, counts = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8), np.ones((4, 4), bool)
    counts[1, 2] = False
    photo = photo_of(pixels, counts)
    distance = Perceptual(lambda images: [images + 2, 3 - images[..., ::2, ::2]], photo, 4, 0.5, CPU)
    assert torch.equal(distance.rays, pixel_directions(4, 0.5, align_corners=False))
    colour = torch.rand((2, 16, 3))
    shown = np.where(counts[..., None], 2 * colour.reshape(2, 4, 4, 3).numpy() - 1, pixels / 127.5 - 1)
    expected = np.zeros(2)
    for features in (lambda images: images + 2, lambda images: 3 - images[..., ::2, ::2, :]):
        ours, theirs = (features(images) for images in (shown, (pixels / 127.5 - 1)[None]))
        ours, theirs = (maps / np.linalg.norm(maps, axis=-1, keepdims=True) for maps in (ours, theirs))
        expected += ((ours - theirs) ** 2).sum(-1).mean((1, 2)) / 2
    assert distance(colour).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
