"""Progress of long work: a bar on a terminal, a plain line with the time left every few seconds in a log."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

LOG_SECONDS = 10.0
# between two looks at notes that are functions, on a terminal
BAR_SECONDS = 0.2

Listener = Callable[[int, int | None], None]
"""Told how much is done, and of how much."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Whatever is counted meanwhile in this thread is told to `listener` too; what it raises ends the work."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Progress:
    """Counts work that is done; use as a context manager.

    Bytes (unit "B") are shown as kB, MB, GB. `total` is None while nobody knows it; it may be set later.
    """

    def __init__(self, total: int | None, label: str, unit: str = "it", start: int = 0) -> None:
        self.terminal = sys.stderr.isatty()
        # a log gets one line each time instead of a bar that redraws itself
        self._bar = tqdm(
            total=total,
            initial=start,
            desc=label,
            unit=unit,
            unit_scale=unit == "B",
            dynamic_ncols=self.terminal,
            disable=not self.terminal,
            file=sys.stderr,
        )
        self.label, self.unit = label, unit
        self.start, self.done = start, start
        self.began = self.printed = time.monotonic()
        self.notes = ""
        self._notes: dict[str, object] = {}
        self.total = total

    @property
    def total(self) -> int | None:
        """How much there is to do."""
        return self._total

    @total.setter
    def total(self, total: int | None) -> None:
        self._total = self._bar.total = total

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, amount: int = 1, **notes: object) -> None:
        """`amount` more is done; `notes` are shown behind the bar.

        A note that is a function is called when it is to be shown: a number on a GPU is not waited for at every step.
        """
        self.done += amount
        self._notes = notes or self._notes
        now = time.monotonic()
        due = self.done == self.total or now - self.printed > (BAR_SECONDS if self.terminal else LOG_SECONDS)
        if due or not any(map(callable, self._notes.values())):
            told = ((key, value() if callable(value) else value) for key, value in self._notes.items())
            self.notes = ", ".join(f"{key}={value}" for key, value in told)
            self._bar.set_postfix_str(self.notes, refresh=False)
        self._bar.update(amount)
        listener = _listener.get()
        if listener is not None:
            listener(self.done, self.total)
        if due:
            self.printed = now
        if due and not self.terminal:
            line = f"{self.label}: {self._line(max(now - self.began, 1e-9))}"
            print(f"{line}{', ' if self.notes else ''}{self.notes}", file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        rate = (self.done - self.start) / seconds
        known = self.total is not None
        left = tqdm.format_interval(max((self.total or 0) - self.done, 0) / rate) if rate and known else "?"
        if self.unit == "B":
            of = f"/{_bytes(self.total)}" if self.total is not None else ""
            return f"{_bytes(self.done)}{of}, {_bytes(rate)}/s, {left} left"
        return f"{self.done}{f'/{self.total}' if known else ''} {self.unit}, {rate:.1f} {self.unit}/s, {left} left"


def track(items: Iterable[Item], total: int, label: str, unit: str = "it") -> Iterator[Item]:
    """`items`, with progress shown while they are used up."""
    with Progress(total, label, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _bytes(amount: float) -> str:
    """1.44 GB, 23.4 MB, 512 B."""
    number = tqdm.format_sizeof(amount)
    return f"{number[:-1]} {number[-1]}B" if number[-1].isalpha() else f"{number} B"
