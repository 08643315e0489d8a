import itertools

import pytest
import torch

from pigan.bench import measure
from pigan.bench.measure import as_usual, interleaved, peak_of
from pigan.report.speed import Times

CPU = torch.device("cpu")
MB = 1 << 20


class Clock:
    """Stands still unless someone works."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def worker(self, log, name, seconds):
        durations = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def run():
            log.append(name)
            self.now += next(durations)

        return run


def test_sides_take_turns_after_a_warm_up_each():
    clock, log = Clock(), []
    sides = [clock.worker(log, "a", [9.0, 1.0, 3.0]), clock.worker(log, "b", [9.0, 2.0, 4.0])]
    times = interleaved(sides, CPU, seconds=0.0, rounds=(2, 5), clock=clock)
    assert "".join(log) == "ab" + "abab"
    assert times == [[1000.0, 3000.0], [2000.0, 4000.0]]


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 2), (6.5, 4), (100.0, 5)])
def test_rounds_fill_the_time_within_their_limits(seconds, rounds):
    clock, log = Clock(), []
    sides = [clock.worker(log, name, [1.0]) for name in "ab"]
    assert [len(own) for own in interleaved(sides, CPU, seconds, (2, 5), clock)] == [rounds, rounds]


def test_short_calls_are_repeated_until_the_clock_can_tell():
    clock, log = Clock(), []
    times = interleaved([clock.worker(log, "a", [measure.SHORTEST / 8])], CPU, 0.0, (2, 2), clock)
    assert len(log) == 1 + 2 * 8
    assert times[0] == pytest.approx([1e3 * measure.SHORTEST / 8] * 2)


def test_medians_and_ranges():
    times = Times.of([3.0, 1.0, 8.0])
    assert (times.median, times.low, times.high, times.repeats) == (3.0, 1.0, 8.0, 3)


def test_peak_counts_what_backward_keeps_and_what_a_side_owns():
    def make():
        x = torch.rand(MB, requires_grad=True)  # 4 MB that stay

        def run():
            y = torch.sin(torch.sin(torch.sin(x)))
            y.sum().backward()

        return run

    peak, run = peak_of(make, CPU)
    # x, two sines kept, the last one; then gradients beside what is kept
    assert 4 * 4 * MB <= peak <= 7 * 4 * MB
    run()


def test_peak_forgets_what_was_released():
    def make():
        def run():
            x = torch.rand(MB)
            for _ in range(20):
                x = torch.sin(x)

        return run

    peak, _ = peak_of(make, CPU)
    assert peak == pytest.approx(2 * 4 * MB, rel=0.01)


def test_reference_runs_without_deterministic_kernels_and_pigan_with_them():
    before = torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        with as_usual():
            assert not torch.are_deterministic_algorithms_enabled()
        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        with as_usual():
            assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before)
