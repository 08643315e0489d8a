import math

import pytest
import torch

from pigan.models.generator import Generator, ray_settings
from pigan.models.sincos import SinCosField, sine_and_cosine


def literal(field, point, direction, latent):
    """One point, number by number."""
    x = [float(v) * field.coordinate_scale for v in point] + latent.tolist()

    def linear(layer, x):
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in rows]

    def sincos(x):
        return [math.sin(v) for v in x] + [math.cos(v) for v in x]

    for layer in field.layers:
        x = sincos(linear(layer, x))
    features = linear(field.features, x)
    (opacity,) = linear(field.density_head, features)
    colour = linear(field.colour_head, sincos(linear(field.colour_layer, direction.tolist() + features)))
    return [1 / (1 + math.exp(-v)) for v in colour], opacity


def test_field_equals_the_formulas_point_by_point():
    field = SinCosField(4, 6, 3, features=5, samples=8, coordinate_scale=2.0).double()
    points, directions, z = torch.rand(2, 3, 3).double(), torch.rand(2, 3, 3).double(), torch.randn(2, 4).double()
    rgb, opacity = field(points, directions, z)
    for image in range(2):
        for point in range(3):
            expected, raw = literal(field, points[image, point], directions[image, point], z[image])
            assert rgb[image, point].tolist() == pytest.approx(expected)
            assert opacity[image, point].item() == pytest.approx(raw)


def test_gradients_are_those_of_finite_differences():
    field = SinCosField(2, 4, 2, features=3, samples=8, coordinate_scale=1.0).double()
    points = (0.1 * torch.rand(1, 2, 3)).double().requires_grad_()
    z = torch.randn(1, 2).double().requires_grad_()
    directions = torch.tensor([[[0.0, 0, -1], [0, 0, -1]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p, z: field(p, directions, z), (points, z))


def test_sizes_are_those_that_the_params_say(paper_model):
    model = paper_model.model_copy(update={"field": "sincos-concat", "hidden": 128, "layers": 4, "features": 64})
    shapes = {name: tuple(p.shape) for name, p in Generator(model).named_parameters() if name.endswith("weight")}
    assert shapes == {
        "field.layers.0.weight": (128, 3 + 256),
        **{f"field.layers.{i}.weight": (128, 256) for i in (1, 2, 3)},
        "field.features.weight": (64, 256),
        "field.density_head.weight": (1, 64),
        "field.colour_layer.weight": (128, 3 + 64),
        "field.colour_head.weight": (3, 256),
    }


@pytest.mark.parametrize("z_dim", [4, 256])
def test_arguments_of_sines_begin_with_the_variance_of_a_siren(z_dim):
    field = SinCosField(z_dim, 256, 6, features=64, samples=24, coordinate_scale=1.0)
    points, z = torch.rand(64, 100, 3) - 0.5, torch.randn(64, z_dim)
    x = torch.cat((points, z[:, None].expand(-1, 100, -1)), dim=-1)
    for i, layer in enumerate(field.layers):
        # the first layer turns 10 radians a unit, here half of it to both sides
        expected = math.sqrt(3 * (10**2 / 3) / 12 + 1) if i == 0 else 1.0
        argument = layer(x)
        assert argument.std().item() == pytest.approx(expected, rel=0.15)
        x = sine_and_cosine(argument)
    features = field.features(x)
    assert features.std().item() == pytest.approx(1, rel=0.15)


def test_light_gets_through_a_ray_at_the_start(tiny_params):
    passed = []
    for samples in (8, 64):
        model = tiny_params.model.model_copy(update={"field": "sincos-concat", "samples": samples, "features": 32})
        generator = Generator(model)
        rgb, raw = generator(torch.rand(20, samples, 3) - 0.5, torch.rand(20, samples, 3), torch.randn(20, 4))
        assert rgb.shape == (20, samples, 3)
        passed.append(torch.sigmoid(-raw).prod(1).mean().item())
    assert all(0.05 < share < 0.95 for share in passed)


@pytest.mark.parametrize("samples", [2, 3, 24])
def test_opacities_begin_at_one_over_the_samples(samples):
    field = SinCosField(4, 6, 2, features=5, samples=samples, coordinate_scale=1.0)
    assert torch.sigmoid(field.density_head.bias).item() == pytest.approx(1 / samples)


def test_its_rays_are_integrated_by_opacity_and_other_fields_by_density(tiny_params):
    for field, activation in (("sincos-concat", "sigmoid"), ("concat-relu", "relu")):
        model = tiny_params.model.model_copy(update={"field": field})
        assert ray_settings(model, tiny_params.camera, "white").activation == activation
