import os
import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pigan.kernels.choose import EXACT, field_of
from pigan.kernels.threads import LEAST, share_points
from pigan.models.generator import Generator

# a fork while threads are about, and the same again in the child
FORKED = f"""
import os
import torch
from pigan.kernels.threads import share_points

torch.set_num_threads(2)
values = torch.arange(2.0 * {LEAST})[None]
assert len(share_points(torch.sum, values)) == 2
child = os.fork()
if child == 0:
    os._exit(len(share_points(torch.sum, values)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_threads_take_equal_parts_in_their_order_each_alone(on_threads):
    on_threads(3)
    points, numbers = torch.rand(2, 3 * LEAST, 3), torch.arange(3 * LEAST).expand(2, -1)

    def work(points, numbers):
        return threading.get_ident(), torch.get_num_threads(), points, numbers

    found = share_points(work, points, numbers)
    assert threading.get_ident() not in {thread for thread, *_ in found}
    assert [threads for _, threads, _, _ in found] == [1, 1, 1]
    assert [part.shape[1] for _, _, part, _ in found] == 3 * [LEAST]
    assert torch.equal(torch.cat([part for _, _, part, _ in found], dim=1), points)
    assert torch.equal(torch.cat([part for *_, part in found], dim=1), numbers)
    assert torch.get_num_threads() == 3


def test_threads_that_begin_later_have_as_many_as_before(on_threads):
    on_threads(3)
    share_points(torch.sum, torch.zeros(1, 2 * LEAST))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [3]


@given(threads=st.integers(1, 5), points=st.integers(0, 6 * LEAST))
def test_nothing_is_lost_however_many_there_are(threads, points):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        values = torch.arange(points)[None]
        found = share_points(lambda part: part, values)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.cat(found, dim=1), values)
    assert len(found) <= max(1, min(threads, points // LEAST))


def test_gradients_and_settings_are_as_they_are_here(on_threads):
    on_threads(2)
    values = torch.zeros(1, 2 * LEAST, requires_grad=True)

    def settings(part):
        return (part * 2).requires_grad, torch._dynamo.config.recompile_limit

    with torch._dynamo.config.patch(recompile_limit=5):
        assert share_points(settings, values) == 2 * [(True, 5)]
        with torch.no_grad():
            assert share_points(settings, values) == 2 * [(False, 5)]


def test_an_error_is_that_of_the_work(on_threads):
    on_threads(2)

    def broken(part):
        raise ZeroDivisionError(f"{part.shape[1]} points")

    with pytest.raises(ZeroDivisionError, match=f"{LEAST} points"):
        share_points(broken, torch.zeros(1, 2 * LEAST))


def test_shared_images_are_those_of_one_thread(tiny_params, on_threads):
    generator = Generator(tiny_params.model)
    code = generator.mapping(torch.randn(2, tiny_params.model.z_dim)).detach()
    points, answers = torch.rand(2, 5 * LEAST, 3), []
    for threads in (1, 2, 4):
        on_threads(threads)
        with torch.no_grad():
            answers.append(torch.cat([values.flatten() for values in field_of(generator, code, EXACT)(points, points)]))
    for other in answers[1:]:
        assert (other - answers[0]).abs().max() < 1e-5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_has_threads_of_its_own():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2"]
