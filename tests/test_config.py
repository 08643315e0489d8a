"""params.yaml: what is refused, and that every refusal is one line that says where."""

import copy
import hashlib
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pigan import config, presets
from pigan.config import ParamsError

DEMO: dict[str, Any] = YAML(typ="safe", pure=True).load(presets.text("demo"))

KeyPath = tuple[str | int, ...]


def key_paths(values: Any, place: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key that a section declares; the free ones (arms, names of stages) are left out."""
    items = enumerate(values) if isinstance(values, list) else values.items()
    for key, value in items:
        path = (*place, key)
        if isinstance(key, str) and place != ("curriculum", "stages"):
            yield path
        if path != ("arms",) and isinstance(value, dict | list):
            if isinstance(value, list) and not isinstance(value[0], dict):
                continue
            yield from key_paths(value, path)


PATHS = list(key_paths(DEMO))


def section_of(values: Any, path: KeyPath) -> Any:
    for part in path[:-1]:
        values = values[part]
    return values


CATS = {
    "rule": "cat-landmarks",
    "resize": None,
    "center": None,
    "filter": "lanczos",
    "min_pixels": 128,
    "background": [255, 255, 255],
}


def with_value(place: str, value: Any) -> dict[str, Any]:
    """The demo with the value at the dotted `place` replaced."""
    values = copy.deepcopy(DEMO)
    path = tuple(int(part) if part.isdigit() else part for part in place.split("."))
    section_of(values, path)[path[-1]] = value
    return values


def refusal(values: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        config.parse(values)
    message = str(caught.value)
    assert message.startswith("params.yaml: ") and "\n" not in message
    return message


def write(values: Any, folder: Path) -> Path:
    YAML().dump(values, folder / "params.yaml")
    return folder / "params.yaml"


@st.composite
def typos(draw: st.DrawFn) -> tuple[KeyPath, str]:
    """A declared key, and the same with one letter dropped, added or changed."""
    path = draw(st.sampled_from(PATHS))
    key = str(path[-1])
    place = draw(st.integers(0, len(key) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase + "_"))
    rest = draw(st.sampled_from([key[place:], key[place + 1 :]]))
    typo = key[:place] + draw(st.sampled_from(["", letter])) + rest
    return path, typo


@given(typos())
def test_typo_in_any_key_is_one_line_that_names_it(case: tuple[KeyPath, str]) -> None:
    path, typo = case
    values = copy.deepcopy(DEMO)
    section = section_of(values, path)
    if typo in section:
        return
    section[typo] = section.pop(path[-1])
    message = refusal(values)
    assert ".".join(map(str, (*path[:-1], typo))) + ": unknown key; " in message
    # a section of few keys may have another one that is as near
    near = message.split("did you mean '")[1].split("'")[0] if "did you mean" in message else message
    assert str(path[-1]) in near or near in section


@pytest.mark.parametrize(
    ("place", "typo", "told"),
    [
        ("training.r1_weight", "r1_wieght", "training.r1_wieght: unknown key; did you mean 'r1_weight'?"),
        ("dataset.cars.views", "view", "dataset.cars.view: unknown key; did you mean 'views'?"),
        ("curriculum.order.1.after", "aftr", "curriculum.order.1.aftr: unknown key; did you mean 'after'?"),
        ("curriculum.stages.r32.steps", "stps", "curriculum.stages.r32.stps: unknown key; did you mean 'steps'?"),
        ("model.discriminator.width", "widht", "model.discriminator.widht: unknown key; did you mean 'width'?"),
        ("experiment", "expriment", "expriment: unknown key; did you mean 'experiment'?"),
        ("evaluate.seed", "zzz", "evaluate.zzz: unknown key; there are extractors, weights, protocol"),
    ],
)
def test_unknown_key_is_told_its_nearest(place: str, typo: str, told: str) -> None:
    values = copy.deepcopy(DEMO)
    path = tuple(int(part) if part.isdigit() else part for part in place.split("."))
    section = section_of(values, path)
    section[typo] = section.pop(path[-1])
    assert told in refusal(values)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_no_key_has_a_default(path: KeyPath) -> None:
    values = copy.deepcopy(DEMO)
    del section_of(values, path)[path[-1]]
    assert f"params.yaml: {'.'.join(map(str, path))}: missing; `pigan params demo` shows every key" in refusal(values)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("training.r1_weight", "10", "training.r1_weight: Input should be a valid number, not '10'"),
        ("training.threads", 1.5, "training.threads: Input should be a valid integer, not 1.5"),
        ("training.threads", True, "training.threads: Input should be a valid integer"),
        ("dataset.flip", "no", "dataset.flip: Input should be a valid boolean, not 'no'"),
        ("dataset.flip", 0, "dataset.flip: Input should be a valid boolean"),
        ("model", None, "model: Input should be a valid dictionary"),
        (
            "model.field",
            "siren",
            "model.field: Input should be 'film-siren', 'concat-siren', 'relu-pe', 'concat-relu'",
        ),
        ("training.grad_clip", float("nan"), "training.grad_clip: "),
        ("camera.near", float("inf"), "camera.near: "),
        ("camera.fov_degrees", 180.0, "camera.fov_degrees: Input should be less than 180, not 180.0"),
        (
            "training.pretrained",
            "cars-32",
            "training.pretrained: write path: and sha256:, the 64 digits that `sha256sum",
        ),
        ("training.pretrained", {"path": "a", "sha256": None}, "training.pretrained: write path: and sha256:, the 64"),
        ("training.pretrained", {"path": "a", "sha256": "ab"}, "training.pretrained.sha256: "),
        ("training.ema_decay", 1.0, "training.ema_decay: Input should be less than 1"),
        ("training.adam_betas", [0.0], "training.adam_betas: List should have at least 2 items"),
        ("dataset.crop.background", [0, 0, 256], "dataset.crop.background.2: "),
        ("dataset.name", "a/b", "dataset.name: "),
        ("seeds", [], "seeds: List should have at least 1 item"),
        ("seeds", [-1], "seeds.0: "),
        ("arms", {}, "arms: "),
        ("arms", {"a b": {}}, "arms.a b: "),
        ("curriculum.stages", {32: DEMO["curriculum"]["stages"]["r32"]}, "curriculum.stages.32: "),
        ("report.published", "ffhq", "report.published: Input should be 'none', 'celeba', 'cats' or 'carla'"),
    ],
)
def test_wrong_type_or_range_is_told(place: str, value: Any, told: str) -> None:
    assert told in refusal(with_value(place, value))


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("camera.far", 0.5, "camera: far (0.5) must be larger than near (0.75)"),
        ("camera.far", 0.75, "camera: far (0.75) must be larger than near (0.75)"),
        ("curriculum.order.1.after", "init", "write `after: r16`, not init"),
        ("curriculum.order.0.after", "r8", "write `after: init`, not r8"),
        ("training.memory_limit_gb", 0.0, "training.memory_limit_gb: Input should be greater than 0"),
        ("model.hierarchical", True, None),
        ("seeds", [1, 0, 1], "seeds: the same seed twice"),
        ("evaluate.extractors", ["inception", "clip", "inception"], "evaluate: extractors: the same extractor twice"),
        ("evaluate.extractors", [], "evaluate.extractors: List should have at least 1 item"),
        ("evaluate.extractors", ["resnet"], "evaluate.extractors.0: Input should be 'efficientnet_lite0', 'inception'"),
        ("evaluate.depth_estimator", {"path": "x.onnx"}, "evaluate.depth_estimator.sha256: missing"),
        ("dataset.kind", "folder", "kind folder needs dataset.source"),
        ("dataset.kind", "deepview", "kind deepview needs dataset.source"),
        ("dataset.cars", None, "kind cars needs the section dataset.cars"),
        ("dataset.kind", "meshes", "kind meshes needs the section dataset.meshes; `pigan params meshes` shows it"),
        ("dataset.crop", CATS | {"center": 108}, "rule cat-landmarks finds the face by itself: set resize and center"),
        ("dataset.crop", CATS, None),
        ("generate.checkpoint", "r64", "generate.checkpoint: r64 is no stage; there are r16, r32"),
        ("report.main_arm", "base", "report.main_arm: no arm base; there are baseline, "),
        ("model.discriminator.encoder", False, "latent_weight need model.discriminator.encoder: true"),
    ],
)
def test_values_that_contradict_each_other_are_told(place: str, value: Any, told: str | None) -> None:
    values = with_value(place, value)
    if told:
        assert told in refusal(values)
    else:
        # harmless by itself
        config.parse(values)


def test_combinations_that_cannot_work_are_told() -> None:
    few = config.merge(DEMO, {"model": {"hierarchical": True, "samples": 3}})
    assert "model: hierarchical sampling needs samples >= 4, not 3" in refusal(few)
    blind = config.merge(DEMO, {"model": {"discriminator": {"encoder": False}}, "training": {"pose_weight": 1.0}})
    assert "need model.discriminator.encoder: true" in refusal(blind)


PATCH_POSE = {"model": {"discriminator": {"kind": "patch-pose"}}, "training": {"pose_weight": 1.0}}


@pytest.mark.parametrize(
    ("base", "change", "told"),
    [
        (PATCH_POSE, {}, None),
        (
            PATCH_POSE,
            {"model": {"discriminator": {"encoder": False}}},
            "model.discriminator: kind patch-pose needs encoder: true",
        ),
        (PATCH_POSE, {"training": {"pose_weight": 0.0}}, "patch-pose needs training.pose_weight above 0"),
        ({}, {"training": {"reconstruction_weight": 1.0}}, "and pose_weight above 0"),
        ({}, {"training": {"reconstruction_weight": 1.0, "pose_weight": 1.0, "latent_weight": 1.0}}, None),
        ({}, {"training": {"reconstruction_weight": -1.0}}, "training.reconstruction_weight: Input should be greater"),
        ({}, {"training": {"adversarial": "hinge"}}, "training.adversarial: Input should be 'softplus' or 'log'"),
        ({"model": {"field": "sincos-concat"}}, {"generate": {"samples_multiplier": 1}}, None),
        (
            {"model": {"field": "sincos-concat"}},
            {"generate": {"samples_multiplier": 2}},
            "sincos-concat needs generate.samples_multiplier: 1",
        ),
        ({"model": {"field": "embedding-siren", "embedding_side": 96}}, {}, None),
        ({"model": {"embedding_side": 1}}, {}, "model.embedding_side: Input should be greater than or equal to 2"),
        ({"model": {"embedding_side": 300}}, {}, "model.embedding_side: Input should be less than or equal to 256"),
        ({"model": {"field": "embedding"}}, {}, "model.field: Input should be 'film-siren'"),
    ],
)
def test_parts_of_the_other_reading_are_told_what_they_need(base: Any, change: Any, told: str | None) -> None:
    values = config.merge(config.merge(DEMO, base), change)
    if told:
        assert told in refusal(values)
    else:
        config.parse(values)


def test_patches_need_eight_pixels() -> None:
    values = config.merge(DEMO, PATCH_POSE)
    stage = DEMO["curriculum"]["stages"]["r16"]
    order = [{"resolution": 4, "after": "init"}, {"resolution": 32, "after": "r4"}]
    curriculum = {"order": order, "stages": {"r4": stage, "r32": stage}}
    assert "patch-pose needs resolutions of 8 or more" in refusal({**values, "curriculum": curriculum})


OFFICIAL = {
    "dataset": {"crop": {"filter": "nearest"}},
    "generate": {"resolution": 128, "images": 8000, "truncation": 1.0, "weights": "ema"},
    "evaluate": {"protocol": "official", "extractors": ["inception"], "real_images": 8000},
}


def test_official_protocol_is_the_authors_one_or_refused() -> None:
    celeba = presets.values("celeba")
    config.parse(config.merge(celeba, OFFICIAL))
    config.parse(config.merge(celeba, config.merge(OFFICIAL, {"generate": {"images": 2048}})))
    for change, told in (
        ({"dataset": {"crop": {"filter": "lanczos"}}}, "needs dataset.crop.filter: nearest;"),
        ({"dataset": {"crop": {"resize": None, "center": 108}}}, "needs dataset.crop of `pigan params celeba`;"),
        ({"generate": {"images": 1000}}, "needs generate.images: 8000 or 2048;"),
        ({"generate": {"resolution": 64}}, "needs generate.resolution: 128;"),
        ({"generate": {"samples_multiplier": 3}}, "needs generate.samples_multiplier: 1;"),
        ({"dataset": {"flip": False}}, "needs dataset.flip: true;"),
        (
            {"evaluate": {"real_images": 7000, "extractors": ["clip"]}},
            "needs evaluate.real_images: 8000, inception among evaluate.extractors;",
        ),
    ):
        assert told in refusal(config.merge(celeba, config.merge(OFFICIAL, change)))
    for name in ("cats", "carla"):
        config.parse(config.merge(presets.values(name), OFFICIAL))
    small = config.merge(OFFICIAL, {"dataset": {"crop": {"min_pixels": 64}}})
    assert "needs dataset.crop of `pigan params cats`;" in refusal(config.merge(presets.values("cats"), small))


@pytest.mark.parametrize(
    ("resolutions", "told"),
    [
        ((32, 16), "resolutions must grow"),
        ((16, 24), "must be powers of two"),
        ((16, 16), "order names r16, r16 but stages describes r16"),
        ((16, 32, 64), "order names r16, r32, r64 but stages describes r16, r32"),
        ((2, 4), "curriculum.order.0.resolution: "),
        ((), "curriculum.order: "),
    ],
)
def test_order_of_stages_must_be_a_growing_chain(resolutions: tuple[int, ...], told: str) -> None:
    names = ["init", *(f"r{side}" for side in resolutions)]
    order = [{"resolution": side, "after": after} for side, after in zip(resolutions, names, strict=False)]
    stage = DEMO["curriculum"]["stages"]["r16"]
    stages = {f"r{side}": stage for side in resolutions if side != 64}
    assert told in refusal({**DEMO, "curriculum": {"order": order, "stages": stages}})


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_no_mapping_is_told_where_to_start(values: Any) -> None:
    assert "holds no settings; start from `pigan params demo" in refusal(values)


def test_arm_lays_its_changes_over_the_params() -> None:
    change = {"model": {"field": "relu-pe"}, "curriculum": {"stages": {"r16": {"steps": 7}}}}
    params = config.parse({**DEMO, "arms": {"baseline": {}, "mine": change}})
    arm = params.for_arm("mine")
    assert (arm.model.field, arm.curriculum.stages["r16"].steps) == ("relu-pe", 7)
    assert arm.curriculum.stages["r16"].batch_size == params.curriculum.stages["r16"].batch_size
    assert arm.curriculum.stages["r32"] == params.curriculum.stages["r32"]
    assert arm.camera == params.camera and params.for_arm("baseline") == params


def test_unknown_arm_is_told_its_nearest() -> None:
    params = config.parse(DEMO)
    with pytest.raises(ParamsError, match=r"arms: no arm 'basline'; did you mean 'baseline'\?"):
        params.for_arm("basline")
    with pytest.raises(ParamsError, match=r"arms: no arm 'qqq'; there are baseline, relu-pe"):
        params.for_arm("qqq")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"camera": {"near": 0.8}}, r"arms\.mine\.camera: an arm changes only model, training, curriculum"),
        ({"curriculum": {"order": []}}, r"arms\.mine\.curriculum\.order: all arms share one order"),
        ({"model": {"hiden": 3}}, r"arm mine: model\.hiden: unknown key; did you mean 'hidden'\?"),
        ({"model": {"hidden": "3"}}, r"arm mine: model\.hidden: Input should be a valid integer"),
        ({"curriculum": {"stages": {"r64": {"steps": 3}}}}, r"arm mine: curriculum\.stages\.r64\.\w+: missing"),
        ({"curriculum": {"stages": {"r16": {"stps": 3}}}}, r"curriculum\.stages\.r16\.stps: unknown key"),
        ({"model": 3}, r"arm mine: model: Input should be a valid dictionary"),
        ({"model": None}, r"arm mine: model: Input should be a valid dictionary"),
        ({"curriculum": None}, r"arm mine: curriculum: Input should be a valid dictionary"),
        ({"curriculum": 3}, r"arm mine: curriculum: Input should be a valid dictionary"),
        (None, r"arms\.mine: Input should be a valid dictionary"),
    ],
)
def test_arms_that_cannot_run_are_found_when_the_file_is_read(change: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=told) as caught:
        config.load(write({**DEMO, "arms": {"baseline": {}, "mine": change}}, tmp_path))
    assert "\n" not in str(caught.value)


def test_scientific_notation_without_a_dot_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(presets.text("demo").replace("lr_generator: 6.0e-4", "lr_generator: 2e-06"))
    assert config.load(path).curriculum.stages["r16"].lr_generator == 2e-6


def test_missing_file_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"none\.yaml: no such file; make one with `pigan params demo > "):
        config.load(tmp_path / "none.yaml")


def test_unreadable_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="cannot be read"):
        config.load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParamsError, match="cannot be read"):
        config.load(tmp_path / "binary.yaml")


@pytest.mark.parametrize(
    ("line", "told"),
    [("\tseeds: 3", " line 3:"), ("  - a: [1", " line "), ("experiment: twice", " line 3:"), ("a: *b", " line 3:")],
)
def test_broken_yaml_names_the_line(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"# a comment\nexperiment: demo\n{line}\n")
    with pytest.raises(ParamsError) as caught:
        config.load(path)
    assert f"{path}:{told}" in str(caught.value) and "no valid YAML" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fingerprint_is_of_values_not_of_their_order() -> None:
    params = config.parse(DEMO)
    backwards = config.parse(dict(reversed(DEMO.items())))
    assert config.fingerprint(params, 1) == config.fingerprint(backwards, 1)
    assert config.fingerprint(params.camera) == config.fingerprint(params.camera.model_dump())
    changed = config.parse(with_value("training.r1_weight", 1.0000001))
    assert len({config.fingerprint(*parts) for parts in ((params,), (changed,), (params, 1), (params, "1"))}) == 4
    # a run that is under way on somebody's disk must be recognised by later versions
    text = b'["a", {"x": [0.5, null], "y": 1}]'
    assert config.fingerprint("a", {"y": 1, "x": [0.5, None]}) == hashlib.sha256(text).hexdigest()


def test_prepared_resolutions_are_those_of_training_and_evaluation() -> None:
    assert config.parse(DEMO).resolutions() == [16, 32]
    assert config.parse(with_value("generate.resolution", 128)).resolutions() == [16, 32, 128]


def test_params_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.parse(DEMO).training.threads = 2


def test_merge_leaves_its_inputs_alone() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert config.merge(base, {"a": {"b": 3}, "d": [2, 3], "e": None}) == {
        "a": {"b": 3, "c": 2},
        "d": [2, 3],
        "e": None,
    }
    assert base == {"a": {"b": 1, "c": 2}, "d": [1]}
