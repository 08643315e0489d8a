"""Which params weights come from."""

import json
from pathlib import Path

import pytest

from pigan.chain.settings import SHARING, WATCHING, training_settings
from pigan.config import fingerprint, merge, parse
from pigan.training.loop import Run, run_fingerprint


def test_fingerprint_is_that_of_the_sections(tiny_params):
    run = Run("baseline", 3, 8, Path("init"), Path("out"), Path("work"))
    training = tiny_params.training.model_dump(exclude={*WATCHING, *SHARING})
    stage = tiny_params.curriculum.stages["r8"]
    parts = (tiny_params.camera, tiny_params.model, training, stage, tiny_params.dataset.flip, 3, 8, "data", "init")
    assert run_fingerprint(tiny_params, run, "data", "init") == fingerprint(*parts)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"training": {"checkpoint_steps": 99, "checkpoint_minutes": 1.5, "log_steps": 7, "sample_steps": 3}}, True),
        ({"curriculum": {"stages": {"r16": {"steps": 99}}}, "generate": {"images": 11}}, True),
        ({"training": {"memory_limit_gb": 3.5, "devices": 2}}, True),
        ({"training": {"r1_weight": 0.5}}, False),
        ({"training": {"snapshot_steps": 2}}, False),
        ({"curriculum": {"stages": {"r8": {"batch_size": 2}}}}, False),
        ({"camera": {"radius": 1.1}}, False),
        ({"dataset": {"flip": True}}, False),
    ],
)
def test_settings_differ_where_weights_do_even_after_json(tiny_params, changes, same):
    before = json.loads(json.dumps(tiny_params.model_dump()))
    after = parse(merge(tiny_params.model_dump(), changes)).model_dump()
    assert (training_settings(before, "r8") == training_settings(after, "r8")) is same
