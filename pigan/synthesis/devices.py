"""Independent pieces of work shared out among devices, one thread a device; results do not depend on how many."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from pigan.models.generator import Generator

Item = TypeVar("Item")
Result = TypeVar("Result")


def replicas(generator: Generator, devices: Sequence[torch.device]) -> list[Generator]:
    """`generator` on every device; where it is already, it is itself."""
    return [generator if device == generator.device else copy.deepcopy(generator).to(device) for device in devices]


def share_out(
    work: Callable[[int, Item], Result], items: Sequence[Item], devices: Sequence[torch.device]
) -> Iterator[Result]:
    """`work(place, item)` for all items, in their order; `place` says which of the devices has its turn.

    An error in one of them stops the others.
    """
    if len(devices) == 1:
        yield from (work(0, item) for item in items)
        return
    threads = torch.get_num_threads()

    def on_device(place: int, item: Item) -> Result:
        # a new thread knows neither the number of threads nor the current device
        torch.set_num_threads(threads)
        device = devices[place]
        with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
            return work(place, item)

    pools = [ThreadPoolExecutor(1) for _ in devices]
    try:
        waiting = [
            pools[number % len(devices)].submit(on_device, number % len(devices), item)
            for number, item in enumerate(items)
        ]
        for future in waiting:
            yield future.result()
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
