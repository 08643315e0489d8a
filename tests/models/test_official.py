import pytest
import torch
from torch.nn import functional

from pigan.errors import PiganError
from pigan.models.discriminator import Discriminator
from pigan.models.generator import Generator
from pigan.models.official import discriminator_from_official, generator_from_official


def official_generator_shapes():
    """Names and shapes of the authors' generator, in their order."""
    shapes = {}
    for i in range(8):
        shapes[f"siren.network.{i}.layer.weight"] = (256, 3 if i == 0 else 256)
        shapes[f"siren.network.{i}.layer.bias"] = (256,)
    shapes |= {"siren.final_layer.weight": (1, 256), "siren.final_layer.bias": (1,)}
    shapes |= {"siren.color_layer_sine.layer.weight": (256, 259), "siren.color_layer_sine.layer.bias": (256,)}
    shapes |= {"siren.color_layer_linear.0.weight": (3, 256), "siren.color_layer_linear.0.bias": (3,)}
    for i in (0, 2, 4, 6):
        shapes[f"siren.mapping_network.network.{i}.weight"] = (4608 if i == 6 else 256, 256)
        shapes[f"siren.mapping_network.network.{i}.bias"] = (4608 if i == 6 else 256,)
    return shapes


def ccs_shapes():
    """Names and shapes of the authors' CelebA discriminator."""
    c, shapes = (32, 64, 128, 256, 400, 400, 400, 400), {}
    for i in range(7):
        shapes[f"layers.{i}.network.0.conv.weight"] = (c[i + 1], c[i] + 2, 3, 3)
        shapes[f"layers.{i}.network.0.conv.bias"] = (c[i + 1],)
        shapes[f"layers.{i}.network.2.conv.weight"] = (c[i + 1], c[i + 1] + 2, 3, 3)
        shapes[f"layers.{i}.network.2.conv.bias"] = (c[i + 1],)
        shapes[f"layers.{i}.proj.weight"] = (c[i + 1], c[i], 1, 1)
        shapes[f"layers.{i}.proj.bias"] = (c[i + 1],)
    for j in range(8):
        shapes |= {f"fromRGB.{j}.model.0.weight": (c[j], 3, 1, 1), f"fromRGB.{j}.model.0.bias": (c[j],)}
    return shapes | {"final_layer.weight": (259, 400, 2, 2), "final_layer.bias": (259,)}


def empty(shapes):
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_generator_weights_fit_name_by_name_and_shape_by_shape(paper_model):
    renamed = generator_from_official(empty(official_generator_shapes()))
    with torch.device("meta"):
        ours = Generator(paper_model).state_dict()
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in ours.items()}


@pytest.mark.parametrize(("hidden", "side"), [(128, 96), (256, 64)])
def test_networks_with_a_feature_cube_fit_in_order(paper_model, hidden, side):
    shapes = {"siren.spatial_embeddings": (1, 32, side, side, side)}
    for name, shape in official_generator_shapes().items():
        wide = 256 if "mapping" in name else hidden
        shape = tuple({256: wide, 259: wide + 3, 4608: 18 * hidden}.get(size, size) for size in shape)
        shapes[name] = (hidden, 35) if name == "siren.network.0.layer.weight" else shape
    changes = {"field": "embedding-siren", "hidden": hidden, "features": 32, "embedding_side": side}
    with torch.device("meta"):
        parameters = Generator(paper_model.model_copy(update=changes)).named_parameters()
        ours = {name: value.shape for name, value in parameters}
    renamed = generator_from_official(empty(shapes))
    assert {name: value.shape for name, value in renamed.items()} == ours and list(renamed) == list(ours)


def test_averaged_weights_come_in_our_own_order(paper_model):
    # the authors' moving average is a bare list in this order
    with torch.device("meta"):
        ours = [name for name, _ in Generator(paper_model).named_parameters()]
    assert list(generator_from_official(empty(official_generator_shapes()))) == ours


def test_discriminator_weights_fit(paper_model):
    renamed = discriminator_from_official(empty(ccs_shapes()))
    config = paper_model.discriminator.model_copy(update={"kind": "ccs", "encoder": True})
    with torch.device("meta"):
        ours = Discriminator(config, 256, 256).state_dict()
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in ours.items()}


def test_pixel_coordinates_of_imported_weights_come_across_then_down(paper_model):
    """The authors' layers see a pixel's place down the rows first (AddCoords), ours its place across."""
    torch.manual_seed(0)
    theirs = {name: torch.randn(shape) / 20 for name, shape in ccs_shapes().items()}
    config = paper_model.discriminator.model_copy(update={"kind": "ccs", "encoder": True})
    ours = Discriminator(config, 256, 256)
    ours.load_state_dict(discriminator_from_official(theirs))
    images = torch.rand(2, 3, 8, 8) * 2 - 1

    def seen(x, weight, bias, stride):
        ends = torch.linspace(-1, 1, x.shape[-1])
        down, across = torch.meshgrid(ends, ends, indexing="ij")
        x = torch.cat((x, down.expand(len(x), 1, -1, -1), across.expand(len(x), 1, -1, -1)), dim=1)
        return functional.leaky_relu(functional.conv2d(x, weight, bias, stride, padding=1), 0.2)

    x = functional.conv2d(images, theirs["fromRGB.5.model.0.weight"], theirs["fromRGB.5.model.0.bias"])
    x = functional.leaky_relu(x, 0.2)
    for i in (5, 6):
        layer = f"layers.{i}"
        main = x
        for j, stride in ((0, 1), (2, 2)):
            main = seen(
                main, theirs[f"{layer}.network.{j}.conv.weight"], theirs[f"{layer}.network.{j}.conv.bias"], stride
            )
        beside = functional.conv2d(x, theirs[f"{layer}.proj.weight"], theirs[f"{layer}.proj.bias"], stride=2)
        x = (main + beside) / 2**0.5
    expected = functional.conv2d(x, theirs["final_layer.weight"], theirs["final_layer.bias"]).flatten(1)
    with torch.no_grad():
        judged = ours(images)
    assert torch.allclose(judged.logit, expected[:, 0], rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert torch.allclose(judged.latent, expected[:, 1:257], rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_unused_layer_is_left_out_and_foreign_names_are_refused():
    assert discriminator_from_official(empty({"pose_layer.weight": (400, 2), "final_layer.bias": (1,)})).keys() == {
        "final.bias"
    }
    with pytest.raises(PiganError, match=r"to_rgb\.weight: no weight of the authors"):
        generator_from_official({"to_rgb.weight": torch.zeros(1)})
