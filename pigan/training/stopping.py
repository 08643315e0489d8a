"""How a training is stopped in good order: signals are collected, and what is told of the end."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from pigan.training.deadline import EXIT_CODE, OUT_OF_TIME

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stopped(Exception):
    """A signal arrived, or the end of the time is near; the work so far is saved."""

    def __init__(self, number: int, saved: bool = True) -> None:
        late = number == OUT_OF_TIME
        why = "the time limit is near" if late else f"stopped by {signal.Signals(number).name}"
        what = "the checkpoint is saved" if saved else "no step was done since the last checkpoint"
        super().__init__(f"{why}; {what}, run again to go on")
        self.number = number
        self.exit_code = EXIT_CODE if late else 128 + number


@contextmanager
def collected_signals(then: Callable[[int], None] = lambda number: None) -> Iterator[list[int]]:
    """Collects SIGTERM, SIGINT and SIGUSR1 instead of dying of them; `then` is called with each."""
    received: list[int] = []

    def collect(number: int, _: FrameType | None) -> None:
        received.append(number)
        then(number)

    before = {number: signal.signal(number, collect) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
