"""Memory of a training step on a GPU, as PyTorch's allocator counts it: it stays within what is estimated."""

import json
from pathlib import Path

import pytest

# with the paper's width, at its batch; what is estimated decides how large tiles are
TRIED = [
    "cars-64,baseline,auto,auto,",
    "cars-64,baseline,auto,auto,4",
    "cars-64,baseline,folded,fp16,",
    "cars-64,baseline,folded,fp32,6",
    "cars-64,baseline,plain,fp32,24",
    "cars-64,relu-pe,auto,auto,",
    "cars,embedding,auto,auto,",
    "cars,sincos-concat,auto,auto,",
    "cars,patch-pose,auto,bf16,",
    "cars,reconstruction,auto,auto,",
]


@pytest.fixture(scope="module")
def peaks(pretended_gpu):
    """Of every one, in one process."""
    told = pretended_gpu.script(Path(__file__).with_name("memory.py"), *TRIED).stdout.splitlines()
    return dict(zip(TRIED, map(json.loads, told), strict=True))


@pytest.mark.parametrize("tried", TRIED)
def test_step_takes_no_more_than_estimated_and_not_much_less(peaks, tried):
    found, limit = peaks[tried], tried.split(",")[-1]
    assert 0.4 * found["estimated"] < found["measured"] <= found["estimated"]
    assert not limit or found["measured"] <= float(limit) * 1e9
