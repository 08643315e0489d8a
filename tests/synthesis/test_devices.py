import threading
import time

import pytest
import torch

from pigan.models.generator import Generator
from pigan.synthesis.devices import replicas, share_out

CPU = torch.device("cpu")


def test_results_come_in_order_from_one_thread_a_device() -> None:
    threads: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}

    def work(place: int, item: int) -> int:
        threads[place].add(threading.get_ident())
        # the later ones are ready first
        time.sleep(0.002 * (9 - item))
        return item * item

    assert list(share_out(work, range(9), [CPU] * 3)) == [item * item for item in range(9)]
    assert all(len(idents) == 1 for idents in threads.values()) and len(set.union(*threads.values())) == 3


def test_single_device_needs_no_thread() -> None:
    idents = list(share_out(lambda place, item: threading.get_ident(), range(3), [CPU]))
    assert idents == [threading.get_ident()] * 3


def test_threads_compute_with_as_many_processors_as_the_process() -> None:
    assert (
        list(share_out(lambda place, item: torch.get_num_threads(), range(4), [CPU, CPU]))
        == [torch.get_num_threads()] * 4
    )


def test_error_stops_the_others() -> None:
    done = []

    def work(place: int, item: int) -> None:
        if item == 1:
            raise RuntimeError("broken")
        time.sleep(0.01)
        done.append(item)

    with pytest.raises(RuntimeError, match="broken"):
        list(share_out(work, range(200), [CPU, CPU]))
    assert len(done) < 20


def test_generator_is_copied_only_where_it_is_not(generator: Generator) -> None:
    copies = replicas(generator, [CPU, torch.device("meta"), CPU])
    assert copies[0] is copies[2] is generator
    assert next(copies[1].parameters()).device.type == "meta"
    assert next(generator.parameters()).device == CPU
