"""TensorBoard's event file of a training."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pigan.files import explained

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@contextmanager
def event_file(folder: Path, global_step: int) -> Iterator["SummaryWriter"]:
    """A new event file in `folder`, beside those of earlier attempts, whose steps after `global_step` no longer count.

    Raises:
        PiganError: no permission, or the disk is full.
    """
    # a quarter of a second that other stages, which only know the loop's records, do without
    from torch.utils.tensorboard import SummaryWriter

    hook = threading.excepthook

    def told_once(failed: threading.ExceptHookArgs) -> None:
        # the writer's thread hands it on to whoever writes next, or closes the file
        if not isinstance(failed.exc_value, OSError):
            hook(failed)

    threading.excepthook = told_once
    try:
        with explained(folder), SummaryWriter(folder, purge_step=global_step + 1) as writer:
            yield writer
    finally:
        threading.excepthook = hook
