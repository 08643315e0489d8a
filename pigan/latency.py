"""Files that another machine wrote and a shared disk does not show yet.

Snakemake waits for the declared inputs of a job itself (latency-wait). Not for what is inside of them, and DVC waits
for nothing: PIGAN_LATENCY=60 makes the stages wait for a minute before they call a file missing.
"""

import contextlib
import errno
import math
import os
import time
from pathlib import Path

from pigan.errors import PiganError

POLL_SECONDS = 0.2


def appears(path: Path) -> bool:
    """Whether `path` is there: now, or within the seconds that PIGAN_LATENCY allows (0 when it is not set).

    Raises:
        PiganError: PIGAN_LATENCY is no number of seconds.
    """
    deadline = time.monotonic() + _patience()
    while True:
        try:
            path.stat()
            return True
        except OSError as error:
            # stale: the name is known, but stands for a file that has been replaced meanwhile
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
                raise
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(POLL_SECONDS, left))
        # reading the folder makes a network disk ask its server instead of remembering that there was nothing
        with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
            next(entries, None)


def _patience() -> float:
    asked = os.environ.get("PIGAN_LATENCY", "") or "0"
    try:
        seconds = float(asked)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise PiganError(f"PIGAN_LATENCY: write a number of seconds, such as 60, not {asked!r}")
    return seconds
