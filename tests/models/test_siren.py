import itertools
import math

import pytest
import torch

from pigan.models.generator import Generator, seen_directions
from pigan.models.siren import (
    ConcatReluField,
    ConcatSirenField,
    EmbeddingSirenField,
    FilmSirenField,
    ReluField,
    positional_encoding,
    with_cube,
)
from pigan.sections import Model


def literal_film_siren(field, x, direction, frequencies, phases):
    """One point in float64, written from the formulas of the authors' network; `x` is what the first layer sees."""
    for i, layer in enumerate(field.layers):
        x = torch.sin((15 * frequencies[i] + 30) * (layer.weight @ x + layer.bias) + phases[i])
    density = field.density_head.weight @ x + field.density_head.bias
    joined = torch.cat((direction, x))
    x = torch.sin(
        (15 * frequencies[-1] + 30) * (field.colour_layer.weight @ joined + field.colour_layer.bias) + phases[-1]
    )
    return 1 / (1 + torch.exp(-(field.colour_head.weight @ x + field.colour_head.bias))), density[0]


def test_field_equals_the_formulas_point_by_point():
    random = torch.Generator().manual_seed(0)
    field = FilmSirenField(8, 3, coordinate_scale=2.0).double()
    points = torch.rand((2, 5, 3), generator=random, dtype=torch.float64) - 0.5
    directions = torch.nn.functional.normalize(torch.randn((2, 5, 3), generator=random, dtype=torch.float64), dim=-1)
    code = torch.randn((2, field.code_size), generator=random, dtype=torch.float64)
    rgb, density = field(points, directions, code)
    for image in range(2):
        frequencies, phases = code[image].reshape(2, 4, 8)
        for i in range(5):
            colour, sigma = literal_film_siren(field, 2.0 * points[image, i], directions[image, i], frequencies, phases)
            assert torch.allclose(rgb[image, i], colour, atol=1e-12)
            assert torch.allclose(density[image, i], sigma, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    field = FilmSirenField(8, 2, coordinate_scale=1.0).double()
    random = torch.Generator().manual_seed(1)
    points = (torch.rand((1, 2, 3), generator=random, dtype=torch.float64) * 0.2).requires_grad_()
    code = (0.1 * torch.randn((1, field.code_size), generator=random, dtype=torch.float64)).requires_grad_()
    directions = torch.tensor([[[0.0, 0, -1], [0, 0, -1]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p, c: field(p, directions, c), (points, code))


def literal_features(cube, place):
    """Features of one place by the corners around it: x runs along the last axis; outside there is nothing."""
    side = cube.shape[-1]
    features = torch.zeros(cube.shape[1], dtype=cube.dtype)
    sample = [(float(v) + 1) / 2 * (side - 1) for v in place]
    for corner in itertools.product((0, 1), repeat=3):
        at = [math.floor(v) + step for v, step in zip(sample, corner, strict=True)]
        share = math.prod(1 - abs(v - index) for v, index in zip(sample, at, strict=True))
        if all(0 <= index < side for index in at):
            x, y, z = at
            features += share * cube[0, :, z, y, x]
    return features


def test_field_with_a_feature_cube_equals_the_formulas_point_by_point():
    random = torch.Generator().manual_seed(3)
    field = EmbeddingSirenField(8, 3, coordinate_scale=2.0, features=5, side=4).double()
    with torch.no_grad():
        # features that count beside the position
        field.cube.mul_(50)
    # the box ends at 0.5: some points are outside, some at its edge, some at its corner
    points = 1.4 * (torch.rand((2, 7, 3), generator=random, dtype=torch.float64) - 0.5)
    points[:, 0], points[:, 1, 0], points[:, 2] = 0.5, -0.5, 5.0
    directions = torch.nn.functional.normalize(torch.randn((2, 7, 3), generator=random, dtype=torch.float64), dim=-1)
    code = torch.randn((2, field.code_size), generator=random, dtype=torch.float64)
    rgb, density = field(points, directions, code)
    inside = (points.abs() <= 0.5).all(-1)
    assert inside[:, 2:].any() and (~inside).any()
    for image in range(2):
        frequencies, phases = code[image].reshape(2, 4, 8)
        for i in range(7):
            place = 2.0 * points[image, i]
            x = torch.cat((literal_features(field.cube, place), place))
            colour, sigma = literal_film_siren(field, x, directions[image, i], frequencies, phases)
            assert torch.allclose(rgb[image, i], colour, atol=1e-12)
            assert torch.allclose(density[image, i], sigma, atol=1e-12)


def test_axes_of_the_feature_cube():
    cube = torch.zeros(1, 2, 3, 3, 3)
    # of its z, y and x axis
    cube[0, :, 2, 1, 0] = torch.tensor([4.0, 8.0])
    places = torch.tensor([[[-1.0, 0, 1], [-1, 0, 0.5], [-1, 0.5, 0.5], [1, 0, -1], [-1, 0, 1.5], [-1, 0, 2.5]]])
    features = with_cube(cube, places)
    assert features[0, :, 0].tolist() == [4, 2, 1, 0, 2, 0]
    assert torch.equal(features[0, :, 1], 2 * features[0, :, 0]) and torch.equal(features[..., 2:], places)


def test_gradients_of_the_feature_cube_are_those_of_finite_differences():
    field = EmbeddingSirenField(4, 2, coordinate_scale=2.0, features=2, side=3).double()
    random = torch.Generator().manual_seed(1)
    points = (torch.rand((2, 3, 3), generator=random, dtype=torch.float64) * 0.8 - 0.3).requires_grad_()
    code = 0.1 * torch.randn((2, field.code_size), generator=random, dtype=torch.float64)
    directions = torch.tensor([0.0, 0, -1], dtype=torch.float64).expand(2, 3, 3)

    def asked(points, cube):
        return torch.func.functional_call(field, {"cube": cube}, (points, directions, code))

    assert torch.autograd.gradcheck(asked, (points, field.cube))


@pytest.mark.parametrize(("hidden", "side", "deviation"), [(128, 24, 0.01), (256, 16, 0.1)])
def test_feature_cube_comes_first_and_begins_as_the_authors_do(paper_model, hidden, side, deviation):
    changes = {"field": "embedding-siren", "hidden": hidden, "features": 32, "embedding_side": side}
    generator = Generator(paper_model.model_copy(update=changes))
    names = [name for name, _ in generator.named_parameters()]
    assert names[:2] == ["field.cube", "field.layers.0.weight"] and len(names) == 31
    assert list(generator.state_dict()) == names
    cube, first = generator.field.cube, generator.field.layers[0].weight
    assert cube.shape == (1, 32, side, side, side) and first.shape == (hidden, 35)
    assert cube.std().item() == pytest.approx(deviation, rel=0.02) and abs(cube.mean().item()) < 0.01 * deviation
    assert 0.32 < -first.min().item() <= 1 / 3 and 0.32 < first.max().item() <= 1 / 3


def test_initial_weights_are_in_the_authors_bounds():
    field = FilmSirenField(256, 8, coordinate_scale=1.0)
    first, *others = field.modulated_linears()
    assert 0.32 < first.weight.abs().max().item() <= 1 / 3
    for linear in (*others, field.density_head, field.colour_head):
        bound = math.sqrt(6 / linear.in_features) / 25
        assert linear.weight.abs().max().item() <= bound
        assert linear.weight.min().item() < -0.9 * bound and linear.weight.max().item() > 0.9 * bound
    assert field.layers[3].weight.abs().max().item() > 0.99 * math.sqrt(6 / 256) / 25


def test_initial_weights_of_relu_layers_keep_the_spread():
    field = ReluField(256, 3, coordinate_scale=1.0)
    for linear in field.modulated_linears():
        assert linear.weight.std().item() == pytest.approx(math.sqrt(2 / linear.in_features), rel=0.03)
        assert not linear.bias.any()


def test_paper_network_has_the_published_size(paper_model):
    generator = Generator(paper_model)
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in generator.named_children()}
    assert sizes == {"field": 529_156, "mapping": 1_381_632}
    assert len(list(generator.parameters())) == 30


@pytest.mark.parametrize(
    "kind", ["film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"]
)
def test_every_field_gives_colours_and_depends_on_its_code(tiny_params, kind):
    model = tiny_params.model.model_copy(update={"field": kind})
    generator = Generator(model)
    random = torch.Generator().manual_seed(2)
    z = torch.randn((2, model.z_dim), generator=random)
    points = (torch.rand((1, 50, 3), generator=random) - 0.5).expand(2, -1, -1)
    directions = torch.tensor([0.0, 0, -1]).expand_as(points)
    rgb, density = generator(points, directions, generator.mapping(z))
    assert rgb.shape == (2, 50, 3) and density.shape == (2, 50)
    assert rgb.min().item() >= 0 and rgb.max().item() <= 1
    assert not torch.allclose(density[0], density[1])


def test_concatenated_latent_is_a_siren_of_position_and_latent():
    field = ConcatSirenField(4, 8, 2, coordinate_scale=3.0)
    z, point = torch.randn(1, 4), torch.rand(1, 1, 3)
    direction = torch.tensor([[[0.0, 0, -1]]])
    x = torch.cat((3 * point, z[:, None]), dim=-1)
    for layer in field.siren.layers:
        x = torch.sin(30 * layer(x))
    assert torch.allclose(field(point, direction, z)[1], field.siren.density_head(x)[..., 0], atol=1e-5)


@pytest.mark.parametrize("z_dim", [4, 256])
def test_concatenated_latent_does_not_drown_the_position(z_dim):
    first = ConcatSirenField(z_dim, 512, 2, coordinate_scale=1.0).siren.layers[0]
    of_position, of_latent = first.weight.detach().split((3, z_dim), dim=1)
    assert float(of_position.abs().max()) == pytest.approx(1 / 3, rel=0.02)
    turned = 30 * torch.randn((512, z_dim), generator=torch.Generator().manual_seed(0)) @ of_latent.mT
    assert float(turned.var()) == pytest.approx(1, rel=0.2)


def test_relu_field_with_a_zero_code_is_a_plain_network():
    field = ReluField(8, 2, coordinate_scale=1.0)
    point, direction = torch.rand(1, 3, 3), torch.tensor([0.0, 0, -1]).expand(1, 3, 3)
    x = positional_encoding(point, 6)
    for layer in field.layers:
        x = torch.relu(layer(x))
    _, density = field(point, direction, torch.zeros(1, field.code_size))
    assert torch.allclose(density, field.density_head(x)[..., 0], atol=1e-6)


def test_field_with_neither_part_is_a_relu_network_of_encoded_position_and_latent():
    field = ConcatReluField(4, 8, 2, coordinate_scale=3.0)
    z, point = torch.randn(2, 4), torch.rand(2, 3, 3)
    direction = torch.tensor([0.0, 0, -1]).expand(2, 3, 3)
    x = torch.cat((positional_encoding(3 * point, 6), z[:, None].expand(2, 3, 4)), dim=-1)
    for layer in field.relu.layers:
        x = torch.relu(layer(x))
    rgb, density = field(point, direction, z)
    assert torch.allclose(density, field.relu.density_head(x)[..., 0], atol=1e-6)
    x = torch.relu(field.relu.colour_layer(torch.cat((direction, x), dim=-1)))
    assert torch.allclose(rgb, torch.sigmoid(field.relu.colour_head(x)), atol=1e-6)


def test_positional_encoding_of_a_known_point():
    encoded = positional_encoding(torch.tensor([0.5, 0.0, 1.0]), 1)
    assert encoded.tolist() == pytest.approx([0.5, 0, 1, 1, 0, 0, 0, 1, -1], abs=1e-6)


def test_locked_views_all_look_alike():
    directions = torch.nn.functional.normalize(torch.rand(5, 3), dim=-1)
    assert torch.equal(seen_directions(directions, True), torch.tensor([0.0, 0, -1]).expand(5, 3))
    assert seen_directions(directions, False) is directions


def test_paper_fixture_is_the_celeba_model(paper_model):
    assert isinstance(paper_model, Model) and (paper_model.hidden, paper_model.layers, paper_model.z_dim) == (
        256,
        8,
        256,
    )
