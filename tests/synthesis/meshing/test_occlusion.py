import math

import pytest
import torch

from pigan import config
from pigan.errors import PiganError
from pigan.synthesis.meshing.grid import box_side
from pigan.synthesis.meshing.occlusion import occlusion, optical_density, sampled, transmittance_from, viewpoints

CPU = torch.device("cpu")
SIDE = 0.4


def places(size: int, side: float = SIDE) -> torch.Tensor:
    axis = torch.linspace(-side / 2, side / 2, size)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)


@pytest.mark.parametrize("thickness", [15.0, 40.0, 200.0])
def test_fog_hides_what_its_thickness_says(tiny_params: config.Params, thickness: float) -> None:
    """Of a ball of even fog the shortest way out is along the radius: light falls to exp(-thickness depth)."""
    radius, size = 0.15, 65
    away = places(size).norm(dim=-1)
    # the edge as a grid can hold it
    step = SIDE / (size - 1)
    thick = thickness * ((radius - away) / step + 0.5).clamp(0, 1)
    found = occlusion(thick, SIDE, tiny_params.camera)
    true = 1 - torch.exp(-thickness * (radius - away).clamp_min(0))
    # between two of the cameras all round the way is longer
    assert (found - true).abs().mean() < 0.02
    for level in (0.3, 0.5):
        expected = radius + math.log(1 - level) / thickness
        inside = (found > level).float().sum() * step**3
        assert float((3 * inside / (4 * math.pi)) ** (1 / 3)) == pytest.approx(expected, abs=0.75 * step)


def test_transmittance_is_that_along_the_rays(tiny_params: config.Params) -> None:
    """Even fog everywhere in the cube, seen from straight ahead."""
    camera = tiny_params.camera
    passed = transmittance_from(torch.full((9, 9, 9), 3.0), SIDE, camera, torch.tensor([0.0, 0.0, camera.radius]))
    half = passed.shape[1] // 2
    middle = passed[:, half - 1 : half + 1, half - 1 : half + 1].mean((1, 2))
    depths = torch.linspace(camera.near, camera.far, len(passed))
    way = (depths - (camera.radius - SIDE / 2)).clamp(0, SIDE)
    assert (middle - torch.exp(-3 * way)).abs().max() < 0.08
    assert (passed[1:] <= passed[:-1]).all() and (passed[0] == 1).all()


def test_each_camera_sees_what_is_on_its_side(tiny_params: config.Params) -> None:
    """A plate hides nothing from both of its sides; the middle of a tube is more hidden than its open ends."""
    x, y, _ = places(33).unbind(-1)
    plate = (x.abs() < 0.02).float() * 1000
    found = occlusion(plate, SIDE, tiny_params.camera)
    assert found[x.abs() > 0.05].max() < 0.05
    tube = ((torch.hypot(x, y) > 0.05) & (torch.hypot(x, y) < 0.1)).float() * 1000
    found = occlusion(tube, SIDE, tiny_params.camera)
    # open at both ends
    assert found[16, 16, 0] < 0.3 and found[16, 16, 16] > found[16, 16, 0]


def test_what_nobody_has_in_view_is_open(tiny_params: config.Params) -> None:
    camera = tiny_params.camera
    wide = 4 * box_side(camera)
    found = occlusion(torch.full((21, 21, 21), 1000.0), wide, camera)
    assert found[0, 0, 0] == 0 and found[10, 10, 10] == 1


def test_activations_are_those_of_rendering() -> None:
    raw, spacing = torch.tensor([-3.0, 0.0, 2.0]), 0.05
    assert torch.equal(optical_density(raw, spacing, "relu"), torch.tensor([0.0, 0.0, 2.0]))
    assert torch.equal(optical_density(raw, spacing, "softplus"), torch.nn.functional.softplus(raw))
    passed = torch.exp(-spacing * optical_density(raw, spacing, "sigmoid"))
    assert torch.allclose(passed, 1 - torch.sigmoid(raw))


def test_samples_are_linear_in_between_and_nothing_outside() -> None:
    volume = places(5, 2.0) @ torch.tensor([1.0, 10.0, 100.0]) + 200
    points = torch.tensor([[0.5, -0.25, 0.1], [1.0, -1.0, 0.0], [2.1, 0.0, 0.0]])
    expected = torch.tensor([0.5 - 2.5 + 10 + 200, 1 - 10 + 200, 0.0])
    assert torch.allclose(sampled(volume, points), expected, rtol=1e-5)


def test_cameras_stand_all_round_and_where_the_pose_law_has_them(tiny_params: config.Params) -> None:
    camera = tiny_params.camera
    around = viewpoints(camera, CPU)
    assert torch.allclose(around.norm(dim=-1), torch.tensor(camera.radius))
    everywhere = torch.nn.functional.normalize(
        torch.randn((2000, 3), generator=torch.Generator().manual_seed(0)), dim=-1
    )
    nearest = (everywhere @ (around / camera.radius).T).amax(-1).clamp(-1, 1).arccos()
    assert float(nearest.max()) < math.radians(35)


def test_cube_far_smaller_than_the_view_is_refused(tiny_params: config.Params) -> None:
    camera = tiny_params.camera
    with pytest.raises(PiganError, match=r"a cube of 0\.001 is so small .* take a larger --side"):
        transmittance_from(torch.zeros(9, 9, 9), 0.001, camera, torch.tensor([0.0, 0.0, camera.radius]))
