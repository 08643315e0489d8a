"""The cases on tiny networks: both sides do the same work, and the errors are those of the numerics."""

import pytest
import torch

from pigan.bench import host_cases, step_cases
from pigan.bench.case import measure
from pigan.bench.field_cases import field_case, render_case
from pigan.bench.host_cases import data_case, fid_case, official_item, plain_frechet_distance
from pigan.bench.scaling import scaling_points
from pigan.bench.step_cases import discriminator_case, judging_run, share_with_gradient, step_case
from pigan.bench.subject import Way, own_subject
from pigan.evaluation.frechet import frechet_distance, statistics
from pigan.progress import Progress
from pigan.report.speed import Machine
from pigan.training.state import initial_state

CPU = torch.device("cpu")
MACHINE = Machine(matmul_gflops={"fp32": 100.0, "bf16": 200.0}, bandwidth_gb_s=10.0)
WAYS = [Way("folded", "fp32"), Way("plain", "fp32")]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr("pigan.bench.case.SECONDS_QUICK", 0.0)


def rows_of(case):
    with Progress(0, "test") as progress:
        return measure(case, CPU, MACHINE, True, progress)


def with_field(params, kind, hierarchical=True):
    changes = {"field": kind, "hierarchical": hierarchical}
    return params.model_copy(update={"model": params.model.model_copy(update=changes)})


@pytest.mark.parametrize(
    "kind", ["film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren"]
)
def test_every_field_is_measured_with_its_error(tiny_params, kind):
    subject = own_subject(with_field(tiny_params, kind), CPU, quick=True)
    for make, most in ((field_case, 1e-5), (render_case, 1e-4)):
        for row in rows_of(make(subject, WAYS, CPU)):
            assert 0 < row.error < most and 0 < row.reference_error < most
            assert row.gflop > 0 and row.peak_mb > 0 and row.ratio > 0


def test_16_bits_are_less_exact(tiny_params):
    subject = own_subject(tiny_params, CPU, quick=True)
    exact, coarse = rows_of(field_case(subject, [WAYS[0], Way("folded", "bf16")], CPU))
    assert coarse.error > 100 * exact.error and coarse.error < 0.2
    assert coarse.share_of_matmul is not None and coarse.precision == "bf16"


def test_discriminator_and_whole_steps(tiny_params):
    subject = own_subject(with_field(tiny_params, "film-siren"), CPU, quick=True)
    (judged,) = rows_of(discriminator_case(subject, WAYS[:1], CPU))
    (step,) = rows_of(step_case(subject, 16, WAYS[:1], CPU))
    assert (judged.case, step.case) == ("discriminator", "step_16")
    for row in (judged, step):
        assert 0 < row.error < 1e-4 and 0 < row.reference_error < 1e-4
    assert step.peak_mb < step.reference_peak_mb  # tiles keep less than whole batches


def test_other_reading_of_the_paper_too(tiny_params):
    judge = tiny_params.model.discriminator.model_copy(update={"kind": "patch-pose"})
    model = tiny_params.model.model_copy(update={"field": "sincos-concat", "discriminator": judge})
    changes = {"adversarial": "log", "pose_weight": 1.0, "latent_weight": 1.0, "reconstruction_weight": 1.0}
    training = tiny_params.training.model_copy(update=changes)
    params = tiny_params.model_copy(update={"model": model, "training": training})
    subject = own_subject(params, CPU, quick=True)
    for case in (discriminator_case(subject, WAYS[:1], CPU), step_case(subject, 8, WAYS[:1], CPU)):
        (row,) = rows_of(case)
        assert 0 < row.error < 1e-4 and 0 < row.reference_error < 1e-4
    judging_run(params, 8, 2, CPU)()


def test_without_encoder_too(tiny_params):
    shape = tiny_params.model.discriminator.model_copy(update={"encoder": False})
    model = tiny_params.model.model_copy(update={"discriminator": shape})
    params = tiny_params.model_copy(update={"model": model})
    subject = own_subject(params, CPU, quick=True)
    assert 0 < rows_of(step_case(subject, 8, WAYS[:1], CPU))[0].error < 1e-4


def test_judging_alone_leaves_the_generator_where_it_is(tiny_params, monkeypatch):
    made = []
    monkeypatch.setattr(step_cases, "initial_state", lambda *asked: made.append(initial_state(*asked)) or made[-1])
    run = judging_run(tiny_params, 8, 2, CPU)
    networks = made[0].generator, made[0].discriminator
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    run()
    run()
    still = [all(map(torch.equal, old, network.parameters())) for old, network in zip(before, networks, strict=True)]
    assert still == [True, False]


def test_share_of_samples_with_gradient(tiny_params):
    assert 0.2 < share_with_gradient(tiny_params, 16, 4, CPU) < 0.9


def test_cost_is_measured_as_each_size_grows(tiny_params):
    points = scaling_points(tiny_params, CPU, quick=True)
    sizes = {what: [p.value for p in points if p.what == what] for what in ("resolution", "samples", "batch")}
    # 32 px are more than this discriminator takes
    assert sizes == {"resolution": [8, 16], "samples": [4, 8, 16], "batch": [1, 2, 4]}
    assert [p.points for p in points if p.what == "samples"] == [16 * 16 * count for count in (4, 8, 16)]
    assert [p.images for p in points if p.what == "batch"] == [1, 2, 4]


def test_batches_come_from_bytes_that_hold_what_the_chain_makes():
    case = data_case(12, CPU)
    plain, ours = case.reference.make()(), case.sides[0].make()()
    assert plain.shape == ours.shape == (56, 3, 64, 64)
    straight = [float((a - b).abs().max()) <= 0.5 / 127.5 + 1e-6 for a, b in zip(plain, ours, strict=True)]
    # to within half a level of eight bits, but for the mirrored ones: the authors mirror before they take every fourth
    # pixel, so that they get others
    assert 20 < sum(straight) < 36 and float((plain - ours).abs().max()) < 0.5
    assert rows_of(case)[0].peak_mb is None


def test_official_item_is_mirrored():
    data = host_cases._jpeg(host_cases.photo(0))
    straight, mirrored = official_item(data, False), official_item(data, True)
    assert float((mirrored - straight.flip(2)).abs().mean()) < 0.1 < float((mirrored - straight).abs().mean())


def test_frechet_distances_agree(monkeypatch):
    monkeypatch.setattr(host_cases, "FEATURES_QUICK", 24)
    (row,) = rows_of(fid_case(quick=True))
    assert row.error < 1e-6 and row.case == "fid"
    generated, real = (host_cases._features(16, seed) for seed in (0, 1))
    expected = frechet_distance(statistics(generated), statistics(real))
    assert plain_frechet_distance(generated, real) == pytest.approx(expected, rel=1e-6) and expected > 0.1
