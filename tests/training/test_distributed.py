"""Two processes take the steps of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from pigan import config
from pigan.config import merge
from pigan.training.distributed import ALONE, Ranks, _buckets

RANK_WORK = Path(__file__).parent / "rank_work.py"
FILM = {"model": {"hierarchical": True}, "training": {"kernel": "plain", "pose_weight": 1.0, "latent_weight": 1.0}}
SINCOS = {
    "camera": {"pose_law": "hybrid"},
    "model": {"field": "sincos-concat", "lock_view_direction": False, "discriminator": {"kind": "patch-pose"}},
    "training": {
        "kernel": "plain",
        "adversarial": "log",
        "reconstruction_weight": 2.0,
        "opacity_weight": 1.0,
        "pose_weight": 1.0,
        "latent_weight": 1.0,
        "grad_clip": 0.01,
    },
}
# changes, batch, share of the batch that the generator learns from
CASES = [(FILM, 4, 0.5), (FILM, 5, 1.0), (SINCOS, 5, 0.6)]
# relative to the largest number of a tensor; sums of float32 differ by their order
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5}


@pytest.fixture(scope="module")
def rank_work():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(RANK_WORK.parent)
        import rank_work

        yield rank_work


@pytest.fixture(scope="module")
def together(tiny_params, tmp_path_factory):
    """The folder in which two processes, started by torchrun, left what they have after their steps."""
    folder = tmp_path_factory.mktemp("together")
    cases = [(merge(tiny_params.model_dump(), changes), batch, topk) for changes, batch, topk in CASES]
    (folder / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", RANK_WORK, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("precision", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", range(len(CASES)))
def test_two_processes_take_the_steps_of_one(tiny_params, rank_work, together, case, precision):
    changes, batch, topk = CASES[case]
    torch.set_default_dtype(precision)
    try:
        alone = rank_work.results(config.parse(merge(tiny_params.model_dump(), changes)), batch, topk)
    finally:
        torch.set_default_dtype(torch.float32)
    first, second = (load_file(rank_work.result_file(together, case, precision, rank)) for rank in range(2))
    assert first.keys() == second.keys() == alone.keys() and any(name.endswith("exp_avg_sq") for name in first)
    for name, expected in alone.items():
        # also where one device's sums are in another order, the ranks do not drift apart
        assert torch.equal(first[name], second[name]), name
        error = float((first[name] - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
        assert error < TOLERANCE[precision], name
    assert alone["generator.field.layers.0.weight" if case < 2 else next(iter(alone))].dtype == precision


@given(batch=st.integers(1, 50), size=st.integers(1, 12))
def test_parts_are_the_batch_cut_as_the_data_is(batch, size):
    whole = torch.arange(batch)
    for rank, expected in enumerate(whole.tensor_split(size)):
        assert torch.equal(whole[Ranks(rank, size).part(batch)], expected)


@given(batch=st.integers(2, 20), size=st.integers(2, 6), seed=st.integers(0, 99))
def test_shares_of_means_add_up_to_the_mean(batch, size, seed):
    values = torch.rand(batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    ranks = [Ranks(rank, size) for rank in range(min(size, batch))]
    ranks = [Ranks(rank.rank, len(ranks)) for rank in ranks]
    if len(ranks) > 1:
        total = sum(float(rank.share(values[rank.part(batch)].mean(), batch)) for rank in ranks)
        assert total == pytest.approx(float(values.mean()), rel=1e-12)


def test_one_process_alone_sends_nothing_and_keeps_every_bit():
    values = torch.rand(5)
    mean = values.mean()
    assert ALONE.share(mean, 5) is mean and torch.equal(ALONE.gathered(values, 5), values)
    before = values.clone()
    ALONE.add([values])
    ALONE.copy([values])
    assert torch.equal(values, before) and ALONE.agreed(15) == 15 and ALONE.told({"a": 1}) == {"a": 1}


@given(st.lists(st.integers(0, 9), max_size=12))
def test_buckets_hold_all_tensors_in_order_and_so_many_numbers(monkeypatch_bucket, sizes):
    tensors = [torch.zeros(size) for size in sizes]
    buckets = list(_buckets(tensors))
    assert [id(tensor) for bucket in buckets for tensor in bucket] == [id(tensor) for tensor in tensors]
    assert all(len(bucket) == 1 or sum(t.numel() for t in bucket) <= 10 for bucket in buckets)


@pytest.fixture(scope="module")
def monkeypatch_bucket():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pigan.training.distributed.BUCKET", 10)
        yield
