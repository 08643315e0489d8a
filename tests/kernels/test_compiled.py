"""Compiling takes tens of seconds, so two processes compile a tiny field, and one finds no compiler."""

import os
import shutil
import subprocess
import sys

import pytest

TRAINING = """
import torch
from pigan.kernels.compiled import compiled
from pigan.kernels.folded import evaluate, fold
from pigan.models.siren import FilmSirenField

torch.set_num_threads(1)
torch.manual_seed(0)
field = FilmSirenField(8, 2, 1.0)
code = torch.randn(2, field.code_size, requires_grad=True)
points = torch.rand(2, 40, 3)
# other weights and points of the same shapes must not be compiled again
torch._dynamo.config.error_on_recompile = True
errors = []
fast = compiled(evaluate)
for step in range(3):
    answers, gradients = [], []
    for path in (evaluate, fast):
        rgb, density = path(fold(field, code), points + step, points, torch.float32)
        answers.append(torch.cat((rgb, density[..., None]), -1))
        gradients.append(torch.autograd.grad((rgb.square().sum() + density.sum()), code)[0])
    errors += [(answers[0] - answers[1]).abs().max(), ((gradients[0] - gradients[1]).norm() / gradients[0].norm())]
print(float(torch.stack(errors).max()))
"""

# whole images without gradients, on two threads: another batch of the same size must not be compiled again
RENDERING = """
import torch
from pigan import presets
from pigan.kernels.choose import EXACT, Numerics, field_of
from pigan.kernels.folded import CPU_TILE
from pigan.models.generator import Generator

torch.set_num_threads(2)
torch.manual_seed(0)
torch._dynamo.config.error_on_recompile = True
model = presets.params("demo").model.model_copy(update={"hidden": 8, "layers": 2})
generator = Generator(model)
errors = []
with torch.no_grad():
    for images in (3, 1, 2):
        points, code = torch.rand(images, 2 * CPU_TILE, 3), generator.mapping(torch.randn(images, model.z_dim))
        fast = field_of(generator, code, Numerics("compiled", torch.float32))(points, points)
        for wanted, got in zip(field_of(generator, code, EXACT)(points, points), fast, strict=True):
            assert got.shape == wanted.shape and wanted.std() > 0
            errors.append((wanted - got).abs().max())
print(float(torch.stack(errors).max()))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What two programs need of the compiler alike, they compile once."""
    return tmp_path_factory.mktemp("compiled")


def run(program, cache, **variables):
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), **variables}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return float(done.stdout), [line for line in done.stderr.splitlines() if line.startswith("pigan:")]


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_field_equals_the_folded_one_and_is_compiled_once(cache):
    error, told = run(TRAINING, cache)
    assert told == []
    # another order of the sums, so not the same bits
    assert 0 < error < 1e-4


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_images_equal_the_folded_ones_and_are_compiled_once_for_all_batches(cache):
    error, told = run(RENDERING, cache)
    assert told == []
    assert 0 < error < 1e-5


@pytest.mark.parametrize("program", [TRAINING, RENDERING], ids=["training", "rendering"])
def test_without_a_compiler_the_field_is_evaluated_folded_and_that_is_said_once(tmp_path, program):
    error, told = run(program, tmp_path, CXX="/no/such/compiler", PATH=str(tmp_path))
    assert error == 0
    assert len(told) == 1 and "is not compiled but runs as folded" in told[0]
    assert "install a C++ compiler (g++) or set training.kernel: folded" in told[0]
