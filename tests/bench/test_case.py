import pytest
import torch

from pigan.bench import case as case_module
from pigan.bench.case import Case, Side, measure
from pigan.bench.counting import Count
from pigan.progress import Progress
from pigan.report.speed import Machine

CPU = torch.device("cpu")
MACHINE = Machine(matmul_gflops={"fp32": 100.0}, bandwidth_gb_s=10.0)


@pytest.fixture
def timed(monkeypatch):
    """The reference takes 30, 40, 60 ms; pigan 10, 20, 15."""
    times = [[30.0, 40.0, 60.0], [10.0, 20.0, 15.0]]
    monkeypatch.setattr(case_module, "interleaved", lambda runs, *_: times[: len(runs)])


def rows_of(case):
    with Progress(0, "test") as progress:
        return measure(case, CPU, MACHINE, False, progress)


def made(log, name):
    def make():
        log.append(f"make {name}")
        kept = torch.ones(1 << 18)  # 1 MiB
        return lambda: (log.append(name), kept)

    return make


def test_row_compares_medians_and_pairs(timed):
    log = []
    reference = Side("plain", "fp32", made(log, "r"), lambda: 2e-5, Count(2e9, 4e9))
    ours = Side("folded fp32", "fp32", made(log, "o"), lambda: 1e-5, Count(1e9, 0.5e8))
    (row,) = rows_of(Case("field", "Field", "small", reference, [ours], "gradients"))
    assert row.ratio == pytest.approx(40 / 15) and (row.ratio_low, row.ratio_high) == (2.0, 4.0)
    assert (row.error, row.reference_error, row.error_of) == (1e-5, 2e-5, "gradients")
    # 1 GFLOP in 15 ms of 100 GFLOP/s; 20 operations a byte where the ridge is at 10
    assert row.share_of_matmul == pytest.approx(1 / 0.015 / 100) and row.bound == "compute"
    assert (row.gflop, row.gbyte, row.reference_gbyte) == (1.0, 0.05, 4.0)
    assert row.peak_mb == pytest.approx(1.0, abs=0.01) and row.reference_peak_mb == pytest.approx(1.0, abs=0.01)
    assert log == ["make r", "r", "make o", "o"]


def test_code_is_built_before_memory_is_measured(timed):
    log = []
    ours = Side("compiled fp32", "fp32", made(log, "o"), compiles=True)
    rows_of(Case("field", "Field", "small", Side("plain", "fp32", made(log, "r")), [ours]))
    assert log == ["make r", "r", "make o", "o", "make o", "o"]


def test_what_is_not_known_is_left_empty(timed):
    ours = Side("triton bf16", "bf16", made([], "o"), count=Count(1e9, None))
    (row,) = rows_of(Case("data", "Data", "small", Side("plain", "fp32", made([], "r")), [ours], tensors=False))
    # the machine has no rate for this precision, the path no count of bytes
    assert row.share_of_matmul is None and row.gbyte is None and row.bound == "other"
    assert row.error is None and row.peak_mb is None and row.reference_peak_mb is None


def test_error_that_is_no_number_is_none(timed):
    ours = Side("triton fp16", "fp16", made([], "o"), lambda: float("nan"))
    (row,) = rows_of(Case("field", "Field", "small", Side("plain", "fp32", made([], "r"), lambda: 2e-5), [ours]))
    assert row.error is None and row.reference_error == 2e-5
