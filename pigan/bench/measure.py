"""Time and memory of several ways of doing the same, side by side."""

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

Run = Callable[[], object]
"""One side of a case, ready to be called again and again."""
Make = Callable[[], Run]
"""Builds a side with everything it owns."""

# a shorter call is repeated until it fills this time, so that the clock does not matter
SHORTEST = 0.02
ROUNDS, ROUNDS_QUICK = (5, 12), (2, 12)


def interleaved(
    runs: Sequence[Run],
    device: torch.device,
    seconds: float,
    rounds: tuple[int, int],
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Milliseconds of every call of each side, taken in turn (a, b, a, b, ...) after one call of each to warm up.

    Rounds go on until `seconds` are spent, within `rounds`; what else the machine does falls on all sides alike.
    """

    def seconds_of(run: Run, calls: int) -> float:
        _wait(device)
        began = clock()
        for _ in range(calls):
            run()
        _wait(device)
        return (clock() - began) / calls

    calls = [max(1, math.ceil(SHORTEST / max(seconds_of(run, 1), 1e-6))) for run in runs]
    times: list[list[float]] = [[] for _ in runs]
    fewest, most = rounds
    began = clock()
    while len(times[0]) < fewest or (len(times[0]) < most and clock() - began < seconds):
        for own, run, count in zip(times, runs, calls, strict=True):
            own.append(1e3 * seconds_of(run, count))
    return times


def peak_of(make: Make, device: torch.device, compiles: bool = False) -> tuple[int, Run]:
    """Most bytes alive at once while a side is built and called, and the side, which is warm then.

    Counted are tensors: weights, gradients, optimisers, inputs and whatever backward keeps. On a GPU by the caching
    allocator, on the CPU by every allocation and release that PyTorch's profiler records, backward included; scratch
    memory that libraries take elsewhere is not seen. The profiler sees one thread, so that only one is at work: it
    takes whole tiles, of which several would take equal parts at once.
    """
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        run = make()
        # libraries take work space when they are first called
        run()
        torch.cuda.reset_peak_memory_stats(device)
        run()
        _wait(device)
        return torch.cuda.max_memory_allocated(device) - before, run
    # kineto tells of every start on the terminal
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    if compiles:
        make()()
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        run = make()
        run()
    torch.set_num_threads(threads)
    if compiles and threads > 1:
        run()
    changes = [event for event in profile.kineto_results.events() if event.name() == "[memory]"]
    alive = most = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        alive += change.nbytes()
        most = max(most, alive)
    return most, run


def as_usual() -> AbstractContextManager[None]:
    """PyTorch as people run it: without the deterministic kernels that pigan asks for, which are slower."""
    return _Usual() if torch.are_deterministic_algorithms_enabled() else nullcontext()


class _Usual(AbstractContextManager[None]):
    def __enter__(self) -> None:
        torch.use_deterministic_algorithms(False)

    def __exit__(self, *_: object) -> None:
        torch.use_deterministic_algorithms(True, warn_only=True)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
