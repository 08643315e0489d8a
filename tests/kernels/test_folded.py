import pytest
import torch

from pigan.kernels.choose import EXACT, Numerics, field_of
from pigan.kernels.folded import CPU_TILE, fold
from pigan.models.generator import Generator

POINTS, TILED = 1324, CPU_TILE + 300
BF16 = Numerics("folded", torch.bfloat16)


def paper_inputs(model, images=2, count=POINTS):
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = Generator(model)
    z = torch.randn((images, model.z_dim), generator=random)
    points = (torch.rand((images, count, 3), generator=random) - 0.5) * 0.24
    directions = torch.nn.functional.normalize(torch.randn((images, count, 3), generator=random), dim=-1)
    return generator, z, points, directions


def reference(generator, z, points, directions):
    """The paper's formulas in float64, with the gradients of a fixed random projection."""
    double = Generator(generator.model).double()
    double.load_state_dict({name: value.double() for name, value in generator.state_dict().items()})
    rgb, density = double(points.double(), directions.double(), double.mapping(z.double()))
    return double, rgb, density


def gradients(generator, rgb, density):
    random = torch.Generator().manual_seed(1)
    towards_rgb, towards_density = (
        torch.randn(rgb.shape, generator=random),
        torch.randn(density.shape, generator=random),
    )
    generator.zero_grad()
    ((rgb * towards_rgb).sum() + (density * towards_density).sum()).backward()
    return torch.cat([p.grad.double().flatten() for p in generator.parameters()])


# relative L2 error of all weight gradients: exact paths 1e-4, 16-bit operands as in the measured scheme
@pytest.mark.parametrize(("numerics", "output", "gradient"), [(EXACT, 1e-5, 1e-4), (BF16, 3e-2, 5e-2)])
def test_folded_field_equals_the_float64_reference(paper_model, numerics, output, gradient):
    generator, z, points, directions = paper_inputs(paper_model)
    double, rgb64, density64 = reference(generator, z, points, directions)
    rgb, density = field_of(generator, generator.mapping(z), numerics)(points, directions)
    assert (rgb - rgb64).detach().abs().max() < output and (density - density64).detach().abs().max() < output
    expected, got = gradients(double, rgb64, density64), gradients(generator, rgb, density)
    assert float((got - expected).norm() / expected.norm()) < gradient


def test_inference_in_tiles_is_as_exact_and_keeps_no_graph(paper_model):
    generator, z, points, directions = paper_inputs(paper_model, count=TILED)
    _, rgb64, density64 = reference(generator, z, points, directions)
    with torch.no_grad():
        rgb, density = field_of(generator, generator.mapping(z))(points, directions)
    assert not rgb.requires_grad
    assert (rgb - rgb64).detach().abs().max() < 1e-5 and (density - density64).detach().abs().max() < 1e-5


def test_folded_weights_of_one_image_are_a_plain_siren(tiny_params):
    generator = Generator(tiny_params.model)
    code = generator.mapping(torch.randn(1, tiny_params.model.z_dim))
    folded = fold(generator.field, code)
    points = torch.rand(1, 7, 3)
    x = torch.sin(points @ folded.weights[0] + folded.biases[0])
    gamma, phase = generator.field.modulation(code)
    first = generator.field.layers[0]
    assert torch.allclose(
        x, torch.sin(gamma[:, 0] * first(points * generator.field.coordinate_scale) + phase[:, 0]), atol=1e-5
    )


@pytest.mark.parametrize("kind", ["concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"])
def test_ablation_fields_fold_exactly_too(paper_model, kind):
    model = paper_model.model_copy(update={"field": kind, "hidden": 32, "layers": 3, "embedding_side": 6})
    generator, z, points, directions = paper_inputs(model)
    double, rgb64, density64 = reference(generator, z, points, directions)
    rgb, density = field_of(generator, generator.mapping(z))(points, directions)
    assert (rgb - rgb64).detach().abs().max() < 1e-5 and (density - density64).detach().abs().max() < 1e-5
    expected, got = gradients(double, rgb64, density64), gradients(generator, rgb, density)
    assert float((got - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize(
    "kind", ["film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"]
)
def test_locked_views_show_one_colour_from_everywhere(tiny_params, kind):
    model = tiny_params.model.model_copy(update={"field": kind, "lock_view_direction": True})
    generator = Generator(model)
    evaluate = field_of(generator, generator.mapping(torch.randn(1, model.z_dim)))
    points = torch.rand(1, 1, 3).expand(1, 6, 3)
    directions = torch.nn.functional.normalize(torch.randn(1, 6, 3), dim=-1)
    rgb, _ = evaluate(points, directions)
    assert torch.allclose(rgb, rgb[:, :1].expand_as(rgb))


@pytest.mark.parametrize("kind", ["concat-relu", "sincos-concat", "embedding-siren"])
def test_ablation_fields_in_16_bits_and_in_tiles(paper_model, kind):
    changes = {"field": kind, "hidden": 32, "layers": 3, "features": 16, "embedding_side": 6}
    generator, z, points, directions = paper_inputs(paper_model.model_copy(update=changes), count=TILED)
    _, rgb64, density64 = reference(generator, z, points, directions)
    for numerics, most in ((EXACT, 1e-5), (BF16, 0.1)):
        with torch.no_grad():
            rgb, density = field_of(generator, generator.mapping(z), numerics)(points, directions)
        assert (rgb - rgb64).abs().max() < most
        assert (density - density64).abs().max() < most * (1 + density64.std().item())


@pytest.mark.parametrize("numerics", [EXACT, BF16], ids=str)
def test_feature_cube_learns_as_in_float64(paper_model, numerics):
    changes = {"field": "embedding-siren", "hidden": 32, "layers": 3, "features": 16, "embedding_side": 6}
    generator, z, points, directions = paper_inputs(paper_model.model_copy(update=changes))
    # some of the points lie outside of the cube, where there is nothing to learn
    points = 1.2 * points
    double, *expected = reference(generator, z, points, directions)
    rgb, density = field_of(generator, generator.mapping(z), numerics)(points, directions)
    gradients(double, *expected), gradients(generator, rgb, density)
    wanted, got = double.field.cube.grad, generator.field.cube.grad.double()
    assert (wanted != 0).all()
    assert float((got - wanted).norm() / wanted.norm()) < (1e-4 if numerics == EXACT else 5e-2)


def gpu_gradient_error(model, numerics):
    generator, z, points, directions = paper_inputs(model)
    double, rgb64, density64 = reference(generator, z, points, directions)
    expected = gradients(double, rgb64, density64)
    on_gpu = generator.cuda()
    rgb, density = field_of(on_gpu, on_gpu.mapping(z.cuda()), numerics)(points.cuda(), directions.cuda())
    got = gradients(on_gpu, rgb.cpu(), density.cpu()).cpu()
    return float((got - expected).norm() / expected.norm())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernel", ["folded", "compiled"])
@pytest.mark.parametrize(("dtype", "gradient"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2), (torch.float16, 1e-2)])
def test_field_on_the_gpu(paper_model, kernel, dtype, gradient):
    assert gpu_gradient_error(paper_model, Numerics(kernel, dtype)) < gradient
