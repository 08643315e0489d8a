import copy

import pytest
import torch

from pigan.errors import PiganError
from pigan.kernels.choose import EXACT, Numerics, backward_in_parts, choose_dtype, choose_numerics, field_of
from pigan.models.generator import Generator

CPU = torch.device("cpu")
GPU = torch.device("cuda")
KINDS = ("film-siren", "concat-siren", "relu-pe", "concat-relu", "sincos-concat", "embedding-siren")


@pytest.fixture
def capable(monkeypatch):
    """A GPU that runs the Triton kernels, as far as the choice goes."""
    monkeypatch.setattr("pigan.kernels.choose._no_triton", lambda hidden, device: None)


@pytest.mark.parametrize(
    ("precision", "device", "dtype"),
    [
        ("auto", CPU, torch.float32),
        ("auto", GPU, torch.float16),
        ("bf16", CPU, torch.bfloat16),
        ("fp16", GPU, torch.float16),
        ("fp32", GPU, torch.float32),
    ],
)
def test_precision_is_what_the_params_say_and_auto_that_of_the_device(precision, device, dtype):
    assert choose_dtype(precision, device) == dtype


def test_half_precision_without_a_gpu_is_refused(tiny_params):
    with pytest.raises(PiganError, match=r"precision fp16 needs a GPU: set training.precision and generate.precision"):
        choose_numerics("auto", "fp16", tiny_params.model, CPU)


def test_auto_on_the_cpu_is_exact(tiny_params):
    assert choose_numerics("auto", "auto", tiny_params.model, CPU) == EXACT


def test_auto_takes_triton_where_it_runs_in_16_bits_only(tiny_params, capable):
    model = tiny_params.model
    assert choose_numerics("auto", "auto", model, GPU) == Numerics("triton", torch.float16)
    assert choose_numerics("auto", "fp32", model, GPU) == Numerics("folded", torch.float32)
    assert choose_numerics("triton", "fp32", model, GPU) == Numerics("triton", torch.float32)


@pytest.mark.parametrize("kind", ["relu-pe", "concat-relu", "sincos-concat", "embedding-siren"])
def test_fields_of_other_layers_than_a_sine_each_are_evaluated_folded(tiny_params, capable, kind):
    model = tiny_params.model.model_copy(update={"field": kind})
    for kernel in ("auto", "triton"):
        assert choose_numerics(kernel, "bf16", model, GPU) == Numerics("folded", torch.bfloat16)


def test_kernel_that_was_asked_for_by_name_is_never_replaced_silently(tiny_params):
    with pytest.raises(PiganError, match=r"training.kernel triton: needs a GPU; use auto or folded"):
        choose_numerics("triton", "bf16", tiny_params.model, CPU)


def test_few_images_are_not_worth_compiling_for(tiny_params):
    model = tiny_params.model
    assert choose_numerics("compiled", "bf16", model, CPU) == Numerics("compiled", torch.bfloat16)
    assert choose_numerics("compiled", "bf16", model, CPU, few=True) == Numerics("folded", torch.bfloat16)
    assert choose_numerics("plain", "fp32", model, CPU, few=True) == Numerics("plain", torch.float32)


def test_plain_evaluation_is_never_in_16_bits(tiny_params):
    assert choose_numerics("plain", "bf16", tiny_params.model, CPU) == Numerics("plain", torch.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_all_exact_paths_see_the_same_field(tiny_params, kind):
    generator = Generator(tiny_params.model.model_copy(update={"field": kind, "lock_view_direction": False}))
    code = generator.mapping(torch.randn(2, tiny_params.model.z_dim))
    points, directions = torch.rand(2, 9, 3) - 0.5, torch.nn.functional.normalize(torch.randn(2, 9, 3), dim=-1)
    expected = field_of(generator, code, Numerics("plain", torch.float32))(points, directions)
    with torch.no_grad():
        tiled = field_of(generator, code)(points, directions)
    for answers in (field_of(generator, code)(points, directions), tiled):
        for answer, other in zip(answers, expected, strict=True):
            assert torch.allclose(answer, other, atol=1e-5)


def test_positions_have_gradients_by_every_path_that_can(tiny_params):
    generator = Generator(tiny_params.model)
    code = generator.mapping(torch.randn(1, tiny_params.model.z_dim)).detach()
    towards, gradients = torch.tensor([[[0.0, 0, -1]]]).expand(1, 5, 3), []
    for kernel in ("plain", "folded", "triton"):
        points = torch.full((1, 5, 3), 0.1, requires_grad=True)
        rgb, _ = field_of(generator, code, Numerics(kernel, torch.float32))(points, towards)
        gradients.append(torch.autograd.grad(rgb.sum(), points)[0])
    assert gradients[0].abs().max() > 0
    assert torch.allclose(gradients[0], gradients[1], atol=1e-5)
    assert torch.equal(gradients[1], gradients[2])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kernel", ["plain", "folded"])
@pytest.mark.parametrize("kind", KINDS)
def test_parts_give_the_gradients_of_the_whole(tiny_params, kind, kernel, threads, on_threads, monkeypatch):
    on_threads(threads)
    monkeypatch.setattr("pigan.kernels.threads.LEAST", 1)
    generator = Generator(tiny_params.model.model_copy(update={"field": kind, "lock_view_direction": False}))
    code = generator.mapping(torch.randn(2, tiny_params.model.z_dim)).detach().requires_grad_()
    points, directions = torch.rand(2, 9, 3) - 0.5, torch.randn(2, 9, 3)
    towards = torch.randn(2, 9, 3), torch.randn(2, 9)
    exact, exact_code = copy.deepcopy(generator.field).double(), code.detach().double().requires_grad_()
    torch.autograd.backward(
        exact(points.double(), directions.double(), exact_code), [share.double() for share in towards]
    )
    with backward_in_parts(generator, code, Numerics(kernel, torch.float32)) as backward:
        for some in (slice(0, 4), slice(4, 5), slice(5, 9)):
            backward(*(values[:, some] for values in (points, directions, *towards)))
    for tensor, other in zip((code, *generator.field.parameters()), (exact_code, *exact.parameters()), strict=True):
        assert other.grad.norm() > 0
        assert (tensor.grad - other.grad).norm() <= 1e-5 * other.grad.norm()


def test_what_no_part_asked_for_has_no_gradient(tiny_params):
    generator = Generator(tiny_params.model)
    code = generator.mapping(torch.randn(1, tiny_params.model.z_dim)).detach().requires_grad_()
    with backward_in_parts(generator, code, EXACT):
        pass
    assert code.grad is None and all(weight.grad is None for weight in generator.field.parameters())


def test_nothing_goes_on_to_the_weights_after_an_error(tiny_params):
    generator = Generator(tiny_params.model)
    code = generator.mapping(torch.randn(1, tiny_params.model.z_dim)).detach().requires_grad_()

    def broken():
        with backward_in_parts(generator, code, EXACT) as backward:
            backward(torch.rand(1, 3, 3), torch.rand(1, 3, 3), torch.ones(1, 3, 3), torch.ones(1, 3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert code.grad is None
