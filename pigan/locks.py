"""One process at a time, of all that see the same disk: waits while the other one lives, and never for ever."""

import contextlib
import errno
import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pigan.errors import PiganError
from pigan.files import explained

PATIENCE_SECONDS = 600.0
"""How long the holder of a lock may be without a sign of life."""
LOCK = ".lock"
CALL_SECONDS = 20.0
"""How long the file system may take over one answer; a lock server that is down gives none."""
POLL_SECONDS = 0.1
BUSY = frozenset({errno.EAGAIN, errno.EACCES})


class NoLocks(Exception):
    """The file system has no locks, or did not answer."""

    def __init__(self, reason: str, answered: bool) -> None:
        super().__init__(reason)
        # closing a file whose lock is still awaited would block as well
        self.answered = answered


@contextlib.contextmanager
def alone(
    lock: Path,
    doing: str,
    tell: Callable[[str], None],
    alive: Callable[[], object] = lambda: None,
    patience: float = PATIENCE_SECONDS,
) -> Iterator[None]:
    """Only one process at a time is in the block; the others wait for it and say so through `tell`, once.

    They wait as long as what `alive` returns changes every `patience` seconds (0: not at all), however long that takes.
    On a disk without locks the block runs at once, which is said: its outputs must appear whole, so that the last one
    stays.

    Raises:
        PiganError: the holder gave no sign of life, with who it is; no permission, or the disk is full.
    """
    with explained(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    held: int | None = handle
    try:
        _wait(handle, lock, doing, tell, alive, patience)
    except NoLocks as reason:
        tell(f"{doing}: {lock.parent} is on a disk without file locks ({reason}); going on without")
        held = None
        if reason.answered:
            os.close(handle)
    except BaseException:
        os.close(handle)
        raise
    try:
        yield
    finally:
        if held is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(held, 0)
            # gives the lock back
            os.close(held)


@contextlib.contextmanager
def sole_use(folder: Path, doing: str) -> Iterator[None]:
    """As `alone` in `folder`, but waits for nobody.

    Raises:
        PiganError: another process is in such a block; no permission, or the disk is full.
    """
    with alone(folder / LOCK, doing, lambda message: print(message, flush=True), patience=0):
        yield


def _wait(
    handle: int, lock: Path, doing: str, tell: Callable[[str], None], alive: Callable[[], object], patience: float
) -> None:
    """Until the lock is had.

    Raises:
        NoLocks: it cannot be had on this disk.
        PiganError: the holder gave no sign of life.
    """
    sign, since, told = alive(), time.monotonic(), False
    while not _had(handle):
        if not patience:
            raise PiganError(
                f"{doing}: {_holder(handle)} is at work in {lock.parent}; wait until it ends, or end it, and run the "
                "same command again"
            )
        if not told:
            tell(f"{doing}: {_holder(handle)} is at it; waiting")
            told = True
        now = alive()
        if now != sign:
            sign, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            raise PiganError(
                f"{lock}: held by {_holder(handle)}, which has done nothing for {patience:.0f} s; end it and run the "
                "same command again"
            )
        time.sleep(POLL_SECONDS)
    # told to those who wait; a full disk is no reason to stop
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


def _had(handle: int) -> bool:
    """Whether the lock is ours now; False: another process has it.

    Raises:
        NoLocks: it cannot be had on this disk.
    """
    answers: list[OSError | None] = []

    def ask() -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            answers.append(error)
        else:
            answers.append(None)

    # even a question that must not wait does so where the lock server of a network disk is down
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(CALL_SECONDS)
    if not answers:
        raise NoLocks(f"no answer in {CALL_SECONDS:.0f} s", False)
    error = answers[0]
    if error is not None and error.errno not in BUSY:
        raise NoLocks(error.strerror or str(error), True)
    return error is None


def _holder(handle: int) -> str:
    """Who has the lock, as far as it said so."""
    return os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another run"
