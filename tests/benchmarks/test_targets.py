import pytest

from benchmarks.box.targets import curriculum_hours, kernel_checks, quality, speed_targets
from pigan.report.speed import Estimate, Machine, Row, Speed, Times


def speed(rows=(), estimates=()):
    return Speed(
        command="pigan bench",
        date="2026-01-02",
        device="a GPU",
        threads=1,
        torch="2",
        pigan="0",
        subject="paper",
        machine=Machine(matmul_gflops={"fp32": 1.0}, bandwidth_gb_s=1.0),
        rows=list(rows),
        scaling=[],
        estimates=list(estimates),
        notes=[],
    )


def row(case, precision, error, ratio=1.0, **more):
    times = Times.of([1.0, 2.0, 3.0])
    return Row(
        case=case,
        title="t",
        size="s",
        path=f"triton {precision}",
        precision=precision,
        reference_ms=times,
        ours_ms=times,
        ratio=ratio,
        ratio_low=1.0,
        ratio_high=1.0,
        error=error,
        **more,
    )


@pytest.mark.parametrize(
    ("precision", "error", "met"),
    [
        ("fp32", 9e-5, True),
        ("fp32", 2e-4, False),
        ("fp16", 9e-3, True),
        ("fp16", 2e-2, False),
        ("bf16", 4e-2, True),
        ("bf16", 6e-2, False),
        ("fp16", None, False),
    ],
)
def test_a_kernel_is_held_to_the_error_of_its_precision(precision, error, met):
    (check,) = kernel_checks(speed([row("field", precision, error), row("render", precision, 1.0)]))
    assert check["met"] is met


def test_speed_and_memory_are_held_to_their_targets_where_they_were_measured():
    peaks = {"peak_mb": 40.0, "reference_peak_mb": 100.0}
    field, whole = row("field", "fp16", 1e-3, 2.6), row("step_64", "fp16", 1e-3, 1.9, **peaks)
    found = speed_targets(speed([field, row("render", "bf16", 1e-3, 9.0), whole]))
    assert [(target["measured"], target["met"]) for target in found] == [(2.6, True), (1.9, False), (0.4, False)]
    assert speed_targets(speed()) == []


def test_hours_are_those_of_all_stages_of_the_published_curricula():
    stages = [("celeba-paper", "r32", 1.0), ("celeba-paper", "r64", 2.5), ("demo", "r16", 9.0)]
    found = curriculum_hours(
        speed(
            estimates=[Estimate(preset=p, stage=s, hours=h, memory_gb=h, images_per_second=1.0) for p, s, h in stages]
        )
    )
    assert [(entry["preset"], entry["estimated hours"], entry["memory, GB"]) for entry in found] == [
        ("celeba-paper", 3.5, 2.5)
    ]
    assert found[0]["hours of the authors"] == 56


GOOD = {
    "fid_x": 20.0,
    "fid_real_x": 8.0,
    "depth_delta": 0.96,
    "hollow_share": 0.0,
    "depth_reprojection_error": 0.19,
    "depth_reprojection_error_exact": 0.1,
}


def test_a_good_model_meets_every_target():
    assert [target["met"] for target in quality(GOOD, "x", {"fid_x": 170.0})] == [True] * 5


@pytest.mark.parametrize(
    ("change", "which"),
    [
        ({"fid_x": 21.5}, 0),
        ({"fid_real_x": 6.0}, 1),
        ({"depth_delta": 0.94}, 2),
        ({"hollow_share": 0.01}, 3),
        ({"depth_reprojection_error": 0.21}, 4),
    ],
)
def test_each_target_can_be_missed(change, which):
    met = [target["met"] for target in quality({**GOOD, **change}, "x", {"fid_x": 170.0})]
    assert met == [position != which for position in range(5)]


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert [target["met"] for target in quality({"fid_x": 20.0, "hollow_share": None}, "x", None)] == [None] * 5
