"""Work shared between processes, with results in the order of the work."""

import collections
import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from pigan.errors import PiganError

Job = TypeVar("Job")
Result = TypeVar("Result")

# batches that may wait for the consumer, for each worker: bounds the memory
AHEAD = 4


def ordered_map(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int, batch: int = 16
) -> Iterator[Result]:
    """`function` of each job, in order, whatever the number of worker processes; 1 runs in this process.

    `function` must be importable, and jobs and results picklable; only a few batches are in flight at a time.

    Raises:
        PiganError: a worker process died, which Python code cannot do by itself.
    """
    if workers <= 1 or len(jobs) <= batch:
        yield from map(function, jobs)
        return
    batches = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    # spawn: a fork of a process that runs threads (torch) can hang
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(workers, len(batches)), context, _end_with_parent) as pool:
        waiting: collections.deque[concurrent.futures.Future[list[Result]]] = collections.deque()
        try:
            for jobs_of_batch in batches:
                waiting.append(pool.submit(_run, function, jobs_of_batch))
                if len(waiting) >= AHEAD * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except BrokenProcessPool:
            raise PiganError(
                "a worker process died, most likely for lack of memory; free some, or run again with --workers 1"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Ends this worker when the process that started it is killed: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def _run(function: Callable[[Job], Result], jobs: Sequence[Job]) -> list[Result]:
    return [function(job) for job in jobs]
