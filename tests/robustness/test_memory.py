"""Stages that run out of memory say what to change in their own params."""

import numpy as np
import pytest
from PIL import Image

from pigan.data.crop import crop
from pigan.errors import PiganError

TOLD = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


def fail(*_, **__):
    raise RuntimeError(TOLD)


def test_training_names_its_limit_and_its_batch(project, monkeypatch):
    monkeypatch.setattr("pigan.training.loop.training_step", fail)
    with pytest.raises(PiganError) as caught:
        project.train("memory")
    told = str(caught.value)
    assert told.startswith("out of memory at 8 px with a limit of ") and TOLD in told
    assert "training.memory_limit_gb lower (same gradients) or curriculum.stages.r8.batch_size" in told


def test_generating_names_what_makes_it_large(project, uninterrupted, monkeypatch, tmp_path):
    from pigan.stages import generate

    monkeypatch.setattr(generate, "write_evaluation_set", fail)
    model = project.folder / "whole/r8"
    with pytest.raises(PiganError, match=r"^out of memory rendering: set generate\.resolution, generate\.images or"):
        generate.generate_stage(project.params, "baseline", 0, model, project.data, tmp_path / "out", "cpu")
    assert not list(tmp_path.iterdir())


def test_evaluating_names_its_batch(project, monkeypatch, tmp_path):
    from pigan.evaluation import evaluate

    monkeypatch.setattr(evaluate, "read_json", fail)
    with pytest.raises(PiganError, match=r"^out of memory evaluating: set evaluate\.batch_size"):
        evaluate.evaluate(project.params, project.data, *[tmp_path / name for name in "abcd"], [])


def test_image_that_memory_does_not_suffice_for_is_not_left_out(tiny_params, monkeypatch, tmp_path):
    """Which images are kept must not depend on the machine."""
    (tmp_path / "raw").mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "raw/a.png")

    def short(*_, **__):
        raise MemoryError

    monkeypatch.setattr("pigan.data.square.read_image", short)
    with pytest.raises(
        PiganError, match=r"^out of memory cropping: run again with fewer --workers.*a\.png does not fit"
    ):
        crop(tiny_params, tmp_path / "raw", tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()
