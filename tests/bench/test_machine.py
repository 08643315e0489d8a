import pytest
import torch

from pigan import processor
from pigan.bench import machine
from pigan.bench.machine import cpu_has_bf16, matmul_gflops, measure_machine, precisions

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2 fma", False),
        ("flags\t\t: avx512_bf16_not", False),
        ("model name\t: avx512_bf16", False),
    ],
)
def test_bf16_is_what_the_processor_says(tmp_path, monkeypatch, line, has):
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\n{line}\n")
    monkeypatch.setattr(processor, "TOLD", told)
    assert cpu_has_bf16() is has
    reason = precisions(CPU)["bf16"]
    assert (reason is None) is has
    assert precisions(CPU)["fp32"] is None and "GPU" in precisions(CPU)["fp16"]


def test_processor_that_says_nothing_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "TOLD", tmp_path / "nothing")
    assert not cpu_has_bf16()


def test_rates_are_those_of_the_best_shape(monkeypatch):
    monkeypatch.setattr(machine, "SHAPES_CPU", ((4, 8, 16), (100, 100, 100)))
    seconds = iter([1e-6, 1e-3])
    monkeypatch.setattr(machine, "_shortest", lambda *_: next(seconds))
    # 2 * 4 * 8 * 16 operations in a microsecond; 2e6 in a millisecond
    assert matmul_gflops(CPU, torch.float32, quick=True) == pytest.approx(2.0)


def test_machine_is_measured(monkeypatch):
    monkeypatch.setattr(machine, "SHAPES_CPU", ((64, 64, 64),))
    monkeypatch.setattr(machine, "COPIED_CPU", 1 << 16)
    measured = measure_machine(CPU, quick=True)
    assert set(measured.matmul_gflops) >= {"fp32"} and "fp16" not in measured.matmul_gflops
    assert measured.matmul_gflops["fp32"] > 0 and measured.bandwidth_gb_s > 0
