"""The model card: what is told, in a form that hubs read, whatever the names are."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from pigan import config, presets
from pigan.report.modelcard import UNKNOWN, Facts, measured_of, metrics_file, model_card

METRICS: dict[str, Any] = {
    "fid_efficientnet_lite0": 12.345678,
    "kid_efficientnet_lite0": 0.00005,
    "hollow_share": 0.25,
    "depth_rmse": None,
    "seconds": 3.0,
    "intervals": {"fid_efficientnet_lite0": [11.5, 13.25]},
    "protocol": {
        "extractor": "efficientnet_lite0",
        "protocol": "clean",
        "resolution": 32,
        "fake_images": 512,
        "notes": ["depth_rmse is null: no <known> views"],
    },
}


@pytest.fixture
def params() -> config.Params:
    return presets.params("demo")


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "title": "pi-GAN demo",
        "licence": None,
        "weights": "model.safetensors",
        "picture": "samples.png",
        "parameters": 116_484,
        "provenance": [("Checkpoint", "runs/cars/baseline")],
        "data": None,
        "measured": measured_of(METRICS),
    }
    return Facts(**{**values, **changes})


def front(card: str) -> dict[str, Any]:
    """The front matter, by YAML 1.1 as hubs read it."""
    _, text, _ = card.split("---\n", 2)
    return yaml.safe_load(text)


def test_hubs_read_the_metrics(params: config.Params) -> None:
    card = ModelCard(model_card(params, facts(licence="cc-by-4.0")))
    assert card.data.license == "cc-by-4.0" and card.data.datasets == ["cars"]
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results.keys() == {"fid", "kid", "hollow_share"}
    assert math.isclose(results["fid"].metric_value, 12.345678)
    assert results["kid"].metric_value == 0.00005
    assert results["fid"].metric_name == "FID (EfficientNet-Lite0)" and results["fid"].dataset_name == "cars"
    assert "| FID | 12.35 | 11.5 to 13.25 | lower |" in card.text
    assert "protocol clean, 32 pixels, 512 generated images" in card.text
    assert "depth\\_rmse is null: no &lt;known&gt; views" in card.text
    assert "25% of its shapes were found hollow" in card.text


def test_no_hollow_shape_is_told_in_words(params: config.Params) -> None:
    card = model_card(params, facts(measured=measured_of({**METRICS, "hollow_share": 0.0})))
    assert "None of its shapes were found hollow when measured" in card


@pytest.mark.parametrize(("empty", "told"), [(0.23, True), (0.75, False)])
def test_losses_and_a_painted_background_are_told(empty: float, told: bool, params: config.Params) -> None:
    card = model_card(params, facts(measured=measured_of({**METRICS, "empty_rays": empty, "empty_rays_real": 0.79})))
    assert "| Losses | softplus, R1 × 1, latent × 2, prior on opacity (not in the paper) × 0.3 |" in card
    assert ("paints part of the background as a surface: 23% of its rays meet nothing, 79% in the data" in card) == told


@pytest.mark.parametrize(("empty", "told"), [(1.0, True), (0.75, False)])
def test_that_there_is_nothing_but_background_is_told(empty: float, told: bool, params: config.Params) -> None:
    card = model_card(params, facts(measured=measured_of({**METRICS, "empty_rays": empty})))
    assert ("It generates nothing but background: 100.0% of its rays meet no surface." in card) == told


@pytest.mark.parametrize(
    "name",
    [
        "a: b",
        "- x",
        "yes",
        "12",
        "'",
        '"',
        "{a}",
        "[b]",
        "# c",
        "a\nlicense: mit",
        "---",
        "|",
        "> x",
        "é\u2028x",
        "!tag",
        "&a",
    ],
)
def test_no_name_breaks_the_front_matter(name: str, params: config.Params) -> None:
    card = model_card(params, facts(title=name, licence=name))
    read = front(card)
    assert read["model-index"][0]["name"] == name
    assert name in (read["license"], read.get("license_name"))
    assert read["tags"][0] == "pigan" and isinstance(read["license"], str)


def test_names_are_no_markup(params: config.Params) -> None:
    title = "<script>x</script> [a](b) | `c` ![d](e)"
    card = model_card(params, facts(title=title, provenance=[("a | b", "<img src=x>")], licence="*x*"))
    body = card.split("---\n", 2)[2]
    assert "<script" not in body and "<img" not in body and "](b)" not in body.replace("\\](b)", "")
    assert "| a \\| b | &lt;img src=x&gt; |" in body and "\\*x\\*" in body


def test_what_is_not_known_is_told(params: config.Params) -> None:
    card = model_card(params, facts(measured=None, no_metrics="Not measured: nobody did."))
    read = front(card)
    assert read["license"] == "unknown" and "model-index" not in read and "metrics" not in read
    assert UNKNOWN in card and "Not measured: nobody did." in card and "CC0 1.0" in card
    assert "Shapes can be hollow" in card and "32 pixels a side" in card
    assert "mapping.onnx" not in card
    with_onnx = model_card(params, facts(onnx_errors={"code": 2e-7, "density": 3.1e-6}))
    assert "by at most 3e-06" in with_onnx


def test_poses_are_told_in_degrees(params: config.Params) -> None:
    # v from 0.15 / pi to 1.25 / pi
    assert "spherical\\_uniform: yaw 90 ± 180, pitch 25 to 78 degrees" in model_card(params, facts())
    celeba = presets.params("celeba")
    card = model_card(celeba, facts(measured=None))
    assert "gaussian: yaw 90 ± 17, pitch 90 ± 9 degrees" in card
    assert "Terms of the data: CelebA is for non-commercial research only" in card


def test_metrics_lie_beside_the_stages() -> None:
    assert metrics_file(Path("runs/cars/baseline/seed0/r32/checkpoint.safetensors")) == Path(
        "runs/cars/baseline/seed0/metrics.json"
    )
