import copy
import math

import pytest
import torch

from pigan.runtime import generator_for, prepare_process
from pigan.training.curriculum import schedule
from pigan.training.ema import update_ema
from pigan.training.state import initial_state
from pigan.training.step import Fakes, discriminator_step, generator_step, training_step

CPU = torch.device("cpu")


def state_of(params, seed=0):
    return initial_state(params, CPU, seed)


def values_at(params, step=0):
    return schedule(params.training, params.curriculum.stages["r8"], step, step)


def fakes_of(params, batch=4, use="test"):
    return Fakes(params, 8, batch, 0.5, generator_for(CPU, 0, use))


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def generator_gradient(params, values, fakes, micro_batches, monkeypatch):
    state = state_of(params)
    monkeypatch.setattr(state.optimizer_generator, "step", lambda *_: None)
    generator_step(state, params, values, fakes, micro_batches)
    return torch.cat([p.grad.flatten() for p in state.generator.parameters()])


@pytest.mark.parametrize("topk", [1.0, 0.6])
def test_any_number_of_micro_batches_gives_the_gradient_of_the_batch(tiny_params, topk, monkeypatch):
    values = values_at(tiny_params)._replace(topk=topk)
    fakes = fakes_of(tiny_params)
    whole, halves, singles = (generator_gradient(tiny_params, values, fakes, parts, monkeypatch) for parts in (1, 2, 4))
    assert float(whole.norm()) > 0
    for split in (halves, singles):
        assert float((split - whole).norm() / whole.norm()) < 1e-5


def test_identity_terms_are_split_evenly_too(tiny_params, monkeypatch):
    training = tiny_params.training.model_copy(update={"pose_weight": 2.0, "latent_weight": 1.0})
    params = tiny_params.model_copy(update={"training": training})
    values, fakes = values_at(params), fakes_of(params)
    whole, quarters = (generator_gradient(params, values, fakes, parts, monkeypatch) for parts in (1, 4))
    assert float((quarters - whole).norm() / whole.norm()) < 1e-5


def test_generator_step_leaves_the_discriminator_alone_and_trainable(tiny_params):
    state = state_of(tiny_params)
    before, generator_before = flat(state.discriminator), flat(state.generator)
    generator_step(state, tiny_params, values_at(tiny_params), fakes_of(tiny_params), 1)
    assert torch.equal(before, flat(state.discriminator)) and not torch.equal(generator_before, flat(state.generator))
    assert all(p.grad is None and p.requires_grad for p in state.discriminator.parameters())


def test_discriminator_step_leaves_the_generator_alone(tiny_params):
    state = state_of(tiny_params)
    before, judge_before = flat(state.generator), flat(state.discriminator)
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    measured = discriminator_step(state, tiny_params, values_at(tiny_params), real, fakes_of(tiny_params))
    assert torch.equal(before, flat(state.generator)) and not torch.equal(judge_before, flat(state.discriminator))
    assert all(math.isfinite(float(value)) for value in measured.values()) and float(measured["r1"]) > 0


def test_discriminator_learns_to_tell_white_from_generated(tiny_params):
    state = state_of(tiny_params)
    real = torch.ones(4, 3, 8, 8)
    first = last = {}
    for step in range(150):
        last = discriminator_step(
            state, tiny_params, values_at(tiny_params), real, fakes_of(tiny_params, use=str(step))
        )
        first = first or last
    assert float(last["loss_d"]) < 0.7 * float(first["loss_d"])


def test_same_seed_same_bits_and_other_seed_other_bits(tiny_params):
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    ends = []
    for seed in (0, 0, 1):
        state = state_of(tiny_params)
        for step in range(2):
            training_step(state, tiny_params, values_at(tiny_params, step), real, 1, seed)
        ends.append(flat(state.generator))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


def test_initial_weights_depend_on_the_seed_alone(tiny_params):
    torch.manual_seed(5)
    first = flat(state_of(tiny_params, 3).generator)
    after = torch.rand(1)
    torch.manual_seed(6)
    assert torch.equal(first, flat(state_of(tiny_params, 3).generator))
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))  # the global generator was left alone
    assert not torch.equal(first, flat(state_of(tiny_params, 4).generator))


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_bf16_training_moves_like_fp32(tiny_params, micro_batches):
    real = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    norms = []
    for precision in ("fp32", "bf16"):
        training = tiny_params.training.model_copy(update={"precision": precision})
        params = tiny_params.model_copy(update={"training": training})
        values = values_at(params)._replace(topk=0.6)
        norms.append(float(training_step(state_of(params), params, values, real, micro_batches, 0)["loss_g"]))
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


def test_average_follows_the_authors_warm_up():
    average, current = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(current.weight, 1.0)
    expected = 0.0
    for n in range(30):
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay)
        update_ema(average, current, 0.9, n)
    assert average.weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def deterministic():
    """PyTorch as every stage sets it up."""
    prepare_process(1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training_on_the_gpu_is_repeatable(tiny_params, precision, deterministic):
    training = tiny_params.training.model_copy(update={"precision": precision})
    model = tiny_params.model.model_copy(update={"hierarchical": True})
    params = tiny_params.model_copy(update={"training": training, "model": model})
    real = (torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1).cuda()
    ends = []
    for _ in range(2):
        state = initial_state(params, torch.device("cuda"), 0)
        for step in range(5):
            measured = training_step(state, params, values_at(params, step), real, 2, 0)
        assert math.isfinite(float(measured["loss_g"]))
        ends.append(flat(copy.deepcopy(state.ema)))
    assert torch.equal(ends[0], ends[1])
