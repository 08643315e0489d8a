import pytest
import torch

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


def test_unused_layer_is_left_out_and_foreign_names_are_refused():
    assert discriminator_from_official(empty({"pose_layer.weight": (400, 2), "final_layer.bias": (1,)})).keys() == {
        "final.bias"
    }
    with pytest.raises(PiganError, match=r"to_rgb\.weight: no weight of the authors"):
        generator_from_official({"to_rgb.weight": torch.zeros(1)})
