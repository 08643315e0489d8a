"""Starts the ranks of a training on this machine, and ends them: all are done, or none goes on.

PyTorch's own launcher, torchrun, may start them as well. It is not used here since its store listens on every
interface, since it gives ranks that are to stop a fixed half minute, and since it tells which rank failed first, not
which one failed by itself.
"""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from pigan.errors import PiganError
from pigan.training.distributed import LostRank, loopback_store, stop_with
from pigan.training.rendezvous import LOOPBACK, Place
from pigan.training.stopping import SIGNALS, Stopped, collected_signals

# for the other ranks to end by themselves when one has failed
GRACE_SECONDS = 5.0
LOOK_SECONDS = 0.5

Work = Callable[..., None]
"""What a rank does, given its place and the arguments; importable."""


class Ending(NamedTuple):
    """How a rank ended."""

    rank: int
    kind: str
    """done, stopped, error (that the user can mend), unexpected, lost (another rank ended), killed, aborted or none."""
    message: str


def launch(size: int, work: Work, *arguments: object) -> None:
    """Runs `work(place, *arguments)` in `size` processes of this machine; signals are passed on to them.

    When this process dies, they are told to stop.

    Raises:
        PiganError: a rank failed; by its own error, not by those of the ranks that lost it.
        Stopped: a signal stopped all ranks.
    """
    context = get_context("spawn")
    store = loopback_store()
    processes: list[BaseProcess] = []
    reports: list[connection.Connection] = []
    with collected_signals(partial(_pass_on, processes)) as received:
        try:
            for rank in range(size):
                place = Place(rank, size, rank, size, LOOPBACK, store.port, "pigan")
                reading, writing = context.Pipe(duplex=False)
                given = (place, writing, os.getpid(), work, arguments)
                with _held_back():
                    process: BaseProcess = context.Process(target=_run, args=given, name=f"rank {rank}", daemon=True)
                    process.start()
                    processes.append(process)
                writing.close()
                reports.append(reading)
            killed = _wait(processes)
        finally:
            for process in processes:
                process.kill()
                process.join()
    endings = [
        _ending(rank, process.exitcode or 0, report, rank in killed)
        for rank, (process, report) in enumerate(zip(processes, reports, strict=True))
    ]
    _judge(endings, received)


def _judge(endings: list[Ending], received: list[int]) -> None:
    """Raises what became of all ranks, unless all are done."""
    size = len(endings)
    # what a rank did by itself, before what may be since another had gone
    for kind in ("error", "killed", "unexpected", "aborted", "none", "lost", "stopped"):
        for ending in endings:
            if ending.kind != kind:
                continue
            if kind == "stopped":
                raise Stopped(int(ending.message))
            if kind == "killed" and int(ending.message) in received:
                # it came before the ranks could take it
                raise Stopped(received[0], saved=False)
            if kind in ("killed", "aborted"):
                name = signal.Signals(int(ending.message)).name
                raise PiganError(
                    f"rank {ending.rank} of {size} was killed by {name}, by someone or for lack of memory; "
                    "the last checkpoint stands, run again to go on"
                )
            own = f"rank {ending.rank} of {size}: " if kind in ("unexpected", "none") else ""
            raise PiganError(f"{own}{ending.message}")


def _wait(processes: list[BaseProcess]) -> set[int]:
    """Waits until all processes have ended, soon after the first has failed; returns which had to be killed."""
    failed_at: float | None = None
    killed: set[int] = set()
    while alive := [process for process in processes if process.is_alive()]:
        connection.wait([process.sentinel for process in alive], LOOK_SECONDS)
        if failed_at is None and any(process.exitcode for process in processes):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > GRACE_SECONDS:
            for rank, process in enumerate(processes):
                if process.is_alive():
                    killed.add(rank)
                    process.kill()
    return killed


def _ending(rank: int, code: int, report: connection.Connection, by_us: bool) -> Ending:
    with contextlib.suppress(EOFError, OSError):
        if report.poll():
            kind, message = json.loads(report.recv_bytes())
            return Ending(rank, kind, message)
    if by_us:
        return Ending(rank, "lost", "ended with the others")
    if code < 0:
        # libraries abort a process whose neighbours are gone
        return Ending(rank, "aborted" if -code == signal.SIGABRT else "killed", str(-code))
    return Ending(rank, "none", f"ended with code {code} and no word") if code else Ending(rank, "done", "")


def _run(place: Place, report: connection.Connection, parent: int, work: Work, arguments: tuple[object, ...]) -> None:
    """The whole life of a rank."""
    stop_with(parent)
    # until training can stop in good order; Python's own handler would print where it was
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    code = 1
    try:
        work(place, *arguments)
        kind, message, code = "done", "", 0
    except Stopped as stop:
        kind, message, code = "stopped", str(stop.number), stop.exit_code
    except LostRank as error:
        kind, message = "lost", str(error)
    except PiganError as error:
        kind, message = "error", str(error)
        _debugged()
    except Exception as error:
        kind, message = "unexpected", f"unexpected {type(error).__name__}: {error} (`pigan --debug ...` shows where)"
        _debugged()
    with contextlib.suppress(OSError):
        report.send_bytes(json.dumps([kind, message]).encode())
    sys.exit(code)


def _debugged() -> None:
    if os.environ.get("PIGAN_DEBUG"):
        traceback.print_exc()


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait: also in processes that are started meanwhile, until they are ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pass_on(processes: list[BaseProcess], number: int) -> None:
    """Sends a signal to those that live."""
    for process in processes:
        if process.pid is not None and process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
