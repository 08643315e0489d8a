"""Progress of long work: a bar on a terminal, a plain line with the time left every few seconds in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

LOG_SECONDS = 10.0


class Progress:
    """Counts work that is done; use as a context manager."""

    def __init__(self, total: int, label: str, unit: str = "it", start: int = 0) -> None:
        self.terminal = sys.stderr.isatty()
        # a log gets one line each time instead of a bar that redraws itself
        self._bar = tqdm(
            total=total,
            initial=start,
            desc=label,
            unit=unit,
            dynamic_ncols=self.terminal,
            disable=not self.terminal,
            file=sys.stderr,
        )
        self.total, self.label, self.unit = total, label, unit
        self.start, self.done = start, start
        self.began = self.printed = time.monotonic()
        self.notes = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, amount: int = 1, **notes: object) -> None:
        """`amount` more is done; `notes` are shown behind the bar."""
        self.done += amount
        if notes:
            self.notes = ", ".join(f"{key}={value}" for key, value in notes.items())
            self._bar.set_postfix_str(self.notes, refresh=False)
        self._bar.update(amount)
        now = time.monotonic()
        if not self.terminal and (now - self.printed > LOG_SECONDS or self.done == self.total):
            self.printed = now
            rate = (self.done - self.start) / max(now - self.began, 1e-9)
            left = tqdm.format_interval(max(self.total - self.done, 0) / rate) if rate else "?"
            line = f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left} left"
            print(f"{line}{', ' if self.notes else ''}{self.notes}", file=sys.stderr, flush=True)


def track(items: Iterable[Item], total: int, label: str, unit: str = "it") -> Iterator[Item]:
    """`items`, with progress shown while they are used up."""
    with Progress(total, label, unit) as progress:
        for item in items:
            yield item
            progress.advance()
