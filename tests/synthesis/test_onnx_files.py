"""ONNX Runtime answers what PyTorch answers, for every kind of field and any number of points."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pigan import config
from pigan.errors import PiganError
from pigan.models.generator import Generator, seen_directions
from pigan.synthesis import onnx_files
from pigan.synthesis.onnx_files import FIELD, MAPPING, TOLERANCE, check_tools, compare, refuse_inexact, write_onnx
from pigan.synthesis.trained import TrainedModel

KINDS = ("film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren")


@pytest.fixture(scope="module")
def written(
    tiny_params: config.Params, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[TrainedModel, Path, dict[str, float]]]:
    """A model of a kind, and its ONNX files, made once."""

    @functools.cache
    def make(kind: str) -> tuple[TrainedModel, Path, dict[str, float]]:
        torch.manual_seed(4)
        model = {**tiny_params.model.model_dump(), "field": kind, "lock_view_direction": kind == "relu-pe"}
        params = config.parse(config.merge(tiny_params.model_dump(), {"model": model}))
        trained = TrainedModel(Generator(params.model).eval().requires_grad_(False), params, Path("none"))
        folder = tmp_path_factory.mktemp(kind)
        return trained, folder, write_onnx(trained, folder)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_both_files_answer_as_pytorch_does(kind: str, written: Callable) -> None:
    model, folder, told = written(kind)
    assert set(told) == {"code", "colour", "density"} and max(told.values()) < TOLERANCE
    random = torch.Generator().manual_seed(9)
    # one of anything, and another number than it was traced with
    for batch, points in ((1, 1), (4, 33)):
        z = torch.randn((batch, model.params.model.z_dim), generator=random)
        (code,) = onnxruntime.InferenceSession(folder / MAPPING).run(None, {"z": z.numpy()})
        expected = model.generator.mapping(z)
        np.testing.assert_allclose(code, expected, atol=1e-5)
        where, along = (torch.randn((batch, points, 3), generator=random) for _ in range(2))
        along = torch.nn.functional.normalize(along, dim=-1)
        session = onnxruntime.InferenceSession(folder / FIELD)
        inputs = {"points": where, "directions": along, "code": expected}
        names = [entry.name for entry in session.get_inputs()]
        colour, density = session.run(["colour", "density"], {name: inputs[name].numpy() for name in names})
        seen = seen_directions(along, model.params.model.lock_view_direction)
        for ours, theirs in zip((colour, density), model.generator.field(where, seen, expected), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
            assert ours.shape[:2] == (batch, points)


def test_files_do_not_tell_where_they_were_made(written: Callable) -> None:
    _, folder, _ = written("film-siren")
    for name in (MAPPING, FIELD):
        assert b"/pigan/" not in (folder / name).read_bytes()
        onnx.checker.check_model(onnx.load(folder / name))


def test_a_file_that_answers_otherwise_is_refused(written: Callable, tmp_path: Path) -> None:
    model, folder, _ = written("film-siren")
    proto = onnx.load(folder / FIELD)
    # the bias of the density is the only one of its length
    bias = next(value for value in proto.graph.initializer if list(value.dims) == [1])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(1e-3), bias.name))
    onnx.save(proto, tmp_path / FIELD)
    points = torch.zeros(2, 3, 3)
    inputs = {"points": points, "directions": points, "code": torch.zeros(2, model.generator.field.code_size)}
    good, bad = (
        compare(model.generator.field, place / FIELD, inputs, ["colour", "density"]) for place in (folder, tmp_path)
    )
    refuse_inexact(good)
    with pytest.raises(PiganError, match=r"ONNX Runtime's density is 1\.0e-03 from PyTorch's, more than 1e-04"):
        refuse_inexact(bad)
    with pytest.raises(PiganError, match="colour is nan"):
        refuse_inexact({"colour": float("nan")})


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_files.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(PiganError, match=r"ONNX needs onnxscript: pip install 'pigan\[export\]', or leave it out"):
        check_tools()
