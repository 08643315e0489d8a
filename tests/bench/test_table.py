import pytest

from pigan.bench.table import as_markdown, as_text
from pigan.report.speed import Estimate, Machine, Row, ScalingPoint, Speed, Times


def row(**changes):
    known = {
        "case": "field",
        "title": "Field",
        "size": "4 × 32",
        "path": "folded fp32",
        "precision": "fp32",
        "reference_ms": Times.of([300.0, 310.0, 320.0]),
        "ours_ms": Times.of([1.0, 2.0, 4.0]),
        "ratio": 155.0,
        "ratio_low": 80.0,
        "ratio_high": 300.0,
        "error": 1.2e-6,
        "reference_error": 2e-6,
        "error_of": "weight gradients",
        "reference_peak_mb": 2048.0,
        "peak_mb": 100.0,
        "gflop": 3.0,
        "share_of_matmul": 0.5,
        "bound": "compute",
    }
    return Row(**{**known, **changes})


@pytest.fixture
def speed():
    return Speed(
        command="pigan bench --quick",
        date="2026-01-02",
        device="a processor",
        threads=2,
        torch="2.15",
        pigan="0.1",
        subject="paper network",
        machine=Machine(matmul_gflops={"fp32": 123.4}, bandwidth_gb_s=17.26),
        rows=[row(), row(path="compiled fp32", ratio=2.0), row(case="data", title="Batch", error=None, peak_mb=None)],
        scaling=[ScalingPoint(what="batch", value=4, points=4096, ms=80.0, images=4)],
        estimates=[Estimate(preset="demo", stage="r16", hours=0.0123, memory_gb=0.5, images_per_second=31.4)],
        notes=["No bf16 rows: none here."],
    )


@pytest.mark.parametrize("write", [as_text, as_markdown])
def test_everything_measured_is_told(speed, write):
    text = write(speed)
    for told in (
        *("2026-01-02", "a processor, 2 threads", "fp32 123 GFLOP/s", "17.3 GB/s", "`pigan bench --quick`"),
        *("310 (300-320)", "2 (1-4)", "155.00 (80.00-300.00)", "1.2e-06 (2.0e-06)", "100 (2,048)", "50%", "compute"),
        *("batch", "4,096", "80", "20", "19.5"),
        *("demo", "r16", "0.0123", "31.4", "not run"),
        *("No bf16 rows", "Field: weight gradients."),
    ):
        assert told in text, told
    assert text.count("4 × 32") == 2  # a case's name stands at its first path


def test_columns_line_up_and_markdown_is_a_table(speed):
    lines = [line for line in as_text(speed).splitlines() if "fp32  " in line]
    assert len({line.index("310 (") for line in lines}) == 1
    table = [line for line in as_markdown(speed).splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in table[:5]} == {10}


def test_without_scaling_and_estimates_there_are_no_empty_tables(speed):
    bare = speed.model_copy(update={"scaling": [], "estimates": [], "rows": []})
    assert "grow" not in as_text(bare) and "Estimate" not in as_markdown(bare)
